"""Keeps the versions that may run: after a broken edit, and after a restart, the last good one goes on."""

import logging
from collections.abc import Mapping

import anyio.to_thread

from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.errors import TraderError
from mcp_server.storage.journal.slot_rows import StoredSchedule
from mcp_server.storage.strategies.folders import StrategyFolders

logger = logging.getLogger(__name__)

AT_ONCE = 100
"""How many versions one thread copies before a stop is noticed."""


class VersionKeeper:
    """Copies versions aside. `waiting` are those to keep, by name; `problem` says why they cannot be kept now."""

    def __init__(self, folders: StrategyFolders) -> None:
        self._folders = folders
        self.waiting: dict[str, Strategy] = {}
        self.problem: str | None = None

    def remembered(self, stored: Mapping[str, StoredSchedule]) -> dict[str, Strategy]:
        """Return the strategies as they last ran before this program started, if they were kept."""
        kept = {}
        for name, schedule in stored.items():
            if schedule.config is not None and schedule.version:
                try:
                    kept[name] = self._folders.read_version(name, schedule.version)
                except Exception:  # it is gone or broken too: then there is nothing to go on with
                    logger.debug("no kept version of %s", name)
        return kept

    async def keep(self) -> None:
        """Keep what waits; what cannot be kept runs all the same."""
        self.problem = None
        while self.waiting and self.problem is None:
            await anyio.to_thread.run_sync(self._keep_some)

    def _keep_some(self) -> None:
        for name in [*self.waiting][:AT_ONCE]:
            try:
                self._folders.versions.copy(self.waiting[name])
            except TraderError as error:  # the folder may only be read, say
                self.problem = f"Strategies run as they were last read, but an edit ends what is running: {error}"
                return
            del self.waiting[name]
