"""The list of feeds: the package's, and what the home's `feeds.json` makes of it."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from mcp_server.domain.news.feed import Feed
from mcp_server.errors import Misconfigured
from mcp_server.news.feed_list import FeedList, feeds_of

DESK = Feed("desk", "https://desk.example/rss", "news", every_s=300)
FED = Feed("fed", "https://fed.example/press.xml", "regulator", every_s=600, terms="public domain")
PACKAGE = (DESK, FED)

WIRE = {"source": "wire", "url": "https://wire.example/atom", "kind": "press"}


def test_a_home_without_the_file_collects_the_packages_feeds(home: Path) -> None:
    feeds = FeedList(home, PACKAGE)
    assert feeds.feeds() == PACKAGE
    assert feeds.trouble is None


def test_a_users_feeds_are_added() -> None:
    wire = {**WIRE, "language": "de", "every_minutes": 5, "terms": "for private use"}
    added = Feed("wire", "https://wire.example/atom", "press", language="de", every_s=300, terms="for private use")
    assert feeds_of(PACKAGE, {"feeds": [wire]}) == (DESK, FED, added)


def test_one_feed_of_the_package_is_changed_or_turned_off() -> None:
    changed = {"feeds": [{"source": "desk", "every_minutes": 10}], "off": ["fed"]}
    assert feeds_of(PACKAGE, changed) == (Feed("desk", DESK.url, "news", every_s=600),)


def test_the_packages_list_is_replaced() -> None:
    assert [feed.source for feed in feeds_of(PACKAGE, {"replace": True, "feeds": [WIRE]})] == ["wire"]
    assert feeds_of(PACKAGE, {"replace": True}) == ()


@pytest.mark.parametrize(
    ("content", "problem", "remedy"),
    [
        ({"feed": []}, "feed: not a known key", "Did you mean 'feeds'?"),
        ({"feeds": [{**WIRE, "urll": "x"}]}, "feeds.0.urll: not a known key", "Did you mean 'url'?"),
        ({"feeds": [{**WIRE, "url": "http://wire.example/"}]}, "feeds.0.url", "begins with https://"),
        ({"feeds": [{**WIRE, "url": "https://me:secret@wire.example/"}]}, "feeds.0.url", "user and password"),
        ({"feeds": [{**WIRE, "url": "https://wire.example/a b"}]}, "feeds.0.url", "match pattern"),
        ({"feeds": [{**WIRE, "every_minutes": 0.5}]}, "feeds.0.every_minutes", "greater than or equal to 1"),
        ({"feeds": [{**WIRE, "kind": "blog"}]}, "feeds.0.kind", "'announcement', 'press'"),
        ({"feeds": [{**WIRE, "source": "The Wire"}]}, "feeds.0.source", "match pattern"),
        ({"feeds": [{"source": "wire", "kind": "press"}]}, "'wire' has no 'url'", "needs it"),
        ({"feeds": [{"source": "wire", "url": WIRE["url"]}]}, "'wire' has no 'kind'", "needs it"),
        ({"feeds": [{**WIRE, "kind": "index"}]}, "'wire' is an index in one", "Leave both out"),
        ({"feeds": [WIRE, WIRE]}, "'wire' is there twice", "a source of its own"),
        ({"off": ["dekc"]}, "no feed 'dekc'", "Did you mean 'desk'?"),
        ({"off": ["desk"], "feeds": [{"source": "desk"}]}, "in 'feeds' and in 'off'", "one of them"),
        ({"off": ["desk"], "replace": True}, "no feed 'desk'", "Leave it out."),
        ({"replace": "yes"}, "replace", "valid boolean"),
        ({"feeds": [{**WIRE, "source": f"s{n}"} for n in range(49)]}, "51 feeds are too many", "at most 50"),
    ],
)
def test_what_is_wrong_is_named_with_what_to_write(content: dict[str, Any], problem: str, remedy: str) -> None:
    with pytest.raises(Misconfigured) as raised:
        feeds_of(PACKAGE, content)
    assert problem in raised.value.problem
    assert remedy in raised.value.remedy
    assert "secret" not in str(raised.value)


def test_a_file_that_breaks_leaves_the_last_valid_list_and_says_why(home: Path) -> None:
    feeds, file = FeedList(home, PACKAGE), home / "feeds.json"
    _write(file, json.dumps({"feeds": [WIRE]}))
    assert [feed.source for feed in feeds.feeds()] == ["desk", "fed", "wire"]
    for broken in ('{"feeds": [', "[]", '{"feeds": 7}', '{"off": ["desk", "fed", "wires"]}'):
        _write(file, broken)
        assert [feed.source for feed in feeds.feeds()] == ["desk", "fed", "wire"]
        assert feeds.trouble is not None
        assert "feeds.json" in feeds.trouble.problem
        assert feeds.trouble.remedy
    _write(file, json.dumps({"off": ["desk"]}))
    assert [feed.source for feed in feeds.feeds()] == ["fed"]
    assert feeds.trouble is None
    file.unlink()
    assert feeds.feeds() == PACKAGE


def test_a_list_of_no_feed_stays_one_when_the_file_breaks(home: Path) -> None:
    feeds, file = FeedList(home, PACKAGE), home / "feeds.json"
    for text in ('{"replace": true}', "{"):
        _write(file, text)
        assert feeds.feeds() == ()


def test_a_file_that_was_never_valid_leaves_the_packages_list(home: Path) -> None:
    (home / "feeds.json").symlink_to(home / "elsewhere")
    feeds = FeedList(home, PACKAGE)
    assert feeds.feeds() == PACKAGE
    assert feeds.trouble is not None
    assert "symbolic link" in feeds.trouble.problem


def test_an_unchanged_file_is_not_read_again(home: Path) -> None:
    feeds, file = FeedList(home, PACKAGE), home / "feeds.json"
    _write(file, json.dumps({"feeds": [WIRE]}))
    assert feeds.feeds() is feeds.feeds()


def _write(file: Path, text: str) -> None:
    """Write it long enough ago to be settled, each time at another moment."""
    before = file.stat().st_mtime if file.exists() else 1_700_000_000
    file.write_text(text)
    os.utime(file, (before + 10, before + 10))
