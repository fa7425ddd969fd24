"""What the market did after a decision: in which candle it is entered, in which it is left, and at which prices."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcp_server.domain.backtest.decisions import fill_open_ms
from mcp_server.domain.candles import Candles, Floats, Times
from mcp_server.domain.timeframes import timeframe_ms


@dataclass(frozen=True, slots=True, eq=False)
class Prices:
    """The open of each entry and the close of each exit, in quote per base; NaN where that candle is missing."""

    entry: Floats
    exit: Floats

    @property
    def r(self) -> Floats:
        """What holding the market from entry to exit returned, as a ratio; NaN where a price is missing."""
        return self.exit / self.entry - 1


def entry_open_ms(decided_ms: Times, answered_ms: Times, timeframe: str) -> Times:
    """Return when the candle opens in whose open each decision is entered.

    It is the candle in which a backtest fills: the one that opens at the decision, else the first one after it. If that
    candle had closed before the answer came, it is the first one that opens at the answer or after it.

    Args:
        decided_ms: the as-of of each decision (Unix ms).
        answered_ms: when each answer came (Unix ms).
        timeframe: of the candles.
    """
    fill = fill_open_ms(decided_ms, timeframe)
    late = answered_ms >= fill + timeframe_ms(timeframe)
    return np.where(late, fill_open_ms(answered_ms, timeframe), fill)


def exit_close_ms(entry_ms: Times, timeframe: str, horizon_ms: int | Times) -> Times:
    """Return the last close at or before each entry + horizon (Unix ms).

    A horizon below one timeframe has none: its exit is the entry, and `judge` finds no price for it.
    """
    length = timeframe_ms(timeframe)
    return entry_ms + np.asarray(horizon_ms, dtype=np.int64) // length * length


def judge(candles: Candles, timeframe: str, entry_ms: Times, exit_ms: Times) -> Prices:
    """Return the prices at which each decision is entered and left: those of exactly these candles, or NaN.

    Args:
        candles: closed candles of the market, with any gaps.
        timeframe: of the candles.
        entry_ms: when the candle of each entry opens, as `entry_open_ms` returns it.
        exit_ms: when the candle of each exit closes, as `exit_close_ms` returns it.
    """
    entry = _at(candles.open_time_ms, candles.open, entry_ms)
    exit_ = _at(candles.open_time_ms, candles.close, exit_ms - timeframe_ms(timeframe))
    return Prices(entry, np.where(exit_ms > entry_ms, exit_, np.nan))


def _at(times: Times, values: Floats, wanted: npt.NDArray[np.int64]) -> Floats:
    """Return the value at exactly each of the wanted times; NaN where there is none."""
    place = np.searchsorted(times, wanted)
    there = np.append(times, -1)[place] == wanted
    return np.where(there, np.append(values, np.nan)[place], np.nan)
