"""The runs of one series whose horizon is over, with entry and exit of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mcp_server.domain.scoring.outcomes import entry_open_ms, exit_close_ms
from mcp_server.domain.timeframes import KNOWN_AFTER_MS, timeframe_ms

if TYPE_CHECKING:
    from mcp_server.domain.candles import Times
    from mcp_server.storage.candles.ranges import Range
    from mcp_server.storage.candles.store import Series
    from mcp_server.storage.journal.outcomes import DueRun

JOINED_CANDLES = 1_000
"""Signals that lie no further apart than these are judged from one range of candles: it is one request more at most."""


@dataclass(frozen=True, slots=True, eq=False)
class OverRuns:
    """Runs whose exit had closed ten minutes before a moment, as parallel lists. Times are Unix ms."""

    series: Series
    runs: Sequence[DueRun]
    entry_ms: Times
    exit_ms: Times

    @classmethod
    def of(cls, series: Series, runs: Sequence[DueRun], as_of_ms: int) -> OverRuns:
        """Return those of the runs whose exit candle cannot change any more at a moment."""
        decided = np.array([run.decided_ms for run in runs], dtype=np.int64)
        answered = np.array([run.answered_ms for run in runs], dtype=np.int64)
        horizon = np.array([run.terms.horizon_s * 1000 for run in runs], dtype=np.int64)
        entry = entry_open_ms(decided, answered, series.timeframe)
        exit_ = exit_close_ms(entry, series.timeframe, horizon)
        over = exit_ <= as_of_ms - KNOWN_AFTER_MS
        chosen = [run for run, chosen in zip(runs, over, strict=True) if chosen]
        return cls(series, chosen, entry[over], exit_[over])

    def ranges(self) -> list[Range]:
        """Return the open times from each entry to its exit, joined where they lie close together."""
        near = JOINED_CANDLES * timeframe_ms(self.series.timeframe)
        ranges: list[Range] = []
        for entry, exit_ in sorted(zip(self.entry_ms.tolist(), self.exit_ms.tolist(), strict=True)):
            if ranges and entry - ranges[-1][1] <= near:
                ranges[-1] = (ranges[-1][0], max(ranges[-1][1], exit_))
            elif exit_ > entry:
                ranges.append((entry, exit_))
        return ranges
