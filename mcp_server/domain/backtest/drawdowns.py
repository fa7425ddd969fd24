"""Drawdowns: how far and how long an equity curve lay below its highest point."""

from dataclasses import dataclass

import numpy as np

from mcp_server.domain.candles import Floats, Times
from mcp_server.domain.timeframes import DAY_MS, timeframe_ms

_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Drawdowns:
    """The deepest and the mean depth of all falls below a peak (0 to 1), and the longest of them in days.

    A fall begins at the last close at its peak and ends at the close that is back at it, or at the last one. `average`
    is None where there is none.
    """

    deepest: float
    average: float | None
    longest_days: float


def drawdowns_of(open_time_ms: Times, equity: Floats, timeframe: str) -> Drawdowns:
    """Return the drawdowns of an equity curve, which has a value at the close of each candle and begins at 1."""
    depth = depths(equity)
    under = np.concatenate([[False], depth > _ROUNDING, [False]])
    edges = np.flatnonzero(under[1:] != under[:-1])
    if not len(edges):
        return Drawdowns(0.0, None, 0.0)
    first, after = edges[::2], edges[1::2]
    deepest = np.maximum.reduceat(np.append(depth, 0.0), edges)[::2]
    moments = np.append(open_time_ms[:1], open_time_ms + timeframe_ms(timeframe))
    lengths = moments[np.minimum(after, len(equity) - 1) + 1] - moments[first]
    return Drawdowns(float(deepest.max()), float(deepest.mean()), float(lengths.max()) / DAY_MS)


def depths(equity: Floats) -> Floats:
    """Return how far each value lies below the highest one up to it, as a ratio of that; the curve begins at 1."""
    peaks = np.maximum(np.maximum.accumulate(equity), 1.0)
    return 1.0 - equity / peaks
