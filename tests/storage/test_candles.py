from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_server.domain.candles import Candles
from mcp_server.storage.candles.store import CandleStore, Series
from mcp_server.storage.database import Database
from tests.storage.conftest import HOUR, SERIES, candles, hours


def test_candles_come_back_exactly_as_they_were_kept(store: CandleStore) -> None:
    kept = Candles.from_rows([(HOUR, 0.1, 0.30000000000000004, 8.1e-06, 0.2, 1234.56789), (2 * HOUR, 1, 2, 1, 2, 0)])
    assert store.save(SERIES, kept, (HOUR, 3 * HOUR)).held == 2
    stored = store.load(SERIES, (HOUR, 3 * HOUR))
    assert stored.missing == []
    for name in ("open_time_ms", "open", "high", "low", "close", "volume"):
        assert np.array_equal(getattr(stored.candles, name), getattr(kept, name))


def test_an_unknown_series_is_missing_altogether(store: CandleStore) -> None:
    stored = store.load(SERIES, (0, HOUR))
    assert (len(stored.candles), stored.missing) == (0, [(0, HOUR)])


def test_a_known_range_may_hold_fewer_candles_than_would_fit(store: CandleStore) -> None:
    store.save(SERIES, candles(1, 4), (HOUR, 5 * HOUR))
    stored = store.load(SERIES, (HOUR, 5 * HOUR))
    assert (hours(stored.candles), stored.missing) == ([1, 4], [])


def test_saving_a_range_again_replaces_it_and_leaves_the_rest(store: CandleStore) -> None:
    store.save(SERIES, candles(1, 2, 3), (HOUR, 4 * HOUR))
    assert store.save(SERIES, candles(2, close=150.0), (2 * HOUR, 3 * HOUR)).held == 3
    assert store.load(SERIES, (0, 9 * HOUR)).candles.close.tolist() == [100.0, 150.0, 100.0]


def test_series_do_not_mix(store: CandleStore) -> None:
    store.save(SERIES, candles(1), (HOUR, 2 * HOUR))
    for other in (Series("kraken", "BTC/USD", "1h"), Series("coinbase", "ETH/USD", "1h")):
        assert len(store.load(other, (0, 9 * HOUR)).candles) == 0
    days = Series("coinbase", "BTC/USD", "1d")
    store.save(days, candles(24), (24 * HOUR, 48 * HOUR))
    assert (hours(store.load(SERIES, (0, 48 * HOUR)).candles), hours(store.load(days, (0, 48 * HOUR)).candles)) == (
        [1],
        [24],
    )
    assert set(store.index(5)) == {SERIES, days}


def test_a_beginning_makes_everything_before_it_known_unless_earlier_candles_are_kept(store: CandleStore) -> None:
    store.save(SERIES, candles(10), (10 * HOUR, 11 * HOUR), begins=True)
    assert store.load(SERIES, (0, 11 * HOUR)).missing == []
    other = Series("coinbase", "ETH/USD", "1h")
    store.save(other, candles(2), (2 * HOUR, 3 * HOUR))
    store.save(other, candles(10), (10 * HOUR, 11 * HOUR), begins=True)
    assert store.load(other, (0, 11 * HOUR)).missing == [(0, 2 * HOUR), (3 * HOUR, 10 * HOUR)]
    assert hours(store.load(other, (0, 11 * HOUR)).candles) == [2, 10]


def test_an_earlier_beginning_takes_the_assumed_one_back(store: CandleStore) -> None:
    store.save(SERIES, candles(20), (20 * HOUR, 22 * HOUR), begins=True)
    store.save(SERIES, candles(10), (10 * HOUR, 11 * HOUR), begins=True)
    assert store.load(SERIES, (0, 25 * HOUR)).missing == [(11 * HOUR, 20 * HOUR), (22 * HOUR, 25 * HOUR)]
    store.save(SERIES, candles(5), (5 * HOUR, 6 * HOUR), begins=True)
    assert store.load(SERIES, (0, 22 * HOUR)).missing == [(6 * HOUR, 10 * HOUR), (11 * HOUR, 20 * HOUR)]
    store.save(SERIES, candles(11), (11 * HOUR, 20 * HOUR), begins=True)
    assert store.load(SERIES, (0, 22 * HOUR)).missing == [(6 * HOUR, 10 * HOUR)]


def test_an_earlier_candle_takes_an_assumed_beginning_back_without_a_new_one(store: CandleStore) -> None:
    store.save(SERIES, candles(20), (20 * HOUR, 21 * HOUR), begins=True)
    store.save(SERIES, candles(10), (9 * HOUR, 11 * HOUR))
    assert store.load(SERIES, (0, 21 * HOUR)).missing == [(0, 9 * HOUR), (11 * HOUR, 20 * HOUR)]


def test_an_earlier_range_without_candles_leaves_the_beginning(store: CandleStore) -> None:
    store.save(SERIES, candles(20), (20 * HOUR, 21 * HOUR), begins=True)
    store.save(SERIES, candles(), (10 * HOUR, 11 * HOUR))
    assert store.load(SERIES, (0, 21 * HOUR)).missing == []


def test_a_range_that_reaches_into_what_is_kept_leaves_no_hole(store: CandleStore) -> None:
    store.save(SERIES, candles(20, 24), (20 * HOUR, 25 * HOUR), begins=True)
    store.save(SERIES, candles(18, 20), (18 * HOUR, 22 * HOUR), begins=True)
    stored = store.load(SERIES, (0, 25 * HOUR))
    assert (hours(stored.candles), stored.missing) == ([18, 20, 24], [])
    store.save(SERIES, candles(16), (16 * HOUR, 18 * HOUR), begins=True)
    assert store.load(SERIES, (0, 25 * HOUR)).missing == []


def test_what_was_really_given_stays_known_when_a_beginning_moves(store: CandleStore) -> None:
    store.save(SERIES, candles(20), (15 * HOUR, 21 * HOUR))
    store.save(SERIES, candles(10), (10 * HOUR, 11 * HOUR), begins=True)
    assert store.load(SERIES, (0, 21 * HOUR)).missing == [(11 * HOUR, 15 * HOUR)]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(ranges=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 8)), max_size=6), number=st.integers(0, 10**9))
def test_what_is_missing_is_what_was_never_saved(
    store: CandleStore, ranges: list[tuple[int, int]], number: int
) -> None:
    series = Series("coinbase", f"{number}/{len(ranges)}-{ranges}", "1h")
    known: set[int] = set()
    for start, length in ranges:
        part = range(start, start + length)
        store.save(series, candles(*part), (start * HOUR, (start + length) * HOUR))
        known.update(part)
    stored = store.load(series, (0, 40 * HOUR))
    missing = {hour for start, end in stored.missing for hour in range(start // HOUR, end // HOUR)}
    assert missing == set(range(40)) - known
    assert hours(stored.candles) == sorted(known)


def test_a_stored_candle_that_cannot_be_counts_as_unknown(store: CandleStore, home: Path) -> None:
    store.save(SERIES, candles(1, 2, 3), (HOUR, 4 * HOUR))
    change = "UPDATE candles SET low = 0 WHERE hour(open_time) = 2"
    Database(home / "claude_trader.duckdb").write(lambda connection: connection.execute(change).fetchall())
    stored = store.load(SERIES, (HOUR, 4 * HOUR))
    assert (hours(stored.candles), stored.missing) == ([1, 3], [(2 * HOUR, 3 * HOUR)])
