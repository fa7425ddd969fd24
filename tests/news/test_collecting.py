"""Programs that collect: one a home, killed at any moment, started again, and the server that `up` starts."""

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import pytest
from filelock import FileLock

from mcp_server.__main__ import _composed, _parser
from mcp_server.adapters.news.reader import NewsReader
from mcp_server.http.health import Health
from mcp_server.news.collecting import Collecting
from mcp_server.storage.database import Database
from mcp_server.storage.database_file import PATIENCE_S
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.journal.liveness import is_alive
from tests.rigs.news_feeds import NewsFeeds, Story, news_feeds
from tests.rigs.running_up import RunningUp
from tests.rigs.warm import Warm

if TYPE_CHECKING:
    import duckdb

HTTP = ("--http", "--port", "0")
NOWHERE = {"source": "here", "url": "https://127.0.0.1:1/rss", "kind": "news"}
"""A feed that is refused before anything is connected to."""

CHECKOUT = Path(__file__).parents[2]
LIMIT_S = 30.0


class Programs:
    """Starts programs that collect for one home from stand-in feeds; all are killed at the end."""

    def __init__(self, home: Path, feeds: NewsFeeds, ends: ExitStack) -> None:
        self.home, self._feeds, self._ends = home, feeds, ends
        self.database = Database(Home(home).database, prepare=Home(home).prepare)
        listed = [
            {"source": one.feed.source, "url": one.feed.url, "kind": one.feed.kind, "form": one.feed.form}
            for one in feeds.feeds.values()
        ]
        (home / "feeds.json").write_text(json.dumps({"replace": True, "feeds": listed}))

    def start(self, ahead_s: int = 0, *more: str) -> tuple[Warm, Callable[[], str]]:
        """Start one whose clock is ahead; return it and what gives its log."""
        log = self.home.parent / f"log-{time.monotonic_ns()}"
        environment = {**os.environ, "TRADER_HOME": str(self.home)}
        with log.open("wb") as stream, open(os.devnull) as nothing:
            streams = (nothing.fileno(), stream.fileno(), stream.fileno())
            program = Warm(
                "tests.rigs.news_collector", [self._feeds.url, str(ahead_s), *more], environment, CHECKOUT, streams
            )
        self._ends.callback(program.wait, 10)
        self._ends.callback(program.kill)
        return program, lambda: log.read_text("utf-8", "replace")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return what a query gives."""
        return self.database.read(lambda connection: connection.execute(query).fetchall())

    def read(self, source: str) -> int:
        """Return how often a source was read."""
        return len(self.rows(f"SELECT 1 FROM news_fetches WHERE source = '{source}' AND status IN ('ok', 'unchanged')"))


def until(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not what():
        assert time.monotonic() < deadline, "never came to be"
        time.sleep(0.05)  # a look opens the database, which the programs want too


@pytest.fixture
def programs(home: Path) -> Iterator[tuple[Programs, NewsFeeds]]:
    with news_feeds() as feeds, ExitStack() as ends:
        for source, one in feeds.feeds.items():
            one.stories = [Story(f"{source} tells number {n} of {len(source)}", guid=f"{source}-{n}") for n in range(3)]
        feeds["fear_greed"].stories = [Story("Fear", published="1785542400", value="40")]
        yield Programs(home, feeds, ends), feeds


@pytest.mark.parametrize("last", [4, *(pytest.param(number, marks=pytest.mark.long) for number in (1, 2, 7, 10))])
def test_killed_in_the_middle_nothing_is_doubled_and_nothing_lost(
    last: int, programs: tuple[Programs, NewsFeeds]
) -> None:
    """It dies within the transaction of a request, when all of that is written and nothing committed."""
    rig, feeds = programs
    dying, _ = rig.start(0, str(last))
    dying.wait(LIMIT_S)
    ((kept,),) = rig.rows("SELECT count(*) FROM news_fetches")
    assert kept < last, "nor are those kept that shared the transaction"
    again, _ = rig.start()
    until(lambda: rig.rows("SELECT count(DISTINCT source) FROM news_fetches") == [(10,)])
    assert rig.rows("SELECT count(*) FROM news_fetches") == [(10,)], "what was read before was not asked again"
    counts = rig.rows("SELECT source, count(*), count(DISTINCT headline) FROM news GROUP BY source ORDER BY source")
    expected = {source: len(one.stories) for source, one in feeds.feeds.items()}
    assert {source: (rows, told) for source, rows, told in counts} == {s: (n, n) for s, n in expected.items()}
    again.kill()


def test_of_two_programs_one_collects_and_the_other_goes_on_when_it_has_gone(
    programs: tuple[Programs, NewsFeeds],
) -> None:
    rig, feeds = programs
    first, _ = rig.start()
    until(lambda: rig.database.path.exists() and len(rig.rows("SELECT source FROM news_fetches")) == 10)
    second, log = rig.start(400)
    until(lambda: "Another program collects the news of this home." in log())
    asked = sum(len(one.requests) for one in feeds.feeds.values())
    assert asked == 10
    first.kill()
    until(lambda: len(rig.rows("SELECT source FROM news_fetches")) == 20)
    assert log().count("Another program") == 1
    assert rig.rows("SELECT count(*), count(DISTINCT (source, headline)) FROM news") == [(28, 28)]
    assert is_alive(Home(rig.home).news_lock)
    second.kill()
    second.wait(10)
    assert not is_alive(Home(rig.home).news_lock)


@pytest.mark.long
def test_the_server_that_up_starts_collects_and_ends_with_it(home: Path) -> None:
    (home / "feeds.json").write_text(json.dumps({"replace": True, "feeds": [NOWHERE]}))
    database = Database(Home(home).database)

    def fetched(connection: "duckdb.DuckDBPyConnection") -> list[tuple[Any, ...]]:
        return connection.execute("SELECT source, status, count FROM news_fetches").fetchall()

    with RunningUp(home, environment={"TRADER_NEWS": "on"}, warm_server=True) as up:
        up.until(lambda: is_alive(Home(home).news_lock))
        up.until(lambda: database.path.exists() and database.read(fetched))
        assert up.stop() == 0
    assert database.read(fetched) == [("here", "private_address", None)]
    assert not is_alive(Home(home).news_lock)


def test_a_server_that_is_told_to_end_waits_for_no_database_that_news_waits_for(home: Path) -> None:
    Home(home).prepare()
    held = FileLock(f"{Home(home).database}.lock")
    reading, writing = os.pipe()
    with held, open(os.devnull) as nothing, os.fdopen(reading, "rb") as output, os.fdopen(writing, "wb") as stream:
        environment = {**os.environ, "TRADER_NEWS": "on"}
        streams = (nothing.fileno(), stream.fileno(), 2)
        program = Warm("mcp_server", [*HTTP, "--collect-news"], environment, CHECKOUT, streams)
        try:
            assert output.readline().startswith(b"http://")
            until(lambda: is_alive(Home(home).news_lock))
            program.terminate()
            program.wait(PATIENCE_S - 2)
        finally:
            program.kill()
            program.wait(10)


@pytest.mark.parametrize(
    ("arguments", "variables", "collects"),
    [
        ([*HTTP, "--collect-news"], {"TRADER_NEWS": "on"}, True),
        ([*HTTP, "--collect-news"], {"TRADER_NEWS": "off"}, False),
        ([*HTTP, "--collect-news"], {"TRADER_NEWS": "on", "TRADER_AS_OF": "2026-01-31T12:00Z"}, False),
        ([*HTTP], {"TRADER_NEWS": "on"}, False),
        ([*HTTP, "--for-a-run"], {"TRADER_NEWS": "on"}, False),
    ],
)
async def test_only_the_server_of_a_schedule_collects_unless_it_is_off(
    arguments: list[str], variables: Mapping[str, str], collects: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    serving = _composed(_parser().parse_args(arguments))
    assert isinstance(serving, partial)
    assert (serving.keywords["once_up"] is not None) == collects
    report = await serving.args[1].report()
    assert report["checks"].get("news") == ({"ok": True, "collecting": False} if collects else None)


async def test_answers_go_on_while_the_thread_of_news_is_busy(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    where, busy, free = Home(home), threading.Event(), threading.Event()

    def make_reader() -> NewsReader:
        busy.set()
        free.wait(LIMIT_S)
        raise SystemExit  # which ends the thread

    database, now = Database(where.database), partial(datetime.now, UTC)
    collecting = Collecting(where, database, now, make_reader, begin_after_s=0)
    collecting.begin()
    try:
        assert await anyio.to_thread.run_sync(busy.wait, LIMIT_S)
        assert is_alive(where.news_lock)
        report = await Health(where, examples_folder(), database, now, collecting.check).report()
        assert report["ready"]
    finally:
        free.set()
        until(lambda: "news" not in [thread.name for thread in threading.enumerate()])
    assert not is_alive(where.news_lock)


def test_what_keeps_it_from_collecting_is_told_once_however_often_it_tries(
    home: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    caplog.set_level(logging.INFO, "mcp_server.news")
    tries = iter(range(5))

    def make_reader() -> NewsReader:
        if next(tries, None) is None:
            raise SystemExit  # which ends the thread
        raise ZeroDivisionError

    database, now = Database(Home(home).database), partial(datetime.now, UTC)
    Collecting(Home(home), database, now, make_reader, begin_after_s=0, anew_after_s=0).begin()
    until(lambda: "news" not in [thread.name for thread in threading.enumerate()])
    assert next(tries, None) is None
    assert [record.getMessage() for record in caplog.records] == [
        "news: It ended by an unexpected ZeroDivisionError, and begins anew."
    ]
