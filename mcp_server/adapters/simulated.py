"""The simulated exchange: an invented market that answers for any symbol, timeframe and moment, the same for everyone.

Every price is a point of one path with a point every 15 seconds. A candle of any timeframe is made of the points that
it covers, so all timeframes agree, a forming candle holds only what has happened, and a closed one never changes.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

import anyio.to_thread
import numpy as np

from mcp_server.adapters.noise import Floats, hashes, mixed, walk
from mcp_server.domain.candles import Candles, merge
from mcp_server.domain.exchange import Ticker
from mcp_server.domain.timeframes import DAY_MS, TIMEFRAMES, candle_open_ms, iso, timeframe_ms, to_ms
from mcp_server.errors import NotFound, NotSupported

POINT_MS = 15_000
GENESIS_MS = to_ms(datetime(2017, 1, 1, tzinfo=UTC))
"""The first moment of every series."""

USD = {
    "BTC": 64_000.0, "ETH": 3_100.0, "SOL": 150.0, "BNB": 580.0, "XRP": 0.6, "ADA": 0.45, "DOGE": 0.12, "LTC": 80.0,
    "LINK": 14.0, "AVAX": 30.0, "DOT": 6.5, "SHIB": 0.000018, "PEPE": 0.0000081, "PAXG": 2_400.0, "USDT": 1.0,
    "USDC": 1.0, "DAI": 1.0, "USD": 1.0, "EUR": 1.08, "GBP": 1.27, "JPY": 0.0067,
}  # fmt: skip
"""About what one of each costs in US dollars: the level around which a price moves."""

QUOTES = ("USDT", "USDC", "USD", "EUR", "GBP", "JPY", "DAI", "BTC", "ETH")
DOLLARS = ("USD", "USDT", "USDC", "DAI")
"""Quotes that are worth the same: a base has one path in all of them."""

ALIASES = {"XBT": "BTC", "XDG": "DOGE"}

_POINT_VOLATILITY = 0.0045 / np.sqrt(240)  # about 0.45 % an hour
_OCTAVES = 25  # the slowest moves over eight years
_DAILY_TURNOVER_USD = 4e8
_BLOCK_POINTS = 1 << 16  # half a MB per array: larger ones cost page faults, smaller ones calls
_KEPT_POINTS = 60  # blocks of candles shorter than 15 minutes are made anew: each would take hundreds of kB to keep
_Columns = tuple[np.ndarray, ...]


@dataclass(frozen=True, slots=True)
class _Market:
    seed: int
    price: float
    decimals: int
    lot_decimals: int


class SimulatedExchange:
    """An `Exchange` whose prices are invented, and said to be.

    Args:
        clock: gives the present as an aware datetime; nothing later than it is ever answered.
        seed: which of the possible markets; everyone has the same by default.
    """

    def __init__(self, clock: Callable[[], datetime], seed: int = 0) -> None:
        self._clock = clock
        self._seed = seed

    @property
    def id(self) -> str:
        """Its name."""
        return "simulated"

    @property
    def simulated(self) -> bool:
        """Its prices are invented."""
        return True

    async def symbol(self, text: str) -> str:
        """Give the unified symbol that `text` means; any plausible one exists.

        Raises:
            NotFound: it does not read as a base and a quote.
        """
        return unified(text)

    async def timeframes(self) -> Sequence[str]:
        """All of them."""
        return list(TIMEFRAMES)

    async def candles(self, symbol: str, timeframe: str, start_ms: int, end_ms: int) -> Candles:
        """Make the candles whose open time is in [start_ms, end_ms); the last may be forming."""
        return await anyio.to_thread.run_sync(self._candles, symbol, timeframe, start_ms, end_ms)

    async def ticker(self, symbol: str) -> Ticker:
        """Make the present snapshot.

        Raises:
            NotSupported: the present is before the market's first moment.
        """
        return await anyio.to_thread.run_sync(self._ticker, symbol)

    async def close(self) -> None:
        """There is nothing to release."""

    def _ticker(self, symbol: str) -> Ticker:
        now_ms = to_ms(self._clock())
        if now_ms < GENESIS_MS:
            raise NotSupported(f"The simulated market begins at {iso(GENESIS_MS)}. Ask for a later moment.")
        day = self._candles(symbol, "1m", now_ms - DAY_MS, now_ms + 1)
        market = self._market(symbol)
        last, spread = float(day.close[-1]), 10.0**-market.decimals
        return Ticker(
            observed_at_ms=now_ms,
            last=last,
            bid=round(last - spread, market.decimals),
            ask=round(last + spread, market.decimals),
            volume_24h_base=float(f"{day.volume.sum():.6g}"),
            change_24h_pct=round((last / float(day.open[0]) - 1) * 100, 3),
        )

    def _candles(self, symbol: str, timeframe: str, start_ms: int, end_ms: int) -> Candles:
        length = timeframe_ms(timeframe)
        now_ms = to_ms(self._clock())
        first = max(_first_open(start_ms, timeframe), _first_open(GENESIS_MS, timeframe))
        last = min(_first_open(end_ms, timeframe), candle_open_ms(now_ms, timeframe) + length)  # exclusive
        market, points, now = self._market(symbol), length // POINT_MS, now_ms // POINT_MS
        step = max(_BLOCK_POINTS // points, 1) * length
        parts = []
        for start in range(first - (first - candle_open_ms(0, timeframe)) % step, last, step):
            whole = start + step <= now_ms and points >= _KEPT_POINTS
            end = start + step if whole else min(start + step, last)
            columns = _block(market, start, end, points) if whole else _made(market, start, end, points, now)
            parts.append(Candles(*columns).between(first, last))
        return merge(parts)

    def _market(self, symbol: str) -> _Market:
        base, quote = symbol.partition(":")[0].split("/")
        path = f"{self._seed} {base}/{'USD' if quote in DOLLARS else quote}"
        digest = int.from_bytes(hashlib.sha256(path.encode()).digest()[:8], "big")
        price = _usd(base) / _usd(quote)
        magnitude = int(np.floor(np.log10(price)))
        lot_decimals = 4 - int(np.floor(np.log10(_DAILY_TURNOVER_USD / _usd(base) / 5760)))
        return _Market(digest, price, max(6 - magnitude, 0), lot_decimals)


def unified(text: str) -> str:
    """Read a symbol however it is spelt: `btcusdt`, `BTC-USDT` and `XBT/USDT` are `BTC/USDT`.

    Raises:
        NotFound: it does not read as a base and a quote.
    """
    spelt = text.strip().upper()
    if match := re.fullmatch(r"([A-Z0-9]{1,15})[/_-]([A-Z0-9]{1,15})(:[A-Z0-9]{1,15})?", spelt):
        base, quote, settle = match[1], match[2], match[3] or ""
    elif match := re.fullmatch(rf"([A-Z0-9]{{2,15}}?)({'|'.join(QUOTES)})", spelt):
        base, quote, settle = match[1], match[2], ""
    else:
        raise NotFound(f"Unknown symbol {text!r} on 'simulated'. Write base and quote, like 'BTC/USDT'.")
    base, quote = ALIASES.get(base, base), ALIASES.get(quote, quote)
    if settle and settle[1:] not in (base, quote):
        raise NotFound(f"Unknown symbol {text!r} on 'simulated'. Did you mean {f'{base}/{quote}:{quote}'!r}?")
    if base == quote:
        raise NotFound(f"Unknown symbol {text!r} on 'simulated': base and quote are the same. Try 'BTC/USDT'.")
    return f"{base}/{quote}{settle}"


def _usd(asset: str) -> float:
    if asset in USD:
        return USD[asset]
    share = int.from_bytes(hashlib.sha256(asset.encode()).digest()[:4], "big") / 2**32
    return float(10 ** (5 * share - 2))


def _first_open(moment_ms: int, timeframe: str) -> int:
    """Give the first open time at or after a moment."""
    opened = candle_open_ms(moment_ms, timeframe)
    return opened if opened == moment_ms else opened + timeframe_ms(timeframe)


@lru_cache(maxsize=1024)
def _block(market: _Market, start_ms: int, end_ms: int, points: int) -> _Columns:
    """Make candles that are all closed; they never change, so the latest asked for are kept (some kB each)."""
    return _made(market, start_ms, end_ms, points, end_ms // POINT_MS)


def _made(market: _Market, start_ms: int, end_ms: int, points: int, now: int) -> _Columns:
    """Make candles of `points` points each from start to end; none of their points is later than the point `now`."""
    first = start_ms // POINT_MS
    last = min(end_ms // POINT_MS, now)
    level, heat = walk(market.seed, first, last, step=_POINT_VOLATILITY, octaves=_OCTAVES, bursts=0.45)
    price = np.round(market.price * np.exp(level), market.decimals)
    opens = np.arange(0, min(last - first + 1, (end_ms - start_ms) // POINT_MS), points)
    closes = np.minimum(opens + points, last - first)
    lots = np.append(_lots(market, first, price, heat), 0)
    inner = slice(0, max(int(opens[-1]) + 1, int(closes[-1])))
    return (
        opens.astype(np.int64) * POINT_MS + start_ms,
        price[opens],
        np.maximum(np.maximum.reduceat(price[inner], opens), price[closes]),
        np.minimum(np.minimum.reduceat(price[inner], opens), price[closes]),
        price[closes],
        _in_base(np.add.reduceat(lots[inner], opens), market.lot_decimals),
    )


def _in_base(lots: Floats, lot_decimals: int) -> Floats:
    """Turn whole lots into base units, rounded once: sums of lots are exact, so all timeframes agree on volume."""
    return lots / 10.0**lot_decimals if lot_decimals >= 0 else lots * 10.0**-lot_decimals


def _lots(market: _Market, first: int, price: Floats, heat: Floats) -> Floats:
    """Give the volume between each point and the next in whole lots: more of it when the price moves."""
    moved = np.abs(np.diff(price))
    moved /= price[:-1]
    moved /= _POINT_VOLATILITY
    moved += 0.3
    luck = (hashes(mixed(market.seed + 77), first, len(moved)) >> np.uint64(32)).astype(np.float64)
    luck /= 2**32
    luck += 0.2
    lots = heat[:-1] * 1e4
    lots *= moved
    lots *= luck
    return np.asarray(np.floor(lots, out=lots), dtype=np.float64)
