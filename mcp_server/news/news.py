"""News as of any moment: the tool, rules and the Python interface ask it, and never see what was first seen later."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mcp_server.domain.news.stories import SAME_STORY_MS, beginnings, counted
from mcp_server.domain.timeframes import DAY_MS, to_ms
from mcp_server.moment import Clock
from mcp_server.news.recent import RecentItems

if TYPE_CHECKING:
    from mcp_server.domain.candles import Floats, Times
    from mcp_server.domain.news.collection import Collection
    from mcp_server.domain.news.feed import Feed
    from mcp_server.domain.news.item import NewsItem
    from mcp_server.domain.news.stories import Aliases
    from mcp_server.domain.news.subjects import Subjects
    from mcp_server.news.feed_list import FeedList
    from mcp_server.storage.news.store import NewsStore
    from mcp_server.storage.sql import JournalDatabase

HOUR_MS = 3_600_000

AT_ONCE_MS = 30 * DAY_MS
"""So much is in memory at once while a long past is counted."""

MOST_KNOWN = 200_000
"""Headlines of which it is remembered whether they are about a subject."""


class News:
    """Answers from what was collected; each method may wait for the database, so it is called in a thread.

    Every method raises what `Database.read` raises.

    Args:
        database: the home's.
        home: the folder that may hold `feeds.json`.
        clock: returns the present.
    """

    def __init__(self, database: JournalDatabase, home: Path, clock: Clock) -> None:
        self.clock = clock
        self._database = database
        self._home = home
        self._known: dict[str, dict[int, str | None]] = {}
        self._recent = RecentItems(self._read, self.now_ms)
        self._lock = threading.Lock()
        self._collection: Collection | None = None

    @cached_property
    def subjects(self) -> Subjects:
        """What coins are called."""
        from mcp_server.news.aliases import package_subjects

        return package_subjects()

    @cached_property
    def _feed_list(self) -> FeedList:
        from mcp_server.news.feed_list import FeedList

        return FeedList(self._home)

    @cached_property
    def _store(self) -> NewsStore:
        from mcp_server.storage.news.store import NewsStore

        return NewsStore(self._database)

    def feeds(self) -> Sequence[Feed]:
        """Return the feeds that are collected now."""
        return self._feed_list.feeds()

    def now_ms(self) -> int:
        """Return the present (Unix ms)."""
        return to_ms(self.clock())

    def collection(self, until_ms: int, source: str | None = None) -> Collection:
        """Return what was known of collecting at a moment (Unix ms), from all sources or from one."""
        if source is not None:
            return self._store.collection(min(until_ms, self.now_ms()), source)
        with self._lock:
            now_ms, known = self.now_ms(), self._collection
            until_ms = min(until_ms, now_ms)
            if known is not None and now_ms < known.until_ms:  # the clock was set back: other requests may have come
                known = self._collection = None
            if known is None or until_ms < known.until_ms:
                known = self._store.collection(until_ms)
            elif until_ms > known.until_ms:
                later = self._store.fetches(known.until_ms, until_ms)
                anew = known.misses(later)
                known = self._store.collection(until_ms) if anew else known.continued(later, until_ms)
            if self._collection is None or until_ms > self._collection.until_ms:
                self._collection = known
        return known

    def collected_since(self, until_ms: int) -> int | None:
        """Return when collection began (Unix ms), as known at a moment; None: it had not."""
        return self.collection(until_ms).since_ms

    def index(self, until_ms: int) -> NewsItem | None:
        """Return the Fear & Greed index that was seen last by a moment (Unix ms); None: none was."""
        return self._store.index(until_ms)

    def aliases(self, base: str, items: Sequence[NewsItem]) -> Aliases:
        """Return by which words each headline is about a coin; what was found of one is remembered."""
        known = self._known.setdefault(base, {})
        if unknown := [item for item in items if item.id not in known]:
            if sum(map(len, self._known.values())) > MOST_KNOWN:
                self._known = {base: known}
            matches = self.subjects.matcher(base)
            known |= {item.id: matches(item) for item in unknown}
        return [known[item.id] for item in items]

    def seen(self, after_ms: int, until_ms: int) -> Sequence[NewsItem]:
        """Return the headlines that were first seen after one moment and until another (Unix ms), oldest first."""
        return self._recent.between(after_ms, until_ms)

    def per_hour(self, base: str, times_ms: Times, hours: int) -> Floats:
        """Return how many stories about a coin were first seen in the hours before each time, divided by these hours.

        A story counts once, when a headline about the coin is first seen that its publisher dates within 48 hours
        before. What has no date, or an impossible one, does not count.

        Args:
            base: like BTC.
            times_ms: n times T (Unix ms), in any order; none is later than now.
            hours: the window is (T - hours, T].

        Returns:
            n values; NaN where news was not collected throughout the window, see `domain.news.rate`.
        """
        import numpy as np

        from mcp_server.domain.news.rate import per_hour, spans_of

        if not len(times_ms):
            return np.empty(0)
        first_ms, last_ms = int(times_ms.min()) - hours * HOUR_MS, int(times_ms.max())
        collection = self.collection(last_ms)
        return per_hour(self.story_times(base, first_ms, collection), spans_of(collection), times_ms, hours)

    def fear_greed(self, times_ms: Times) -> Floats:
        """Return the Fear & Greed index as it was last seen by each time.

        Args:
            times_ms: n times (Unix ms), in any order; none is later than now.

        Returns:
            n values from 0 to 100; NaN where none had been seen in the 48 hours before.
        """
        import numpy as np

        from mcp_server.domain.news.rate import OLDEST_INDEX_MS, latest

        if not len(times_ms):
            return np.empty(0)
        seen = self._store.seen(int(times_ms.min()) - OLDEST_INDEX_MS - 1, int(times_ms.max()), index=True)
        values = np.array([item.value for item in seen], dtype=np.float64)
        return latest(np.array([item.first_seen_ms for item in seen], dtype=np.int64), values, times_ms)

    def story_times(self, base: str, after_ms: int, collection: Collection) -> Times:
        """Return when each story about a coin that counts began (Unix ms), after a moment and until `collection`'s."""
        import numpy as np

        begun: list[int] = []
        until_ms, about = collection.until_ms, self.subjects.namer(base)
        for start_ms in range(after_ms, until_ms, AT_ONCE_MS):
            span = start_ms - SAME_STORY_MS, min(start_ms + AT_ONCE_MS, until_ms)
            long_past = until_ms - after_ms > AT_ONCE_MS
            items = self._store.seen(*span, about=about) if long_past else self.seen(*span)
            places = beginnings(items, self.aliases(base, items), start_ms)
            begun += counted(items, places, collection.begun_ms)
        return np.array(begun, dtype=np.int64)

    def _read(self, after_ms: int, until_ms: int) -> Sequence[NewsItem]:
        return self._store.seen(after_ms, until_ms)
