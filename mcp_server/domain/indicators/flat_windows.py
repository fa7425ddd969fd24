"""Windows in which nothing moved, traded or ranged: the building blocks of the rules on what is 0/0."""

from collections.abc import Callable, Mapping, Sequence
from math import ceil, isqrt, log1p

import numpy as np
import numpy.typing as npt

from mcp_server.domain.candles import Floats

Mask = npt.NDArray[np.bool_]
Parameters = Mapping[str, int | float]
Rule = Callable[[Sequence[Floats], Parameters], Mask | tuple[Mask, ...]]
"""Derives from an indicator's inputs and parameters which rows are undefined: one row for all outputs, or one each."""

WINDOWS: dict[float, Callable[[int], int]] = {
    **dict.fromkeys((0, 2, 5), lambda period: period),
    9: lambda period: period + isqrt(period),
    10: lambda _: 1,
}
"""Rows that a moving average sees, by TA-Lib's number: SMA, WMA, TRIMA; Hull; none. The others only fade them out."""

_FADED_PERIODS = 21
"""Periods until a recursive average weighs an old value below 1e-9 (Wilder's, the slowest: exp(-21))."""

_FOREVER = 1 << 62


def flat(moved: Mask, rows: int = _FOREVER) -> Mask:
    """Return True where nothing moved in the last `rows` rows, or since the start if that is nearer."""
    return _since(moved) >= np.minimum(rows, np.arange(1, len(moved) + 1))


def masks(rule: Rule | None, inputs: Sequence[Floats], parameters: Parameters) -> Mask:
    """Apply a rule, where there is one: shape (1 or outputs, rows), True where it is undefined."""
    mask = rule(inputs, parameters) if rule and len(inputs[0]) else np.zeros(len(inputs[0]), dtype=np.bool_)
    return np.atleast_2d(mask)


def any_of(mask: Mask, rows: int) -> Mask:
    """Return True where one of the last `rows` rows is set."""
    return ~flat(mask, rows)


def _since(moved: Mask) -> npt.NDArray[np.int64]:
    """Count the rows since the last one that moved, which has 0; before the first, since just before the start."""
    row = np.arange(len(moved), dtype=np.int64)
    return row - np.maximum.accumulate(np.where(moved, row, -1))


def changes(values: Floats) -> Mask:
    """Return True where a value differs from the one before; the first has none."""
    changed = np.zeros(len(values), dtype=np.bool_)
    changed[1:] = values[1:] != values[:-1]
    return changed


def earlier(mask: Mask, rows: int) -> Mask:
    """Move a mask down: return what held `rows` rows ago."""
    shifted = np.zeros_like(mask)
    shifted[rows:] = mask[: max(len(mask) - rows, 0)]
    return shifted


def after(warm_up: int, mask: Mask) -> Mask:
    """Clear the rows of the warm-up: no later value is built on them."""
    mask[:warm_up] = False
    return mask


def memory(weight: float) -> int:
    """Return the rows after which a recursive average that weighs the newest value so much has underflowed to 0."""
    return 1 if weight >= 1 else ceil(-650 / log1p(-weight))


def wilder(period: float) -> int:
    """Return the memory of Wilder's average."""
    return memory(1 / period)


def ema(period: float) -> int:
    """Return the memory of an exponential average."""
    return memory(2 / (period + 1))


def smoothed(mask: Mask, period: float, average: float) -> Mask:
    """Return where an average is undefined: over an undefined value, until that has left the average."""
    if period <= 1:
        return mask
    window = WINDOWS.get(average)
    return any_of(mask, window(int(period)) if window else int(period) * _FADED_PERIODS)


def typical(high: Floats, low: Floats, close: Floats) -> Floats:
    """Return the typical prices, computed as TA-Lib does."""
    return (high + low + close) / 3.0


def true_ranges(inputs: Sequence[Floats]) -> Mask:
    """Return True where the true range is above zero; the first row has none."""
    high, low, close = inputs
    ranges = np.zeros(len(high), dtype=np.bool_)
    ranges[1:] = np.maximum(high[1:], close[:-1]) > np.minimum(low[1:], close[:-1])
    return ranges


def flat_range(high: Floats, low: Floats, period: float) -> Mask:
    """Return True where the highest high of the period is its lowest low; not before one period is complete."""
    rows = int(period)
    return after(rows - 1, flat(high != low, rows) & flat(changes(high), rows - 1))
