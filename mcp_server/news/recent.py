"""The headlines of the last days, kept in memory: a question reads only what came since the one before."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mcp_server.domain.timeframes import DAY_MS

if TYPE_CHECKING:
    from mcp_server.domain.news.item import NewsItem

KEPT_DAYS = 34
"""The usual rate of 30 days, 48 hours in which a story may have begun before, and two days for past questions."""


class RecentItems:
    """What was first seen in the last days, oldest first; several threads may ask.

    Args:
        read: returns what was first seen after one moment and until another (Unix ms), from the database.
        now: returns the present (Unix ms).
    """

    def __init__(self, read: Callable[[int, int], Sequence[NewsItem]], now: Callable[[], int]) -> None:
        self._read, self._now = read, now
        self._lock = threading.Lock()
        self._items: list[NewsItem] = []
        self._seen_ms: list[int] = []
        self._from_ms = self._until_ms = 0

    def between(self, after_ms: int, until_ms: int) -> Sequence[NewsItem]:
        """Return what was first seen after one moment and until another (Unix ms), and by now.

        What is older than the days that are kept is read from the database. Where the clock has been set back, what was
        read before is forgotten: other headlines may have been entered since, as of the same moments.
        """
        with self._lock:
            now_ms = self._now()
            until_ms = min(until_ms, now_ms)
            if now_ms < self._until_ms:
                self._until_ms = 0
            if until_ms > self._until_ms:
                self._go_on(until_ms)
            if after_ms >= self._from_ms:
                return self._items[bisect_right(self._seen_ms, after_ms) : bisect_right(self._seen_ms, until_ms)]
        return self._read(after_ms, until_ms)

    def _go_on(self, until_ms: int) -> None:
        """Read what is new. The last moment is read again, as another headline may have been entered in it."""
        from_ms = until_ms - KEPT_DAYS * DAY_MS
        if self._until_ms < from_ms:
            self._items, self._seen_ms, self._from_ms = [], [], from_ms
        after_ms = self._seen_ms[-1] - 1 if self._seen_ms else self._from_ms
        kept = bisect_right(self._seen_ms, after_ms)
        new = self._read(after_ms, until_ms)
        self._items[kept:] = new
        self._seen_ms[kept:] = [item.first_seen_ms for item in new]
        self._until_ms = until_ms
        if self._from_ms < from_ms - DAY_MS:
            gone = bisect_right(self._seen_ms, from_ms)
            del self._items[:gone], self._seen_ms[:gone]
            self._from_ms = from_ms
