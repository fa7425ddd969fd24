"""The reliability table: of the signals with a stated confidence, how many were right, beside what chance allows."""

from dataclasses import dataclass

from mcp_server.domain.candles import Floats
from mcp_server.domain.scoring.hit_rate import Flags

FEWEST = 30
"""From fewer signals with a confidence no table is made: even a perfect forecaster's would look wrong."""

BINS = 10


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The signals whose confidence lies in [low, high); the last bin has 1 too.

    In 95 % of cases the share right of a perfect forecaster with these very confidences lies within the band of chance.
    """

    low: float
    high: float
    signals: int
    mean_confidence: float
    share_right: float
    band_low: float
    band_high: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """Bins that hold a signal, lowest confidence first, and the calibration error.

    The error is the mean of |share right - mean confidence|, weighted by signals. A perfect forecaster's is at most
    `error_by_chance` in 95 % of cases: an error below it says nothing.
    """

    bins: list[ReliabilityBin]
    signals: int
    error: float
    error_by_chance: float


def reliability(confidence: Floats, right: Flags, bins: int = BINS) -> Reliability | None:
    """Return the table for confidences from 0 to 1 (NaN doesn't count); None below 30 signals with a confidence."""
    raise NotImplementedError
