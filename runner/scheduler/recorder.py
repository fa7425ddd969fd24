"""Records how slots ended. What cannot be written yet is kept, and written as soon as the journal can be used again."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import anyio
import anyio.to_thread

from mcp_server.domain.outcome import Ended, Outcome
from mcp_server.errors import Misconfigured, Retryable, TraderError
from mcp_server.storage.journal.rows import Claimed, RunEnd
from mcp_server.storage.journal.runs import Journal
from runner.clock import Clock

logger = logging.getLogger(__name__)

ENTER_S = 1.5
"""How long it tries, at the end, to enter what waits in the outbox; the next program to start enters it too."""

RETRY_S = 0.25

GATHER_S = 0.25
"""Where several ends came together, the next transaction waits so long for others, unless a model was paid for one."""


@dataclass(slots=True, eq=False)
class _Recording:
    """The end of one slot, which waits for its turn to be entered; then, whether it was."""

    end: RunEnd
    ended: Ended | None = None


@dataclass(slots=True)
class Recorder:
    """Enters the outcomes of one runner's slots in the journal: those that end meanwhile wait, and share the next turn.

    One transaction costs about as much for a hundred ends as for one.
    """

    journal: Journal
    clock: Clock
    problem: str | None = None
    """What of the outbox could not be read lately, in a sentence for people."""
    _unwritten: dict[int, Callable[[], Ended]] = field(default_factory=dict)
    _orphans_ended: bool = False
    _waiting: list[_Recording] = field(default_factory=list)
    _turn: anyio.Lock = field(default_factory=anyio.Lock)
    _crowded: bool = False
    _paid: anyio.Event = field(default_factory=anyio.Event)
    """Set where a model was asked in one of those that wait: a kill would lose what was paid for."""

    async def record(self, claimed: Claimed, outcome: Outcome, began_at: datetime | None) -> Ended:
        """Record how a slot ended; whatever happens, the outcome is not lost while this program lives.

        The caller shields this from being cancelled: others may wait for what it enters.
        """
        own = _Recording(RunEnd(claimed, outcome, self.clock.now(), began_at))
        self._waiting.append(own)
        if claimed.run.engine != "rules":
            self._paid.set()
        async with self._turn:
            if own.ended is None:
                if self._crowded:
                    with anyio.move_on_after(GATHER_S):
                        await self._paid.wait()
                together, self._waiting = self._waiting, []
                self._paid = anyio.Event()
                self._crowded = len(together) > 1
                await self._enter(together)
        assert own.ended is not None  # noqa: S101 (whoever had the turn has told)
        return own.ended

    async def _enter(self, together: Sequence[_Recording]) -> None:
        ends = [recording.end for recording in together]
        try:
            all_ended = await anyio.to_thread.run_sync(self.journal.finish_all, ends)
        except TraderError as error:
            all_ended = [self._keep(end, str(error)) for end in ends]
        except Exception as error:  # memory ran out, say: the outcomes are still here, and tried again
            if len(together) > 1:  # one that cannot be entered is no reason to leave out the others
                for recording in together:
                    await self._enter([recording])
                return
            logger.exception("the outcome of a slot of %s", ends[0].claimed.run.strategy.name)
            all_ended = [self._keep(ends[0], f"unexpected {type(error).__name__}; the log says more")]
        for recording, ended in zip(together, all_ended, strict=True):
            recording.ended = ended

    def _keep(self, end: RunEnd, waiting: str) -> Ended:
        claimed = end.claimed
        self._unwritten[claimed.execution_id] = lambda: self.journal.finish_all([end])[0]
        return claimed.ended(end.outcome, end.began_at, end.ended_at, waiting)

    async def catch_up(self) -> None:
        """Enter what waits, here and in the outbox, and end the rows of runs that were killed.

        Raises:
            Retryable, Misconfigured: as `Database.write`; the rest still waits.
        """
        for execution_id, finish in list(self._unwritten.items()):
            try:
                await anyio.to_thread.run_sync(finish)
            except (Retryable, Misconfigured):
                raise
            except Exception as error:  # it was logged when it happened first; no other slot waits for this one
                logger.debug("execution %d: %s", execution_id, error)
                continue
            self._unwritten.pop(execution_id, None)
        now = self.clock.now()
        await anyio.to_thread.run_sync(self.journal.settle, now)
        self.problem = await anyio.to_thread.run_sync(self.journal.problem)
        if not self._orphans_ended:
            await anyio.to_thread.run_sync(self.journal.end_orphans, now)
            self._orphans_ended = True

    async def catch_up_at_the_end(self) -> None:
        """Enter what waits, unless another program goes on using the journal."""
        with anyio.move_on_after(ENTER_S):
            while True:
                try:
                    return await self.catch_up()
                except TraderError:
                    await anyio.sleep(RETRY_S)

    @property
    def unwritten(self) -> int:
        """How many outcomes have not been written yet."""
        return len(self._unwritten)
