"""A home whose news were collected in the past, at times that a test chooses."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING

from mcp_server.domain.news.feed import Feed
from mcp_server.domain.news.item import NewsFetch, Told
from mcp_server.domain.timeframes import from_ms, naive, to_ms
from mcp_server.news.news import News
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.news.entry import entered

if TYPE_CHECKING:
    import duckdb

HOUR_MS = 3_600_000
PRESS = Feed("coindesk", "https://example.org/rss", "press")
INDEX = Feed("fear-greed", "https://example.org/fng", "index", "fear_greed")


def database_of(home: Path) -> Database:
    return Database(Home(home).database, prepare=Home(home).prepare)


def news_of(home: Path, now: datetime) -> News:
    return News(database_of(home), home, lambda: now)


def collect(home: Path, fetches: Sequence[tuple[int, Sequence[str] | float | None]]) -> None:
    """Enter fetches of feeds, each at a moment (Unix ms): headlines that are new then, an index, or nothing read."""

    def work(connection: "duckdb.DuckDBPyConnection") -> None:
        for at_ms, found in sorted(fetches, key=lambda fetch: fetch[0]):
            feed = INDEX if isinstance(found, float) else PRESS
            told = None if found is None else _told(at_ms, found)
            fetch = (
                NewsFetch(feed.source, at_ms, "ok", len(told))
                if told is not None
                else NewsFetch(feed.source, at_ms, "http_500")
            )
            entered(connection, fetch, feed, told or (), at_ms - 1)  # the stamp is a millisecond later

    database_of(home).write(work)  # all of it at once: one by one they take seconds


def _told(at_ms: int, found: Sequence[str] | float) -> list[Told]:
    if isinstance(found, float):
        return [Told(str(at_ms), None, f"Fear & Greed Index {found:g}", at_ms - 60_000, found)]
    return [
        Told(f"{at_ms}.{number}", f"https://example.org/{at_ms}/{number}", text, at_ms - 60_000)
        for number, text in enumerate(found)
    ]


def every_half_hour(start: datetime, end: datetime) -> list[tuple[int, list[str]]]:
    """Give readings that find nothing new."""
    return [(at_ms, []) for at_ms in range(to_ms(start), to_ms(end), HOUR_MS // 2)]


def cut(home: Path, until_ms: int, copy: Path) -> Path:
    """Return a copy of a home as it was at a moment: without what was entered later."""
    copy.mkdir()
    copyfile(Home(home).database, Home(copy).database)

    def work(connection: "duckdb.DuckDBPyConnection") -> None:
        for table, column in (("news", "first_seen_at"), ("news_fetches", "fetched_at")):
            connection.execute(f"DELETE FROM {table} WHERE {column} > ?", [naive(from_ms(until_ms))])

    database_of(copy).write(work)
    return copy
