"""Summarises candles in a few figures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcp_server.domain.candles import Candles
from mcp_server.domain.timeframes import DAY_MS, timeframe_ms

YEAR_MS = 365 * DAY_MS
"""Crypto trades every day of the year."""


@dataclass(frozen=True, slots=True)
class CandleSummary:
    """The figures of at least one candle. Prices in quote, volume in base, times are open times in Unix ms.

    Attributes:
        return_pct: from the first open to the last close, in percent; None where the first open is 0.
        volatility_pct: standard deviation (ddof 1) of the log returns between neighbouring closes, times the root
            of the number of candles in a year of 365 days, in percent; None below three candles, or where a close is 0.
        max_drawdown_pct: the deepest fall of the close below its highest before, in percent of that, 0 to 100.
    """

    open_ms: int
    last_ms: int
    open: float
    high: float
    high_ms: int
    low: float
    low_ms: int
    close: float
    return_pct: float | None
    volatility_pct: float | None
    max_drawdown_pct: float | None
    volume: float | None


def summarise(candles: Candles, timeframe: str) -> CandleSummary | None:
    """Return the figures of candles of one series; None without candles."""
    if not len(candles):
        return None
    high, low = int(np.argmax(candles.high)), int(np.argmin(candles.low))
    first, last = float(candles.open[0]), float(candles.close[-1])
    return CandleSummary(
        open_ms=int(candles.open_time_ms[0]),
        last_ms=int(candles.open_time_ms[-1]),
        open=first,
        high=float(candles.high[high]),
        high_ms=int(candles.open_time_ms[high]),
        low=float(candles.low[low]),
        low_ms=int(candles.open_time_ms[low]),
        close=last,
        return_pct=(last / first - 1) * 100 if first else None,
        volatility_pct=_volatility_pct(candles, timeframe),
        max_drawdown_pct=_drawdown_pct(candles),
        volume=None if np.isnan(candles.volume).any() else float(candles.volume.sum()),
    )


def _volatility_pct(candles: Candles, timeframe: str) -> float | None:
    if len(candles) < 3 or (candles.close <= 0).any():
        return None
    returns = np.diff(np.log(candles.close))
    return float(np.std(returns, ddof=1) * np.sqrt(YEAR_MS / timeframe_ms(timeframe)) * 100)


def _drawdown_pct(candles: Candles) -> float | None:
    if (candles.close <= 0).any():
        return None
    peaks = np.maximum.accumulate(candles.close)
    return float(np.max(1 - candles.close / peaks) * 100)
