"""Crossovers: when one line passed another, as against merely being above or below it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from mcp_server.domain.candles import Floats


@dataclass(frozen=True, slots=True)
class Crossover:
    """The last crossing of two lines. `position` is the first candle on the new side."""

    direction: Literal["bullish", "bearish"]
    position: int


def last_crossover(line: Floats, other: Floats) -> Crossover | None:
    """Find the last candle at which `line` came to lie on the other side of `other`.

    Candles at which the two are equal, or one is undefined (NaN), belong to no side: touching and turning back is no
    crossing.

    Args:
        line: the line that crosses, shape (n,).
        other: the line that is crossed, shape (n,).

    Returns:
        The crossing, bullish when `line` came from below, or None when there was none.
    """
    side = np.sign(line - other)
    sided = np.flatnonzero(np.isfinite(side) & (side != 0))
    changes = np.flatnonzero(np.diff(side[sided]) != 0)
    if not len(changes):
        return None
    position = int(sided[changes[-1] + 1])
    return Crossover("bullish" if side[position] > 0 else "bearish", position)
