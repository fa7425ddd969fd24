"""A home whose news was collected in the past, at times that a test chooses."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mcp_server.domain.news.feed import Feed
from mcp_server.domain.news.item import NewsFetch, Told
from mcp_server.domain.timeframes import to_ms
from mcp_server.news.news import News
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.news.entry import entered

if TYPE_CHECKING:
    import duckdb

HOUR_MS = 3_600_000
Fetch = tuple[int, Sequence[str | Told] | float | None]
"""When it was (Unix ms), and what was new: headlines, an index, or None where nothing could be read."""

PRESS = Feed("coindesk", "https://example.org/rss", "press")
INDEX = Feed("fear-greed", "https://example.org/fng", "index", "fear_greed")


def database_of(home: Path) -> Database:
    return Database(Home(home).database, prepare=Home(home).prepare)


def news_of(home: Path, now: datetime) -> News:
    return News(database_of(home), home, lambda: now)


def collect(home: Path, fetches: Sequence[Fetch]) -> None:
    """Enter fetches of feeds: all of it at once, as one by one they take seconds."""

    def work(connection: "duckdb.DuckDBPyConnection") -> None:
        for at_ms, found in sorted(fetches, key=lambda fetch: fetch[0]):
            feed = INDEX if isinstance(found, float) else PRESS
            told = [] if found is None else _told(at_ms, found)
            status = "http_500" if found is None else "ok"
            entered(connection, NewsFetch(feed.source, at_ms, status, len(told)), feed, told, at_ms - 1)

    database_of(home).write(work)


def _told(at_ms: int, found: Sequence[str | Told] | float) -> list[Told]:
    if isinstance(found, float):
        return [Told(str(at_ms), None, f"Fear & Greed Index {found:g}", at_ms - 60_000, found)]
    return [
        Told(f"{at_ms}.{number}", f"https://example.org/{at_ms}/{number}", one, at_ms - 60_000)
        if isinstance(one, str)
        else one
        for number, one in enumerate(found)
    ]


def every_half_hour(start: datetime, end: datetime) -> list[Fetch]:
    """Give readings that find nothing new."""
    return [(at_ms, []) for at_ms in range(to_ms(start), to_ms(end), HOUR_MS // 2)]
