"""What so many signals can show at all: told before a replay is paid for, and beside its results."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from mcp_server.domain.scoring.base_rate import moments_before
from mcp_server.domain.scoring.non_overlapping import apart
from mcp_server.domain.scoring.outcomes import entry_open_ms, exit_close_ms
from mcp_server.domain.scoring.pace import EDGE, outcomes_to_show
from mcp_server.domain.timeframes import timeframe_ms, to_ms

TYPICAL = 0.45
"""A base rate where none is known yet: what can be shown hardly depends on it."""

_POINTS = 100


def most_apart(moments: Sequence[datetime], timeframe: str, horizon_s: int) -> int:
    """Return how many signals at these moments do not overlap, if each of them were a BUY or SELL."""
    decided = np.array([to_ms(moment) for moment in moments], dtype=np.int64)
    entry = entry_open_ms(decided, decided, timeframe)
    return len(apart(entry, exit_close_ms(entry, timeframe, np.full(len(entry), horizon_s * 1000))))


def independent_before(timeframe: str, horizon_s: int) -> float:
    """Return from how many independent moments the base rate is known before the first of some signals."""
    horizon = max(horizon_s * 1000 // timeframe_ms(timeframe), 1)
    return moments_before(horizon) / horizon


def smallest_edge(signals: int, base_rate: float, independent: float) -> int | None:
    """Return the smallest edge, in points, that four of five strategies which have it would show; None: not even 100 %.

    An edge is the true hit rate less the base rate. It shows as an e-value of 20, at any time within the window.

    Args:
        signals: how many there are, whose horizons do not overlap.
        base_rate: as a ratio.
        independent: as `outcomes_to_show` takes it.
    """
    shown, too_small = int(_POINTS * (1 - base_rate)) + 1, 0
    most = shown
    while shown - too_small > 1:
        points = (shown + too_small) // 2
        needed = outcomes_to_show(points / _POINTS, base_rate, independent)
        shown, too_small = (points, too_small) if needed is not None and needed <= signals else (shown, points)
    return None if shown == most else shown


def window_shows(signals: int, independent: float, base_rate: float | None = None) -> str:
    """Say in one sentence what so many signals can show. Arguments as of `smallest_edge`."""
    rate = TYPICAL if base_rate is None else base_rate
    edge, needed = smallest_edge(signals, rate, independent), outcomes_to_show(EDGE, rate, independent)
    begin = f"{signals:,} signal{'' if signals == 1 else 's'} whose horizons do not overlap"
    if edge is None:
        begin += f" {'is' if signals == 1 else 'are'} too few to show any skill"
    else:
        only = "only " if edge > _POINTS * EDGE else ""
        points = f"{edge} point{'' if edge == 1 else 's'}"
        begin += f" can show {only}an edge of {points} or more above the base rate (in 4 of 5 cases)"
    if edge is not None and edge <= _POINTS * EDGE:
        return f"{begin}."
    enough = "more than 100,000" if needed is None else f"about {_rounded(needed)}"
    return f"{begin}; being right 5 points more often than by chance shows after {enough} of them."


def _rounded(count: int) -> str:
    """Write a number with two digits that mean something."""
    return f"{float(f'{count:.2g}'):,.0f}"
