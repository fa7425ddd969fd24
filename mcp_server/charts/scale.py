"""The vertical scale of a panel: which values it spans, where they lie, and which of them are written beside it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mcp_server.domain.candles import Floats
from mcp_server.domain.text import significant

LOG_FROM = 4.0
"""If the highest price is at least this many times the lowest, the scale is logarithmic."""

_ROUND = (1, 2, 2.5, 5)
_LOG_STEPS = ((1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8), (1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,))


@dataclass(frozen=True, slots=True)
class Scale:
    """Values from `low` to `high`, drawn from bottom to top."""

    low: float
    high: float
    log: bool = False

    def share(self, value: float) -> float:
        """Return how far up a value lies: 0 at the bottom, 1 at the top."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def holds(self, value: float) -> bool:
        """Return whether a value lies between bottom and top."""
        return self.low <= value <= self.high


def price_scale(lows: Floats, highs: Floats, others: Sequence[Floats], *, padding: float) -> Scale:
    """Span the candles, and what is drawn on them unless it is so far off that it would press them flat.

    Args:
        lows: the candles' lows.
        highs: their highs.
        others: values of other things on the panel; NaN is ignored.
        padding: room to leave below and above, as a ratio of the panel's height.
    """
    low, high = float(lows.min()), float(highs.max())
    log = low > 0 and high / low >= LOG_FROM
    if log:
        low, high = math.log(low), math.log(high)
        others = [np.log(values[values > 0]) for values in others]
    reach = (high - low) * 0.5
    seen = np.concatenate([np.empty(0), *(values[np.isfinite(values)] for values in others)])
    near = seen[(seen >= low - reach) & (seen <= high + reach)]
    low, high = float(min([low, *near])), float(max([high, *near]))
    padded = _padded(low, high, padding)
    return Scale(math.exp(padded.low), math.exp(padded.high), True) if log else padded


def value_scale(values: Sequence[Floats], levels: Sequence[float], *, padding: float) -> Scale:
    """Span values and levels; NaN is ignored."""
    seen = np.concatenate([np.asarray(levels, dtype=np.float64), *(v[np.isfinite(v)] for v in values)])
    return _padded(float(seen.min()), float(seen.max()), padding) if len(seen) else Scale(0.0, 1.0)


def volume_scale(volume: Floats, others: Sequence[Floats]) -> Scale:
    """Span volumes from zero up."""
    seen = np.concatenate([[0.0], *(values[np.isfinite(values)] for values in (volume, *others))])
    return Scale(0.0, float(seen.max()) * 1.15 or 1.0)


def ticks(scale: Scale, most: int) -> list[float]:
    """Choose at most about `most` round values to write beside a scale, lowest first."""
    most = max(most, 1)
    if scale.log:
        return _log_ticks(scale, most)
    least = (scale.high - scale.low) / most
    decade = 10.0 ** math.floor(math.log10(least))
    step = next(decade * nice for nice in (*_ROUND, 10) if decade * nice >= least * (1 - 1e-9))
    first, last = math.ceil(scale.low / step - 1e-9), math.floor(scale.high / step + 1e-9)
    return [significant(count * step, 12) for count in range(first, last + 1)]


def step_of(values: Sequence[float]) -> float:
    """Return the least distance between ticks; of a single one, itself."""
    steps = [after - before for before, after in pairwise(values)]
    return min(steps) if steps else abs(values[0]) if values else 1.0


def _log_ticks(scale: Scale, most: int) -> list[float]:
    powers = range(math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high)) + 1)
    for mantissas in _LOG_STEPS:
        round_values = [
            float(f"{m}e{power}") for power in powers for m in mantissas if scale.holds(float(f"{m}e{power}"))
        ]
        if len(round_values) <= most:
            break
    return round_values[:: -(-len(round_values) // most)] if round_values else round_values


def _padded(low: float, high: float, padding: float) -> Scale:
    """Leave room; a single value gets some on either side."""
    if high - low <= max(abs(low), abs(high)) * 1e-9:
        room = max(abs(low), abs(high)) * 0.01 or 1.0
        low, high = low - room, high + room
    room = (high - low) * padding / (1 - 2 * padding)
    return Scale(low - room, high + room)
