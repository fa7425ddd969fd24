"""10,000 candles asked for again: while they are written, and once memory has them not and the store has."""

import statistics
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from mcp_server.domain.candles import Candles
from mcp_server.domain.timeframes import to_ms
from mcp_server.storage.candles.store import CandleStore, Series
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from tests.benchmarks.programs import OURS, Arguments, environment, exchange_program, host_of, say, told
from tests.benchmarks.test_market import HOUR_MS, extra, this_hour
from tests.benchmarks.test_start import Host
from tests.benchmarks.touches import report

CANDLES = 10_000
SERIES = 16

MOST = 1.5
"""Times the hot answer, and of what comes from the store times hot answer and DuckDB's reading together."""

READ = "SELECT epoch_ms(open_time), open, high, low, close, volume FROM candles WHERE series_id = ? ORDER BY open_time"


def asked(number: int, as_of: str) -> Arguments:
    return {"symbol": extra(number), "exchange": "binance", "limit": CANDLES, "as_of": as_of}


def took(work: Callable[[], Any]) -> float:
    """Return how long work took, in ms."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def median_ratio(ones: list[float], others: list[float]) -> float:
    return statistics.median(one / other for one, other in zip(ones, others, strict=True))


@pytest.mark.parametrize("after_s", [0.0, 0.25], ids=["at once", "while they are written"])
def test_candles_just_fetched_are_answered_again_as_if_nothing_was_written(home: Path, after_s: float) -> None:
    again, hot, as_of = [], [], this_hour()
    with exchange_program(extra_markets=400) as exchange, host_of(OURS, environment(home, exchange)) as host:

        def ask(number: int) -> float:
            return took(lambda: told(host, "get_ohlcv", asked(number, as_of)))

        for number in range(1, SERIES + 1):
            ask(number)
            time.sleep(after_s)
            again.append(ask(number))
            time.sleep(1)  # then it has been written
            hot.append(ask(number))
    ratio = median_ratio(again, hot)
    say(f"{CANDLES:,} candles {after_s} s after they were fetched: {_told(again, hot)}, ratio {ratio:.2f} ({MOST})")
    assert ratio <= MOST
    if after_s:
        report("written candles", again)


def test_candles_from_the_store_take_little_longer_than_hot_ones_and_a_read(home: Path) -> None:
    as_of = this_hour()
    end_ms = to_ms(datetime.fromisoformat(as_of))
    times = np.arange(end_ms - CANDLES * HOUR_MS, end_ms, HOUR_MS, dtype=np.int64)
    close = 100 + np.random.default_rng(1).normal(size=CANDLES).cumsum() * 0.01
    stored = Candles(times, close, close + 1, close - 1, close, np.ones(CANDLES))
    file = Home(home).database
    store = CandleStore(Database(file, prepare=Home(home).prepare))
    for number in range(SERIES + 1):
        store.save(Series("binance", extra(number + 1), "1h"), stored, (int(times[0]), end_ms))
    with exchange_program(extra_markets=400) as exchange, host_of(OURS, environment(home, exchange)) as host:
        told(host, "get_ohlcv", asked(SERIES + 1, as_of))
        exchange.requests()
        loaded, hot, read = _timed(host, file, as_of)
        assert exchange.requests() == 0
    ratio = median_ratio(loaded, [a + b for a, b in zip(hot, read, strict=True)])
    say(f"{CANDLES:,} candles from the store: {_told(loaded, hot)}, DuckDB's read {statistics.median(read):.0f} ms, "
        f"ratio to both {ratio:.2f} ({MOST})")  # fmt: skip
    assert ratio <= MOST
    report("stored candles", loaded)


def _timed(host: Host, file: Path, as_of: str) -> tuple[list[float], list[float], list[float]]:
    loaded, hot, read = [], [], []
    for number in range(1, SERIES + 1):
        loaded.append(took(lambda: told(host, "get_ohlcv", asked(number, as_of))))  # noqa: B023 - called at once
        hot.append(took(lambda: told(host, "get_ohlcv", asked(number, as_of))))  # noqa: B023
        read.append(took(lambda: _read(file, number)))  # noqa: B023
    return loaded, hot, read


def _read(file: Path, series_id: int) -> None:
    with duckdb.connect(str(file), read_only=True) as connection:
        assert len(connection.execute(READ, [series_id]).fetchnumpy()["open"]) == CANDLES


def _told(again: list[float], hot: list[float]) -> str:
    return f"{statistics.median(again):.0f} ms, hot {statistics.median(hot):.0f} ms"
