"""What became of divergences: whether they still hold, and how often earlier ones of their kind came true."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcp_server.domain.candles import Candles, Floats
from mcp_server.domain.divergence.find import Divergence

SAMPLE_CANDLES = 2_000
"""A divergence is judged by those confirmed within this many candles before it."""

TOSSES = 20
"""Coin tosses added to the record: without them a handful of lucky divergences would pass for a forecast. On recorded,
invented and random candles they gave a lower Brier score than Laplace's two tosses for each of four oscillators."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A divergence with what is known of it.

    Attributes:
        sample: how many earlier divergences of the same direction and kind it is judged by.
        came_true: how many of them came true.
        invalidated: the first candle that closed beyond the second pivot, or None.
        outcome: what came of it since, or None while that is open.
    """

    divergence: Divergence
    sample: int
    came_true: int
    invalidated: int | None
    outcome: "DivergenceOutcome | None" = None

    @property
    def confidence(self) -> float | None:
        """The chance, 0 to 100, that it comes true, by the record of the earlier ones; None without any.

        The record is counted together with `TOSSES` tosses of a coin, which is what it would be on a random walk.
        """
        return 100 * (self.came_true + TOSSES / 2) / (self.sample + TOSSES) if self.sample else None


@dataclass(frozen=True, slots=True)
class DivergenceOutcome:
    """Which way price went first, by one ATR, and at which candle."""

    decided: int
    came_true: bool


def judge(candles: Candles, atr: Floats, divergences: Sequence[Divergence], since: int) -> list[Judged]:
    """Judge the divergences whose first pivot is at `since` or later, each by what was known when it was confirmed.

    An earlier one counts when it was confirmed within the `SAMPLE_CANDLES` before and decided by then. It came true
    when price, from the close that confirmed it, touched one ATR (as of that close) the indicated way before one ATR
    the other way; a candle that touches both counts against it. Later candles change nothing but
    `invalidated` and `outcome`.

    Args:
        candles: n candles.
        atr: shape (n,), in quote, NaN where undefined.
        divergences: as `find_divergences` returns them.
        since: a position among the candles.
    """
    wanted = [divergence for divergence in divergences if divergence.first >= since]
    earliest = min((divergence.confirmed for divergence in wanted), default=len(candles)) - SAMPLE_CANDLES
    outcomes = {other: _outcome(candles, atr, other) for other in divergences if other.confirmed >= earliest}
    return [_judged(candles, divergence, outcomes) for divergence in wanted]


def _judged(candles: Candles, divergence: Divergence, outcomes: dict[Divergence, DivergenceOutcome | None]) -> Judged:
    known = [
        outcome.came_true
        for other, outcome in outcomes.items()
        if outcome is not None
        and outcome.decided <= divergence.confirmed
        and other.confirmed >= divergence.confirmed - SAMPLE_CANDLES
        and (other.direction, other.kind) == (divergence.direction, divergence.kind)
    ]
    return Judged(divergence, len(known), sum(known), _invalidated(candles, divergence), outcomes[divergence])


def _outcome(candles: Candles, atr: Floats, divergence: Divergence) -> DivergenceOutcome | None:
    """Return whether a divergence came true, and when that was decided; None while it is open, or without an ATR."""
    at = divergence.confirmed
    distance = float(atr[at])
    if not distance > 0:
        return None
    above = _first(candles.high[at + 1 :] >= candles.close[at] + distance)
    below = _first(candles.low[at + 1 :] <= candles.close[at] - distance)
    towards, against = (above, below) if divergence.direction == "bullish" else (below, above)
    decided = min((touch for touch in (towards, against) if touch is not None), default=None)
    if decided is None:
        return None
    return DivergenceOutcome(at + 1 + decided, towards == decided and against != decided)


def _invalidated(candles: Candles, divergence: Divergence) -> int | None:
    after, pivot = candles.close[divergence.confirmed + 1 :], divergence.second
    beyond = after < candles.low[pivot] if divergence.direction == "bullish" else after > candles.high[pivot]
    broken = _first(beyond)
    return None if broken is None else divergence.confirmed + 1 + broken


def _first(true: npt.NDArray[np.bool_]) -> int | None:
    """Return the position of the first true value."""
    return int(np.argmax(true)) if true.any() else None
