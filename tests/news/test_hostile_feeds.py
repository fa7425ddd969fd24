"""The real collector and reader against ten feeds, most of them in trouble: nothing hangs, collection goes on."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from mcp_server.adapters.news.reader import NewsReader
from mcp_server.domain.news.item import NewsItem
from mcp_server.domain.timeframes import to_ms
from mcp_server.news.collector import Collector
from mcp_server.news.feed_list import FeedList
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.news.store import NewsStore
from tests.rigs.hand_clock import HandClock
from tests.rigs.news_feeds import BOMB, NewsFeeds, Story, atom, news_feeds, rss

START = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)
READING_S = 1.0
"""How long one reading may take here; a trickle never ends by itself."""


@pytest.fixture
def feeds() -> Iterator[NewsFeeds]:
    with news_feeds() as feeds:
        yield feeds


class Rig:
    """A collector of the ten feeds on one home, by a clock of the test's."""

    def __init__(self, home: Path, feeds: NewsFeeds) -> None:
        self.clock = HandClock(START)
        self.database = Database(Home(home).database)
        self.store = NewsStore(self.database, lambda: to_ms(self.clock.now()))
        listed = FeedList(home, [stand_in.feed for stand_in in feeds.feeds.values()])
        reader = NewsReader(self.clock.now, stand_in=feeds.url, most_s=READING_S)
        self.collector = Collector(listed, self.store, reader, self.clock.now, jitter=lambda: 0.0)

    async def ask_after(self, length: timedelta) -> None:
        """Let time pass, then ask all that is due and wait for it."""
        self.clock.set(self.clock.now() + length)
        for _ in range(4):  # three at a time
            async with anyio.create_task_group() as tasks:
                await self.collector.look(tasks)

    def statuses(self) -> dict[str, list[str]]:
        query = "SELECT source, status FROM news_fetches ORDER BY fetched_at"
        rows = self.database.read(lambda connection: connection.execute(query).fetchall())
        statuses: dict[str, list[str]] = defaultdict(list)
        for source, status in rows:
            statuses[source].append(status)
        return dict(statuses)

    def items(self) -> dict[str, list[NewsItem]]:
        items: dict[str, list[NewsItem]] = defaultdict(list)
        for index in (False, True):
            for item in self.store.seen(0, to_ms(self.clock.now()) + 1000, index=index):
                items[item.source].append(item)
        return dict(items)


async def test_ten_feeds_of_which_most_are_in_trouble(home: Path, feeds: NewsFeeds) -> None:
    feeds["binance"].stories = [Story("Binance Will List ABC (ABC)", guid="a1", published="1785580000000")]
    feeds["okx"].status, feeds["okx"].headers = 429, {"retry-after": "3600"}
    feeds["coindesk"].body = BOMB
    feeds["theblock"].huge = True
    feeds["cointelegraph"].trickle = True
    feeds["decrypt"].stories = [
        Story("Bitcoin \u202erises\u202c", url="javascript:alert(1)", guid="d1", published="yesterday")
    ]
    feeds["sec"].status = 410
    feeds["fed"].stories, feeds["fed"].etag = [Story("A statement", guid="f1")], '"one"'
    feeds["fear_greed"].stories = [Story("Extreme Fear", published="1785542400", value="22")]
    feeds["gdelt"].stories = [Story("From the future", "https://news.example/later", published="20990101T000000Z")]
    rig = Rig(home, feeds)
    for minutes in (0, 6, 6, 48):
        await rig.ask_after(timedelta(minutes=minutes))
    statuses = rig.statuses()
    good = ["ok"] * 4
    assert statuses == {
        "binance": good,
        "okx": ["http_429", "http_429"],
        "coindesk": ["doctype"] * 3,
        "theblock": ["too_large"] * 3,
        "cointelegraph": ["timeout"] * 3,
        "decrypt": good,
        "sec": ["http_410"],
        "fed": ["ok", "unchanged", "unchanged", "unchanged"],
        "fear_greed": good,
        "gdelt": good,
    }
    items = rig.items()
    assert sorted(items) == ["binance", "decrypt", "fear_greed", "fed", "gdelt"], "nothing is invented"
    assert all(len(each) == 1 for each in items.values()), "and nothing told again is a new item"
    (undated,) = items["decrypt"]
    assert (undated.headline, undated.url, undated.published_ms) == ("Bitcoin rises", None, None)
    assert items["gdelt"][0].published_ms == 4070908800000, "told, not trusted"
    assert items["gdelt"][0].first_seen_ms < to_ms(START) + 60_000
    assert items["fear_greed"][0].value == 22
    assert set(rig.collector.state.failing) == {"okx", "coindesk", "theblock", "cointelegraph", "sec"}


async def test_what_is_told_again_edited_or_by_another_feed(home: Path, feeds: NewsFeeds) -> None:
    for stand_in in feeds.feeds.values():
        stand_in.status = 503
    for source in ("coindesk", "theblock"):
        feeds[source].status = 200
    first = Story("Solana outage ends after five hours", "https://coindesk.example/sol", "c1")
    feeds["coindesk"].stories = [first]
    rig = Rig(home, feeds)
    await rig.ask_after(timedelta(0))
    feeds["theblock"].stories = [Story(first.headline, "https://theblock.example/sol?utm_source=rss", "t1")]
    edited = Story("Solana outage ends after six hours", first.url, "c1")
    feeds["coindesk"].stories = [edited]
    await rig.ask_after(timedelta(minutes=6))
    items = rig.items()
    assert [item.headline for item in items["coindesk"]] == [first.headline, edited.headline]
    stories = {item.story for each in items.values() for item in each}
    assert stories == {items["coindesk"][0].id}, "an edit and a double tell the same story"


async def test_a_feed_that_was_in_trouble_is_collected_again(home: Path, feeds: NewsFeeds) -> None:
    for stand_in in feeds.feeds.values():
        stand_in.body = b""
    rig = Rig(home, feeds)
    await rig.ask_after(timedelta(0))
    assert rig.items() == {}
    feeds["sec"].body, feeds["sec"].stories = None, [Story("A release", guid="s1")]
    await rig.ask_after(timedelta(minutes=11))
    assert list(rig.items()) == ["sec"]


async def test_odd_encodings_and_zones_are_read_and_no_time_is_invented(home: Path, feeds: NewsFeeds) -> None:
    def story(published: str | None) -> list[Story]:
        return [Story("Café: Bitcoin", f"https://news.example/{published}", str(published), published)]

    noon_ms = 1785585600000
    written: dict[str, tuple[bytes, int | None]] = {
        "coindesk": (rss(story("Sat, 01 Aug 2026 12:00:00 GMT"), encoding="utf-16"), noon_ms),
        "theblock": (rss(story("Sat, 01 Aug 2026 17:30:00 +0530"), encoding="windows-1252"), noon_ms),
        "cointelegraph": (rss(story("2026-08-01T12:00:00"), declared="utf-16"), None),
        "decrypt": (atom(story("2026-08-01T05:00:00-07:00"), declared=""), noon_ms),
        "sec": (rss(story("yesterday")), None),
        "fed": (rss(story(None)), None),
    }
    for source, stand_in in feeds.feeds.items():
        stand_in.body = written[source][0] if source in written else b""
    rig = Rig(home, feeds)
    await rig.ask_after(timedelta(0))
    items = rig.items()
    assert {source: [item.published_ms for item in each] for source, each in items.items()} == {
        source: [published_ms] for source, (_, published_ms) in written.items()
    }
    assert {item.headline for each in items.values() for item in each} == {"Café: Bitcoin"}
