"""What one unit of base pays for fundings while it is held."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcp_server.domain.candles import Candles, Floats
from mcp_server.domain.exchange import Funding
from mcp_server.domain.timeframes import timeframe_ms


@dataclass(frozen=True, slots=True, eq=False)
class FundingPaid:
    """What a long position of one unit of base has paid since the first candle, in quote; a short one received it.

    `at_open` is by the open of each candle, what is settled at that very moment included; `at_close` is before its
    close.
    """

    at_open: Floats
    at_close: Floats


def funding_paid(candles: Candles, timeframe: str, fundings: Sequence[Funding]) -> FundingPaid:
    """Add up settled fundings: each is its rate of the price at its time.

    That price is the open of the candle in which it is settled, or the close before it where that candle is missing.
    """
    at_open, within = np.zeros(len(candles)), np.zeros(len(candles))
    if not fundings or not len(candles):
        return FundingPaid(at_open, at_open)
    times = np.array([funding.time_ms for funding in fundings], dtype=np.int64)
    rates = np.array([funding.rate for funding in fundings], dtype=np.float64)
    inside = (times >= candles.open_time_ms[0]) & (times < candles.open_time_ms[-1] + timeframe_ms(timeframe))
    times, rates = times[inside], rates[inside]
    candle = np.searchsorted(candles.open_time_ms, times, side="right") - 1
    since_open = times - candles.open_time_ms[candle]
    in_gap = since_open >= timeframe_ms(timeframe)
    paid = rates * np.where(in_gap, candles.close[candle], candles.open[candle])
    later = ~in_gap & (since_open > 0)
    np.add.at(within, candle[later], paid[later])
    np.add.at(at_open, (candle + in_gap)[~later], paid[~later])
    total = np.cumsum(at_open + within)
    return FundingPaid(total - within, total)
