"""What a person is told of collecting: by `status`, metrics and `/health`."""

import os
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from filelock import FileLock
from prometheus_client import CollectorRegistry, generate_latest
from rich.console import Console

from mcp_server.domain.news.feed import Feed
from mcp_server.domain.news.item import NewsFetch
from mcp_server.domain.timeframes import to_ms
from mcp_server.errors import Retryable
from mcp_server.http.health import Health
from mcp_server.overview import Overview, RunnerState
from mcp_server.storage.database import Database
from mcp_server.storage.heartbeat import Beat
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.news.standing import NewsCounts, NewsStanding, news_counts, news_standing
from mcp_server.storage.news.store import NewsStore
from runner.cli.show_status import rendered
from runner.metrics import EVERY_S, StoredNews
from tests.news.scripted_reader import told
from tests.runner.conftest import Command, trader

__all__ = ["trader"]

NOW = datetime(2026, 8, 2, 12, 0, tzinfo=UTC)


def _fetched(database: Database, at: datetime, source: str, status: str, *guids: str) -> None:
    feed = Feed(source, f"https://{source}.example/", "news")
    count = len(guids) if status == "ok" else None
    store = NewsStore(database, lambda: to_ms(at))
    store.enter(NewsFetch(source, to_ms(at), status, count), feed, [told(f"{source}-{guid}") for guid in guids])


@pytest.fixture
def database(home: Path) -> Database:
    """A database with a week of requests: one feed that answers, one that fails, one that is no longer asked."""
    database = Database(Home(home).database)
    _fetched(database, NOW - timedelta(days=7), "old", "ok", "1")
    _fetched(database, NOW - timedelta(days=6), "old", "http_503")
    _fetched(database, NOW - timedelta(hours=2), "wire", "ok", "1")
    _fetched(database, NOW - timedelta(hours=1), "wire", "http_429")
    _fetched(database, NOW - timedelta(minutes=50), "wire", "http_429")
    _fetched(database, NOW - timedelta(minutes=20), "gone", "http_410")
    _fetched(database, NOW - timedelta(minutes=10), "desk", "ok", "1", "2")
    _fetched(database, NOW - timedelta(minutes=5), "desk", "unchanged")
    _fetched(database, NOW - timedelta(minutes=2), "desk", "timeout")
    return database


def test_requests_of_a_clock_that_was_years_ahead_hide_nothing_of_today(home: Path, database: Database) -> None:
    standing = news_standing(Home(home), database, NOW)
    for source in ("wire", "desk"):
        _fetched(database, NOW + timedelta(days=1500), source, "ok")
    assert news_standing(Home(home), database, NOW) == standing


def test_it_is_known_who_collects_since_when_and_which_sources_do_not_answer(home: Path, database: Database) -> None:
    standing = news_standing(Home(home), database, NOW)
    assert not standing.collecting
    assert standing.sources == 3
    assert standing.failing == {"wire": "http_429", "gone": "http_410"}, "one failure alone is none"
    assert standing.since is not None
    assert abs(standing.since - (NOW - timedelta(days=7))) < timedelta(seconds=1)
    assert standing.read_at is not None
    assert abs(standing.read_at - (NOW - timedelta(minutes=5))) < timedelta(seconds=1)
    with FileLock(Home(home).news_lock):
        assert news_standing(Home(home), database, NOW).collecting


def test_a_home_that_never_collected_says_so_and_gets_no_database(home: Path) -> None:
    database = Database(Home(home).database)
    assert news_standing(Home(home), database, NOW) == NewsStanding(collecting=False)
    assert not database.path.exists()


def test_status_has_a_line_on_news(home: Path, database: Database) -> None:
    standing = news_standing(Home(home), database, NOW)
    assert "news: not being collected, last at 2026-08-02 11:55 UTC" in _shown(standing)
    with FileLock(Home(home).news_lock):
        standing = news_standing(Home(home), database, NOW)
    line = "news: last at 2026-08-02 11:55 UTC · not answering: wire (http_429), gone (http_410)"
    assert line in _shown(standing)
    assert "news" not in _shown(None)
    assert standing.as_json()["failing"] == {"wire": "http_429", "gone": "http_410"}


def test_the_command_tells_of_news_unless_it_is_off(home: Path, database: Database, trader: Command) -> None:
    told = trader("status", "--json", TRADER_NEWS="on").json["news"]
    assert (told["collecting"], told["since"][:10]) == (False, "2026-07-26")
    assert "news: not being collected" in trader("status", TRADER_NEWS="on").out
    assert trader("status", "--json").json["news"] is None


def _shown(news: NewsStanding | None) -> str:
    beat = Beat(4711, NOW - timedelta(hours=5), NOW, 0)
    overview = Overview(NOW, RunnerState(NOW, beat), [], None, None, Decimal(5), None)
    with open(os.devnull, "w") as nowhere:
        console = Console(width=120, file=nowhere, record=True)
        console.print(rendered(overview, 120, news))
        return console.export_text()


def test_metrics_count_what_is_stored_and_read_it_once_a_minute(database: Database) -> None:
    clock, reads = [0.0], [0]

    def read() -> NewsCounts:
        reads[0] += 1
        if reads[0] == 2:
            raise Retryable("The database is held.")
        return news_counts(database)

    registry = CollectorRegistry()
    registry.register(StoredNews(read, lambda: clock[0]))
    assert reads == [0], "nothing is read before anybody looks"
    first = generate_latest(registry).decode()
    assert 'claude_trader_news_items_total{source="desk"} 2.0' in first
    assert 'claude_trader_news_fetches_total{source="wire",status="http_429"} 2.0' in first
    assert 'claude_trader_news_fetches_total{source="desk",status="unchanged"} 1.0' in first
    for clock[0] in (EVERY_S - 1, EVERY_S):
        assert generate_latest(registry).decode() == first, "what was read last stays"
    assert reads == [2]


async def test_health_tells_of_feeds_and_stays_ready(home: Path) -> None:
    where = Home(home)
    check = {"ok": True, "collecting": True, "feeds": 2, "failing": {"wire": "It does not answer (http_429)."}}
    health = Health(where, examples_folder(), Database(where.database), lambda: NOW, lambda: check)
    report = await health.report()
    assert (report["ready"], report["checks"]["news"]) == (True, check)
