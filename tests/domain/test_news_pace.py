"""When each feed is asked again."""

import pytest

from mcp_server.domain.news.feed import Feed
from mcp_server.domain.news.pace import AT_A_TIME, GONE, HOST_REST_S, MOST_WAIT_S, FeedPace, due, pace_after

NOW = 1_790_000_000_000
MINUTE = 60_000


def _feed(source: str, host: str = "", every_s: float = 300.0) -> Feed:
    return Feed(source, f"https://{host or source}.example/rss", "news", every_s=every_s)


def _asked(source: str, minutes_ago: float, wait_s: float | None = 300.0) -> dict[str, FeedPace]:
    return {source: FeedPace(NOW - round(minutes_ago * MINUTE), wait_s, "ok")}


def test_a_feed_is_asked_at_once_and_then_at_its_own_pace() -> None:
    feed = _feed("desk")
    assert due([feed], {}, (), NOW) == [feed]
    assert due([feed], _asked("desk", 4.9), (), NOW) == []
    assert due([feed], _asked("desk", 5), (), NOW) == [feed]
    assert pace_after(feed, 0, "unchanged", NOW).wait_s == 300
    assert pace_after(_feed("index", every_s=3600), 0, "ok", NOW).wait_s == 3600


def test_jitter_only_makes_the_pause_longer() -> None:
    assert pace_after(_feed("desk"), 0, "ok", NOW, jitter=1.0).wait_s == pytest.approx(330)


def test_failures_double_the_pause_up_to_some_hours() -> None:
    waits = [pace_after(_feed("desk"), failures, "http_503", NOW).wait_s for failures in (1, 2, 3, 6, 7, 5000)]
    assert waits == [600, 1200, 2400, MOST_WAIT_S, MOST_WAIT_S, MOST_WAIT_S]
    assert pace_after(_feed("day", every_s=86_400), 9, "http_503", NOW).wait_s == 86_400


def test_retry_after_is_kept_but_never_for_longer_than_a_day() -> None:
    feed = _feed("desk")
    assert pace_after(feed, 1, "http_429", NOW, asked_s=7200).wait_s == 7200
    assert pace_after(feed, 1, "http_429", NOW, asked_s=5).wait_s == 600
    assert pace_after(feed, 1, "http_429", NOW, asked_s=1e9).wait_s == 86_400


def test_a_feed_that_is_gone_is_never_due_again() -> None:
    pace = pace_after(_feed("desk"), 1, GONE, NOW)
    assert pace.wait_s is None
    assert due([_feed("desk")], {"desk": pace}, (), NOW + 10**12) == []


def test_one_host_is_asked_once_at_a_time_and_then_rests() -> None:
    one, other, elsewhere = _feed("one", "host"), _feed("two", "host"), _feed("three")
    assert due([one, other, elsewhere], {}, (), NOW) == [one, elsewhere]
    assert due([one, other], {}, {"one"}, NOW) == []
    rested = _asked("one", HOST_REST_S / 60)
    assert due([one, other], _asked("one", HOST_REST_S / 61), (), NOW) == []
    assert due([one, other], rested, (), NOW) == [other]


def test_few_are_asked_at_a_time_and_the_longest_overdue_first() -> None:
    feeds = [_feed(f"s{number}") for number in range(9)]
    paces = {feed.source: _asked("", 10 + number)[""] for number, feed in enumerate(feeds)}
    assert [feed.source for feed in due(feeds, paces, (), NOW)] == ["s8", "s7", "s6"]
    assert len(due(feeds, paces, {"s8"}, NOW)) == AT_A_TIME - 1


@pytest.mark.parametrize("hours", [1, 24, 24 * 365])
def test_a_clock_that_is_set_back_never_leaves_a_feed_waiting_for_hours(hours: int) -> None:
    feed = _feed("desk")
    assert due([feed], {"desk": FeedPace(NOW + hours * 60 * MINUTE, 300, "ok")}, (), NOW) == [feed]
