"""A mean of outcomes that overlap in time, with an interval that is honest about it.

The variance is that of Newey and West (1987), with Bartlett's weights by distance in time. Taken alone, its 95 %
interval covers 83 to 94 %, for two reasons, and each has its remedy here:

- A short record has few windows that do not overlap. The critical value is that of Kiefer and Vogelsang (2005), "A new
  asymptotic theory for heteroskedasticity-autocorrelation robust tests", which depends on how many there are.
- Bartlett's weights count dependence at a distance for too little. What they miss is measured by a second estimate at
  half the bandwidth: the lugsail window of Vats and Flegal (2022), "Lugsail lag windows for estimating time-average
  covariance matrices". It only ever widens an interval, by a quarter at most.

So it covers 94 to 97 % in simulations (`make intervals`). The exception is a record of barely five bandwidths whose BUY
and SELL are drawn anew at each candle: there it covers 98 % of hit rates and 91 % of differences to holding.
"""

import math
from dataclasses import dataclass

import numpy as np

from mcp_server.domain.candles import Floats, Times
from mcp_server.domain.rules.series import BUY, SELL, Codes

FEWEST_BANDWIDTHS = 5
"""A record that covers less time than this many bandwidths gets no interval, nor one with fewer separate outcomes."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and its 95 % confidence interval, in the unit of the values."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class MeanSpread:
    """How sure a mean is: its variance, and the critical value that takes the place of 1.96.

    `windows` is how many windows of one bandwidth the record is worth, the number of its values at most.
    """

    mean: float
    variance: float
    critical: float
    windows: float


def mean_interval(values: Floats, time_ms: Times, bandwidth_ms: float) -> Interval | None:
    """Return the mean of values and its 95 % interval; None for a record shorter than five bandwidths of time.

    For a paired difference, pass the differences. Times need not be regular. Values that are all the same have an
    interval without width.
    """
    spread = mean_spread(values, time_ms, bandwidth_ms)
    if spread is None:
        return None
    half = spread.critical * math.sqrt(spread.variance)
    return Interval(spread.mean, spread.mean - half, spread.mean + half)


def bandwidth_ms(horizon_ms: float, signal: Codes, time_ms: Times) -> float:
    """Return the horizon plus the mean run of a signal: how long, in time, a strategy goes on saying BUY or SELL.

    Args:
        horizon_ms: How long after a signal it is judged.
        signal: All signals of the record, HOLD too: a HOLD ends a run and makes none.
        time_ms: When each began, oldest first. A run lasts until the next signal that differs, the last one until the
            next signal would be due.
    """
    if len(signal) < 2:
        return float(horizon_ms)
    first = np.flatnonzero(np.concatenate([[True], signal[1:] != signal[:-1]]))
    begin = time_ms[first]
    end = np.append(begin[1:], time_ms[-1] + np.median(np.diff(time_ms)))
    directed = (signal[first] == BUY) | (signal[first] == SELL)
    return float(horizon_ms + (np.mean((end - begin)[directed]) if directed.any() else 0.0))


def mean_spread(values: Floats, time_ms: Times, bandwidth_ms: float) -> MeanSpread | None:
    """Return how sure the mean of the values is; None where `mean_interval` gives no interval."""
    n = len(values)
    if n < FEWEST_BANDWIDTHS or np.ptp(time_ms) < FEWEST_BANDWIDTHS * bandwidth_ms:
        return None
    mean = float(np.mean(values))
    columns = np.stack([np.ones(n), values - mean])
    (ones, total), (half_ones, half_total) = (
        weighted_products(columns, time_ms, width).tolist() for width in (bandwidth_ms, bandwidth_ms / 2)
    )
    windows = n * n / ones
    if windows < FEWEST_BANDWIDTHS:
        return None
    # Each is divided by its share of the variance that is left after the mean is taken off values that don't depend.
    at_full, at_half = total / (1 - 1 / windows), half_total / (1 - half_ones / n**2)
    missed = max(2 - at_half / at_full, 1.0) if total > 0 else 1.0
    return MeanSpread(mean, missed * total / (n * (n - 1)), critical_value(1 / (windows - 1)), windows)


def weighted_products(columns: Floats, time_ms: Times, bandwidth_ms: float) -> Floats:
    """Return, for each row, the sum over all pairs of value x value x Bartlett's weight, 1 - distance ÷ bandwidth.

    The weight of two moments is the share that windows of one bandwidth, beginning at each, have in common. So the sum
    is the integral over time of the square of a moving sum: never negative, and as quick as sorting. On a regular grid
    it is statsmodels' HAC with `maxlags` = bandwidth ÷ spacing - 1, before that divides.
    """
    begin = (time_ms - time_ms[0]).astype(np.float64)
    moments = np.concatenate([begin, begin + bandwidth_ms])
    order = np.argsort(moments, kind="stable")
    moving = np.cumsum(np.concatenate([columns, -columns], axis=1)[:, order], axis=1)
    result: Floats = moving[:, :-1] ** 2 @ np.diff(moments[order]) / bandwidth_ms
    return result


def critical_value(share: float) -> float:
    """Return the two-sided 5 % critical value where the bandwidth is this share of the record (table 1, Bartlett)."""
    return 1.96 + 2.9694 * share + 0.416 * share**2 - 0.5324 * share**3
