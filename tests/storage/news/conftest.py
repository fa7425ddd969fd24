"""A store of news in a home of its own, with a clock that the test sets."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from mcp_server.domain.news.feed import Feed, NewsKind
from mcp_server.domain.news.item import NewsFetch, NewsItem, Told
from mcp_server.domain.timeframes import TIMEFRAMES
from mcp_server.storage.database import Database
from mcp_server.storage.news.store import NewsStore
from tests.rigs.journal_databases import journal_database

NOON = 1_780_000_000_000 // TIMEFRAMES["1d"] * TIMEFRAMES["1d"] + 12 * TIMEFRAMES["1h"]
MINUTE, HOUR, DAY = (TIMEFRAMES[name] for name in ("1m", "1h", "1d"))


@dataclass
class NewsDesk:
    """A store, and the clock by which it enters; `now_ms` is Unix ms."""

    database: Database
    now_ms: int = NOON

    def __post_init__(self) -> None:
        self.store = NewsStore(self.database, lambda: self.now_ms)

    def enter(self, *told: Told, source: str = "coindesk", kind: NewsKind = "news", status: str = "ok") -> int:
        """Enter a fetch; one that was not read has no items."""
        count = len(told) if status == "ok" else None
        return self.store.enter(NewsFetch(source, self.now_ms, status, count), feed(source, kind), told)

    def everything(self) -> list[NewsItem]:
        """Return all that was ever seen but indexes."""
        return self.store.seen(0, self.now_ms + 2 * DAY)

    def stories(self) -> list[list[str]]:
        """Return the headlines of each story, in the order in which they were first seen."""
        stories: dict[int, list[str]] = {}
        for item in self.everything():
            stories.setdefault(item.story, []).append(item.headline)
        return list(stories.values())


def feed(source: str = "coindesk", kind: NewsKind = "news") -> Feed:
    return Feed(source, f"https://{source}.example/feed", kind)


def told(guid: str, headline: str = "", published_ms: int | None = None, url: str | None = "") -> Told:
    """Make an item; without `url` it has an address of its own."""
    return Told(guid, f"https://example.com/{guid}" if url == "" else url, headline or guid, published_ms)


def headlines(items: Sequence[NewsItem]) -> list[str]:
    return [item.headline for item in items]


@pytest.fixture
def desk(home: Path) -> NewsDesk:
    return NewsDesk(journal_database(home))
