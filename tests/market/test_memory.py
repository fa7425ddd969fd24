"""Hot series stay in memory within a bound, and are exactly what was kept."""

import anyio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_server.domain.candles import Candles
from mcp_server.domain.timeframes import TIMEFRAMES
from mcp_server.market.candle_cache import CandleCache
from mcp_server.market.memory import MOST_PER_SERIES, MemoryCache
from mcp_server.storage.candles.store import CandleStore, Series

HOUR = TIMEFRAMES["1h"]
SERIES = Series("scripted", "BTC/USD", "1h")


def candles(start: int, end: int, close: float = 1.0) -> Candles:
    """Give a candle for each hour in [start, end)."""
    times = np.arange(start, end, dtype=np.int64) * HOUR
    return Candles(times, *(np.full(len(times), close) for _ in range(5)))


def hours(of: Candles) -> list[int]:
    return [int(moment) // HOUR for moment in of.open_time_ms]


def test_what_touches_is_one_stretch_and_what_does_not_is_forgotten() -> None:
    hot = MemoryCache()
    hot.keep(SERIES, candles(10, 20), (10 * HOUR, 20 * HOUR))
    hot.keep(SERIES, candles(20, 30), (20 * HOUR, 30 * HOUR))
    hot.keep(SERIES, candles(5, 12, close=2.0), (5 * HOUR, 12 * HOUR))
    stored = hot.load(SERIES, (0, 30 * HOUR))
    assert (hours(stored.candles), stored.missing) == (list(range(5, 30)), [(0, 5 * HOUR)])
    assert stored.candles.close.tolist()[:8] == [2.0] * 7 + [1.0]
    hot.keep(SERIES, candles(50, 51), (50 * HOUR, 51 * HOUR))
    assert hot.load(SERIES, (0, 30 * HOUR)).missing == [(0, 30 * HOUR)]


def test_the_least_recently_used_series_go_when_the_bound_is_reached() -> None:
    hot = MemoryCache(most_bytes=4 * (1_000 + 100 * 48))
    names = [Series("scripted", f"X{number}/USD", "1h") for number in range(6)]
    for name in names[:4]:
        hot.keep(name, candles(0, 100), (0, 100 * HOUR))
    hot.load(names[0], (0, HOUR))
    for name in names[4:]:
        hot.keep(name, candles(0, 100), (0, 100 * HOUR))
    kept = [name for name in names if not hot.load(name, (0, HOUR)).missing]
    assert kept == [names[0], *names[3:]]
    assert hot.bytes == 4 * (1_000 + 100 * 48)


def test_a_series_that_grows_for_ever_loses_its_oldest_candles() -> None:
    hot = MemoryCache()
    for start in range(0, MOST_PER_SERIES * 2, 5_000):
        hot.keep(SERIES, candles(start, start + 5_000), (start * HOUR, (start + 5_000) * HOUR))
    stored = hot.load(SERIES, (0, MOST_PER_SERIES * 2 * HOUR))
    assert len(stored.candles) == MOST_PER_SERIES
    assert stored.missing == [(0, MOST_PER_SERIES * HOUR)]


@settings(max_examples=200, deadline=None)
@given(
    ranges=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), min_size=1, max_size=8),
    wanted=st.tuples(st.integers(0, 60), st.integers(1, 30)),
)
def test_what_it_gives_and_what_it_misses_make_up_what_was_wanted(
    ranges: list[tuple[int, int]], wanted: tuple[int, int]
) -> None:
    hot = MemoryCache(most_bytes=10_000)
    kept: set[int] = set()
    for start, length in ranges:
        hot.keep(SERIES, candles(start, start + length), (start * HOUR, (start + length) * HOUR))
        kept.update(range(start, start + length))
    asked = range(wanted[0], wanted[0] + wanted[1])
    stored = hot.load(SERIES, (asked.start * HOUR, asked.stop * HOUR))
    missing = [hour for start, end in stored.missing for hour in range(start // HOUR, end // HOUR)]
    assert sorted([*hours(stored.candles), *missing]) == list(asked)
    assert set(hours(stored.candles)) <= kept
    start, length = ranges[-1]
    last = hot.load(SERIES, (start * HOUR, (start + length) * HOUR))
    assert (hours(last.candles), last.missing) == (list(range(start, start + length)), []), "what was kept last"


async def test_what_is_being_written_holds_up_only_questions_about_its_own_series(
    candle_cache: CandleCache, store: CandleStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_server.market.candle_cache.GATHER_S", 60)
    stored, written = Series("a", "A/B", "1h"), Series("a", "C/D", "1h")
    store.save(stored, candles(0, 3), (0, 3 * HOUR))
    await candle_cache.load(stored, (0, HOUR))
    candle_cache.keep(written, candles(5, 7), (5 * HOUR, 7 * HOUR))
    with anyio.fail_after(30):
        assert hours((await candle_cache.load(stored, (0, 3 * HOUR))).candles) == [0, 1, 2]
        assert candle_cache._on_its_way(), "it is still gathered"
        candle_cache._forget(written)
        assert hours((await candle_cache.load(written, (5 * HOUR, 7 * HOUR))).candles) == [5, 6]
    assert candle_cache._on_its_way() == []
