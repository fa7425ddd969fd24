"""The simulated exchange's prices: one path per market, with a point every 15 seconds, and the candles made of it.

A candle of any timeframe is made of the points that it covers, so all timeframes agree, a forming candle holds only
what has happened, and a closed one never changes. Nothing here knows a clock: the present is an argument.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

import numpy as np

from mcp_server.adapters.simulated.noise import Floats, mixed, uniforms, walk
from mcp_server.domain.candles import Candles, merge
from mcp_server.domain.timeframes import candle_open_ms, first_open_ms, timeframe_ms, to_ms

POINT_MS = 15_000
GENESIS_MS = to_ms(datetime(2017, 1, 1, tzinfo=UTC))
"""The first moment of every series."""

USD = {
    "BTC": 64_000.0, "ETH": 3_100.0, "SOL": 150.0, "BNB": 580.0, "XRP": 0.6, "ADA": 0.45, "DOGE": 0.12, "LTC": 80.0,
    "LINK": 14.0, "AVAX": 30.0, "DOT": 6.5, "SHIB": 0.000018, "PEPE": 0.0000081, "PAXG": 2_400.0, "USDT": 1.0,
    "USDC": 1.0, "DAI": 1.0, "USD": 1.0, "EUR": 1.08, "GBP": 1.27, "JPY": 0.0067,
}  # fmt: skip
"""About what one of each costs in US dollars: the level around which a price moves."""

DOLLARS = ("USD", "USDT", "USDC", "DAI")
"""Quotes that are worth the same: a base has one path in all of them."""

HOURLY_VOLATILITY = 0.0045
"""Standard deviation of a price's change in an hour, as a ratio, about."""

POINT_VOLATILITY = HOURLY_VOLATILITY / np.sqrt(3_600_000 / POINT_MS)

_OCTAVES = 25  # the slowest moves over eight years
_DAILY_TURNOVER_USD = 4e8
_BLOCK_POINTS = 1 << 16  # half a MB per array: larger ones cost page faults, smaller ones calls
_KEPT_POINTS = 60  # blocks of candles shorter than 15 minutes are made anew: each would take hundreds of kB to keep
_Columns = tuple[np.ndarray, ...]


@dataclass(frozen=True, slots=True)
class SimulatedMarket:
    """One path: its seed, the price that it moves around, and the decimals of prices (quote) and volumes (base)."""

    seed: int
    price: float
    decimals: int
    lot_decimals: int

    def ticks(self, price: float) -> int:
        """Count the steps of the price grid from zero up to a price."""
        return round(price * 10.0**self.decimals)

    def in_base(self, lots: Floats) -> Floats:
        """Turn whole lots into base units, rounded once: sums of lots are exact, so all timeframes agree on volume."""
        return lots / 10.0**self.lot_decimals if self.lot_decimals >= 0 else lots * 10.0**-self.lot_decimals


def market_of(symbol: str, seed: int) -> SimulatedMarket:
    """Return the market behind a symbol; a swap has the path of its spot market."""
    base, quote = symbol.partition(":")[0].split("/")
    path = f"{seed} {base}/{'USD' if quote in DOLLARS else quote}"
    digest = int.from_bytes(hashlib.sha256(path.encode()).digest()[:8], "big")
    price = _usd(base) / _usd(quote)
    magnitude = int(np.floor(np.log10(price)))
    lot_decimals = 4 - int(np.floor(np.log10(_DAILY_TURNOVER_USD / _usd(base) / 5760)))
    return SimulatedMarket(digest, price, max(6 - magnitude, 0), lot_decimals)


def candles(market: SimulatedMarket, timeframe: str, start_ms: int, end_ms: int, now_ms: int) -> Candles:
    """Make the candles whose open time is in [start_ms, end_ms) and that have opened at `now_ms`."""
    length = timeframe_ms(timeframe)
    first = max(first_open_ms(start_ms, timeframe), first_open_ms(GENESIS_MS, timeframe))
    last = min(first_open_ms(end_ms, timeframe), candle_open_ms(now_ms, timeframe) + length)  # exclusive
    points, now = length // POINT_MS, now_ms // POINT_MS
    step = max(_BLOCK_POINTS // points, 1) * length
    parts = []
    for start in range(first - (first - candle_open_ms(0, timeframe)) % step, last, step):
        whole = start + step <= now_ms and points >= _KEPT_POINTS
        end = start + step if whole else min(start + step, last)
        columns = _block(market, start, end, points) if whole else _made(market, start, end, points, now)
        parts.append(Candles(*columns).between(first, last))
    return merge(parts)


def price_at(market: SimulatedMarket, at_ms: int) -> float:
    """Return the last price at a moment: the path's latest point by then."""
    point = at_ms // POINT_MS
    return float(_path(market, point, point)[0])


def _usd(asset: str) -> float:
    if asset in USD:
        return USD[asset]
    share = int.from_bytes(hashlib.sha256(asset.encode()).digest()[:4], "big") / 2**32
    return float(10 ** (5 * share - 2))


@lru_cache(maxsize=1024)
def _block(market: SimulatedMarket, start_ms: int, end_ms: int, points: int) -> _Columns:
    """Make candles that are all closed; they never change, so the latest asked for are kept (some kB each)."""
    return _made(market, start_ms, end_ms, points, end_ms // POINT_MS)


def _made(market: SimulatedMarket, start_ms: int, end_ms: int, points: int, now: int) -> _Columns:
    """Make candles of `points` points each from start to end; none of their points is later than the point `now`."""
    first = start_ms // POINT_MS
    last = min(end_ms // POINT_MS, now)
    price = _path(market, first, last)
    opens = np.arange(0, min(last - first + 1, (end_ms - start_ms) // POINT_MS), points)
    closes = np.minimum(opens + points, last - first)
    lots = np.append(_lots(market, first, price), 0)
    inner = slice(0, max(int(opens[-1]) + 1, int(closes[-1])))
    return (
        opens.astype(np.int64) * POINT_MS + start_ms,
        price[opens],
        np.maximum(np.maximum.reduceat(price[inner], opens), price[closes]),
        np.minimum(np.minimum.reduceat(price[inner], opens), price[closes]),
        price[closes],
        market.in_base(np.add.reduceat(lots[inner], opens)),
    )


def _path(market: SimulatedMarket, first: int, last: int) -> Floats:
    """Return the price at the points first … last, both included."""
    level = walk(market.seed, first, last, step=POINT_VOLATILITY, octaves=_OCTAVES, bursts=0.45)
    np.exp(level, out=level)
    level *= market.price
    return np.round(level, market.decimals, out=level)


def _lots(market: SimulatedMarket, first: int, price: Floats) -> Floats:
    """Return the volume between each point and the next in whole lots: more of it when the price moves.

    It follows volatility once, by the moves: followed twice, quiet days would vanish beside wild ones.
    """
    moved = np.abs(np.diff(price))
    moved /= price[:-1]
    moved /= POINT_VOLATILITY
    moved += 0.3
    luck = uniforms(mixed(market.seed + 77), first, len(moved))
    luck += 0.2
    lots = moved
    lots *= luck
    lots *= 1e4
    return np.asarray(np.floor(lots, out=lots), dtype=np.float64)
