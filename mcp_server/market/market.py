"""The market as of any moment: the one thing that tools ask for prices, candles, order books and fundings."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import anyio.to_thread

from mcp_server.domain.timeframes import to_ms
from mcp_server.errors import NotSupported
from mcp_server.market.history import Histories, History, last_closed
from mcp_server.market.live import LiveCache
from mcp_server.market.past_price import PastPrices, Quote
from mcp_server.moment import DEADLINE_S, Clock, check_now, deadline, is_now
from mcp_server.together import together

if TYPE_CHECKING:
    from mcp_server.domain.candles import Candles
    from mcp_server.domain.exchange import Exchange, ExchangeInfo, Funding, Listings, OrderBook, PerpetualState
    from mcp_server.market.candle_cache import CandleCache
    from mcp_server.market.exchanges import Exchanges

T = TypeVar("T")

_SKEWED_MS = 5_000
"""A clock that is so far off is worth a word."""

_MOST_SYMBOLS = 4_096


@dataclass(frozen=True, slots=True)
class Book:
    """An order book, and whose it is."""

    exchange: str
    symbol: str
    as_of_ms: int
    simulated: bool
    book: OrderBook


@dataclass(frozen=True, slots=True)
class Perpetual:
    """A perpetual swap as of a moment: its settled fundings and, for a moment that is now, what it is like."""

    exchange: str
    symbol: str
    as_of_ms: int
    simulated: bool
    now: PerpetualState | None
    fundings: Sequence[Funding] | None
    lacking: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Forming:
    """The candle that is forming now: one, or none where nothing was traded in it yet."""

    observed_at_ms: int
    candle: Candles


class Market:
    """Answers what was known of a market at a moment, and never anything later.

    Args:
        exchanges: the adapters.
        candle_cache: the candles that are known.
        clock: gives the present as an aware datetime.
        exchange_infos: lists what every exchange can do; called in a thread.
        deadline_s: how long any one question may take.
    """

    def __init__(
        self,
        exchanges: Exchanges,
        candle_cache: CandleCache,
        clock: Clock,
        exchange_infos: Callable[[], Sequence[ExchangeInfo]] = tuple,
        *,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._exchanges = exchanges
        self._candle_cache = candle_cache
        self._clock = clock
        self._exchange_infos = exchange_infos
        self._deadline_s = deadline_s
        self._histories = Histories(candle_cache, clock)
        self._past_prices = PastPrices(candle_cache, self._candles)
        self._live_cache = LiveCache()
        self._symbols: OrderedDict[tuple[str, str, bool], str] = OrderedDict()

    async def candles(self, exchange_id: str, symbol: str, timeframe: str, count: int, as_of: datetime) -> History:
        """Give up to `count` closed candles, the last of them closed at `as_of` or before, oldest first.

        Raises:
            NotFound, NotSupported, Retryable, UpstreamRejected: as the exchange's adapter.
        """
        with self._deadline(exchange_id):
            exchange = self._exchanges.get(exchange_id)
            return await self._candles(exchange, await self._exact(exchange, symbol), timeframe, count, to_ms(as_of))

    async def forming(self, exchange_id: str, symbol: str, timeframe: str, as_of: datetime) -> Forming:
        """Give the candle that is forming now.

        Raises:
            NotSupported: `as_of` is more than 15 minutes ago; or as the exchange's adapter.
            NotFound, Retryable, UpstreamRejected: as the exchange's adapter.
        """
        with self._deadline(exchange_id):
            exchange = self._exchanges.get(exchange_id)
            check_now(as_of, self._clock, "A forming candle", "Leave include_forming out.")
            exact = await self._exact(exchange, symbol)

            async def look() -> Forming:
                candle = await self._histories.forming(exchange, exact, timeframe)
                return Forming(to_ms(self._clock()), candle)

            return await self._snapshot(exchange, ("forming", exact, timeframe), look)

    async def price(self, exchange_id: str, symbol: str, as_of: datetime) -> Quote:
        """Give the live price for an as-of of the last 15 minutes, else the last close at or before it.

        Raises:
            NotFound, NotSupported, Retryable, UpstreamRejected: as the exchange's adapter.
        """
        with self._deadline(exchange_id):
            exchange = self._exchanges.get(exchange_id)
            as_of_ms = to_ms(as_of)
            if not is_now(as_of, self._clock):
                return await self._past_prices.find(exchange, await self._exact(exchange, symbol), as_of_ms)
            exact = await self._exact(exchange, symbol)
            ticker = await self._snapshot(exchange, ("ticker", exact), partial(exchange.ticker, exact))
            seen = (ticker.last, ticker.observed_at_ms, exchange.simulated, "ticker", ticker)
            return Quote(exchange.id, exact, as_of_ms, *seen)

    async def order_book(self, exchange_id: str, symbol: str, depth: int, as_of: datetime) -> Book:
        """Give the present order book, up to `depth` prices a side.

        Raises:
            NotSupported: `as_of` is more than 15 minutes ago; or as the exchange's adapter.
            NotFound, Retryable, UpstreamRejected: as the exchange's adapter.
        """
        with self._deadline(exchange_id):
            exchange = self._exchanges.get(exchange_id)
            check_now(as_of, self._clock, "An order book", "Use get_price or get_ohlcv for the past.")
            exact = await self._exact(exchange, symbol)
            book = await self._snapshot(exchange, ("book", exact, depth), partial(exchange.order_book, exact, depth))
            return Book(exchange.id, exact, to_ms(as_of), exchange.simulated, book)

    async def perpetual(self, exchange_id: str, symbol: str, count: int, as_of: datetime) -> Perpetual:
        """Give the last `count` fundings settled by `as_of`, and what the swap is like now where that is now.

        Raises:
            NotFound, NotSupported, Retryable, UpstreamRejected: as the exchange's adapter.
        """
        with self._deadline(exchange_id):
            exchange = self._exchanges.get(exchange_id)
            exact = await self._exact(exchange, symbol, swap=True)
            as_of_ms = to_ms(as_of)
            until_ms = as_of_ms - as_of_ms % 1000
            lacking: list[str] = []

            async def answered(key: tuple[object, ...], ask: Callable[[], Awaitable[T]]) -> T | None:
                try:
                    return await self._snapshot(exchange, key, ask)
                except NotSupported as error:
                    lacking.append(str(error))
                    return None

            settled: Callable[[], Awaitable[Any]] = partial(
                answered, ("fundings", exact, count, until_ms), partial(exchange.fundings, exact, until_ms, count)
            )
            present: Callable[[], Awaitable[Any]] = partial(
                answered, ("perpetual", exact), partial(exchange.perpetual_state, exact)
            )
            if is_now(as_of, self._clock):
                fundings, now = await together(settled, present)
            else:
                fundings, now = await settled(), None
            if fundings is None and now is None:
                raise NotSupported(" ".join(dict.fromkeys(lacking)))
            return Perpetual(
                exchange.id,
                exact,
                as_of_ms,
                exchange.simulated,
                now,
                fundings,
                (*lacking, *(now.lacking if now else ())),
            )

    async def listings(self, exchange_id: str, as_of: datetime) -> Listings:
        """List every market of an exchange.

        Raises:
            NotSupported: `as_of` is more than 15 minutes ago.
            NotFound, Retryable, UpstreamRejected: as the exchange's adapter.
        """
        with self._deadline(exchange_id):
            exchange = self._exchanges.get(exchange_id)
            check_now(as_of, self._clock, "A list of markets", "Leave as_of out.")
            return await exchange.listings()

    async def exchange_infos(self) -> Sequence[ExchangeInfo]:
        """List what every exchange can do; none is asked for it."""
        return await anyio.to_thread.run_sync(self._exchange_infos)

    async def close(self) -> None:
        """Write what is not stored yet, and close the exchanges."""
        await self._candle_cache.close()
        await self._exchanges.close()

    async def _candles(self, exchange: Exchange, exact: str, timeframe: str, count: int, as_of_ms: int) -> History:
        from mcp_server.domain.shortfall import shortfall

        wanted = last_closed(as_of_ms, timeframe, count)
        closed = await self._histories.closed(exchange, exact, timeframe, wanted)
        candles = closed.candles.between(*wanted)
        notes = []
        if closed.built_from is not None:
            notes.append(f"Built from closed {closed.built_from} candles: {exchange.id} has no {timeframe}.")
        if short := shortfall(candles, timeframe, wanted, count, exchange.id):
            notes.append(short)
        if closed.behind_ms > _SKEWED_MS:
            seconds = closed.behind_ms // 1000
            notes.append(f"This machine's clock is {seconds} s ahead of {exchange.id}'s, by which candles close.")
        facts = (exchange.id, exact, timeframe, as_of_ms, candles, exchange.simulated, closed.built_from)
        return History(*facts, " ".join(notes) or None)

    async def _exact(self, exchange: Exchange, text: str, *, swap: bool = False) -> str:
        """Resolve a symbol; one that the store knows exactly needs no market list."""
        if exchange.simulated:
            return await (exchange.swap_symbol(text) if swap else exchange.symbol(text))
        key = (exchange.id, text, swap)
        if key not in self._symbols:
            if not swap and await self._candle_cache.timeframes(exchange.id, text):
                exact = text
            else:
                exact = await (exchange.swap_symbol(text) if swap else exchange.symbol(text))
            self._symbols[key] = exact
            if len(self._symbols) > _MOST_SYMBOLS:
                self._symbols.popitem(last=False)
        return self._symbols[key]

    async def _snapshot(self, exchange: Exchange, key: tuple[object, ...], ask: Callable[[], Awaitable[T]]) -> T:
        """Give a snapshot of an exchange; an invented one costs nothing and is always new."""
        return await (ask() if exchange.simulated else self._live_cache.get((exchange.id, *key), ask))

    def _deadline(self, exchange_id: str) -> AbstractContextManager[None]:
        return deadline(
            self._deadline_s,
            f"{exchange_id[:40]!r} did not answer everything within {self._deadline_s:g} seconds.",
            "What has arrived is kept: ask again to continue from there, or ask for less.",
        )
