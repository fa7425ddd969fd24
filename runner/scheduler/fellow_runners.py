"""The other runners of the journal: people are told where they have other strategies than this one, or other versions.

A difference is told once it has lasted: homes that are kept equal by git differ for some seconds after each change.
"""

import logging
import os
from collections.abc import Callable, Mapping
from datetime import datetime
from importlib.metadata import version

import anyio.to_thread

from mcp_server.errors import TraderError
from mcp_server.storage.journal.runner_note import RunnerNote
from mcp_server.storage.journal.slots import SlotStore
from mcp_server.storage.machine import machine_name
from runner.clock import Clock
from runner.notify.events import runners_differ
from runner.scheduler.differences import differences, sentences
from runner.scheduler.troubles import LASTING, LOOK_EVERY_S, Tell

logger = logging.getLogger(__name__)

Adopted = Callable[[], Mapping[str, tuple[str, str]] | None]
"""Returns the version and the status of each strategy as this runner has it; None: it does not know yet."""


class FellowRunners:
    """Compares this runner with the others, and tells what differs for longer than `LASTING`.

    Args:
        slot_store: of this runner; through it the others learn what this one has.
        adopted: what this one has.
        clock: the clock that slots go by.
        tell: takes the event that they differ.
    """

    def __init__(self, slot_store: SlotStore, adopted: Adopted, clock: Clock, tell: Tell) -> None:
        self._slot_store = slot_store
        self._adopted = adopted
        self._clock = clock
        self._tell = tell
        self._place = f"{machine_name()} (process {os.getpid()})"
        self._program = version("claude-trader")
        self._since: dict[str, datetime] = {}
        """Since when each strategy differs."""
        self._lasting: dict[str, str] = {}
        """How each differs that has for long."""

    def problems(self) -> list[str]:
        """Return what differs and has for a while, in sentences for people."""
        return sentences(self._lasting)

    async def watch(self) -> None:
        """Look again and again until it is cancelled. Whatever fails here ends nothing, and is tried again."""
        while True:
            try:
                await self._look()
            except TraderError as error:  # who claims tells that the journal is away
                logger.debug("looking at other runners: %s", error)
            except Exception:  # nobody is there to start it again
                logger.exception("looking at other runners")
            await self._clock.sleep(LOOK_EVERY_S)

    async def _look(self) -> None:
        if (strategies := self._adopted()) is None:
            return
        notes = await anyio.to_thread.run_sync(self._exchange, strategies)
        now, differing = self._clock.now(), differences(notes)
        self._since = {name: self._since.get(name, now) for name in differing}
        lasting = {name: how for name, how in differing.items() if now - self._since[name] >= LASTING}
        if fresh := {name: how for name, how in lasting.items() if name not in self._lasting}:
            logger.warning("%s", " ".join(sentences(fresh)))
        elif self._lasting and not lasting:
            logger.info("all runners of this journal have the same strategies again")
        self._lasting = lasting
        for since in sorted({self._since[name] for name in lasting}):
            together = {name: how for name, how in lasting.items() if self._since[name] == since}
            self._tell(runners_differ(" ".join(sentences(together)), since))

    def _exchange(self, strategies: Mapping[str, tuple[str, str]]) -> list[RunnerNote]:
        return self._slot_store.exchange_notes(self._place, self._program, strategies)
