"""What one unit of base pays for fundings while it is held, and how many fundings of a time are not known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcp_server.domain.candles import Candles, Floats, Mask, Times
from mcp_server.domain.exchange import LONGEST_FUNDING_MS, Funding
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
    candle, in_gap = _candle_of(candles, timeframe, times)
    paid = rates * _prices(candles, candle, in_gap)
    later = ~in_gap & (times > candles.open_time_ms[candle])
    np.add.at(within, candle[later], paid[later])
    np.add.at(at_open, (candle + in_gap)[~later], paid[~later])
    total = np.cumsum(at_open + within)
    return FundingPaid(total - within, total)


def funding_prices(candles: Candles, timeframe: str, times: Times) -> Floats:
    """Return the price at each time of a funding, which is not before the first candle."""
    return _prices(candles, *_candle_of(candles, timeframe, times))


def _candle_of(candles: Candles, timeframe: str, times: Times) -> tuple[Times, Mask]:
    """Return the position of the last candle that has opened by each time, and whether it is closed by then."""
    candle = np.searchsorted(candles.open_time_ms, times, side="right") - 1
    return candle, times - candles.open_time_ms[candle] >= timeframe_ms(timeframe)


def _prices(candles: Candles, candle: Times, in_gap: Mask) -> Floats:
    return np.where(in_gap, candles.close[candle], candles.open[candle])


def missing_fundings(fundings: Sequence[Funding], start_ms: int, end_ms: int) -> int:
    """Return how many settlements from `start_ms` to `end_ms` are not known, as `missing_times` expects them."""
    return len(missing_times(fundings, start_ms, end_ms))


def missing_times(fundings: Sequence[Funding], start_ms: int, end_ms: int) -> Times:
    """Return when settlements from `start_ms` to `end_ms` are to be expected that are not known, in order of time.

    Exchanges change the interval: that of a place is the longer of those before and after it, and never more than the
    eight hours that it is where no funding is known.
    """
    longest = LONGEST_FUNDING_MS
    times = np.array(sorted(f.time_ms for f in fundings if start_ms <= f.time_ms <= end_ms), dtype=np.int64)
    if not len(times):
        return np.arange(-(-start_ms // longest) * longest, end_ms + 1, longest, dtype=np.int64)
    gaps = np.diff(times)
    around = np.pad(gaps, 1, constant_values=0)
    usual = np.minimum(np.maximum(around[:-2], around[2:]), longest)
    usual[usual == 0] = longest  # a gap alone
    wide = np.flatnonzero(gaps > 1.5 * usual)
    between = [
        times[place] + usual[place] * np.arange(1, np.rint(gaps[place] / usual[place]), dtype=np.int64)
        for place in wide
    ]
    first, last = (min(int(gaps[place]), longest) if len(gaps) else longest for place in (0, -1))
    before = np.arange(times[0] - first, start_ms - 1, -first, dtype=np.int64)[::-1]
    return np.concatenate([before, *between, np.arange(times[-1] + last, end_ms + 1, last, dtype=np.int64)])
