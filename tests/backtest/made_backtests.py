"""Small backtests made by hand: candles from their prices, orders at chosen candles, traded by the real simulation."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from mcp_server.domain.backtest.assumptions import Assumptions
from mcp_server.domain.backtest.decisions import Decisions
from mcp_server.domain.backtest.simulate import Simulation, simulate
from mcp_server.domain.candles import Candles, Times
from mcp_server.domain.rules.series import HOLD
from mcp_server.domain.timeframes import parse_moment, timeframe_ms, to_ms

FREE = Assumptions(fee_bps=0.0, slippage_bps=0.0)
FIRST_MS = to_ms(parse_moment("2024-01-01"))


def candles_at(opens: npt.ArrayLike, closes: npt.ArrayLike, times: Times) -> Candles:
    """Return candles whose high and low are no further out than open and close."""
    opened, close = np.array(opens, dtype=np.float64), np.array(closes, dtype=np.float64)
    return Candles(times, opened, np.maximum(opened, close), np.minimum(opened, close), close, np.ones(len(close)))


def candles_of(closes: npt.ArrayLike, timeframe: str = "1d", first_ms: int = FIRST_MS) -> Candles:
    """Return candles of which each opens where the one before it closed."""
    close = np.array(closes, dtype=np.float64)
    times = first_ms + np.arange(len(close)) * timeframe_ms(timeframe)
    return candles_at(np.concatenate([close[:1], close[:-1]]), close, times)


def decided(candles: Candles, timeframe: str, orders: Mapping[int, int]) -> Decisions:
    """Return decisions at the close of each candle but the last; `orders` are by the position of the candle."""
    signal = np.full(len(candles) - 1, HOLD, dtype=np.int8)
    for position, code in orders.items():
        signal[position] = code
    length = timeframe_ms(timeframe)
    slots = candles.open_time_ms[:-1] + length
    fills = np.where(candles.open_time_ms[1:] == slots, np.arange(1, len(candles)), -1)
    return Decisions(slots, signal, fills)


def traded(
    candles: Candles, orders: Mapping[int, int], timeframe: str = "1d", assumptions: Assumptions = FREE
) -> Simulation:
    """Trade orders that are decided at the close of these candles."""
    return simulate(candles, timeframe, decided(candles, timeframe, orders), assumptions)
