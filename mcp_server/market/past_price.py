"""The price at a moment of the past: the last close by then."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_server.domain.timeframes import MINUTE_MS, iso, timeframe_ms
from mcp_server.errors import NotSupported, Retryable, TraderError, UpstreamRejected
from mcp_server.market.history import History
from mcp_server.market.ranges import last_closed

if TYPE_CHECKING:
    from mcp_server.domain.candles import Candles
    from mcp_server.domain.exchange import Exchange, Ticker
    from mcp_server.market.candle_cache import CandleCache

_AMONG = 60
"""In this many candles something was traded, or there is no price."""

AskCandles = Callable[["Exchange", str, str, int, int], Awaitable[History]]
"""Exchange, exact symbol, timeframe, count, as-of in Unix ms → closed candles."""


@dataclass(frozen=True, slots=True)
class Quote:
    """A price as of a moment: either the live ticker, or the last close before a moment of the past."""

    exchange: str
    symbol: str
    as_of_ms: int
    price: float
    price_time_ms: int
    simulated: bool
    basis: str
    ticker: Ticker | None = None


class PastPrices:
    """Finds the last close by a moment: from minutes, else from hours, else from days.

    Which candles happen to be stored makes no difference while the exchange serves the minutes: a longer candle that
    closed in the same minute has the same close. If it does not serve them, any stored candle is better than none.
    """

    def __init__(self, candle_cache: CandleCache, candles: AskCandles) -> None:
        self._candle_cache = candle_cache
        self._candles = candles

    async def find(self, exchange: Exchange, exact: str, as_of_ms: int) -> Quote:
        """Return the last close of an exact symbol; `NotSupported` means that there is no price by then.

        The exchange's own error is raised only where nothing is stored either.
        """
        stored = [] if exchange.simulated else await self._candle_cache.timeframes(exchange.id, exact)
        minute = as_of_ms - as_of_ms % MINUTE_MS
        for timeframe in (name for name in stored if last_closed(as_of_ms, name, 1)[1] == minute):
            if quote := await self._stored(exchange, exact, timeframe, as_of_ms, 1):
                return quote
        failure: TraderError = NotSupported(
            f"There is no price of {exact!r} on {exchange.id!r} as of {iso(as_of_ms)}.",
            "Ask for a later moment, or import candles that reach back to it with `claude-trader import-candles`.",
        )
        try:
            if quote := await self._asked(exchange, exact, as_of_ms):
                return quote
        except (NotSupported, Retryable, UpstreamRejected) as error:
            failure = error
        quotes = [await self._stored(exchange, exact, timeframe, as_of_ms, _AMONG) for timeframe in stored]
        latest = max((quote for quote in quotes if quote), key=lambda quote: quote.price_time_ms, default=None)
        if latest is None:
            raise failure
        return latest

    async def _asked(self, exchange: Exchange, exact: str, as_of_ms: int) -> Quote | None:
        """Return the last close of the shortest timeframe that has one; the exchange is asked for what is not known."""
        served = await exchange.timeframes()
        if not served:
            raise NotSupported(f"{exchange.id!r} has no candles, so no price of the past.", "Try another exchange.")
        for timeframe in dict.fromkeys((served[0], *(name for name in ("1h", "1d") if name in served))):
            history = await self._candles(exchange, exact, timeframe, _AMONG, as_of_ms)
            if len(history.candles):
                return _close_of(exchange, exact, timeframe, as_of_ms, history.candles)
        return None

    async def _stored(self, exchange: Exchange, exact: str, timeframe: str, as_of_ms: int, among: int) -> Quote | None:
        """Return the last close of a stored series, if it knows its last candle by then."""
        from mcp_server.storage.candles.store import Series

        stored = await self._candle_cache.load(
            Series(exchange.id, exact, timeframe), last_closed(as_of_ms, timeframe, among)
        )
        if not len(stored.candles) or any(end > stored.candles.open_time_ms[-1] for _, end in stored.missing):
            return None
        return _close_of(exchange, exact, timeframe, as_of_ms, stored.candles)


def _close_of(exchange: Exchange, exact: str, timeframe: str, as_of_ms: int, candles: Candles) -> Quote:
    closed_ms = int(candles.open_time_ms[-1]) + timeframe_ms(timeframe)
    basis = f"close of the last {timeframe} candle"
    return Quote(exchange.id, exact, as_of_ms, float(candles.close[-1]), closed_ms, exchange.simulated, basis)
