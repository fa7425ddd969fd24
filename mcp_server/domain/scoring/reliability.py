"""The reliability table: of the signals with a stated confidence, how many were right, beside what chance allows."""

from dataclasses import dataclass

import numpy as np

from mcp_server.domain.candles import Floats
from mcp_server.domain.scoring.hit_rate import Flags

FEWEST = 30
"""From fewer signals with a confidence no table is made: even a perfect forecaster's would look wrong."""

BINS = 10
_DRAWS = 2000
_SEED = 20_260_101
"""Fixed, so that the same record gives the same table, to the last byte."""


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The signals whose confidence is above `low` and at most `high`; the first bin has 0 too.

    In at least 95 % of cases a perfect forecaster with these very confidences has a share right within the band.
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
    stated = ~np.isnan(confidence)
    confidence, right = confidence[stated], right[stated]
    count = len(confidence)
    if count < FEWEST:
        return None
    edges = np.linspace(0.0, 1.0, bins + 1)
    position = np.searchsorted(edges[1:-1], confidence)
    generator = np.random.default_rng(_SEED)
    table, off, off_by_chance = list[ReliabilityBin](), 0.0, np.zeros(_DRAWS)
    for index in np.unique(position):
        inside = position == index
        stated_here, signals = confidence[inside], int(inside.sum())
        mean, right_here = float(stated_here.mean()), int(right[inside].sum())
        up_to = np.cumsum(count_probabilities(stated_here))
        low, high = (_count_at(up_to, level) / signals for level in (np.array([0.025]), np.array([0.975])))
        edge = float(edges[index]), float(edges[index + 1])
        table.append(ReliabilityBin(*edge, signals, mean, right_here / signals, float(low[0]), float(high[0])))
        off += abs(right_here - signals * mean)
        off_by_chance += np.abs(_count_at(up_to, generator.random(_DRAWS)) - signals * mean)
    by_chance = float(np.quantile(off_by_chance, 0.95, method="higher")) / count
    return Reliability(table, count, off / count, by_chance)


def count_probabilities(probabilities: Floats) -> Floats:
    """Return how probable it is that 0, 1, 2 … of independent events with these probabilities happen.

    The Poisson-binomial distribution, from its characteristic function: Hong (2013), "On computing the distribution
    function for the Poisson binomial distribution".
    """
    count = len(probabilities)
    values, times = np.unique(probabilities, return_counts=True)
    turn = np.exp(-2j * np.pi * np.arange((count + 1) // 2 + 1) / (count + 1))
    spectrum = np.ones(len(turn), dtype=complex)
    for value, repeats in zip(values, times, strict=True):
        spectrum *= (1 - value + value * turn) ** int(repeats)
    return np.maximum(np.fft.irfft(spectrum, count + 1), 0.0)


def _count_at(up_to: Floats, level: Floats) -> Floats:
    """Return the least counts that are not exceeded with these probabilities."""
    return np.minimum(np.searchsorted(up_to, level), len(up_to) - 1).astype(np.float64)
