"""A candle store in a home of its own, and candles by the hour."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import strategies as st

from mcp_server.domain.candles import Candles
from mcp_server.domain.timeframes import TIMEFRAMES
from mcp_server.storage.candles.ranges import Range
from mcp_server.storage.candles.store import CandleStore, Series
from mcp_server.storage.database import Database
from tests.rigs.done_once import migrating_each
from tests.rigs.journal_databases import kept_in

__all__ = ["kept_in"]

HOUR = TIMEFRAMES["1h"]
SERIES = Series("coinbase", "BTC/USD", "1h")
OTHER = Series("kraken", "ETH/USD", "1h")

PARTS = st.tuples(st.integers(0, 30), st.integers(1, 8))
"""Ranges as (start, length), in hours."""


@pytest.fixture
def each_migrated() -> Iterator[None]:
    """Let each new database be made by the program, and not be a copy of one that it made."""
    with migrating_each():
        yield


def candles(*hours: int, close: float = 100.0) -> Candles:
    return Candles.from_rows([(hour * HOUR, 100.0, 200.0, 50.0, close, 1.5) for hour in hours])


def hours(of: Candles) -> list[int]:
    return [int(moment) // HOUR for moment in of.open_time_ms]


def span(start: int, end: int) -> tuple[int, int]:
    """Give the range of these hours, `end` not included."""
    return start * HOUR, end * HOUR


def runs(of: set[int]) -> tuple[Range, ...]:
    """Give numbers as ranges, each as long as it can be."""
    starts = sorted(number for number in of if number - 1 not in of)
    ends = sorted(number + 1 for number in of if number + 1 not in of)
    return tuple(zip(starts, ends, strict=True))


@pytest.fixture
def store(home: Path) -> CandleStore:
    return CandleStore(Database(home / "claude_trader.duckdb"))
