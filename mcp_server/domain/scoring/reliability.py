"""The reliability table: of the signals with a stated confidence, how many were right, beside what chance allows."""

from dataclasses import dataclass

import numpy as np

from mcp_server.domain.candles import Floats
from mcp_server.domain.scoring.hac import weighted_products
from mcp_server.domain.scoring.signals import JudgedSignals

FEWEST = 30
"""From fewer signals with a confidence no table is made: even a perfect forecaster's would look wrong."""

BINS = 10
_DRAWS = 2000
_SEED = 20_260_101
"""Fixed, so that the same record gives the same table, to the last byte."""


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The signals whose confidence is above `low` and at most `high`; the first bin has 0 too.

    In at least 95 % of cases a perfect forecaster with these very confidences, at the same moments, has a share right
    within the band. Its ends are those of the exact distribution of independent outcomes, of as many as these
    overlapping ones are worth.
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


def reliability(judged: JudgedSignals, bins: int = BINS) -> Reliability | None:
    """Return the table of a record; None below 30 BUY and SELL with a confidence."""
    signals = judged.pick(judged.directed & ~np.isnan(judged.confidence))
    if len(signals) < FEWEST:
        return None
    edges = np.linspace(0.0, 1.0, bins + 1)
    position = np.searchsorted(edges[1:-1], signals.confidence)
    generator = np.random.default_rng(_SEED)
    table, off, off_by_chance = list[ReliabilityBin](), 0.0, np.zeros(_DRAWS)
    for index in np.unique(position):
        inside = signals.pick(position == index)
        count, mean, share = len(inside), float(inside.confidence.mean()), float(inside.right.mean())
        chances = _independent(inside)
        up_to = np.cumsum(count_probabilities(chances))
        drawn = _count_at(up_to, np.append([0.025, 0.975], generator.random(_DRAWS))) / len(chances)
        edge = float(edges[index]), float(edges[index + 1])
        table.append(ReliabilityBin(*edge, count, mean, share, float(drawn[0]), float(drawn[1])))
        off += count * abs(share - mean)
        off_by_chance += count * np.abs(drawn[2:] - chances.mean())
    by_chance = float(np.quantile(off_by_chance, 0.95, method="higher"))
    return Reliability(table, len(signals), off / len(signals), by_chance / len(signals))


def _independent(signals: JudgedSignals) -> Floats:
    """Return the confidences of as many of these signals as there would be, did their outcomes not overlap.

    Signals in one direction whose times overlap are right or wrong together, in so far as they overlap; those in
    opposite directions are not, so that they are worth more, at most their number. The confidences that stay are spread
    evenly over all of them.
    """
    count, horizon_ms = len(signals), float((signals.exit_ms - signals.entry_ms).max())
    (together,) = weighted_products(signals.signal[None].astype(np.float64), signals.entry_ms, horizon_ms)
    worth = max(int(count * count / max(together, count) + 1e-9), 1)
    spread: Floats = np.sort(signals.confidence)[((np.arange(worth) + 0.5) * count / worth).astype(np.int64)]
    return spread


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
