"""Pivots: the candles at which price turned, known only once enough candles after them have closed."""

import numpy as np
import numpy.typing as npt

from mcp_server.domain.candles import Floats

Positions = npt.NDArray[np.intp]


def swing_lows(low: Floats, pivot_candles: int) -> Positions:
    """Find the swing lows. The swing highs of `high` are `swing_lows(-high, …)`.

    A candle is one when its low is lower than that of each of the `pivot_candles` before it, and not higher than that
    of any of the `pivot_candles` after it: of equal lows next to each other only the first can be one. All of these
    candles must exist, so a pivot at p is known at the close of candle p + `pivot_candles`, and never changes.

    Args:
        low: shape (n,).
        pivot_candles: at least 1.

    Returns:
        Positions, ascending; two of them are more than `pivot_candles` apart.
    """
    length = len(low)
    if length < 2 * pivot_candles + 1:
        return np.empty(0, dtype=np.intp)
    lowest = np.lib.stride_tricks.sliding_window_view(low, pivot_candles).min(axis=1)
    middle = low[pivot_candles : length - pivot_candles]
    before, after = lowest[: len(middle)], lowest[pivot_candles + 1 :]
    return np.flatnonzero((middle < before) & (middle <= after)) + pivot_candles
