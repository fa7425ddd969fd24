"""The slots of a schedule over past candles: what was decided at each, and in which candle an order of it fills."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcp_server.domain.backtest.slot_times import slot_times
from mcp_server.domain.candles import Candles, Times
from mcp_server.domain.rules.series import UNDECIDED, Codes
from mcp_server.domain.strategy.format import Config
from mcp_server.domain.timeframes import candle_open_ms, timeframe_ms

Positions = npt.NDArray[np.int64]
"""Positions of candles; -1 is none."""


@dataclass(frozen=True, slots=True, eq=False)
class Decisions:
    """One entry per slot, oldest first.

    `slot_ms` is when it came due (Unix ms). `signal` has the codes of `rules.series`; it is UNDECIDED also where the
    last candle that was closed by then is missing. `fill` is the position, among the candles of the range (see
    `candles_of_range`), of the candle in whose open an order fills: the first one that opens at or after the slot; -1
    where that candle is missing.
    """

    slot_ms: Times
    signal: Codes
    fill: Positions

    def __len__(self) -> int:
        return len(self.slot_ms)


def candles_of_range(candles: Candles, timeframe: str, start_ms: int, end_ms: int) -> Candles:
    """Return the candles that a backtest of a range trades on: those that open in it and are closed by its end."""
    return candles.closed_by(end_ms, timeframe).between(start_ms, end_ms)


def decide_slots(
    config: Config, timeframe: str, candles: Candles, signals: Codes, start_ms: int, end_ms: int
) -> Decisions:
    """Return what was decided at each slot in (start, end], as a run at that slot decides.

    Args:
        config: whose interval, or cron and time zone, say when a slot is due.
        timeframe: of the candles.
        candles: closed candles, also those before the start, as the first slots decide on them.
        signals: the signal at each of these candles.
        start_ms: from here on (Unix ms).
        end_ms: up to here (Unix ms).
    """
    slot_ms = slot_times(config, start_ms, end_ms)
    covering, after = _cells(slot_ms, timeframe)
    position = _PositionTable(candles, timeframe)
    decided_on = position.of(covering - 1)
    signal = np.append(signals, np.int8(UNDECIDED))[decided_on]  # -1 takes the last one
    first = np.searchsorted(candles.open_time_ms, start_ms)
    stop = np.searchsorted(candles.open_time_ms, end_ms - timeframe_ms(timeframe), side="right")
    fill = position.of(after)
    fill = np.where((fill >= first) & (fill < stop), fill - first, -1)
    return Decisions(slot_ms, signal, fill)


def fill_open_ms(slot_ms: Times, timeframe: str) -> Times:
    """Return when the candle opens in which an order of each slot fills: at the slot, or the first time after it."""
    return _cells(slot_ms, timeframe)[1] * timeframe_ms(timeframe) + candle_open_ms(0, timeframe)


def _cells(at_ms: Times, timeframe: str) -> tuple[Positions, Positions]:
    """Number the candles that a timeframe can have: those that cover each moment, and those that open at it or next."""
    length, origin = timeframe_ms(timeframe), candle_open_ms(0, timeframe)
    covering = (at_ms - origin) // length  # numpy's % is ten times as slow
    return covering, covering + (covering * length + origin != at_ms)


class _PositionTable:
    """Where the candle of each number stands: searching sorted times would take several times as long."""

    def __init__(self, candles: Candles, timeframe: str) -> None:
        covering, after = _cells(candles.open_time_ms, timeframe)
        on_grid = covering == after  # others can be no candles of this timeframe: no slot decides on them
        cells = covering[on_grid]
        self._first = int(cells[0]) if len(cells) else 0
        self._table = np.full(int(cells[-1]) - self._first + 2 if len(cells) else 1, -1, dtype=np.int64)
        self._table[cells - self._first] = np.flatnonzero(on_grid)

    def of(self, cells: Positions) -> Positions:
        """Return the positions of the candles with these numbers; -1 where there is none."""
        index = cells - self._first
        end = len(self._table) - 1  # holds -1
        return self._table[np.where((index >= 0) & (index < end), index, end)]
