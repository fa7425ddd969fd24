"""Divergences: two swings of price between which an oscillator went the other way."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mcp_server.domain.candles import Candles, Floats
from mcp_server.domain.divergence.pivots import Positions, swing_lows

Direction = Literal["bullish", "bearish"]
Kind = Literal["regular", "hidden"]

_EQUAL = 1e-9
"""Relative: oscillator values that differ by no more are equal; no better are they known (see `Spec.history`)."""


@dataclass(frozen=True, slots=True)
class Divergence:
    """Two pivots that diverge, as positions of candles.

    Attributes:
        first: the earlier pivot.
        second: the later one.
        confirmed: the candle at whose close the second pivot, and so the divergence, became known.
        strength: 0 to 100. The geometric mean of two shares: of the ground that price covered from the first pivot to
            the second (highest high less lowest low), the part by which the second pivot differs from the first; and
            the same of the oscillator. 100 when both went straight apart, towards 0 when either hardly differs.
    """

    direction: Direction
    kind: Kind
    first: int
    second: int
    confirmed: int
    strength: float


def find_divergences(candles: Candles, oscillator: Floats, pivot_candles: int, span: int) -> list[Divergence]:
    """Find all divergences; later candles add to them and change none.

    Between swing lows: regular bullish, price makes a lower low and the oscillator a higher one; hidden bullish, price
    a higher low and the oscillator a lower one. Bearish ones mirror these at swing highs. The oscillator is taken at
    the pivot's own candle. Two lines join the pivots: no candle between may close beyond that of price, and no
    oscillator value between may lie beyond its own, or be undefined. A pivot is compared with all earlier ones within
    `span`; of each kind the nearest that qualifies counts.

    Args:
        candles: n candles.
        oscillator: shape (n,), NaN where undefined; such a candle is no pivot.
        pivot_candles: as in `swing_lows`.
        span: a divergence covers at most so many candles, from pivot to pivot, both counted.

    Returns:
        The divergences, oldest first; of those confirmed together regular ones last.
    """
    values = np.where(np.isfinite(oscillator), oscillator, np.nan)
    lows = _Side("bullish", candles.low, candles.high, candles.close, values)
    highs = _Side("bearish", -candles.high, -candles.low, -candles.close, -values)
    divergences = [divergence for side in (lows, highs) for divergence in _at_lows(side, pivot_candles, span)]
    return sorted(divergences, key=lambda divergence: (divergence.confirmed, divergence.kind == "regular"))


@dataclass(frozen=True, slots=True)
class _Side:
    """Candles as they are, for swing lows, or upside down: then swing highs are lows and bearish is bullish."""

    direction: Direction
    low: Floats
    high: Floats
    close: Floats
    oscillator: Floats


def _at_lows(side: _Side, pivot_candles: int, span: int) -> Iterator[Divergence]:
    lows = swing_lows(side.low, pivot_candles)
    pivots = lows[np.isfinite(side.oscillator[lows])]
    begins = np.searchsorted(pivots, pivots - span + 1)
    for number, second in enumerate(pivots.tolist()):
        for kind, first in _partners(side, second, pivots[begins[number] : number]):
            yield Divergence(
                side.direction, kind, first, second, second + pivot_candles, _strength(side, first, second)
            )


def _partners(side: _Side, second: int, earlier: Positions) -> Iterator[tuple[Kind, int]]:
    """Return for each kind the nearest of the earlier pivots that diverges from the one at `second`.

    Slopes are per candle, seen backwards from `second`: positive where the earlier value is higher.
    """
    if not len(earlier):
        return
    between = slice(int(earlier[0]) + 1, second)
    price = (side.low[earlier] - side.low[second]) / (second - earlier)
    change = side.oscillator[earlier] - side.oscillator[second]
    size = np.maximum(np.abs(side.oscillator[earlier]), np.abs(side.oscillator[second]))
    oscillator = np.where(np.abs(change) > _EQUAL * size, change, 0.0) / (second - earlier)
    uncut = (price <= _lowest_slopes(side.close, between, side.low[second])[second - earlier - 2]) & (
        oscillator <= _lowest_slopes(side.oscillator, between, side.oscillator[second])[second - earlier - 2]
    )
    regular = earlier[uncut & (price > 0) & (oscillator < 0)]
    hidden = earlier[uncut & (price < 0) & (oscillator > 0)]
    if len(regular):
        yield "regular", int(regular[-1])
    if len(hidden):
        yield "hidden", int(hidden[-1])


def _lowest_slopes(values: Floats, between: slice, end: float) -> Floats:
    """Return at i the lowest slope from the candle after `between`, of value `end`, to the i + 1 candles before it."""
    backwards = values[between][::-1]
    return np.asarray(np.minimum.accumulate((backwards - end) / np.arange(1, len(backwards) + 1)), dtype=np.float64)


def _strength(side: _Side, first: int, second: int) -> float:
    covered = slice(first, second + 1)
    price = abs(side.low[second] - side.low[first]) / (side.high[covered].max() - side.low[covered].min())
    oscillator = abs(side.oscillator[second] - side.oscillator[first]) / np.ptp(side.oscillator[covered])
    return float(100 * np.sqrt(price * oscillator))
