"""The overview for who asks again and again: what has not changed on disk is not read anew."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio.to_thread

from mcp_server.errors import TraderError
from mcp_server.storage.strategies.unchanged import NEVER, Stamp, UnchangedFolders, kept_under, stamp_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal

    from mcp_server.domain.strategy.format import StopRule
    from mcp_server.overview import Overview
    from mcp_server.scoring.record_sentences import RecordSentences
    from mcp_server.storage.home import Home
    from mcp_server.storage.journal.journal_state import JournalState
    from mcp_server.storage.sql import JournalDatabase
    from mcp_server.storage.strategies.folders import ListedStrategy, StrategyFolders

UNREAD = "It could not be read."
"""Stands for the sentence of a record: none would say that there is no record."""


@dataclass(frozen=True, slots=True)
class HomeView:
    """The overview of a home, the examples beside its strategies, and the sentence of each strategy's record."""

    stands: Overview
    examples: Sequence[ListedStrategy]
    records: Mapping[str, str | None]


class OverviewCache:
    """Gives the overview of one home. Who runs and what is wrong with the disk is looked up each time.

    Args:
        home: the home.
        database: its journal.
        folders: its strategies.
        budget_usd_per_day: of all strategies together.
        sentences: gives the sentences of their records; called when they are first needed.
        wall_s: the clock of the file system, in seconds.
    """

    def __init__(
        self,
        home: Home,
        database: JournalDatabase,
        folders: StrategyFolders,
        budget_usd_per_day: Decimal,
        sentences: Callable[[], RecordSentences],
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._home = home
        self._database = database
        self._folders = folders
        self._budget = budget_usd_per_day
        self._make_sentences = sentences
        self._sentences: RecordSentences | None = None
        self._wall_s = wall_s
        self._journal: tuple[Stamp, JournalState] | None = None
        self._listed = UnchangedFolders(
            folders,
            lambda name, example: folders.one(name, example=example),
            wall_s,
            lasts=lambda listed: listed.strategy is not None,
        )

    async def now(self, now: datetime) -> HomeView:
        """Return how everything stands at present."""
        stands, listed, journal = await anyio.to_thread.run_sync(self._look, now)
        stops = _stops(listed)
        marks = {name: (mark, repr(stops[name])) for name, mark in journal.marks.items() if name in stops}
        records: Mapping[str, str | None] = dict.fromkeys(stops, UNREAD)
        if stands.unknown is None:
            with suppress(TraderError):  # another program came in between; the next look tells of it
                records = await self._records().now(now, marks, stops)
        return HomeView(stands, [strategy for strategy in listed if strategy.example], records)

    async def then(self, until: datetime) -> HomeView:
        """Return how everything stood at a past moment; examples are of the present program, and left out."""
        from mcp_server.overview import overview_then

        stands = await anyio.to_thread.run_sync(overview_then, self._database, self._folders, until)
        if stands.unknown is not None:
            return HomeView(stands, (), {})
        listed = await anyio.to_thread.run_sync(self._strategies)  # what a record is stopped by is as it is now
        return HomeView(stands, (), await self._records().then(until, _stops(listed)))

    def _records(self) -> RecordSentences:
        self._sentences = self._sentences or self._make_sentences()
        return self._sentences

    def _look(self, now: datetime) -> tuple[Overview, list[ListedStrategy], JournalState]:
        from mcp_server.overview import overview  # a server starts sooner without it

        listed, journal = self._strategies(), self._journal_state(now)
        own = [strategy for strategy in listed if not strategy.example]
        stands = overview(self._home, self._database, self._folders, self._budget, now, journal=journal, listed=own)
        return stands, listed, journal

    def _strategies(self) -> list[ListedStrategy]:
        return [*self._listed.all().values()]

    def _journal_state(self, now: datetime) -> JournalState:
        from mcp_server.storage.journal.journal_state import journal_state

        if self._database.path is None:  # others write it, and nothing here shows that
            return journal_state(self._database, now, marks=True)
        file = self._database.path
        log = file.with_name(f"{file.name}.wal")  # in it is what somebody committed who then was killed, or goes on
        stamp, known = stamp_of(file, log), self._journal
        if known is None or known[0] != stamp or known[1].day.date() != now.date():
            kept = kept_under(stamp, self._wall_s())
            state = journal_state(self._database, now, marks=True)
            known = self._journal = (NEVER if state.error else kept, state)
        return known[1]


def _stops(listed: Sequence[ListedStrategy]) -> dict[str, StopRule | None]:
    return {one.name: one.strategy.config.stop if one.strategy else None for one in listed}
