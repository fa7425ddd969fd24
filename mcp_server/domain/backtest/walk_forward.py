"""Walk-forward: choose on what was known, then see how the choice did on what came next."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcp_server.domain.backtest.track import FOLDS, Track, sharpes

FEWEST_CANDLES = 120
"""Below this a fold would have fewer than 20."""

FOLDS_OF_ONE_RULE = (
    "A fold is a part of the time: here five equal ones, after the first sixth. A sweep tries in each fold what was "
    "best before it. One rule alone is neither chosen nor trained, so its folds only show whether the result is spread "
    "over the time or comes from one good part."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """One test part: the variant that was best before it, and what that variant and holding did in it.

    `start_ms` and `end_ms` are the bounds of the test part (Unix ms). `chosen` is the position of the variant, None
    where none has a Sharpe ratio in the training part: nothing is traded then. `return_pct` is None where it was ruined
    before.
    """

    start_ms: int
    end_ms: int
    chosen: int | None
    return_pct: float | None
    buy_and_hold_pct: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkForward:
    """All folds, oldest first, and what the choices returned in all of them, one after the other."""

    folds: tuple[Fold, ...]
    return_pct: float
    buy_and_hold_pct: float


def walk_forward(variants: Sequence[Track], holding: Track) -> WalkForward | None:
    """Choose the variant with the best Sharpe ratio before each of 5 folds, and see what it returns in that fold.

    Sharpe ratios are annual, so that variants of other timeframes compare. Of a single rule nothing is chosen: its own
    returns in each fold are given. A trade that a fold begins or ends with counts by its value at that time; changing
    from one variant to another is not charged for. None for fewer than 120 candles, and without a variant.

    Args:
        variants: all over the same time.
        holding: over that time, in the timeframe that gives the bounds of the folds.
    """
    if not variants or min(track.candles for track in (*variants, holding)) < FEWEST_CANDLES:
        return None
    choices = _choices(variants)
    growth = [1.0 if choice is None else float(variants[choice].growth[fold]) for fold, choice in enumerate(choices)]
    folds = tuple(
        Fold(
            start_ms=int(holding.test_ms[fold, 0]),
            end_ms=int(holding.test_ms[fold, 1]),
            chosen=choice,
            return_pct=None if math.isnan(growth[fold]) else (growth[fold] - 1) * 100,
            buy_and_hold_pct=float(holding.growth[fold] - 1) * 100,
        )
        for fold, choice in enumerate(choices)
    )
    return WalkForward(
        folds=folds,
        return_pct=(math.prod(0.0 if math.isnan(grown) else grown for grown in growth) - 1) * 100,
        buy_and_hold_pct=float(np.prod(holding.growth) - 1) * 100,
    )


def _choices(variants: Sequence[Track]) -> list[int | None]:
    """Return which variant was the best before each fold; the first one of equals."""
    if len(variants) == 1:
        return [0] * FOLDS
    before = np.array([sharpes(track.training) * track.candles_a_year**0.5 for track in variants])
    best = np.argmax(np.where(np.isnan(before), -np.inf, before), axis=0).tolist()
    return [None if np.isnan(before[chosen, fold]) else chosen for fold, chosen in enumerate(best)]
