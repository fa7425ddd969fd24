"""The store of news after a year: what a fetch costs, what reading costs, and how large the file is."""

import statistics
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from mcp_server.domain.news.item import NewsFetch, Told
from mcp_server.domain.timeframes import DAY_MS
from mcp_server.storage.database import Database
from mcp_server.storage.news.store import NewsStore
from tests.benchmarks.news_year import DAYS, FEEDS, ITEMS, Writer, fill
from tests.benchmarks.programs import say

UNTIL = 1_790_000_000_000 // DAY_MS * DAY_MS
MOST_MB = 60.0
MOST_GROWTH = 2.0
"""So many times of what a fetch costs after a month it costs after a year."""

MOST_NEW_TO_EMPTY = 8.0
"""So many times of what a fetch without news costs, one with news costs."""

MOST_DAY_TO_OPEN = 6.0
"""So many times of what it takes to open the file, what was seen in a day is read."""

TURNS = 15


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Database:
    database = Database(tmp_path_factory.mktemp("year") / "claude_trader.duckdb")
    fill(database, UNTIL)
    return database


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Database:
    database = Database(tmp_path_factory.mktemp("month") / "claude_trader.duckdb")
    fill(database, UNTIL, days=30, items=ITEMS * 30 // DAYS)
    return database


def cpu_ms(work: Callable[[], object]) -> float:
    """Return the processor time of work, the median of several turns after a first one."""
    work()
    took = []
    for _ in range(TURNS):
        began = time.process_time()
        work()
        took.append((time.process_time() - began) * 1000)
    return statistics.median(took)


def fetch_of(database: Database, new: int, seed: int) -> Callable[[], int]:
    """Return a function that enters a fetch of forty items with so many new ones, half a minute later each time."""
    writer, turns, feed = Writer(seed), count(1), FEEDS[0]
    told: list[Told] = []

    def enter() -> int:
        now_ms = UNTIL + next(turns) * 30_000
        for _ in range(new or (0 if told else 40)):
            headline = writer.headline()
            address = writer.url(feed.source, headline, now_ms)
            told.insert(0, Told(address, address, headline, now_ms - 60_000))
        return NewsStore(database, lambda: now_ms).enter(NewsFetch(feed.source, now_ms, "ok", 40), feed, told[:40])

    return enter


def test_a_fetch_costs_after_a_year_what_it_costs_after_a_month(year: Database, month: Database) -> None:
    empty, new = ([cpu_ms(fetch_of(of, items, seed)) for of in (month, year)] for items, seed in [(0, 1), (2, 2)])
    say(f"a fetch without news: {empty[1]:.1f} ms of a core after a year, {empty[0]:.1f} after a month")
    say(f"a fetch with two new items: {new[1]:.1f} ms after a year, {new[0]:.1f} after a month")
    assert empty[1] < MOST_GROWTH * empty[0]
    assert new[1] < MOST_GROWTH * new[0]
    assert new[1] < MOST_NEW_TO_EMPTY * empty[1]


def test_what_was_seen_in_a_day_is_read_in_little_more_time_than_the_file_is_opened(year: Database) -> None:
    store = NewsStore(year)
    opened = cpu_ms(lambda: year.read(lambda connection: connection.execute("SELECT 1").fetchall()))
    day, news = cpu_ms(lambda: store.seen(UNTIL - DAY_MS, UNTIL)), cpu_ms(lambda: store.seen(UNTIL - 600_000, UNTIL))
    month, index = cpu_ms(lambda: store.seen(UNTIL - 31 * DAY_MS, UNTIL)), cpu_ms(lambda: store.index(UNTIL))
    collection = cpu_ms(lambda: store.collection(UNTIL))
    say(f"ms of a core: the file opened {opened:.1f}; seen in ten minutes {news:.1f}, in a day {day:.1f}, in 31 days")
    say(f"{month:.0f}; the index {index:.1f}; how a million fetches went {collection:.0f}")
    assert news < day < MOST_DAY_TO_OPEN * opened
    assert len(store.seen(UNTIL - 31 * DAY_MS, UNTIL)) > 15_000


def test_a_year_of_news_takes_little_room(year: Database) -> None:
    megabytes = Path(year.path).stat().st_size / 1e6
    say(f"{ITEMS:,} headlines and {288 * DAYS * len(FEEDS):,} fetches: {megabytes:.0f} MB")
    assert megabytes < MOST_MB
