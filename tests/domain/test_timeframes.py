from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.domain.timeframes import (
    DAY_MS,
    TIMEFRAMES,
    candle_open_ms,
    from_ms,
    iso,
    last_closed_open_ms,
    parse_moment,
    timeframe_ms,
    to_ms,
)
from mcp_server.errors import BadInput

moments_ms = st.integers(min_value=0, max_value=to_ms(datetime(2100, 1, 1, tzinfo=UTC)))
timeframes = st.sampled_from(sorted(TIMEFRAMES))


def ms(*when: int) -> int:
    return to_ms(datetime(*when, tzinfo=UTC))  # type: ignore[arg-type,misc]


def test_timeframes_go_from_the_shortest_to_the_longest() -> None:
    assert list(TIMEFRAMES.values()) == sorted(TIMEFRAMES.values())
    assert " ".join(TIMEFRAMES) == "1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 3d 1w"
    assert (timeframe_ms("1m"), timeframe_ms("4h"), timeframe_ms("1w")) == (60_000, 14_400_000, 604_800_000)


@pytest.mark.parametrize("timeframe", ["7m", "1M", "1y", "", "60", "1H"])
def test_any_other_timeframe_is_refused_with_the_known_ones(timeframe: str) -> None:
    with pytest.raises(BadInput, match=r"Use one of 1m, 3m, 5m, .*1d, 3d, 1w\.") as refusal:
        timeframe_ms(timeframe)
    assert repr(timeframe) in str(refusal.value)


@pytest.mark.parametrize(
    ("timeframe", "opened"),
    [
        ("1m", ms(2026, 11, 25, 13, 47)),
        ("15m", ms(2026, 11, 25, 13, 45)),
        ("4h", ms(2026, 11, 25, 12)),
        ("8h", ms(2026, 11, 25, 8)),
        ("1d", ms(2026, 11, 25)),
        ("1w", ms(2026, 11, 23)),
    ],
)
def test_candles_open_on_round_moments_of_utc_and_weeks_on_mondays(timeframe: str, opened: int) -> None:
    wednesday_ms = ms(2026, 11, 25, 13, 47, 12)
    assert candle_open_ms(wednesday_ms, timeframe) == opened


def test_a_candle_covers_its_open_time_and_not_its_end() -> None:
    assert candle_open_ms(ms(2026, 1, 1, 10), "1h") == ms(2026, 1, 1, 10)
    assert candle_open_ms(ms(2026, 1, 1, 11) - 1, "1h") == ms(2026, 1, 1, 10)


def test_a_candle_is_closed_from_the_instant_of_its_end() -> None:
    assert last_closed_open_ms(ms(2026, 1, 1, 11), "1h") == ms(2026, 1, 1, 10)
    assert last_closed_open_ms(ms(2026, 1, 1, 11) - 1, "1h") == ms(2026, 1, 1, 9)


@given(moments_ms, timeframes)
def test_every_moment_is_in_exactly_one_candle_and_the_one_before_is_closed(at_ms: int, timeframe: str) -> None:
    length = timeframe_ms(timeframe)
    opened = candle_open_ms(at_ms, timeframe)
    assert opened <= at_ms < opened + length
    assert candle_open_ms(opened, timeframe) == opened
    assert candle_open_ms(opened + length, timeframe) == opened + length
    closed = last_closed_open_ms(at_ms, timeframe)
    assert closed + length <= at_ms < closed + 2 * length


@given(moments_ms, timeframes)
def test_candles_of_up_to_a_day_never_cross_midnight(at_ms: int, timeframe: str) -> None:
    opened = candle_open_ms(at_ms, timeframe)
    if timeframe_ms(timeframe) <= DAY_MS:
        assert opened // DAY_MS == (opened + timeframe_ms(timeframe) - 1) // DAY_MS


@given(moments_ms)
def test_milliseconds_and_moments_convert_both_ways_exactly(at_ms: int) -> None:
    assert to_ms(from_ms(at_ms)) == at_ms
    assert from_ms(at_ms).tzinfo is UTC
    assert to_ms(parse_moment(iso(at_ms))) == at_ms


def test_a_moment_of_another_zone_converts_to_the_same_instant() -> None:
    east = timezone(timedelta(hours=5, minutes=30))
    assert to_ms(datetime(2026, 1, 1, 5, 30, tzinfo=east)) == ms(2026, 1, 1)


@pytest.mark.parametrize(
    ("at_ms", "text"),
    [
        (ms(2026, 11, 23, 10), "2026-11-23T10:00Z"),
        (ms(2026, 11, 23, 10, 0, 5), "2026-11-23T10:00:05Z"),
        (ms(2026, 11, 23, 10) + 7, "2026-11-23T10:00:00.007Z"),
    ],
)
def test_moments_are_written_as_short_as_they_can_be(at_ms: int, text: str) -> None:
    assert iso(at_ms) == text


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T12:00Z",
        "2026-01-31T12:00",
        " 2026-01-31 12:00:00 ",
        "2026-01-31T13:00+01:00",
        "2026-01-31T12:00:00.000Z",
    ],
)
def test_a_moment_is_read_in_utc_unless_it_names_a_zone(text: str) -> None:
    assert parse_moment(text) == datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize("text", ["yesterday", "", "2026-13-01", "1763900000"])
def test_what_is_no_moment_is_refused_with_the_argument_and_an_example(text: str) -> None:
    with pytest.raises(BadInput, match=r"since .* ISO 8601 .*'2026-01-31T12:00Z'"):
        parse_moment(text, name="since")


def test_a_moment_outside_the_calendar_is_refused() -> None:
    with pytest.raises(BadInput, match="out of range"):
        parse_moment("0001-01-01T00:00+14:00")
