"""The market as of any moment: the one thing that tools ask for prices, candles, order books and fundings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import anyio.to_thread

from mcp_server.domain.timeframes import timeframe_ms, to_ms
from mcp_server.errors import NotSupported, Retryable
from mcp_server.market.fundings import FundingHistory, PastFundings
from mcp_server.market.history import Histories, History
from mcp_server.market.live import LiveCache
from mcp_server.market.past_price import PastPrices, Quote
from mcp_server.market.ranges import base_timeframe, common, last_closed
from mcp_server.market.symbols import Symbols
from mcp_server.moment import DEADLINE_S, Clock, check_now, deadline, is_now
from mcp_server.together import together

if TYPE_CHECKING:
    from mcp_server.domain.candles import Candles
    from mcp_server.domain.exchange import Exchange, ExchangeInfo, Funding, Listings, OrderBook, PerpetualState
    from mcp_server.market.candle_cache import CandleCache
    from mcp_server.storage.candles.fundings import FundingStore
    from mcp_server.storage.candles.ranges import Range

T = TypeVar("T")

_SKEWED_MS = 5_000
"""A clock that is further off than this is worth a note."""


@dataclass(frozen=True, slots=True)
class Book:
    """An order book, with its exchange and symbol."""

    exchange: str
    symbol: str
    as_of_ms: int
    simulated: bool
    book: OrderBook


@dataclass(frozen=True, slots=True)
class Perpetual:
    """A perpetual swap as of a moment: its settled fundings and, where the moment is now, its present state."""

    exchange: str
    symbol: str
    as_of_ms: int
    simulated: bool
    now: PerpetualState | None
    fundings: Sequence[Funding] | None
    lacking: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Forming:
    """The candle that is forming now: one, or none if nothing was traded in it yet."""

    observed_at_ms: int
    candle: Candles


@dataclass(frozen=True, slots=True)
class KnownCandles:
    """What is known of a series without asking the exchange: the ranges of open times, in order, without overlap.

    One that begins at 0 begins with the series.
    """

    exchange: str
    symbol: str
    ranges: Sequence[Range]


class Market:
    """Answers questions about markets as of any moment, never with anything later.

    Every question may raise the errors of the exchange's adapter, and `Retryable` when its time is over. What exists
    only now raises `NotSupported` for an as-of that is more than 15 minutes ago.

    Args:
        make_exchange: makes the adapter of an exchange, once, so that its rate limit counts for all who ask.
        candle_cache: the candles that are known already.
        clock: returns the present.
        exchange_infos: lists what every exchange can do; called in a thread.
        deadline_s: how long any one question may take.
        fundings: keeps settled fundings; None: they are fetched each time.
    """

    def __init__(
        self,
        make_exchange: Callable[[str], Exchange],
        candle_cache: CandleCache,
        clock: Clock,
        exchange_infos: Callable[[], Sequence[ExchangeInfo]],
        *,
        deadline_s: float = DEADLINE_S,
        fundings: FundingStore | None = None,
    ) -> None:
        self._make_exchange = make_exchange
        self._exchanges: dict[str, Exchange] = {}
        self._candle_cache = candle_cache
        self._clock = clock
        self._exchange_infos = exchange_infos
        self._deadline_s = deadline_s
        self._histories = Histories(candle_cache, clock)
        self._past_prices = PastPrices(candle_cache, self._candles)
        self._live_cache = LiveCache()
        self._fundings = PastFundings(fundings, clock)
        self._symbols = Symbols(candle_cache)

    async def candles(self, exchange_id: str, symbol: str, timeframe: str, count: int, as_of: datetime) -> History:
        """Return up to `count` closed candles, the last of them closed at `as_of` or before, oldest first."""
        with self._asked(exchange_id) as exchange:
            exact = await self._symbols.exact(exchange, symbol)
            return await self._candles(exchange, exact, timeframe, count, to_ms(as_of))

    async def known(self, exchange_id: str, symbol: str, timeframe: str) -> KnownCandles:
        """Return which candles of a series are stored, or can be built from stored ones; this fetches no candle."""
        from mcp_server.market.known import known_ranges
        from mcp_server.storage.candles.store import Series

        with self._asked(exchange_id) as exchange:
            exact = await self._symbols.exact(exchange, symbol)
            series = Series(exchange.id, exact, timeframe)
            ranges = await known_ranges(self._candle_cache, series, await exchange.timeframes())
            return KnownCandles(exchange.id, exact, ranges)

    async def requests(self, exchange_id: str, symbol: str, timeframe: str, missing: Sequence[Range]) -> int:
        """Return how many requests to the exchange it takes to fetch these ranges of open times."""
        with self._asked(exchange_id) as exchange:
            if exchange.simulated or not missing:
                return 0
            exact, served = await self._symbols.exact(exchange, symbol), await exchange.timeframes()
            base = timeframe if timeframe in served else base_timeframe(exchange.id, served, timeframe)
            a_request = timeframe_ms(base) * await exchange.candles_a_request(exact)
            return sum(-(-(end - start) // a_request) for start, end in missing)

    async def forming(self, exchange_id: str, symbol: str, timeframe: str, as_of: datetime) -> Forming:
        """Return the candle that is forming now."""
        with self._asked(exchange_id) as exchange:
            check_now(as_of, self._clock, "A forming candle", "Leave include_forming out.")
            exact = await self._symbols.exact(exchange, symbol)

            async def look() -> Forming:
                candle = await self._histories.forming(exchange, exact, timeframe)
                return Forming(to_ms(self._clock()), candle)

            return await self._snapshot(exchange, ("forming", exact, timeframe), look)

    async def price(self, exchange_id: str, symbol: str, as_of: datetime) -> Quote:
        """Return the live price for an as-of of the last 15 minutes, else the last close at or before it."""
        with self._asked(exchange_id) as exchange:
            as_of_ms, exact = to_ms(as_of), await self._symbols.exact(exchange, symbol)
            if not is_now(as_of, self._clock):
                return await self._past_prices.find(exchange, exact, as_of_ms)
            ticker = await self._snapshot(exchange, ("ticker", exact), partial(exchange.ticker, exact))
            facts = (ticker.last, ticker.observed_at_ms, exchange.simulated, "ticker", ticker)
            return Quote(exchange.id, exact, as_of_ms, *facts)

    async def order_book(self, exchange_id: str, symbol: str, depth: int, as_of: datetime) -> Book:
        """Return the present order book, up to `depth` prices a side."""
        with self._asked(exchange_id) as exchange:
            check_now(as_of, self._clock, "An order book", "Use get_price or get_ohlcv for the past.")
            exact = await self._symbols.exact(exchange, symbol)
            book = await self._snapshot(exchange, ("book", exact, depth), partial(exchange.order_book, exact, depth))
            return Book(exchange.id, exact, to_ms(as_of), exchange.simulated, book)

    async def perpetual(self, exchange_id: str, symbol: str, count: int, as_of: datetime) -> Perpetual:
        """Return the last `count` fundings settled by `as_of` and, if `as_of` is now, the present state of the swap."""
        with self._asked(exchange_id) as exchange:
            exact = await self._symbols.exact(exchange, symbol, swap=True)
            as_of_ms = to_ms(as_of)
            until_ms = as_of_ms - as_of_ms % 1000
            lacking: list[NotSupported] = []

            async def answered(key: tuple[object, ...], ask: Callable[[], Awaitable[T]]) -> T | None:
                try:
                    return await self._snapshot(exchange, key, ask)
                except NotSupported as error:
                    lacking.append(error)
                    return None

            live = is_now(as_of, self._clock)
            ask = exchange.fundings if live else partial(self._fundings.last, exchange)
            settled: Callable[[], Awaitable[Any]] = partial(
                answered, ("fundings", exact, count, until_ms), partial(ask, exact, until_ms, count)
            )
            present: Callable[[], Awaitable[Any]] = partial(
                answered, ("perpetual", exact), partial(exchange.perpetual_state, exact)
            )
            if live:
                fundings, now = await together(settled, present)
            else:
                fundings, now = await settled(), None
            if fundings is None and now is None:
                problems = dict.fromkeys(error.problem for error in lacking)
                raise NotSupported(" ".join(problems), lacking[0].remedy)
            missing = (*map(str, lacking), *(now.lacking if now else ()))
            return Perpetual(exchange.id, exact, as_of_ms, exchange.simulated, now, fundings, missing)

    async def fundings(
        self, exchange_id: str, symbol: str, start_ms: int, end_ms: int, as_of: datetime
    ) -> FundingHistory:
        """Return the fundings of a swap that were settled from `start_ms` to `end_ms`, and by `as_of`.

        What is fetched is kept: after `Retryable`, the same question goes on from there.
        """
        with self._asked(exchange_id) as exchange:
            exact = await self._symbols.exact(exchange, symbol, swap=True)
            end_ms = min(end_ms, to_ms(as_of))
            settled = await self._fundings.between(exchange, exact, start_ms, end_ms) if start_ms <= end_ms else ()
            return FundingHistory(exchange.id, exact, start_ms, end_ms, exchange.simulated, settled)

    async def listings(self, exchange_id: str, as_of: datetime) -> Listings:
        """List every market of an exchange."""
        with self._asked(exchange_id) as exchange:
            check_now(as_of, self._clock, "A list of markets", "Leave as_of out.")
            return await exchange.listings()

    async def exchange_infos(self) -> Sequence[ExchangeInfo]:
        """List what every exchange can do; this makes no request."""
        return await anyio.to_thread.run_sync(self._exchange_infos)

    async def close(self) -> None:
        """Write what is not stored yet, and close the exchanges."""
        await self._candle_cache.close()
        await self._fundings.close()
        for exchange in self._exchanges.values():
            await exchange.close()

    async def _what_to_import(
        self, exchange: Exchange, exact: str, timeframe: str, wanted: Range | None = None
    ) -> str | None:
        """Say which candles are imported and which would help; None where none are, or none within a range."""
        imported = await self._candle_cache.imported(exchange.id, exact)
        if not any(wanted is None or common([wanted], list(known)) for _, known in imported):
            return None
        names = ", ".join(sorted({series.timeframe for series, _ in imported}, key=timeframe_ms))
        return (
            f"Imported are {names} candles. Import {timeframe} candles, or shorter ones that make them up, with "
            "`claude-trader import-candles`."
        )

    async def _candles(self, exchange: Exchange, exact: str, timeframe: str, count: int, as_of_ms: int) -> History:
        import numpy as np

        from mcp_server.domain.shortfall import shortfall

        wanted = last_closed(as_of_ms, timeframe, count)
        try:
            closed = await self._histories.closed(exchange, exact, timeframe, wanted)
        except Retryable as error:
            if hint := await self._what_to_import(exchange, exact, timeframe, wanted):
                twin = error.again()  # the error may be another caller's too
                twin.remedy = f"{error.remedy} {hint}".strip()
                raise twin from None
            raise
        candles = closed.candles.between(*wanted)
        notes = []
        if closed.imported is not None:
            notes.append(closed.imported)
        elif closed.built_from is not None:
            notes.append(f"Built from closed {closed.built_from} candles: {exchange.id} has no {timeframe}.")
        if short := shortfall(candles, timeframe, wanted, count, exchange.id):
            notes.append(short)
        if not len(candles) and (hint := await self._what_to_import(exchange, exact, timeframe)):
            notes.append(hint)
        if unknown := int(np.isnan(candles.volume).sum()):
            which = "volumes count" if unknown == len(candles) else f"{unknown} of the volumes count"
            notes.append(f"Whether {exchange.id}'s {which} contracts or base is not known, so they are left out.")
        if closed.corrections:
            notes.append(closed.corrections)
        if closed.behind_ms > _SKEWED_MS:
            seconds = closed.behind_ms // 1000
            notes.append(f"This machine's clock is {seconds} s ahead of that of {exchange.id}, which closes candles.")
        facts = (exchange.id, exact, timeframe, as_of_ms, candles, exchange.simulated, closed.built_from)
        return History(*facts, " ".join(notes) or None)

    async def _snapshot(self, exchange: Exchange, key: tuple[object, ...], ask: Callable[[], Awaitable[T]]) -> T:
        """Return a snapshot of an exchange; that of the simulated exchange costs nothing and is always new."""
        return await (ask() if exchange.simulated else self._live_cache.get((exchange.id, *key), ask))

    @contextmanager
    def _asked(self, exchange_id: str) -> Iterator[Exchange]:
        """Return the adapter of an exchange, for as long as a question may take."""
        problem = f"{exchange_id[:40]!r} did not answer everything within {self._deadline_s:g} seconds."
        remedy = "What has arrived is kept: ask again to continue from there, or ask for less."
        with deadline(self._deadline_s, problem, remedy):
            if exchange_id not in self._exchanges:
                self._exchanges[exchange_id] = self._make_exchange(exchange_id)
            yield self._exchanges[exchange_id]
