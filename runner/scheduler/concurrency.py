"""How many runs go on at once: each waits its turn, first come first served, and never behind another kind's."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

import anyio

from mcp_server.domain.outcome import NOTHING_SPENT, Outcome, Status
from mcp_server.domain.schedule.slots import due_at
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.storage.journal.carry_out import NOT_BEGUN
from mcp_server.storage.journal.rows import Claimed, Run
from runner.memory import claude_runs

RULES_AT_ONCE = 32
"""Runs without an agent on one exchange: a slow exchange holds up its own strategies, and no others."""

RULES_AHEAD = 128
"""How many more of them one of several runners claims: what it begins within a second or so."""

AGENTS_AHEAD = 2
"""How many times as many slots it claims for agents as may run: some are over before they ask one."""

NEVER_BEGAN = Outcome(Status.MISSED, error=NOT_BEGUN, **NOTHING_SPENT)


def _limiters() -> dict[tuple[str, str], anyio.CapacityLimiter]:
    return defaultdict(lambda: anyio.CapacityLimiter(RULES_AT_ONCE))


@dataclass(slots=True)
class Concurrency:
    """Lets runs begin. `most_agents` bounds the agents at once; None: what memory allows.

    Once it is `closed`, no run begins any more.
    """

    default_exchange: str
    most_agents: int | None = None
    closed: bool = False
    _turns: dict[tuple[str, str], anyio.CapacityLimiter] = field(default_factory=_limiters)
    _agents: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(1))

    def adjust(self) -> None:
        """Look at the memory, and let more or fewer agents run; those that run are left alone."""
        self._agents.total_tokens = self.most_agents or claude_runs(self._agents.borrowed_tokens)

    def turn(self, run: Run) -> anyio.CapacityLimiter:
        """Return what a run enters to begin: it waits there for its turn."""
        return self._turns[run.engine, run.strategy.config.exchange or self.default_exchange]

    def kind(self, strategy: Strategy) -> tuple[str, str]:
        """Return what its slots share their room with: those of rules an exchange, those for agents the memory."""
        if strategy.engine != "rules":
            return strategy.engine, ""
        return strategy.engine, strategy.config.exchange or self.default_exchange

    def most_claimed(self, kind: tuple[str, str]) -> int:
        """Return how many slots of a kind may be claimed and not decided, where other runners share them."""
        if kind[0] == "rules":
            return RULES_AT_ONCE + RULES_AHEAD
        return AGENTS_AHEAD * int(self._agents.total_tokens)

    def agent(self) -> anyio.CapacityLimiter:
        """Return what a run enters to start its agent: it waits there until one more may run."""
        return self._agents

    def refusal(self, claimed: Claimed, now: datetime) -> Outcome | None:
        """Return the outcome of a run that may not begin any more, because its turn came too late or all ends."""
        if self.closed:
            return NEVER_BEGAN
        if claimed.start_deadline is None or now <= claimed.start_deadline:
            return None
        late_s = (now - due_at(claimed.run.strategy.config, claimed.run.as_of)).total_seconds()
        why = f"Its turn came {late_s:.0f} s late: too many runs were due at once."
        return Outcome(Status.SKIPPED_STALE, error=why, **NOTHING_SPENT)
