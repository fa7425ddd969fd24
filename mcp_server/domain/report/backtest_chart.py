"""The data that the chart of a backtest's page is drawn from."""

import math
from typing import Any

import numpy as np

from mcp_server.domain.backtest.simulate import Simulation
from mcp_server.domain.candles import Candles, Floats
from mcp_server.domain.coarse import Coarse
from mcp_server.domain.text import significant

MOST_POINTS = 20_000
"""A browser draws so many smoothly; of a longer series, neighbours are merged, and their extremes are kept."""

LOG_FROM = 4.0
"""From this ratio of the highest to the lowest value on, the scale is logarithmic, as in the pictures."""

START = 100
"""Equity and holding are drawn as if they began with this."""


def chart_data(simulation: Simulation, candles: Candles, timeframe: str, holding: Floats) -> dict[str, Any]:
    """Return what `assets/backtest.js` draws: values for each slot, null where a candle is missing.

    Args:
        simulation: what was traded.
        candles: those that it traded on; not empty.
        timeframe: their length.
        holding: the equity of who bought at the start and held, at each close, 1 at the start.
    """
    coarse = Coarse.of(candles.open_time_ms, timeframe, MOST_POINTS)
    equity = simulation.equity
    return {
        "start": coarse.start_ms,
        "step": coarse.step_ms,
        "merged": coarse.merged,
        "candles": _spread(coarse, _bars(coarse.candles(candles), 12)),
        "equity": _spread(coarse, _curve(coarse, equity)),
        "holding": _spread(coarse, _curve(coarse, holding)),
        "drawdown": _spread(coarse, [significant(-value, 6) for value in coarse.values(drawdown_pct(equity))[1]]),
        "trades": trade_joins(simulation, coarse),
        "price_step": _step(candles),
        "log_price": _is_wide(candles.low, candles.high),
        "log_equity": _is_wide(np.minimum(equity, holding), np.maximum(equity, holding)),
    }


def drawdown_pct(equity: Floats) -> Floats:
    """Return how far each value lies below the highest before it, or below the start, in per cent; positive."""
    peak = np.maximum(np.maximum.accumulate(equity), 1.0)
    drawdown: Floats = (peak - equity) / peak * 100
    return drawdown


def trade_joins(simulation: Simulation, coarse: Coarse) -> list[list[Any]]:
    """Return of each trade: the groups of its entry and exit, the prices, the return, the side, and 1 if it is open."""
    trades = simulation.trades
    columns = (
        coarse.groups[trades.entry], coarse.groups[trades.exit], trades.entry_price, trades.exit_price,
        trades.return_ratio, trades.side, trades.open.astype(np.int64),
    )  # fmt: skip
    return [list(row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def _curve(coarse: Coarse, values: Floats) -> list[Any]:
    """Return a curve at the scale of `START`: one value for each group, or bars where candles are merged."""
    scaled = values * START
    if coarse.merged > 1:
        return _bars(coarse.values(scaled), 8)
    return [significant(value, 8) for value in scaled.tolist()]


def _bars(bars: tuple[Floats, Floats, Floats, Floats], digits: int) -> list[list[float]]:
    return [[significant(value, digits) for value in row] for row in zip(*(b.tolist() for b in bars), strict=True)]


def _spread(coarse: Coarse, values: list[Any]) -> list[Any]:
    """Put the values of filled groups where they belong among all groups."""
    spread: list[Any] = [None] * coarse.count
    for group, value in zip(coarse.filled.tolist(), values, strict=True):
        spread[group] = value
    return spread


def _is_wide(low: Floats, high: Floats) -> bool:
    least = float(low.min())
    return least > 0 and float(high.max()) / least >= LOG_FROM


def _step(candles: Candles) -> float:
    """Return the least difference of prices to be told apart: a millionth of the lowest, rounded."""
    return max(float(10.0 ** (math.floor(math.log10(float(candles.low.min()))) - 6)), 1e-15)
