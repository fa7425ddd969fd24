"""Candles of a random walk with a fixed seed."""

import numpy as np

from mcp_server.domain.candles import Candles, Floats, Times
from mcp_server.domain.timeframes import timeframe_ms

START_MS = 1_767_225_600_000
"""2026-01-01."""


def random_walk(count: int, *, price: float = 100.0, timeframe: str = "1h", seed: int = 1) -> Candles:
    """Return candles that wander off from a price; the open of each is the close before."""
    random = np.random.default_rng(seed)
    path: Floats = price * np.exp(np.cumsum(random.normal(0, 0.01, count + 1)))
    opened, close = path[:-1], path[1:]
    reach = 1 + np.abs(random.normal(0, 0.004, count))
    times: Times = START_MS + timeframe_ms(timeframe) * np.arange(count, dtype=np.int64)
    volume = random.uniform(1, 100, count)
    return Candles(times, opened, np.maximum(opened, close) * reach, np.minimum(opened, close) / reach, close, volume)
