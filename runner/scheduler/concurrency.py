"""How many runs go on at once: each waits its turn, first come first served, and never behind another kind's."""

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from mcp_server.storage.journal.rows import Run
from runner.scheduler.memory import claude_runs

RULES_AT_ONCE = 32
"""Runs without an agent on one exchange: a slow exchange holds up its own strategies, and no others."""


def _rules_room() -> anyio.CapacityLimiter:
    return anyio.CapacityLimiter(RULES_AT_ONCE)


@dataclass(slots=True)
class Concurrency:
    """Lets runs begin. `most_agents` bounds the agents at once; None: what memory allows."""

    default_exchange: str
    most_agents: int | None = None
    _rules: dict[tuple[str, str], anyio.CapacityLimiter] = field(default_factory=lambda: defaultdict(_rules_room))
    _agents: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(1))

    def adjust(self) -> None:
        """Look at the memory, and let more or fewer agents run; those that run are left alone."""
        self._agents.total_tokens = self.most_agents or claude_runs(self._agents.borrowed_tokens)

    @asynccontextmanager
    async def turn(self, run: Run) -> AsyncIterator[None]:
        """Wait until a run may begin."""
        exchange = run.strategy.config.exchange or self.default_exchange
        async with self._rules[run.engine, exchange]:
            yield

    @asynccontextmanager
    async def agent(self) -> AsyncIterator[None]:
        """Wait until one more agent may run."""
        async with self._agents:
            yield
