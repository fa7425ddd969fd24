"""What a replay is asked for, what it says on its way, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal

from mcp_server.domain.outcome import SignalName, Status
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.storage.journal.replays import ReplayTerms

StoppedBy = Literal["price", "pilots", "contamination", "cap", "outage", "credential", "journal", "interrupted"]
"""Why a replay ended early: its price is above the cap; none of its pilots could be decided; a model may know what came
next; the cap is reached; Claude's API cannot be used now, or refuses the account; the journal or the disk cannot be
written; the user stopped it."""


Step = Literal["wake", "models", "pilots", "runs", "rerun"]
"""What a replay does: it looks which moments are worth asking, asks what the models may know, runs a few for the price
and then the rest; or it runs all of them again."""


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """What is to be replayed: one version of a strategy, as it was read at the start, at these moments.

    `moments` are aware and ascending, none in the future. `every` is how they were spaced, as the user wrote it; None:
    the strategy's own slots. `without` names the sub-agents that are left out of `strategy`; `whole` is the strategy
    with all of them: what was recorded of that one is used again. `max_usd` is the cap of the whole replay; a rerun
    needs none.
    """

    strategy: Strategy
    since: datetime
    until: datetime
    every: str | None
    moments: tuple[datetime, ...]
    max_usd: Decimal
    without: tuple[str, ...] = ()
    whole: Strategy | None = None
    contaminated: bool = False
    rerun: bool = False

    def terms(self, default_exchange: str) -> ReplayTerms:
        """Return what its id is derived from; `default_exchange` is asked where the strategy names none."""
        return ReplayTerms(
            strategy=self.strategy.name,
            decision_version=self.strategy.decision_version(default_exchange, "claude"),
            since=self.since,
            until=self.until,
            every=self.every,
            without=self.without,
            contaminated=self.contaminated,
            rerun=self.rerun,
        )


@dataclass(frozen=True, slots=True)
class ReplayProgress:
    """How far a replay is. `step` is what it does now; of `of` moments `done` are final.

    `spent_usd` is what the whole replay has cost so far, over all times that it was started; `left_usd` what the cap
    leaves. `note` is a sentence for a person, where there is news: a wait for the API, say.
    """

    step: Step
    done: int
    of: int
    spent_usd: Decimal = Decimal(0)
    left_usd: Decimal = Decimal(0)
    signals: Mapping[SignalName, int] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of a replay, over all times that it was started.

    Of `moments`, `left` are still to be run, and `by_status` counts how those ended for good that have; `asleep` were
    not worth asking (`wake`), and are not in it. `runs` began this time, and `requests_asked` and
    `requests_from_cassette` count their requests. `recorded_usd` is what the replies that were used once cost,
    `spent_usd` what was paid for this replay. `drifts` has what was not on the cassette, and at how many moments it was
    just that. `stopped_by` is None where it went to its end; else `stopped_because` says why and what to do.
    """

    replay_id: str
    moments: int
    left: int
    asleep: int
    by_status: Mapping[Status, int]
    signals: Mapping[SignalName, int]
    runs: int
    requests_asked: int
    requests_from_cassette: int
    contaminated: int
    spent_usd: Decimal
    recorded_usd: Decimal
    estimated_usd: tuple[Decimal, Decimal] | None = None
    drifts: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    stopped_by: StoppedBy | None = None
    stopped_because: str = ""

    @property
    def drift(self) -> int:
        """How many moments asked what is not on their cassette."""
        return self.by_status.get(Status.DRIFT, 0)
