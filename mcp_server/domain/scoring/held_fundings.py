"""What a long position pays for fundings from entry to exit; an unknown funding is never taken for 0."""

from collections.abc import Sequence

import numpy as np

from mcp_server.domain.backtest.fundings import funding_paid, missing_times
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
        fundings: the known ones. Some from before the first entry show how often they are settled.
        entry_ms: when the candle of each entry opens.
        exit_ms: when the candle of each exit closes.
    """
    if not len(entry_ms) or not len(candles) or not fundings:
        return np.full(len(entry_ms), np.nan)
    opened, closed = candles.open_time_ms, candles.open_time_ms + timeframe_ms(timeframe)
    entry, exit_ = np.searchsorted(opened, entry_ms), np.searchsorted(closed, exit_ms)
    there = (np.append(opened, -1)[entry] == entry_ms) & (np.append(closed, -1)[exit_] == exit_ms)
    entry, exit_ = np.where(there, entry, 0), np.where(there, exit_, 0)
    paid = funding_paid(candles, timeframe, fundings)
    rate_at = {funding.time_ms: funding.rate for funding in fundings}
    at_exit = np.array([rate_at.get(at, 0.0) for at in exit_ms.tolist()]) * candles.close[exit_]
    total = paid.at_close[exit_] - paid.at_open[entry] + at_exit
    first = min(int(entry_ms.min()), *rate_at)
    missing = missing_times(fundings, first, int(exit_ms.max()))
    complete = np.searchsorted(missing, entry_ms, side="right") == np.searchsorted(missing, exit_ms, side="right")
    return np.where(there & complete, total / candles.open[entry], np.nan)
