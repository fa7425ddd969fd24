"""A long series on few points keeps the extremes of each, and its holes."""

import numpy as np
import pytest

from mcp_server.domain.candles import Candles, Floats
from mcp_server.domain.coarse import Coarse
from tests.rigs.random_walk import random_walk

HOUR_MS = 3_600_000


def test_a_short_series_stays_as_it_is() -> None:
    walk = random_walk(10)
    coarse = Coarse.of(walk.open_time_ms, "1h", 10)
    assert (coarse.merged, coarse.count, coarse.step_ms) == (1, 10, HOUR_MS)
    assert coarse.groups.tolist() == list(range(10))
    assert all((one == other).all() for one, other in zip(coarse.candles(walk), _columns(walk), strict=True))


@pytest.mark.parametrize("most", [1, 2, 3, 7, 99, 100, 101])
def test_there_are_never_more_points_than_asked_for_and_no_fewer_than_half(most: int) -> None:
    coarse = Coarse.of(random_walk(100).open_time_ms, "1h", most)
    assert min(most, 100) / 2 <= coarse.count <= most


def test_merged_candles_keep_first_highest_lowest_and_last() -> None:
    walk = random_walk(11)
    coarse = Coarse.of(walk.open_time_ms, "1h", 4)
    opened, high, low, close = coarse.candles(walk)
    assert coarse.merged == 3
    for group, (start, stop) in enumerate([(0, 3), (3, 6), (6, 9), (9, 11)]):
        assert opened[group] == walk.open[start]
        assert high[group] == walk.high[start:stop].max()
        assert low[group] == walk.low[start:stop].min()
        assert close[group] == walk.close[stop - 1]


def test_a_missing_candle_has_its_slot_and_groups_without_any_are_left_out() -> None:
    times = np.array([0, 1, 7, 8, 9]) * HOUR_MS
    coarse = Coarse.of(times, "1h", 5)
    assert (coarse.merged, coarse.count) == (2, 5)
    assert coarse.groups.tolist() == [0, 0, 3, 4, 4]
    assert coarse.filled.tolist() == [0, 3, 4]
    first, high, low, last = coarse.values(np.array([1.0, 5.0, 2.0, 3.0, 0.5]))
    assert [v.tolist() for v in (first, high, low, last)] == [[1, 2, 3], [5, 2, 3], [1, 2, 0.5], [5, 2, 0.5]]


def _columns(candles: Candles) -> list[Floats]:
    return [candles.open, candles.high, candles.low, candles.close]
