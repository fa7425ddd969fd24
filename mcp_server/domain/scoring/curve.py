"""What a record would have made of a capital, beside holding its market: a curve over the times of its exits."""

from dataclasses import dataclass

import numpy as np

from mcp_server.domain.candles import Floats, Times
from mcp_server.domain.scoring.signals import JudgedSignals
from mcp_server.domain.thinned import thinned


@dataclass(frozen=True, slots=True, eq=False)
class RecordCurve:
    """A point for the first entry, where both are 0, and one for each exit. Times are Unix ms, values per cent.

    `parts`: into so many equal parts the capital is divided, of which each signal stakes one.
    """

    parts: int
    time_ms: Times
    record_pct: Floats
    holding_pct: Floats


def record_curve(
    judged: JudgedSignals, entry_price: Floats, exit_price: Floats, interval_ms: int | None
) -> RecordCurve | None:
    """Return the curve of a record, thinned so that extremes and the last point stay; None if nothing is judged.

    Each judged BUY and SELL stakes an equal part of the first capital, and what it returned net of all costs is added
    when it is left: summed, not compounded. A HOLD stakes nothing. The parts are as many as can be open at once: the
    longest time held by the interval of the schedule, rounded up; where there is no interval, or answers came so late
    that more were open, as many as really were. So no more than the whole capital is ever staked.

    Holding buys the market at the entry of the first BUY or SELL, and sells nothing: its price alone, without costs.

    Args:
        judged: the record.
        entry_price: of each of its signals.
        exit_price: of each of its signals.
        interval_ms: of the schedule; None: it has none.
    """
    known = judged.directed & np.isfinite(judged.net) & np.isfinite(exit_price) & np.isfinite(entry_price)
    signals = judged.pick(known)
    if not len(signals):
        return None
    parts = open_at_once(signals.entry_ms, signals.exit_ms)
    if interval_ms is not None:
        parts = max(parts, -(-int((signals.exit_ms - signals.entry_ms).max()) // interval_ms))
    first = int(signals.entry_ms.argmin())
    times, place = np.unique(signals.exit_ms, return_inverse=True)
    gained = np.bincount(place, weights=100 * signals.net / parts).astype(np.float64)
    held = np.empty(len(times))
    held[place] = 100 * (exit_price[known] / entry_price[known][first] - 1)
    times = np.append(signals.entry_ms[first], times)
    record, held = np.append(0.0, np.cumsum(gained)), np.append(0.0, held)
    kept = thinned([record, held])
    return RecordCurve(parts, times[kept], record[kept], held[kept])


def open_at_once(entry_ms: Times, exit_ms: Times) -> int:
    """Return how many were open at once at most; one that is left at a moment makes room for one entered then."""
    times = np.concatenate([exit_ms, entry_ms])
    steps = np.concatenate([np.full(len(exit_ms), -1), np.ones(len(entry_ms), dtype=np.int64)])
    return int(np.cumsum(steps[np.lexsort((steps, times))]).max())
