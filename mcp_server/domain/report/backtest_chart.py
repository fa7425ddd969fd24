"""The data that the chart of a backtest's page is drawn from."""

import math
from typing import Any

import numpy as np

from mcp_server.domain.backtest.drawdowns import depths
from mcp_server.domain.backtest.run import Simulated
from mcp_server.domain.candles import Candles, Floats
from mcp_server.domain.coarse import Coarse
from mcp_server.domain.text import significant

MOST_POINTS = 20_000
"""A browser draws so many smoothly; of a longer series, neighbours are merged, and their extremes are kept."""

LOG_FROM = 4.0
"""From this ratio of the highest to the lowest value on, the scale is logarithmic, as in the pictures."""

START = 100
"""Equity and holding are drawn as if they began with this."""


def chart_data(simulated: Simulated) -> dict[str, Any]:
    """Return what `assets/backtest.js` draws: values for each slot, null where a candle is missing."""
    candles, equity = simulated.candles, simulated.simulation.equity
    holding = candles.close / candles.close[0]
    coarse = Coarse.of(candles.open_time_ms, simulated.task.timeframe, MOST_POINTS)
    return {
        "start": coarse.start_ms,
        "step": coarse.step_ms,
        "merged": coarse.merged,
        "candles": _spread(coarse, _bars(coarse.candles(candles), 12)),
        "equity": _spread(coarse, _curve(coarse, equity)),
        "holding": _spread(coarse, _curve(coarse, holding)),
        "drawdown": _spread(coarse, [significant(0 - value, 6) for value in coarse.values(depths(equity) * 100)[1]]),
        "trades": _joins(simulated, coarse),
        "price_step": _step(candles),
        "log_price": _is_wide(candles.low, candles.high),
        "log_equity": _is_wide(np.minimum(equity, holding), np.maximum(equity, holding)),
    }


def _joins(simulated: Simulated, coarse: Coarse) -> list[list[Any]]:
    """Return of each trade: the groups of its entry and exit, the prices, the return, the side, and 1 if it is open.

    Then when it was entered and left (Unix ms), as the table has it: a group has many candles, and what is open ends
    with the last close.
    """
    trades, times = simulated.simulation.trades, simulated.candles.open_time_ms
    columns = (
        coarse.groups[trades.entry], coarse.groups[trades.exit], trades.entry_price, trades.exit_price,
        trades.return_ratio, trades.side, trades.open.astype(np.int64), times[trades.entry],
        times[trades.exit] + trades.open * coarse.slot_ms,
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
