"""The package's list of feeds is of the form that a home's is, says what publishers allow, and can be read."""

from dataclasses import asdict
from pathlib import Path
from typing import get_args
from urllib.parse import urlsplit

import pytest

from mcp_server.adapters.news.reader import NewsReader
from mcp_server.domain.news.feed import Feed, FeedForm, NewsKind
from mcp_server.news.feed_list import feeds_of, package_feeds
from tests.rigs.news_feeds import Story, news_feeds

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "news.md"
SOURCES = ["binance", "okx", "coindesk", "theblock", "cointelegraph", "decrypt", "sec", "fed", "fear_greed", "gdelt"]
DATES = {"binance": "1772452800000", "okx": "1772452800000", "gdelt": "20260302T120000Z", "fear_greed": "1772409600"}


def test_the_package_collects_ten_sources_without_a_key() -> None:
    assert [feed.source for feed in package_feeds()] == SOURCES
    assert not any(word in feed.url.lower() for feed in package_feeds() for word in ("key=", "token=", "apikey", "@"))


def test_the_guide_lists_them() -> None:
    rows = [row.split(" | ") for row in GUIDE.read_text("utf-8").splitlines() if row.endswith(" min |")]
    told = [(row[0].strip("| `"), row[2].strip("`"), row[3].removesuffix(" min |")) for row in rows]
    assert told == [(feed.source, feed.kind, f"{feed.every_s / 60:g}") for feed in package_feeds()]


@pytest.mark.parametrize("feed", package_feeds(), ids=lambda feed: feed.source)
def test_each_feed_would_be_valid_in_a_home_and_says_what_its_publisher_allows(feed: Feed) -> None:
    entry = {key: value for key, value in asdict(feed).items() if key != "every_s"}
    assert feeds_of((), {"feeds": [{**entry, "every_minutes": feed.every_s / 60}]}) == (feed,)
    assert feed.kind in get_args(NewsKind)
    assert feed.form in get_args(FeedForm)
    assert feed.language == "en"
    assert feed.terms.endswith(".")
    assert feed.every_s == 3600 if feed.kind == "index" else 300 <= feed.every_s <= 600


async def test_each_feed_is_read_by_its_own_form() -> None:
    with news_feeds(package_feeds()) as rig:
        async with NewsReader(stand_in=rig.url) as reader:
            for source, stand_in in rig.feeds.items():
                url = f"https://{urlsplit(stand_in.feed.url).hostname}/1"
                date = DATES.get(source, "Mon, 02 Mar 2026 12:00:00 GMT")
                stand_in.stories = [Story("Bitcoin rises", url, "1", date)]
                answer = await reader.read(stand_in.feed)
                assert answer.told is not None, answer.status
                assert len(answer.told) == 1
                assert answer.undated == 0
