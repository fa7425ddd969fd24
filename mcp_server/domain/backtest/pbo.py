"""The probability of backtest overfitting: how often the best of many variants is below average elsewhere."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from mcp_server.domain.backtest.track import BLOCKS, Track, sharpes

FEWEST_VARIANTS = 10
_NUMBERS_AT_ONCE = 2_000_000


def probability_of_overfitting(variants: Sequence[Track]) -> float | None:
    """Return how likely it is, 0 to 1, that the best variant of one half of the time is not above the median of others.

    Combinatorially symmetric cross-validation of Bailey, Borwein, López de Prado and Zhu (2017), "The Probability of
    Backtest Overfitting": of 16 blocks of time each choice of 8 shows which variant has the best Sharpe ratio; the
    other 8 show the rank of that variant among all. Counted are the choices in which it is not in the upper half.
    Pure noise gives about one half. A variant that does not move in a half has a Sharpe ratio of 0 there; equal ones
    share the mean of their ranks.

    None for fewer than 10 variants, and where a block has fewer than two candles.
    """
    if len(variants) < FEWEST_VARIANTS or min(track.candles for track in variants) < 2 * BLOCKS:
        return None
    sums = np.array([track.blocks for track in variants])
    annual = np.array([track.candles_a_year for track in variants]) ** 0.5
    halves = list(combinations(range(BLOCKS), BLOCKS // 2))
    inside = np.zeros((len(halves), BLOCKS))
    inside[np.arange(len(halves))[:, None], halves] = 1.0
    rows = max(1, _NUMBERS_AT_ONCE // len(variants))
    overfitted = 0.0
    for first in range(0, len(halves), rows):
        half = inside[first : first + rows]
        # Half x variant x (number, sum, sum of squares).
        own, other = (
            np.nan_to_num(sharpes(np.einsum("hb,vbs->hvs", part, sums, optimize=True))) * annual
            for part in (half, 1.0 - half)
        )
        best = np.take_along_axis(other, own.argmax(axis=1)[:, None], axis=1)
        rank = (other < best).sum(axis=1) + ((other == best).sum(axis=1) + 1) / 2
        overfitted += float(np.count_nonzero(rank <= (len(variants) + 1) / 2))
    return overfitted / len(halves)
