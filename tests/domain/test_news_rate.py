"""News as numbers: the count of stories an hour, and the index, at given times."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.domain.candles import Floats, Times
from mcp_server.domain.news.collection import SETTLING_MS, Collection
from mcp_server.domain.news.rate import (
    HOUR_MS,
    LONGEST_GAP_MS,
    OLDEST_INDEX_MS,
    Spans,
    latest,
    per_hour,
    spans_of,
    why_no_index,
    why_no_rate,
)

MINUTE_MS = 60_000
START_MS = 1_760_000_400_000
"""2025-10-09T09:00Z."""


def at(hours: float) -> int:
    return START_MS + round(hours * HOUR_MS)


def times(*hours: float) -> Times:
    return np.array([at(hour) for hour in hours], dtype=np.int64)


def spans_as_of(readings: list[int], until_ms: int) -> Spans:
    """Give the spans of collection as a home that was cut at `until_ms` knows them."""
    known = [reading for reading in sorted(readings) if reading <= until_ms]
    gaps = [(before, after) for before, after in pairwise(known) if after - before > LONGEST_GAP_MS]
    if known and until_ms - known[-1] > LONGEST_GAP_MS:
        gaps.append((known[-1], until_ms))
    return spans_of(Collection(until_ms, known[0] if known else None, (), tuple(gaps)))


def test_stories_are_counted_from_after_the_beginning_of_the_window_up_to_its_end() -> None:
    seen, collected = times(8, 9, 9, 9.5, 10), np.array([[at(0), at(20)]])
    assert per_hour(seen, collected, times(9, 10, 11), 1).tolist() == [2, 2, 0]
    assert per_hour(seen, collected, times(10), 2).tolist() == [2]


def test_there_is_no_rate_until_the_window_lies_an_hour_after_collection_began() -> None:
    collected = np.array([[at(0), at(50)]])
    rates = per_hour(times(30), collected, np.array([at(25) - 1, at(25), at(30), at(51), at(51) + 1]), 24)
    np.testing.assert_array_equal(rates, [np.nan, 0, 1 / 24, 1 / 24, np.nan])


def test_a_gap_within_the_window_leaves_no_rate_and_one_of_an_hour_is_none() -> None:
    readings = [at(0), at(1), at(2), at(2) + LONGEST_GAP_MS, at(5), at(6), at(7)]
    collected = spans_as_of(readings, at(7))
    assert collected.tolist() == [[at(0), at(3)], [at(5), at(7)]]
    rates = per_hour(np.empty(0, dtype=np.int64), collected, times(1, 2, 3, 4, 4.5, 5, 6, 7, 7.5), 1)
    np.testing.assert_array_equal(rates, [np.nan, 0, 0, 0, np.nan, np.nan, np.nan, 0, 0])


def test_an_index_is_known_from_when_it_was_seen_for_48_hours() -> None:
    seen, values = times(1, 1, 30), np.array([20.0, 25.0, 70.0])
    known = latest(seen, values, np.array([at(1) - 1, at(1), at(29), at(30), at(78), at(78) + 1]))
    np.testing.assert_array_equal(known, [np.nan, 25, 25, 70, 70, np.nan])
    nothing = np.empty(0)
    np.testing.assert_array_equal(latest(nothing.astype(np.int64), nothing, times(1, 2)), [np.nan, np.nan])


@pytest.mark.parametrize(
    ("hours", "says"),
    [
        (-1, "No news had been collected by 2025-10-09T08:00Z."),
        (5, "News has been collected since 2025-10-09T09:00Z, so a rate of 24 h has a value from 2025-10-10T10:00Z"),
        (33, "No news was collected after 2025-10-10T15:00Z."),
        (41, "No news was collected from 2025-10-10T15:00Z to 2025-10-11T01:00Z, so a rate of 24 h has a value from"),
    ],
)
def test_why_there_is_no_rate_is_told_from_what_was_known_by_then(hours: float, says: str) -> None:
    collected = np.array([[at(0), at(30)], [at(40), at(90)]])
    assert np.isnan(per_hour(times(1), collected, times(hours), 24)).all()
    assert why_no_rate(collected, at(hours), 24).startswith(says)


def test_a_gap_that_goes_on_is_told_as_one() -> None:
    collected = spans_of(Collection(at(9), at(0), (), ((at(5), at(9)),)))
    assert collected.tolist() == [[at(0), at(5)]]
    assert why_no_rate(collected, at(9), 2) == "No news was collected after 2025-10-09T14:00Z."


def test_why_there_is_no_index_is_told() -> None:
    assert why_no_index(None, at(0)) == "The Fear & Greed index had not been collected by 2025-10-09T09:00Z."
    last = "The Fear & Greed index was last collected at 2025-10-09T10:00Z, more than 48 h before 2025-10-11T21:00Z."
    assert why_no_index(at(1), at(60)) == last


STEP_MS = 5 * MINUTE_MS
moments = st.integers(0, 72).map(lambda step: START_MS + step * STEP_MS)


def rising(moments: list[int]) -> Times:
    return np.array(sorted(moments), dtype=np.int64)


def numbered(moments: list[int]) -> Floats:
    return np.arange(len(moments), dtype=np.float64)


@given(st.lists(moments, max_size=12), st.lists(moments, max_size=12), st.lists(moments, min_size=1), st.integers(1, 3))
def test_rates_are_those_of_a_plain_count(seen: list[int], readings: list[int], asked: list[int], hours: int) -> None:
    rates = per_hour(rising(seen), spans_as_of(readings, at(6)), np.array(asked), hours)
    assert [None if np.isnan(rate) else rate for rate in rates] == [
        plain_rate(seen, readings, moment, hours) for moment in asked
    ]


def plain_rate(seen: list[int], readings: list[int], moment: int, hours: int) -> float | None:
    """Count as the meaning is told: back from the moment, reading by reading, until an hour before the window."""
    begin, last = moment - hours * HOUR_MS, moment
    for reading in sorted((one for one in readings if one <= moment), reverse=True):
        if last - reading > LONGEST_GAP_MS:
            return None
        if reading <= begin - SETTLING_MS:
            return sum(begin < one <= moment for one in seen) / hours
        last = reading
    return None


@given(st.lists(moments, max_size=12), st.lists(moments, max_size=12), st.lists(moments, max_size=5), moments)
def test_what_comes_later_changes_no_value(
    seen: list[int], readings: list[int], indices: list[int], until: int
) -> None:
    asked = np.arange(at(-1), until + 1, 7 * MINUTE_MS)
    for end in (at(99), until):
        stories, index = ([one for one in moments if one <= end] for moments in (seen, sorted(indices)))
        rates = per_hour(rising(stories), spans_as_of(readings, end), asked, 1)
        known = latest(rising(index), numbered(index), asked)
        if end == at(99):
            whole = rates, known
    np.testing.assert_array_equal(whole, (rates, known))


@given(st.lists(moments, max_size=6), moments)
def test_an_index_is_the_last_one_that_was_seen(indices: list[int], moment: int) -> None:
    (known,) = latest(rising(indices), numbered(indices), np.array([moment]))
    seen = [value for value, one in enumerate(sorted(indices)) if moment - OLDEST_INDEX_MS <= one <= moment]
    assert (None if np.isnan(known) else known) == (seen[-1] if seen else None)
