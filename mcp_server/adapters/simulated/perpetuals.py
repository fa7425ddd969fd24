"""The simulated exchange's perpetual swaps: fundings, mark price and open interest.

A funding rate is settled every eight hours and known for the whole interval before: it follows the price of the three
days that ended as that interval began, so nothing later is in it.
"""

from collections.abc import Sequence

import numpy as np

from mcp_server.adapters.simulated.noise import Floats, mixed, uniforms, walk
from mcp_server.adapters.simulated.path import (
    GENESIS_MS,
    HOURLY_VOLATILITY,
    POINT_MS,
    POINT_VOLATILITY,
    SimulatedMarket,
    candles,
    price_at,
)
from mcp_server.domain.exchange import Funding, PerpetualState
from mcp_server.domain.text import significant
from mcp_server.domain.timeframes import TIMEFRAMES

FUNDING_MS = TIMEFRAMES["8h"]
"""Fundings are settled at 00, 08 and 16 o'clock UTC."""

_TREND_INTERVALS = 9
_OPEN_INTEREST_LOTS = 1e8  # about what is traded in two days
_OPEN_INTEREST_OCTAVES = 20  # the slowest moves over three months


def perpetual_state(market: SimulatedMarket, now_ms: int) -> PerpetualState:
    """Return the state of a swap at a moment."""
    coming = now_ms // FUNDING_MS + 1
    rate = float(_rates(market, coming, 1)[0])
    index = price_at(market, now_ms)
    point = now_ms // POINT_MS
    premium = 2 * rate * float(uniforms(mixed(market.seed + 80), point, 1)[0])
    mark = round(index * (1 + premium), market.decimals)
    level = walk(mixed(market.seed + 81), point, point, step=POINT_VOLATILITY, octaves=_OPEN_INTEREST_OCTAVES, bursts=0)
    held = float(market.in_base(_OPEN_INTEREST_LOTS * np.exp(level))[0])
    return PerpetualState(
        observed_at_ms=now_ms,
        funding_rate=rate,
        next_funding_ms=coming * FUNDING_MS,
        mark_price=mark,
        index_price=index,
        open_interest_base=significant(held),
        open_interest_quote=significant(held * mark),
    )


def fundings(market: SimulatedMarket, end_ms: int, count: int) -> Sequence[Funding]:
    """Return the last `count` fundings settled by `end_ms`; the first of all ends the first whole interval."""
    last = end_ms // FUNDING_MS
    first = max(last - count, GENESIS_MS // FUNDING_MS) + 1
    if first > last:
        return []
    rates = _rates(market, first, last - first + 1).tolist()
    return [Funding(number * FUNDING_MS, rate) for number, rate in enumerate(rates, first)]


def _rates(market: SimulatedMarket, first: int, count: int) -> Floats:
    """Return the rates of intervals in a row; each is known as its interval begins.

    0.01 %, and up to 0.03 % more after a rise or less after a fall over nine intervals, and up to 0.005 % of luck.
    """
    known_ms = (first + count - 2) * FUNDING_MS
    wanted = count + _TREND_INTERVALS
    prices = candles(market, "8h", known_ms - (wanted - 1) * FUNDING_MS, known_ms + 1, known_ms).open
    prices = np.pad(prices, (wanted - len(prices), 0), mode="edge")  # there is no trend before the market's beginning
    trend = prices[_TREND_INTERVALS:] / prices[:-_TREND_INTERVALS] - 1
    trend /= HOURLY_VOLATILITY * np.sqrt(8 * _TREND_INTERVALS)
    luck = uniforms(mixed(market.seed + 79), first, count) - 0.5
    return np.asarray(np.round(1e-4 + 3e-4 * trend / (1 + np.abs(trend)) + 1e-4 * luck, 8), dtype=np.float64)
