from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.domain.candles import Candles, gaps, iso_times, merge, resample
from mcp_server.domain.timeframes import TIMEFRAMES, candle_open_ms, iso, timeframe_ms, to_ms
from mcp_server.errors import BadInput

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
START_MS = to_ms(datetime(2026, 3, 2, tzinfo=UTC))  # a Monday

Row = tuple[int, float, float, float, float, float]

COLUMNS = ("open", "high", "low", "close", "volume")


def rows_of(candles: Candles) -> list[Row]:
    columns = (getattr(candles, name).tolist() for name in COLUMNS)
    return list(zip(candles.open_time_ms.tolist(), *columns, strict=True))


@st.composite
def minute_rows(draw: st.DrawFn) -> list[Row]:
    """Minutes in order, with gaps, from an odd moment on."""
    steps = draw(st.lists(st.integers(min_value=1, max_value=90), min_size=1, max_size=60))
    prices = st.integers(min_value=1, max_value=10_000)
    rows, open_ms = [], START_MS
    for step in steps:
        open_ms += step * MINUTE_MS
        opened, closed, above = (draw(prices) / 8 for _ in range(3))
        high, low = max(opened, closed) + above, min(opened, closed) / draw(st.sampled_from([1, 2, 4]))
        rows.append((open_ms, opened, high, low, closed, draw(st.integers(0, 1000)) / 4))
    return rows


def test_rows_become_columns_and_back() -> None:
    rows = [(START_MS, 1.0, 3.0, 0.5, 2.0, 10.0), (START_MS + MINUTE_MS, 2.0, 2.5, 1.5, 1.75, 0.0)]
    candles = Candles.from_rows(rows)
    assert rows_of(candles) == rows
    assert candles.open_time_ms.dtype == np.int64
    assert candles.close.dtype == np.float64


def test_no_rows_are_no_candles() -> None:
    assert len(Candles.from_rows([])) == len(Candles.empty()) == 0
    assert len(resample(Candles.empty(), "1h")) == len(merge([])) == 0
    assert gaps(Candles.empty(), "1h") == []


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ((1.0, float("nan"), 0.5, 2.0, 10.0), "a value that is missing or not finite"),
        ((1.0, float("inf"), 0.5, 2.0, 10.0), "a value that is missing or not finite"),
        ((1.0, 3.0, 0.5, 2.0, float("inf")), "a value that is missing or not finite"),
        ((1.0, 0.4, 0.5, 0.45, 10.0), "a high below its low"),
        ((1.0, 3.0, 0.5, 3.1, 10.0), "its close above its high"),
        ((1.0, 3.0, 0.5, 0.4, 10.0), "its close below its low"),
        ((3.1, 3.0, 0.5, 2.0, 10.0), "its open above its high"),
        ((0.4, 3.0, 0.5, 2.0, 10.0), "its open below its low"),
        ((1.0, 3.0, 0.0, 2.0, 10.0), "a price that is not above 0: its low"),
        ((-1.0, -1.0, -1.0, -1.0, -1.0), "a price that is not above 0: its open"),
        ((1.0, 3.0, 0.5, 2.0, -0.1), "a negative volume"),
    ],
)
def test_a_bad_candle_is_refused_by_time_and_position(row: tuple[float, ...], fault: str) -> None:
    good = (START_MS, 1.0, 3.0, 0.5, 2.0, 10.0)
    with pytest.raises(BadInput, match=rf"2026-03-02T00:01Z \(position 1\) has {fault}"):
        Candles.from_rows([good, (START_MS + MINUTE_MS, *row)])


@pytest.mark.parametrize("step_ms", [0, -MINUTE_MS])
def test_candles_out_of_order_or_twice_are_refused(step_ms: int) -> None:
    rows = [(START_MS + offset, 1.0, 3.0, 0.5, 2.0, 10.0) for offset in (0, step_ms)]
    with pytest.raises(BadInput, match="not later than the one before it"):
        Candles.from_rows(rows)


@pytest.mark.parametrize(
    "rows",
    [
        [(START_MS, 1.0, 3.0, 0.5, 2.0)],
        [(START_MS, 1.0, 3.0, 0.5, "much", 1.0)],
        [(START_MS, 1.0, 3.0, 0.5, 2.0, 1.0), (START_MS + MINUTE_MS, 1.0)],
    ],
)
def test_a_row_that_is_not_six_numbers_is_refused(rows: list[tuple[float, ...]]) -> None:
    with pytest.raises(BadInput, match="six numbers"):
        Candles.from_rows(rows)


def test_columns_of_different_lengths_are_refused() -> None:
    one, two = np.ones(1), np.ones(2)
    with pytest.raises(BadInput, match="differ in length"):
        Candles(np.array([START_MS]), one, one, one, one, two)


@given(minute_rows(), st.integers(min_value=-HOUR_MS, max_value=100 * HOUR_MS), st.sampled_from(sorted(TIMEFRAMES)))
def test_closed_by_never_gives_a_forming_candle_and_drops_no_closed_one(
    rows: list[Row], after_ms: int, timeframe: str
) -> None:
    at_ms = START_MS + after_ms
    candles = resample(Candles.from_rows(rows), timeframe)
    closed = candles.closed_by(at_ms, timeframe)
    length = timeframe_ms(timeframe)
    assert rows_of(closed) == [row for row in rows_of(candles) if row[0] + length <= at_ms]


def test_a_candle_counts_as_closed_at_the_instant_of_its_end() -> None:
    hour = Candles.from_rows([(START_MS, 1.0, 3.0, 0.5, 2.0, 10.0)])
    assert len(hour.closed_by(START_MS + HOUR_MS, "1h")) == 1
    assert len(hour.closed_by(START_MS + HOUR_MS - 1, "1h")) == 0


@given(minute_rows(), st.integers(0, 3000), st.integers(0, 3000))
def test_between_takes_the_start_and_leaves_the_end(rows: list[Row], one: int, other: int) -> None:
    start, end = (START_MS + minutes * MINUTE_MS for minutes in sorted((one, other)))
    between = Candles.from_rows(rows).between(start, end)
    assert rows_of(between) == [row for row in rows if start <= row[0] < end]


def test_longer_candles_are_first_open_highest_lowest_last_close_and_the_sum_of_volumes() -> None:
    minutes = Candles.from_rows(
        [
            (START_MS, 10.0, 12.0, 9.0, 11.0, 1.0),
            (START_MS + MINUTE_MS, 11.0, 15.0, 10.5, 14.0, 2.5),
            (START_MS + 2 * MINUTE_MS, 14.0, 14.5, 8.0, 8.5, 4.0),
            (START_MS + 5 * MINUTE_MS, 8.5, 9.0, 8.25, 8.75, 0.0),
        ]
    )
    assert rows_of(resample(minutes, "5m")) == [
        (START_MS, 10.0, 15.0, 8.0, 8.5, 7.5),
        (START_MS + 5 * MINUTE_MS, 8.5, 9.0, 8.25, 8.75, 0.0),
    ]


def test_weeks_are_built_from_mondays() -> None:
    days = Candles.from_rows([(START_MS + day * 24 * HOUR_MS, 1.0, 2.0, 0.5, 1.5, 1.0) for day in range(-1, 8)])
    weeks = resample(days, "1w")
    assert weeks.open_time_ms.tolist() == [START_MS + week * 7 * 24 * HOUR_MS for week in (-1, 0, 1)]
    assert weeks.volume.tolist() == [1.0, 7.0, 1.0]


@given(minute_rows(), st.sampled_from(sorted(TIMEFRAMES)))
def test_resampling_agrees_with_grouping_by_hand(rows: list[Row], timeframe: str) -> None:
    groups: dict[int, list[Row]] = {}
    for row in rows:
        groups.setdefault(candle_open_ms(row[0], timeframe), []).append(row)
    by_hand = [
        (
            open_ms,
            group[0][1],
            max(row[2] for row in group),
            min(row[3] for row in group),
            group[-1][4],
            sum(row[5] for row in group),  # quarters: exact in any order
        )
        for open_ms, group in groups.items()
    ]
    assert rows_of(resample(Candles.from_rows(rows), timeframe)) == by_hand


@given(minute_rows())
def test_resampling_in_two_steps_is_resampling_in_one(rows: list[Row]) -> None:
    minutes = Candles.from_rows(rows)
    assert rows_of(resample(resample(minutes, "15m"), "4h")) == rows_of(resample(minutes, "4h"))


@given(minute_rows(), st.integers(min_value=1, max_value=60))
def test_later_candles_never_change_a_closed_longer_one(rows: list[Row], count: int) -> None:
    known = Candles.from_rows(rows[:count])
    now_ms = int(known.open_time_ms[-1]) + MINUTE_MS
    before = resample(known, "15m").closed_by(now_ms, "15m")
    after = resample(Candles.from_rows(rows), "15m").closed_by(now_ms, "15m")
    assert rows_of(before) == rows_of(after)


def test_gaps_are_told_by_their_first_missing_candle_and_their_length() -> None:
    opens = [0, 1, 4, 5, 7]
    candles = Candles.from_rows([(START_MS + hour * HOUR_MS, 1.0, 2.0, 0.5, 1.5, 1.0) for hour in opens])
    assert gaps(candles, "1h") == [(START_MS + 2 * HOUR_MS, 2), (START_MS + 6 * HOUR_MS, 1)]


@given(minute_rows(), st.lists(st.integers(0, 2), min_size=60, max_size=60))
def test_merging_parts_in_any_order_gives_the_series_back(rows: list[Row], owners: list[int]) -> None:
    parts = [[row for row, owner in zip(rows, owners, strict=False) if owner == part] for part in (2, 0, 1)]
    assert rows_of(merge([Candles.from_rows(part) for part in parts])) == rows


def test_a_candle_in_two_parts_is_refused() -> None:
    part = Candles.from_rows([(START_MS, 1.0, 2.0, 0.5, 1.5, 1.0)])
    with pytest.raises(BadInput, match="drop duplicates"):
        merge([part, part])


@given(
    st.lists(st.integers(0, 4_000_000_000), min_size=1, max_size=20, unique=True), st.sampled_from([1, 1_000, 60_000])
)
def test_many_times_are_written_as_one_is(numbers: list[int], unit: int) -> None:
    rows = [(number * unit % 10**14, 1.0, 1.0, 1.0, 1.0, 1.0) for number in sorted(numbers)]
    candles = Candles.from_rows(sorted({row[0]: row for row in rows}.values()))
    assert iso_times(candles) == [iso(int(at)) for at in candles.open_time_ms]
