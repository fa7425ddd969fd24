"""The cap of a replay: which run may begin, with which limit, and when nothing more is asked.

Runs go on together while the cap has room for all that each may cost, a last turn included. Where it has no more room
for that, the last run to begin asks one request after another; and where it has no room for a whole run any more, runs
go one by one, with what is left as the limit of each. So what the last request costs is all that passes the cap.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal

import anyio
import anyio.to_thread

from mcp_server.domain.text import dollars
from mcp_server.storage.journal.budget import Admission
from mcp_server.storage.journal.replays import Replays
from mcp_server.storage.journal.rows import Claimed
from runner.clock import Clock

MOST_LOOKS = 30
"""How often a run looks, once a second, whether a row that no run of this process has open has ended meanwhile."""

STOPPED = "The replay was stopped before this run could begin."


@dataclass(frozen=True, slots=True)
class ReplayAllowance:
    """The most that a run may cost, and whether it has to ask one request after another."""

    usd: Decimal
    one_at_a_time: bool


@dataclass(slots=True)
class Cap:
    """Lets the runs of one replay begin, within what it may spend.

    Args:
        replays: where what was spent is added up.
        replay_id: whose cap it is.
        max_usd: the cap.
        a_run_usd: the most that one run may cost.
        clock: the clock of the runs.
    """

    replays: Replays
    replay_id: str
    max_usd: Decimal
    a_run_usd: Decimal
    clock: Clock
    closed: bool = False
    dearest_usd: Decimal = Decimal(0)
    """What a run has cost at most so far."""
    spent_usd: Decimal = Decimal(0)
    """What the runs that are over have cost, as the journal had it last."""
    _under_way: int = 0
    _deciding: anyio.Lock = field(default_factory=anyio.Lock)
    _changed: anyio.Event = field(default_factory=anyio.Event)

    async def allow(self, claimed: Claimed) -> ReplayAllowance | str:
        """Wait until a run may begin, and reserve what it may cost; return why it may not."""
        looks = 0
        while True:
            changed = self._changed
            async with self._deciding:
                if self.closed:
                    return STOPPED
                answer = await self._decide(claimed)
            if not isinstance(answer, Admission):
                return answer
            if self._under_way:
                await changed.wait()
            elif (looks := looks + 1) > MOST_LOOKS:
                return answer.why
            else:
                await self.clock.sleep(1)

    @asynccontextmanager
    async def accounting(self, cost_usd: Decimal | None) -> AsyncIterator[None]:
        """Enter the end of a run that was allowed in this block; nobody else reads the sum meanwhile.

        `cost_usd` is what such a run costs, where that is known.
        """
        async with self._deciding:
            try:
                yield
                await self.read()
            finally:
                self._under_way -= 1
                self.dearest_usd = max(self.dearest_usd, cost_usd or Decimal(0))
                self._look_again()

    def close(self) -> None:
        """Let no run begin any more."""
        self.closed = True
        self._look_again()

    async def read(self) -> Decimal:
        """Read what was spent, and return what may yet be reserved beside it."""
        spent = await anyio.to_thread.run_sync(self.replays.spent, self.replay_id)
        self.spent_usd = spent.ended
        return self.max_usd - spent.ended - 2 * spent.reserved

    async def _decide(self, claimed: Claimed) -> ReplayAllowance | Admission | str:
        """Return what a run may cost, or why it may not begin; an admission where others have to end first."""
        admission = await self._reserve(claimed, self.a_run_usd)
        if admission.answer == "yes":
            self._under_way += 1
            return ReplayAllowance(self.a_run_usd, one_at_a_time=await self.read() < 0)
        if admission.answer == "wait" or self._under_way:
            return admission
        await self.read()
        left = self.max_usd - self.spent_usd
        if left <= 0 or left < self.dearest_usd:
            return self.reached(left)
        if (admission := await self._reserve(claimed, left)).answer != "yes":
            return admission
        self._under_way += 1
        return ReplayAllowance(left, one_at_a_time=True)

    async def _reserve(self, claimed: Claimed, limit: Decimal) -> Admission:
        arguments = (claimed.execution_id, self.replay_id, limit, self.clock.now())
        return await anyio.to_thread.run_sync(self.replays.admit, *arguments)

    def reached(self, left: Decimal = Decimal(0)) -> str:
        """Say that the cap is reached, or that what is left of it is too little for one more run; and what to do."""
        rest = f", and a run has cost up to {dollars(self.dearest_usd)}" if left > 0 else ""
        return self._raise_it(
            f"{dollars(self.max_usd - left)} of the {dollars(self.max_usd)} USD of --max-usd are spent{rest}"
        )

    def too_small(self) -> str:
        """Say that a run was to cost more than the cap left it, whether its replies had to be paid or not."""
        return self._raise_it(f"what is left of --max-usd, {dollars(self.max_usd)} USD, is too little for a run")

    def _raise_it(self, why: str) -> str:
        return f"The cap is reached: {why}. Run the same command with a higher --max-usd: it goes on from here."

    def _look_again(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
