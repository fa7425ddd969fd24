"""The store of news: what was seen by when, which rows tell one story, and how collecting went."""

import pytest

from mcp_server.domain.news.item import Told
from tests.storage.news.conftest import DAY, HOUR, MINUTE, NOON, NewsDesk, headlines, told

pytestmark = pytest.mark.usefixtures("kept_in")


def test_an_item_is_read_back_as_it_was_first_seen(desk: NewsDesk) -> None:
    item = Told("g-1", "https://example.com/a?x=1", "SEC sues an exchange", NOON - HOUR)
    assert desk.enter(item) == 1
    (seen,) = desk.everything()
    assert (seen.source, seen.kind, seen.value) == ("coindesk", "news", None)
    assert (seen.guid, seen.url, seen.headline, seen.published_ms) == (
        item.guid,
        item.url,
        item.headline,
        item.published_ms,
    )
    assert seen.first_seen_ms > NOON
    assert seen.story == seen.id


def test_a_headline_that_looks_like_sql_is_kept_as_it_is_and_does_nothing(desk: NewsDesk) -> None:
    hostile = "'); DROP TABLE news; -- ? $1 %s %(a)s \"quoted\" E'\\x27'"
    assert desk.enter(told(hostile, hostile, url=f"https://example.com/{hostile}")) == 1
    (seen,) = desk.everything()
    assert (seen.guid, seen.headline, seen.url) == (hostile, hostile, f"https://example.com/{hostile}")


def test_what_was_seen_later_is_in_no_answer_as_of_earlier(desk: NewsDesk) -> None:
    desk.enter(told("first", published_ms=NOON + HOUR))
    desk.now_ms += 5 * MINUTE
    desk.enter(told("first"), told("second", published_ms=NOON - DAY))
    first, second = desk.everything()
    assert headlines(desk.store.seen(0, NOON)) == []
    assert headlines(desk.store.seen(0, first.first_seen_ms)) == ["first"]
    assert headlines(desk.store.seen(0, second.first_seen_ms - 1)) == ["first"]
    assert headlines(desk.store.seen(first.first_seen_ms, second.first_seen_ms)) == ["second"]


def test_the_same_text_is_no_new_row_however_often_it_is_told(desk: NewsDesk) -> None:
    for _ in range(3):
        desk.enter(told("a", "Bitcoin rises"), told("b", "Ether falls"))
        desk.now_ms += 40 * DAY
    assert headlines(desk.everything()) == ["Bitcoin rises", "Ether falls"]


def test_an_edited_headline_is_a_new_row_of_the_same_story(desk: NewsDesk) -> None:
    desk.enter(told("a", "Exchange hacked for $100 million"))
    desk.now_ms += 5 * DAY
    desk.enter(told("a", "Exchange says funds are safe after $120 million hack"))
    assert desk.stories() == [
        ["Exchange hacked for $100 million", "Exchange says funds are safe after $120 million hack"]
    ]


def test_how_collecting_went_is_told_as_of_each_moment(desk: NewsDesk) -> None:
    assert desk.store.collection(NOON).since_ms is None
    for minutes, status in [(0, "http_429"), (5, "ok"), (10, "timeout"), (15, "timeout"), (100, "unchanged")]:
        desk.now_ms = NOON + minutes * MINUTE
        desk.enter(status=status)
    began = NOON + 5 * MINUTE + 1
    assert desk.store.collection(NOON + MINUTE).since_ms is None
    late = desk.store.collection(NOON + 99 * MINUTE)
    (source,) = late.sources
    assert (late.since_ms, source.since_ms, source.read_ms, source.failures) == (began, began, began, 2)
    assert (source.status, source.fetched_ms) == ("timeout", NOON + 15 * MINUTE + 1)
    assert late.gaps == ((began, NOON + 99 * MINUTE),)
    assert desk.store.collection(NOON + DAY).gaps == (
        (began, NOON + 100 * MINUTE + 1),
        (NOON + 100 * MINUTE + 1, NOON + DAY),
    )
    assert desk.store.collection(NOON + 101 * MINUTE).gaps == ((began, NOON + 100 * MINUTE + 1),)


def test_a_gap_is_longer_than_an_hour_whatever_the_hours_of_the_clock(desk: NewsDesk) -> None:
    times = [1, 60, 120, 181, 300, 359, 419]  # minutes after noon; each entry is a millisecond later
    for minutes in times:
        desk.now_ms = NOON + minutes * MINUTE
        desk.enter()
        desk.enter(source="okx", kind="announcement", status="http_503")
    gaps = desk.store.collection(NOON + 480 * MINUTE).gaps
    expected = [(120, 181), (181, 300)]
    assert gaps[:-1] == tuple((NOON + start * MINUTE + 1, NOON + end * MINUTE + 1) for start, end in expected)
    assert gaps[-1] == (NOON + 419 * MINUTE + 1, NOON + 480 * MINUTE)
    (_, okx) = desk.store.collection(NOON + 200 * MINUTE).sources
    assert (okx.since_ms, okx.read_ms, okx.failures) == (None, None, 4)
