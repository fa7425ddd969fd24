"""Records how slots ended. What cannot be written yet is kept, and written as soon as the journal can be used again."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import anyio
import anyio.to_thread

from mcp_server.domain.outcome import Ended, Outcome
from mcp_server.errors import Misconfigured, Retryable, TraderError
from mcp_server.storage.journal.rows import Claimed
from mcp_server.storage.journal.runs import Journal
from runner.clock import Clock

logger = logging.getLogger(__name__)

ENTER_S = 1.5
"""How long it tries, at the end, to enter what waits in the outbox; the next program to start enters it too."""

RETRY_S = 0.25


@dataclass(slots=True)
class Recorder:
    """Enters the outcomes of one runner's slots in the journal."""

    journal: Journal
    clock: Clock
    problem: str | None = None
    """What of the outbox could not be read lately, in a sentence for people."""
    _unwritten: dict[int, Callable[[], Ended]] = field(default_factory=dict)
    _orphans_ended: bool = False

    async def record(self, claimed: Claimed, outcome: Outcome, began_at: datetime | None) -> Ended:
        """Record how a slot ended; whatever happens, the outcome is not lost while this program lives."""
        ended_at = self.clock.now()
        finish = partial(self.journal.finish, claimed, outcome, ended_at, began_at=began_at)
        try:
            return await anyio.to_thread.run_sync(finish)
        except TraderError as error:
            waiting = str(error)
        except Exception as error:  # memory ran out, say: the outcome is still here, and tried again
            logger.exception("the outcome of a slot of %s", claimed.run.strategy.name)
            waiting = f"unexpected {type(error).__name__}; the log says more"
        self._unwritten[claimed.execution_id] = finish
        return claimed.ended(outcome, began_at, ended_at, waiting)

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
