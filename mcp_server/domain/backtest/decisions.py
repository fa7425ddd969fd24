"""The slots of a schedule over past candles: what was decided at each, and in which candle an order of it fills."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcp_server.domain.candles import Candles, Times
from mcp_server.domain.rules.series import UNDECIDED, Codes
from mcp_server.domain.schedule.slots import slots
from mcp_server.domain.strategy.format import Config
from mcp_server.domain.timeframes import candle_open_ms, from_ms, timeframe_ms, to_ms

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
    slot_ms = _slots(config, start_ms, end_ms)
    length = timeframe_ms(timeframe)
    opened = _opened_ms(slot_ms, timeframe)
    decided_on = _positions(candles.open_time_ms, opened - length)
    signal = np.full(len(slot_ms), UNDECIDED, dtype=np.int8)
    known = decided_on >= 0
    signal[known] = signals[decided_on[known]]
    traded = candles_of_range(candles, timeframe, start_ms, end_ms)
    return Decisions(slot_ms, signal, _positions(traded.open_time_ms, fill_open_ms(slot_ms, timeframe)))


def fill_open_ms(slot_ms: Times, timeframe: str) -> Times:
    """Return when the candle opens in which an order of each slot fills: at the slot, or the first time after it."""
    opened = _opened_ms(slot_ms, timeframe)
    return np.where(opened == slot_ms, opened, opened + timeframe_ms(timeframe))


def _opened_ms(at_ms: Times, timeframe: str) -> Times:
    """Return the open time of the candle that covers each moment, as `timeframes.candle_open_ms` does."""
    length = timeframe_ms(timeframe)
    origin = candle_open_ms(0, timeframe)
    return at_ms - (at_ms - origin) % length


def _slots(config: Config, start_ms: int, end_ms: int) -> Times:
    """Return the slots in (start, end]."""
    if config.interval is not None:
        length = timeframe_ms(config.interval)
        return np.arange(start_ms // length + 1, end_ms // length + 1, dtype=np.int64) * length
    moments = list[int]()
    for moment in slots(config, from_ms(start_ms)):
        if (at_ms := to_ms(moment)) > end_ms:
            break
        moments.append(at_ms)
    return np.array(moments, dtype=np.int64)


def _positions(times: Times, wanted: Times) -> Positions:
    """Return where each of the wanted times stands among ascending times; -1 where it is not there."""
    if not len(times):
        return np.full(len(wanted), -1, dtype=np.int64)
    position = np.searchsorted(times, wanted)
    there = times[np.minimum(position, len(times) - 1)] == wanted
    return np.where(there, position, -1)
