"""Fewer points of curves, for a picture: of each part its extremes stay, so that no peak and no fall is lost."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mcp_server.domain.candles import Floats

MOST_POINTS = 400


def thinned(curves: Sequence[Floats], most: int = MOST_POINTS) -> npt.NDArray[np.int64]:
    """Return the positions to keep, in order: the first, the last, and the lowest and highest of each curve in parts.

    Args:
        curves: of one length, without NaN.
        most: keep no more positions than these.
    """
    count = len(curves[0])
    if count <= most:
        return np.arange(count)
    parts = np.array_split(np.arange(1, count - 1), (most - 2) // (2 * len(curves)))
    kept = {0, count - 1}
    for part in parts:
        for curve in curves:
            kept |= {int(part[curve[part].argmin()]), int(part[curve[part].argmax()])}
    return np.array(sorted(kept))
