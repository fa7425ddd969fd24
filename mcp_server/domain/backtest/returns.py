"""The returns of an equity curve, candle by candle, and the Sharpe ratio of them."""

import numpy as np

from mcp_server.domain.candles import Floats, Times
from mcp_server.domain.timeframes import DAY_MS, timeframe_ms

YEAR_DAYS = 365
"""Coins are traded every day, all day: never the 252 days of a stock exchange."""

FEWEST_DAYS = 90
"""From a shorter record no annual figure is made: a good week would become a fortune."""

_ROUNDING = 1e-12
"""A spread of returns below this share of the largest one is the rounding of floats."""


def grid_returns(open_time_ms: Times, equity: Floats, timeframe: str) -> Floats:
    """Return one return per candle of the timeframe from the first to the last, as ratios; the equity begins at 1.

    A missing candle returns 0, and the first one after a gap the whole change. So a series with gaps has as many
    returns a year as one without. Once the equity is 0, it returns 0.
    """
    before = np.concatenate([[1.0], equity[:-1]])
    change: Floats = np.divide(equity, before, out=np.ones(len(equity)), where=before > 0) - 1.0
    slots = (open_time_ms - open_time_ms[:1]) // timeframe_ms(timeframe)
    if not len(slots) or slots[-1] == len(slots) - 1:
        return change
    returns = np.zeros(int(slots[-1]) + 1)
    returns[slots] = change
    return returns


def days_of(returns: Floats, timeframe: str) -> float:
    """Return how many days these returns cover."""
    return len(returns) * timeframe_ms(timeframe) / DAY_MS


def candles_per_year(timeframe: str) -> float:
    """Return how many candles of a timeframe a year of 365 days has."""
    return YEAR_DAYS * DAY_MS / timeframe_ms(timeframe)


def sharpe_of(returns: Floats) -> float | None:
    """Return mean ÷ standard deviation (ddof 1) of the returns, per candle and not annual; no rate is deducted.

    None for fewer than two returns, and where they do not vary.
    """
    spread = spread_of(returns)
    return None if spread is None else float(np.mean(returns)) / spread


def spread_of(returns: Floats) -> float | None:
    """Return the standard deviation (ddof 1); None for fewer than two returns, and where they do not vary."""
    if len(returns) < 2:
        return None
    spread = float(np.std(returns, ddof=1))
    return spread if spread > _ROUNDING * float(np.max(np.abs(returns))) else None
