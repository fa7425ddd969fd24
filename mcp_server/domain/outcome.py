"""How a run ends: its outcome and, only where it could decide, its signal. Also the rows of slots that did not run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, TypedDict

from mcp_server.domain.run_status import Engine as Engine  # noqa: PLC0414 (these are words of outcomes, too)
from mcp_server.domain.run_status import RunEngine as RunEngine  # noqa: PLC0414
from mcp_server.domain.run_status import Status as Status  # noqa: PLC0414

SignalName = Literal["BUY", "SELL", "HOLD"]

Trigger = Literal["schedule", "manual", "replay"]
Blame = Literal["strategy", "outside", "runner"]
"""Who failed where a run fails: the strategy; Claude's API, an exchange or the tool server; or the runner itself."""


@dataclass(frozen=True, slots=True)
class Signal:
    """The signal of a run that could decide.

    `confidence` is 0 to 100, or None where the engine states none. `price` is the last closed candle's close in quote,
    or None where the run saw no price. `data` is what it rests on: sub-agent results or the conditions that decided.
    """

    signal: SignalName
    confidence: Decimal | None
    reasoning: str
    price: float | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


class Usage(TypedDict):
    """The arguments of an outcome for what a run has used."""

    tokens_used: int
    cost_usd: Decimal


NOTHING_SPENT: Usage = {"tokens_used": 0, "cost_usd": Decimal(0)}
"""Known to be free, which is not the same as unknown: for rules, and for a model that was never asked."""


@dataclass(frozen=True, slots=True)
class BudgetReached:
    """A budget of the day that had no room for a run: whose it is, what is spent of it, its limit; in US dollars."""

    scope: Literal["strategy", "everyone"]
    spent_usd: Decimal
    limit_usd: Decimal


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one run ended. `signal` is there exactly when `status` is success, `error` when it is anything else.

    `tokens_used` and `cost_usd` are None where unknown, never 0 instead. `trace` holds what happened on the way: the
    sub-agents, their tool calls with arguments and results, tokens by agent, the raw answer. `blame` is there exactly
    when the run failed (`error`, `timeout`): the strategy's, unless said otherwise. `budget` is the budget of the day
    that had no room.

    `cost_usd` is what this run itself paid; `recorded_usd` what all of its replies once cost, where they are on a
    cassette. `knowledge_cutoff` is the month ("2026-06") up to which the models of the run know, the latest of them;
    None where it is unknown. `contaminated` is whether one of them may know what came after the run's as-of; None
    where that was not judged: a run by rules, or one as of now.
    """

    status: Status
    signal: Signal | None = None
    error: str | None = None
    model: str | None = None
    tokens_used: int | None = None
    cost_usd: Decimal | None = None
    trace: Mapping[str, Any] | None = None
    blame: Blame | None = None
    budget: BudgetReached | None = None
    recorded_usd: Decimal | None = None
    knowledge_cutoff: str | None = None
    contaminated: bool | None = None

    @property
    def decided(self) -> bool:
        """Whether the engine came to a decision: a signal, or that there can be none."""
        return self.status in (Status.SUCCESS, Status.ABSTAINED)

    def __post_init__(self) -> None:
        if (self.signal is not None) != (self.status is Status.SUCCESS):
            raise ValueError("a signal belongs to success, and to nothing else")
        if self.status is not Status.SUCCESS and not self.error:
            raise ValueError("an outcome without a signal says why")
        failed = self.status in (Status.ERROR, Status.TIMEOUT)
        if self.blame is not None and not failed:
            raise ValueError("only a failure has somebody to blame")
        if self.blame is None and failed:
            object.__setattr__(self, "blame", "strategy")


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that is over, for reports, notices and answers. Times are aware.

    `began_at` is None where the run never began. `waiting` is why its row is still open, None where it was entered.
    `before` is the signal of the strategy's last slot that had one; None where there was none, or its row is open.
    """

    execution_id: int
    engine: RunEngine
    as_of: datetime
    outcome: Outcome
    began_at: datetime | None
    ended_at: datetime
    waiting: str | None = None
    before: SignalName | None = None

    @property
    def took_s(self) -> float:
        """How long the run took, in seconds; 0 where it never began."""
        return (self.ended_at - (self.began_at or self.ended_at)).total_seconds()


@dataclass(frozen=True, slots=True)
class SlotRow:
    """One row for the slots from `first` to `last`: how they ended without a run, or the one that starts to run."""

    status: Status
    first: datetime
    last: datetime
    slots: int = 1
    why: str | None = None
