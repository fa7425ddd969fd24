"""What a long position pays for fundings from entry to exit; an unknown funding is never taken for 0."""

from collections.abc import Sequence

import numpy as np

from mcp_server.domain.backtest.fundings import funding_prices, missing_times
from mcp_server.domain.candles import Candles, Floats, Times
from mcp_server.domain.exchange import Funding
from mcp_server.domain.timeframes import timeframe_ms


def held_fundings(
    candles: Candles, timeframe: str, fundings: Sequence[Funding], entry_ms: Times, exit_ms: Times
) -> Floats:
    """Return what a long position paid for each outcome, as a ratio of its entry price; a short one received it.

    Paid are the fundings that were settled after the entry and up to the exit, each its rate of the price at its time,
    as in a backtest; at the exit that is the exit price. NaN where one of them is not known, where none at all is, or
    where the candle of the entry or the exit is missing.

    Args:
        candles: closed candles from the first entry to the last exit.
        timeframe: of the candles.
        fundings: the known ones, oldest first. Some from before the first entry show how often they are settled.
        entry_ms: when the candle of each entry opens.
        exit_ms: when the candle of each exit closes.
    """
    if not len(entry_ms) or not len(candles) or not fundings:
        return np.full(len(entry_ms), np.nan)
    opened, closed = candles.open_time_ms, candles.open_time_ms + timeframe_ms(timeframe)
    entry, exit_ = np.searchsorted(opened, entry_ms), np.searchsorted(closed, exit_ms)
    there = (np.append(opened, -1)[entry] == entry_ms) & (np.append(closed, -1)[exit_] == exit_ms)
    times = np.array([funding.time_ms for funding in fundings], dtype=np.int64)
    rates = np.array([funding.rate for funding in fundings])
    paid = _sums(rates * funding_prices(candles, timeframe, times), times, entry_ms, exit_ms)
    at_exit = np.searchsorted(times, exit_ms)
    rate_at_exit = np.where(np.append(times, -1)[at_exit] == exit_ms, np.append(rates, 0)[at_exit], 0)
    total = paid + rate_at_exit * np.append(candles.close, np.nan)[exit_]
    missing = missing_times(fundings, min(int(entry_ms.min()), int(times[0])), int(exit_ms.max()))
    complete = np.searchsorted(missing, entry_ms, side="right") == np.searchsorted(missing, exit_ms, side="right")
    return np.where(there & complete, total / np.append(candles.open, np.nan)[entry], np.nan)


def _sums(paid: Floats, times: Times, entry_ms: Times, exit_ms: Times) -> Floats:
    """Add up what is paid after each entry and before its exit: each sum of its own, the same whatever lies around."""
    first, stop = np.searchsorted(times, entry_ms, side="right"), np.searchsorted(times, exit_ms)
    sums = np.add.reduceat(np.append(paid, 0.0), np.column_stack([first, np.maximum(stop, first)]).ravel())[::2]
    return np.where(first < stop, sums, 0.0)
