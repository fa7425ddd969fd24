"""Random and mutated feeds: reading never raises anything unexpected, and invents no time."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_server.adapters.news.encoding import text_of
from mcp_server.adapters.news.items import MOST_ITEMS, told_items
from mcp_server.adapters.news.json_feeds import read_json
from mcp_server.adapters.news.web import NotRead
from mcp_server.adapters.news.xml_feed import read_xml
from mcp_server.domain.news.feed import FeedForm
from mcp_server.domain.news.item import MAX_HEADLINE, Told
from tests.acceptance.hostile_texts import TEXTS, hidden
from tests.rigs.news_feeds import WRITERS, Story

BASE = "https://news.example/rss"
DATES = (
    "Mon, 02 Mar 2026 12:00:00 GMT", "Mon, 02 Mar 2026 12:00:00 +0530", "Mon, 02 Mar 2026 12:00:00", "yesterday", "",
    "2026-03-02T12:00:00Z", "2026-03-02T12:00:00", "2099-01-01T00:00:00+02:00", "02.03.2026", "1772452800",
    "1772452800000", "20260302T120000Z", "Tue, 02 Mar 2026 12:00:00 EST", "0000-00-00T00:00:00Z",
)  # fmt: skip
MARKUP = (
    b"<", b">", b"&", b"]]>", b"<![CDATA[", b"<!--", b"-->", b"<item>", b"</item>", b"<entry>", b"<title>", b"</title>",
    b"<pubDate>", b"</pubDate>", b"<link/>", b"<!DOCTYPE x>", b"<?xml?>", b"&amp;", b"&nbsp;", b"&#0;", b"\x00",
    b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"null", b"{", b"}", b"[", b"]", b'"',
    b"\\u202e", b"\\ud800", b"1e999", b",", b":",
)  # fmt: skip

texts = st.one_of(st.text(max_size=40), st.sampled_from(TEXTS))
dates = st.one_of(st.sampled_from(DATES), st.text(max_size=30))
stories = st.builds(
    Story,
    headline=texts,
    url=st.one_of(st.none(), st.text(max_size=40), st.sampled_from(["https://news.example/1", "javascript:alert(1)"])),
    guid=st.one_of(st.none(), texts),
    published=st.one_of(st.none(), dates),
    updated=st.one_of(st.none(), st.just("2020-01-01T00:00:00Z")),
    value=st.one_of(st.text(max_size=5), st.integers(-5, 120).map(str)),
)
changes = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), st.sampled_from(MARKUP)), max_size=4)


def written(form: str, told: list[Story]) -> bytes:
    return WRITERS[form]([Story(**{key: _plain(value) for key, value in vars(story).items()}) for story in told])


def _plain(value: Any) -> Any:
    """Return a text without halves of characters, which no feed can be written with."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def changed(body: bytes, how: list[tuple[float, int, bytes]]) -> bytes:
    for place, left_out, put_in in how:
        at = int(place * len(body))
        body = body[:at] + put_in + body[at + left_out :]
    return body


def moments(text: str) -> Iterator[int]:
    """Give every moment that may stand in a text, by other readers than ours; those without a zone give none."""
    for match in re.finditer(r"\d{1,2}\s+[A-Za-z]{3,9}\s+\d{4}\s+[\d:]{5,8}\s+[A-Za-z0-9+-]{1,5}", text):
        read = _read(parsedate_to_datetime, match.group())
        if read is not None:
            yield read
    for match in re.finditer(r"\d{4}-\d\d-\d\d[Tt ][\d:.,]{5,18}\s?(?:[Zz]|[+-]\d\d:?\d{0,2})", text):
        read = _read(datetime.fromisoformat, match.group().replace(",", "."))
        if read is not None:
            yield read
    for match in re.finditer(r"\d{8}[Tt]\d{6}[Zz]", text):
        read = _read(datetime.fromisoformat, match.group())
        if read is not None:
            yield read
    for match in re.finditer(r"\d{9,16}", text):
        yield from (int(match.group()), int(match.group()) * 1000)


def _read(reader: Any, text: str) -> int | None:
    try:
        moment = reader(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None and not text.endswith("-0000"):
        return None
    return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1000)


def read(form: str, body: bytes) -> list[Told]:
    with suppress(NotRead):
        if form in ("rss", "atom"):
            return told_items(read_xml(body, "")[0], BASE)
        return told_items(read_json(_form(form), body), BASE)
    return []


def _form(name: str) -> FeedForm:
    forms: dict[str, FeedForm] = {"binance": "binance", "okx": "okx", "gdelt": "gdelt", "fear_greed": "fear_greed"}
    return forms[name]


def check(form: str, body: bytes) -> None:
    told = read(form, body)
    assert len(told) <= MOST_ITEMS
    stand_there = set(moments(text_of(body))) if told else set()
    for item in told:
        assert item.published_ms is None or item.published_ms in stand_there, body
        assert item.headline
        assert len(item.headline) <= MAX_HEADLINE
        assert item.guid
        assert len(item.guid) <= 200
        assert item.url is None or item.url.startswith("https://")
        assert not hidden(item.headline + item.guid + (item.url or "")), body
        assert item.value is None or 0 <= item.value <= 100
        json.dumps(item.headline).encode()
        (item.headline + item.guid + (item.url or "")).encode()


@pytest.mark.parametrize("form", WRITERS)
@settings(max_examples=60, deadline=None)
@given(told=st.lists(stories, max_size=3), how=changes)
def test_a_mutated_feed_is_read_or_refused_and_no_time_is_invented(
    form: str, told: list[Story], how: list[tuple[float, int, bytes]]
) -> None:
    check(form, changed(written(form, told), how))


@pytest.mark.long
@pytest.mark.parametrize("form", WRITERS)
@settings(max_examples=1_500, deadline=None)
@given(
    told=st.lists(stories, max_size=6),
    how=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 200), st.sampled_from(MARKUP)), max_size=12),
)
def test_thousands_of_mutated_feeds_are_read_or_refused_and_no_time_is_invented(
    form: str, told: list[Story], how: list[tuple[float, int, bytes]]
) -> None:
    check(form, changed(written(form, told), how))


@pytest.mark.parametrize("form", WRITERS)
@settings(max_examples=60, deadline=None)
@given(
    body=st.one_of(st.binary(max_size=200), st.lists(st.sampled_from([*MARKUP, b"a", b" "]), max_size=30).map(b"".join))
)
def test_bytes_of_any_kind_are_read_or_refused(form: str, body: bytes) -> None:
    check(form, body)
    check(form, b"<rss><channel>" + body)
