"""The versions of strategies that run: each is kept, so that a broken edit, also after a start, goes back to it."""

import logging
from collections.abc import Mapping, Sequence

import anyio.to_thread

from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.storage.journal.slot_rows import StoredSchedule
from mcp_server.storage.strategies.folders import StrategyFolders

logger = logging.getLogger(__name__)

AT_ONCE = 100


class LastGood:
    """Keeps the versions that may run from now on, and reads those that ran before this program started."""

    def __init__(self, folders: StrategyFolders) -> None:
        self._folders = folders
        self._to_keep: dict[str, Strategy] = {}
        self._failed: dict[str, str] = {}

    def note(self, name: str, strategy: Strategy | None) -> None:
        """Note the version of a strategy that runs from now on; None: none does."""
        if strategy is None:
            self._to_keep.pop(name, None)
        else:
            self._to_keep[name] = strategy

    async def keep(self) -> None:
        """Keep what was noted; what cannot be kept is tried again at the next call, and `problems` says why."""
        names, self._failed = [*self._to_keep], {}
        for first in range(0, len(names), AT_ONCE):
            await anyio.to_thread.run_sync(self._keep, names[first : first + AT_ONCE])

    def _keep(self, names: Sequence[str]) -> None:
        for name in names:
            try:
                self._folders.versions.copy(self._to_keep[name])
                del self._to_keep[name]
            except Exception as error:  # the folder may only be read, say: no other strategy waits for that
                logger.debug("keeping %s", name, exc_info=error)
                self._failed[name] = str(error)

    def problems(self) -> list[str]:
        """Return what keeps versions from being kept, in a sentence for people."""
        why = next(iter([*self._failed.values()]), None)
        return [f"Strategies run as they were last read, but an edit ends what is running: {why}"] if why else []

    def read(self, stored: Mapping[str, StoredSchedule]) -> dict[str, Strategy]:
        """Return the strategies as they last ran before this program started, if they were kept."""
        kept = {}
        for name, schedule in stored.items():
            if schedule.config is not None and schedule.version:
                try:
                    kept[name] = self._folders.read_version(name, schedule.version)
                except Exception:  # it is gone or broken too: then there is nothing to go on with
                    logger.debug("no kept version of %s", name)
        return kept
