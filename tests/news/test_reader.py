"""What a reading of a feed comes to, whatever the feed does."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib.metadata import version

import pytest

from mcp_server.adapters.news.reader import NewsReader, Reading, Validators, user_agent
from tests.rigs.news_feeds import BOMB, NewsFeeds, Story, news_feeds

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
DATES = {
    "binance": "1772452800000", "okx": "1772452800000", "gdelt": "20260302T120000Z", "fear_greed": "1772452800",
    "decrypt": "2026-03-02T12:00:00Z",
}  # fmt: skip
FOR_ALL = "User-agent: *\nDisallow: /"


@pytest.fixture
def rig() -> Iterator[NewsFeeds]:
    with news_feeds() as rig:
        for source, feed in rig.feeds.items():
            date = DATES.get(source, "Mon, 02 Mar 2026 12:00:00 GMT")
            feed.stories = [Story("Bitcoin rises", f"https://{source}.example/1", "1", date)]
        yield rig


@asynccontextmanager
async def reading(rig: NewsFeeds, most_s: float = 30.0, contact: str | None = None) -> AsyncIterator[NewsReader]:
    async with NewsReader(lambda: NOW, contact=contact, stand_in=rig.url, most_s=most_s) as reader:
        yield reader


async def read(rig: NewsFeeds, source: str = "coindesk", known: Validators | None = None) -> Reading:
    async with reading(rig) as reader:
        return await reader.read(rig[source].feed, known)


async def test_each_of_the_ten_feeds_tells_its_item_with_its_time(rig: NewsFeeds) -> None:
    async with reading(rig) as reader:
        for source, stand_in in rig.feeds.items():
            answer = await reader.read(stand_in.feed)
            assert answer.status == "ok", source
            assert answer.told is not None
            (item,) = answer.told
            assert item.published_ms == 1_772_452_800_000, source
            assert item.headline == (
                "Fear & Greed Index 25: Bitcoin rises" if source == "fear_greed" else "Bitcoin rises"
            )
            assert answer.undated == 0
            assert item.url is not None
            assert item.url.startswith("https://")


async def test_a_feed_that_has_not_changed_is_not_sent_again(rig: NewsFeeds) -> None:
    feed = rig["coindesk"]
    feed.etag, feed.last_modified = '"1"', "Mon, 02 Mar 2026 10:00:00 GMT"
    first = await read(rig)
    assert first.validators == Validators('"1"', "Mon, 02 Mar 2026 10:00:00 GMT")
    again = await read(rig, known=first.validators)
    assert again == Reading("unchanged", validators=first.validators)
    feed.etag = None
    by_time = await read(rig)
    assert by_time.validators == Validators(None, "Mon, 02 Mar 2026 10:00:00 GMT")
    assert (await read(rig, known=by_time.validators)).status == "unchanged"
    feed.etag = '"2"'
    assert (await read(rig, known=first.validators)).status == "ok"


async def test_validators_that_cannot_be_sent_back_are_dropped(rig: NewsFeeds) -> None:
    rig["coindesk"].etag = '"' + "x" * 600 + '"'
    assert (await read(rig)).validators is None
    rig["coindesk"].etag = '"caf\u00e9"'
    assert (await read(rig)).validators is None


async def test_a_304_to_who_knows_nothing_is_no_answer(rig: NewsFeeds) -> None:
    rig["coindesk"].status = 304
    assert (await read(rig)).status == "http_304"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0), ("0", 0.0), ("Mon, 02 Mar 2026 12:01:00 GMT", 60.0), ("Mon, 02 Mar 2026 11:00:00 GMT", 0.0),
        ("99999999", 604_800.0), ("Fri, 01 Jan 2099 00:00:00 GMT", 604_800.0), ("soon", None), ("-5", None),
        ("1.5", None), ("Mon, 02 Mar 2026 12:01:00 -0000", None), ("9" * 5000, None), (None, None),
    ],
)  # fmt: skip
async def test_how_long_a_feed_asks_us_to_wait_is_told(
    rig: NewsFeeds, header: str | None, seconds: float | None
) -> None:
    rig["coindesk"].status = 429
    rig["coindesk"].headers = {} if header is None else {"retry-after": header}
    assert await read(rig) == Reading("http_429", retry_after_s=seconds)


@pytest.mark.parametrize("status", [401, 403, 404, 410, 500, 503, 204, 206])
async def test_another_status_is_told_by_its_number_and_what_was_known_stays(rig: NewsFeeds, status: int) -> None:
    rig["coindesk"].status = status
    known = Validators('"1"')
    assert await read(rig, known=known) == Reading(f"http_{status}", validators=known)


async def test_a_feed_that_breaks_off_tells_what_stands_before_that_and_is_asked_for_all_of_it_again(
    rig: NewsFeeds,
) -> None:
    rig["coindesk"].etag = '"1"'
    rig["coindesk"].body = b"<rss><channel><item><title>One</title></item><item><title>Tw"
    answer = await read(rig)
    assert (answer.status, [item.headline for item in answer.told or ()]) == ("malformed", ["One"])
    assert answer.validators is None


async def test_what_cannot_be_a_feed_has_a_short_name(rig: NewsFeeds) -> None:
    feed = rig["coindesk"]
    for body, status in ((BOMB, "doctype"), (b"<html/>", "malformed"), (b"", "malformed")):
        feed.body = body
        assert await read(rig) == Reading(status)
    rig["okx"].body = b"<html/>"
    assert await read(rig, "okx") == Reading("malformed")
    feed.huge = True
    assert await read(rig) == Reading("too_large")


async def test_a_feed_that_trickles_without_end_has_had_its_time(rig: NewsFeeds) -> None:
    rig["coindesk"].trickle = True
    async with reading(rig, most_s=0.3) as reader:
        assert await reader.read(rig["coindesk"].feed) == Reading("timeout")
        assert (await reader.read(rig["fed"].feed)).status == "ok"


async def test_who_asks_is_said_with_a_contact_where_there_is_one(rig: NewsFeeds) -> None:
    async with reading(rig, contact="trader@example.org") as reader:
        await reader.read(rig["sec"].feed)
    (request,) = rig["sec"].requests
    program = f"claude-trader/{version('claude-trader')}"
    assert request["user-agent"] == f"{program} (+trader@example.org; reads headlines)"
    assert user_agent(None) == f"{program} (no contact given; reads headlines)"
    assert request["accept-language"].startswith("en-US")


async def test_a_feed_whose_robots_txt_forbids_it_is_not_asked_for(rig: NewsFeeds) -> None:
    rig.robots = FOR_ALL
    async with reading(rig) as reader:
        for _ in range(2):
            for source in ("coindesk", "binance"):
                assert await reader.read(rig[source].feed) == Reading("robots")
                assert rig[source].requests == []
        assert rig.robots_requests == 1, "once a day and site"
        for documented in ("okx", "gdelt", "fear_greed"):
            assert (await reader.read(rig[documented].feed)).status == "ok"


async def test_a_robots_txt_that_is_missing_or_broken_forbids_nothing(rig: NewsFeeds) -> None:
    for robots in (None, "\x00\xff nonsense", "x" * 3_000_000):
        rig.robots = robots
        assert (await read(rig)).status == "ok"
    rig.robots_trickles = True
    async with reading(rig, most_s=3.0) as reader:
        assert (await reader.read(rig["coindesk"].feed)).status == "ok"
