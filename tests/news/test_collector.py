"""The collector: each feed at its own pace, each request in the store, and every trouble told once."""

import json
import logging
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from filelock import FileLock

from mcp_server.adapters.news.reader import Reading
from mcp_server.domain.news.collection import Collection
from mcp_server.domain.news.feed import Feed
from mcp_server.domain.news.item import NewsFetch
from mcp_server.domain.timeframes import to_ms
from mcp_server.errors import Retryable
from mcp_server.news.collecting import steady_store
from mcp_server.news.collector import Collector
from mcp_server.news.feed_list import FeedList
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.news.store import NewsStore
from tests.news.scripted_reader import ScriptedReader, listed, told
from tests.rigs.hand_clock import HandClock

START = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
YEAR = timedelta(days=365)


def feed(source: str, every_s: float = 300.0) -> Feed:
    return Feed(source, f"https://{source}.example/rss", "news", every_s=every_s)


class Rig:
    """A collector of some feeds on one home, its clock and what it has stored."""

    def __init__(self, home: Path, *sources: str, clock: HandClock | None = None) -> None:
        self.home, self.clock = home, clock or HandClock(START)
        self.reader = ScriptedReader()
        self.database = Database(Home(home).database, patience_s=0.05)
        self.store = NewsStore(self.database, lambda: to_ms(self.clock.now()))
        feeds = FeedList(home, [feed(source) for source in sources])
        self.collector = Collector(feeds, self.store, self.reader, self.clock.now, jitter=lambda: 0.0)

    async def ask(self) -> list[str]:
        """Ask all that is due, and wait for it; return which ones."""
        asked: list[str] = []
        while True:
            async with anyio.create_task_group() as tasks:
                await self.collector.look(tasks)
            if not (now := self.reader.sources()):
                return asked
            asked += now

    async def ask_after(self, length: timedelta) -> list[str]:
        self.clock.set(self.clock.now() + length)
        return await self.ask()

    def headlines(self) -> list[str]:
        return [item.headline for item in self.store.seen(0, to_ms(self.clock.now() + YEAR))]

    def collection(self) -> Collection:
        return self.store.collection(to_ms(self.clock.now() + YEAR))

    def statuses(self) -> list[tuple[str, int | None]]:
        query = "SELECT status, count FROM news_fetches ORDER BY fetched_at"
        return self.database.read(lambda connection: connection.execute(query).fetchall())


async def test_what_a_feed_tells_is_stored_with_each_request(home: Path) -> None:
    rig = Rig(home, "desk")
    rig.reader.answers["desk"] = listed(told("1"), told("2"))
    assert await rig.ask() == ["desk"]
    rig.reader.answers["desk"] = listed(told("2"), told("3"))
    assert await rig.ask_after(4 * MINUTE) == []
    assert await rig.ask_after(1 * MINUTE) == ["desk"]
    rig.reader.answers["desk"] = Reading("unchanged")
    await rig.ask_after(5 * MINUTE)
    assert sorted(rig.headlines()) == ["Headline 1", "Headline 2", "Headline 3"]
    assert rig.statuses() == [("ok", 2), ("ok", 2), ("unchanged", None)]


async def test_an_unchanged_feed_is_asked_with_what_it_last_gave(home: Path) -> None:
    rig = Rig(home, "desk")
    known = []
    for answer in (listed(told("1"), etag="a"), Reading("unchanged"), listed(told("2"), etag="b")):
        rig.reader.answers["desk"] = answer
        rig.clock.set(rig.clock.now() + 6 * MINUTE)
        async with anyio.create_task_group() as tasks:
            await rig.collector.look(tasks)
        known.append(rig.reader.asked[-1][1])
    assert known == [None, "a", "a"]


async def test_a_feed_that_hangs_or_raises_holds_up_no_other(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(home, "hangs", "breaks", "desk")

    def breaks() -> Reading:
        raise ZeroDivisionError

    rig.reader.answers = {"hangs": None, "breaks": breaks, "desk": listed(told("1"))}
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            while rig.reader.asked.count(("desk", None)) < 3:
                rig.clock.set(rig.clock.now() + MINUTE)
                await rig.collector.look(tasks)
                await anyio.lowlevel.checkpoint()
            assert rig.reader.asked.count(("hangs", None)) == 1
            rig.reader.free.set()
    assert rig.headlines() == ["Headline 1"]
    assert "unexpected ZeroDivisionError" in rig.collector.state.failing["breaks"]
    assert rig.reader.asked.count(("breaks", None)) > 1
    assert caplog.text.count("Traceback") == 1


async def test_a_feed_that_fails_is_told_of_once_and_once_when_it_is_well_again(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mcp_server.news")
    rig = Rig(home, "desk", "wire")
    rig.reader.answers["desk"] = Reading("http_503")
    for _ in range(6):
        await rig.ask_after(timedelta(hours=5))
    assert [record.getMessage() for record in caplog.records] == ["news: desk: It does not answer (http_503)."]
    assert dict(rig.collector.state.failing) == {"desk": "It does not answer (http_503)."}
    rig.reader.answers["desk"] = listed(told("1"))
    await rig.ask_after(timedelta(hours=5))
    assert [record.getMessage() for record in caplog.records][1:] == ["news: desk: all is well again."]
    assert not rig.collector.state.failing


async def test_one_failure_alone_is_only_in_the_store(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(home, "desk")
    rig.reader.answers["desk"] = Reading("timeout")
    await rig.ask()
    assert not caplog.records
    assert rig.statuses() == [("timeout", None)]


async def test_a_failing_feed_is_asked_more_rarely_and_as_late_as_its_server_asks(home: Path) -> None:
    rig = Rig(home, "desk")
    rig.reader.answers["desk"] = Reading("http_429", retry_after_s=7200)
    await rig.ask()
    assert await rig.ask_after(119 * MINUTE) == []
    rig.reader.answers["desk"] = Reading("http_503")
    assert await rig.ask_after(MINUTE) == ["desk"]
    assert await rig.ask_after(19 * MINUTE) == []
    assert await rig.ask_after(MINUTE) == ["desk"]


async def test_a_feed_that_has_ended_is_asked_again_when_its_entry_changes(home: Path) -> None:
    rig = Rig(home, "desk", "wire")
    rig.reader.answers["desk"] = Reading("http_410")
    await rig.ask()
    assert "has ended" in rig.collector.state.failing["desk"]
    assert await rig.ask_after(timedelta(days=30)) == ["wire"]
    (home / "feeds.json").write_text(json.dumps({"feeds": [{"source": "desk", "url": "https://desk.example/new"}]}))
    assert await rig.ask_after(timedelta(seconds=9)) == ["desk"]


async def test_a_feed_that_is_turned_off_is_asked_no_more_and_its_trouble_forgotten(home: Path) -> None:
    rig = Rig(home, "desk", "wire")
    rig.reader.answers["desk"] = Reading("http_410")
    await rig.ask()
    (home / "feeds.json").write_text('{"off": ["desk"]}')
    assert await rig.ask_after(6 * MINUTE) == ["wire"]
    assert not rig.collector.state.failing
    assert rig.collector.state.feeds == 1


async def test_each_mistake_in_the_list_is_told_of_once_and_the_feeds_before_go_on(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mcp_server.news")
    rig = Rig(home, "desk")
    for number, broken in enumerate(("{", '{"of": []}'), 1):
        (home / "feeds.json").write_text(broken)
        for _ in range(3):
            assert await rig.ask_after(6 * MINUTE) == ["desk"]
        assert len(rig.collector.state.troubles) == 1
        assert [record.levelname for record in caplog.records] == ["WARNING"] * number
    os.remove(home / "feeds.json")
    await rig.ask()
    assert not rig.collector.state.troubles
    assert "all is well again" in caplog.records[-1].getMessage()


async def test_while_the_database_is_held_nothing_is_lost_but_time(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mcp_server.news")
    rig = Rig(home, "desk")
    rig.reader.answers["desk"] = listed(told("1"), etag="a")
    await rig.ask()
    lock = FileLock(rig.database.path.with_name(f"{rig.database.path.name}.lock"))
    rig.reader.answers["desk"] = listed(told("1"), told("2"), etag="b")
    with lock:
        async with anyio.create_task_group() as tasks:
            rig.clock.set(START + 6 * MINUTE)
            await rig.collector.look(tasks)
        assert rig.reader.sources() == ["desk"]
        assert await rig.ask_after(6 * MINUTE) == [], "what cannot be kept is not asked for"
    async with anyio.create_task_group() as tasks:
        await rig.collector.look(tasks)
    assert rig.reader.asked == [("desk", None)], "all of it, as what it gave was not kept"
    assert rig.headlines() == ["Headline 1", "Headline 2"]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


async def test_a_database_that_can_be_read_and_not_written_makes_it_ask_no_more_often(
    home: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "mcp_server.news")
    rig = Rig(home, "desk")
    rig.reader.answers["desk"] = listed(told("1"))
    with monkeypatch.context() as full:
        full.setattr(rig.store, "enter", _no_space)
        async with anyio.create_task_group() as tasks:
            await rig.collector.look(tasks)
        assert rig.reader.sources() == ["desk"]
        assert await rig.ask_after(timedelta(seconds=10)) == ["desk"], "once more at once"
        assert [await rig.ask_after(MINUTE) for _ in range(10)] == [[], [], [], [], ["desk"]] * 2
        assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert await rig.ask_after(5 * MINUTE) == ["desk"]
    assert rig.headlines() == ["Headline 1"]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def _no_space(*_: object) -> int:
    raise Retryable("The disk is full.", "Make room.")


async def test_what_was_wrong_with_the_database_is_forgotten_once_it_can_be_read_and_nothing_was_lost(
    home: Path,
) -> None:
    first = Rig(home, "desk")
    await first.ask()
    second = Rig(home, "desk", clock=first.clock)
    with FileLock(second.database.path.with_name(f"{second.database.path.name}.lock")):
        assert await second.ask_after(MINUTE) == []
        assert second.collector.state.troubles
    assert await second.ask() == [], "it was asked a minute ago"
    assert not second.collector.state.troubles


async def test_a_program_that_is_started_again_and_again_asks_no_more_often(home: Path) -> None:
    first = Rig(home, "desk", "wire")
    first.reader.answers["wire"] = Reading("http_503")
    await first.ask()
    second = Rig(home, "desk", "wire", clock=first.clock)
    assert await second.ask_after(4 * MINUTE) == []
    third = Rig(home, "desk", "wire", clock=first.clock)
    assert await third.ask_after(2 * MINUTE) == ["desk"]
    assert await third.ask_after(5 * MINUTE) == ["wire", "desk"]


@pytest.mark.parametrize("back", [timedelta(milliseconds=3), timedelta(hours=1), timedelta(hours=23)])
async def test_a_clock_that_is_set_back_neither_stops_it_nor_lets_it_see_earlier(home: Path, back: timedelta) -> None:
    rig = Rig(home, "desk")
    rig.reader.answers["desk"] = listed(told("1"))
    await rig.ask()
    rig.reader.answers["desk"] = listed(told("2"))
    rig.clock.set(START - back)
    asked = await rig.ask() or await rig.ask_after(6 * MINUTE)
    assert asked == ["desk"]
    first, second = rig.store.seen(0, to_ms(START + YEAR))
    assert (first.headline, second.headline) == ("Headline 1", "Headline 2")
    assert second.first_seen_ms > first.first_seen_ms > to_ms(START)


def test_a_clock_that_is_set_back_before_anything_is_stored_changes_no_answer_either(home: Path) -> None:
    clock = HandClock(START)
    store = steady_store(Database(Home(home).database), clock.now)
    assert store.seen(0, to_ms(START)) == []
    clock.set(START - timedelta(hours=1))
    store.enter(NewsFetch("desk", 0, "ok", 1), feed("desk"), [told("1")])
    assert store.seen(0, to_ms(START)) == []
    assert len(store.seen(0, to_ms(START + MINUTE))) == 1


async def test_what_was_answered_as_of_a_moment_stays_so_while_it_collects(home: Path) -> None:
    """A question and an entry within one millisecond: the item is later than the answer that did not have it."""
    rig = Rig(home, "desk")
    for number in range(5):
        asked_at = to_ms(rig.clock.now())
        answer = rig.store.seen(0, asked_at), rig.store.collection(asked_at)
        rig.reader.answers["desk"] = listed(told(str(number)))
        await rig.ask()
        assert (rig.store.seen(0, asked_at), rig.store.collection(asked_at)) == answer
        rig.clock.set(rig.clock.now() + 6 * MINUTE)
    assert len(rig.headlines()) == 5
