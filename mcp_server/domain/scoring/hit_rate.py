"""The share of signals that were right, with an interval that is honest about outcomes that overlap."""

import math

import numpy as np
import numpy.typing as npt

from mcp_server.domain.candles import Times
from mcp_server.domain.scoring.hac import Interval, MeanSpread, mean_spread

Flags = npt.NDArray[np.bool_]

_MOST_FOR_THE_RARER = 6
"""Outcomes come in clusters: where right or wrong is rare, there are too few clusters to measure how they depend."""


def hit_rate_interval(right: Flags, time_ms: Times, bandwidth_ms: float) -> Interval | None:
    """Return the share of True and its 95 % interval, within 0 and 1; None where `hac.mean_interval` gives none.

    It is Wilson's interval (1927) for as many independent outcomes as would have the same variance as these, with the
    critical value of `hac`. So it has a width also where all are right or all are wrong.
    """
    spread = mean_spread(right.astype(np.float64), time_ms, bandwidth_ms)
    if spread is None:
        return None
    n, z2 = independent_outcomes(spread, len(right)), spread.critical**2
    middle = (spread.mean + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (spread.mean * (1 - spread.mean) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    return Interval(spread.mean, max(middle - half, 0.0), min(middle + half, 1.0))


def independent_outcomes(spread: MeanSpread, signals: int) -> float:
    """Return how many independent outcomes would leave the hit rate as unsure as these overlapping ones do.

    Where all or nearly all went one way their variance says little, and the number of windows takes its place.
    """
    of_one = spread.mean * (1 - spread.mean)
    most = max(spread.windows, _MOST_FOR_THE_RARER * signals * of_one)
    return min(of_one / spread.variance, most) if spread.variance > 0 else spread.windows
