"""The simulated exchange's order book: around a price, at one moment, as whole steps of its grid and whole lots."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from mcp_server.adapters.simulated.noise import mixed, uniforms
from mcp_server.adapters.simulated.path import POINT_MS, SimulatedMarket, price_at
from mcp_server.domain.exchange import Level, OrderBook

_GAP_RATIO = 1e-5  # between neighbouring prices, about: twenty of them reach 0.02 % away
_SIZE_LOTS = 1500  # at the best price, about; 0.15 BTC

Side = Literal[-1, 1]


def order_book(market: SimulatedMarket, now_ms: int, depth: int) -> OrderBook:
    """Make the book at a moment; it is the same until the path's next point, and a deeper one begins like it."""
    last = price_at(market, now_ms)
    return OrderBook(
        observed_at_ms=now_ms,
        bids=_levels(market, last, now_ms // POINT_MS, -1, depth),
        asks=_levels(market, last, now_ms // POINT_MS, 1, depth),
    )


def best(market: SimulatedMarket, last: float, side: Side) -> float:
    """Return the best bid (-1) or ask (1) around a last price: one step of the grid away."""
    return (market.ticks(last) + side) / 10.0**market.decimals


def _levels(market: SimulatedMarket, last: float, point: int, side: Side, depth: int) -> Sequence[Level]:
    """Make one side, the best price first: fewer than `depth` where bids would come down to zero."""
    luck = uniforms(mixed(mixed(market.seed + 78) + 2 * point) + side, 0, 2 * depth)
    centre = market.ticks(last)
    gaps = 1 + np.floor(2 * _GAP_RATIO * centre * luck[::2])
    gaps[:1] = 1
    ticks = centre + side * np.cumsum(gaps)
    # The square of a uniform number has a mean of 1/3, and a long tail: most sizes are small, some are walls.
    sizes = 1 + np.floor(_SIZE_LOTS * np.sqrt(np.arange(1, depth + 1)) * 3 * luck[1::2] ** 2)
    prices, amounts = ticks[ticks > 0] / 10.0**market.decimals, market.in_base(sizes[ticks > 0])
    return list(zip(prices.tolist(), amounts.tolist(), strict=True))
