"""The overview for who asks again and again: what has not changed on disk is not read anew."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from decimal import Decimal
    from pathlib import Path

    from mcp_server.overview import JournalState, Overview
    from mcp_server.storage.database import Database
    from mcp_server.storage.home import Home
    from mcp_server.storage.strategies.folders import ListedStrategy, StrategyFolders

SETTLED_S = 0.05
"""A file that was written less than this ago may be written once more without a new time: its content is not kept."""

Stamp = tuple[tuple[int, int, int], ...]
"""When each file was changed, how large it is, and which one it is."""

NEVER: Stamp = ((-1, -1, -1),)
"""The stamp of what is to be read again."""


class OverviewCache:
    """Gives the overview of one home. Who runs and what is wrong with the disk is looked up each time.

    Args:
        home: the home.
        database: its journal.
        folders: its strategies.
        budget_usd_per_day: of all strategies together.
        wall_s: the clock of the file system, in seconds.
    """

    def __init__(
        self,
        home: Home,
        database: Database,
        folders: StrategyFolders,
        budget_usd_per_day: Decimal,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._home = home
        self._database = database
        self._folders = folders
        self._budget = budget_usd_per_day
        self._wall_s = wall_s
        self._journal: tuple[Stamp, JournalState] | None = None
        self._listed: dict[str, tuple[Stamp, ListedStrategy]] = {}

    def look(self, now: datetime) -> tuple[Overview, list[ListedStrategy]]:
        """Return how everything stands now, and every strategy, the examples too."""
        from mcp_server.overview import overview  # a server starts sooner without it

        listed, journal = self.strategies(), self._journal_state(now)
        own = [strategy for strategy in listed if not strategy.example]
        stands = overview(self._home, self._database, self._folders, self._budget, now, journal=journal, listed=own)
        return stands, listed

    def strategies(self) -> list[ListedStrategy]:
        """Return every strategy; one whose files have not changed is not read again."""
        listed: dict[str, tuple[Stamp, ListedStrategy]] = {}
        for name, example in self._folders.names().items():
            files = self._folders.files(name)
            stamp, known = _stamp(*files), self._listed.get(name)
            if known is None or known[0] != stamp or known[1].example != example:
                known = (self._kept(stamp), self._folders.one(name, example=example))
            listed[name] = known
        self._listed = listed
        return [strategy for _, strategy in listed.values()]

    def _journal_state(self, now: datetime) -> JournalState:
        from mcp_server.overview import journal_state

        stamp, known = _stamp(self._database.path), self._journal
        if known is None or known[0] != stamp or known[1].day.date() != now.date():
            state = journal_state(self._database, now)
            known = self._journal = (NEVER if state.error else self._kept(stamp), state)
        return known[1]

    def _kept(self, stamp: Stamp) -> Stamp:
        """Return the stamp under which a content may be kept: none that is met again where it is too fresh."""
        fresh = any(changed / 1e9 > self._wall_s() - SETTLED_S for changed, _, _ in stamp)
        return NEVER if fresh else stamp


def _stamp(*files: Path) -> Stamp:
    """Return when each of the files that are there was changed, how large it is, and which one it is."""
    stamps = []
    for file in files:
        try:
            status = os.lstat(file)
        except OSError:
            continue
        stamps.append((status.st_mtime_ns, status.st_size, status.st_ino))
    return tuple(stamps)
