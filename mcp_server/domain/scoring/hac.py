"""A mean of outcomes that overlap, with an interval that is honest about it."""

from dataclasses import dataclass

from mcp_server.domain.candles import Floats, Times
from mcp_server.domain.rules.series import Codes

FEWEST_BANDWIDTHS = 5
"""A record that covers less time than this many bandwidths gets no interval."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and its 95 % confidence interval, in the unit of the values."""

    mean: float
    low: float
    high: float


def mean_interval(values: Floats, time_ms: Times, bandwidth_ms: float) -> Interval | None:
    """Return the mean of values and its 95 % interval; None for a record shorter than five bandwidths of time.

    For a paired difference, pass the differences. Times are oldest first; they need not be regular.
    """
    raise NotImplementedError


def bandwidth_ms(horizon_ms: float, signal: Codes, time_ms: Times) -> float:
    """Return the horizon plus the mean run of a signal: how long, in time, a strategy goes on saying the same."""
    raise NotImplementedError
