"""Prices and candles as of any moment: from the store where it knows them, else from the exchange, then kept."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import anyio.to_thread

from mcp_server.domain.timeframes import (
    TIMEFRAMES,
    candle_open_ms,
    iso,
    last_closed_open_ms,
    timeframe_ms,
    to_ms,
)
from mcp_server.errors import NotSupported, Retryable, TraderError

if TYPE_CHECKING:
    from mcp_server.domain.candles import Candles
    from mcp_server.domain.exchange import Exchange, Ticker
    from mcp_server.storage.candles import CandleStore, Range, Series, Stored

T = TypeVar("T")

LIVE_S = 900
"""What exists only now is answered for an as-of up to this long ago: the longest a run may take."""

SETTLED_MS = 600_000
"""A candle that an exchange has not published this long after its close is not coming any more."""

REVISED_MS = 60_000
"""For this long after its close a candle is answered but not kept: clocks differ, and exchanges correct themselves."""

EARLIEST_MS = 1_262_304_000_000
"""2010-01-01: no exchange is asked for anything before it."""

_FOR_A_PRICE = 60
"""Among so many candles there is one that was traded in, or there is no price."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class History:
    """Closed candles up to a moment. `note` says what a reader must know: fewer than asked for, resampled."""

    exchange: str
    symbol: str
    timeframe: str
    as_of_ms: int
    candles: Candles
    simulated: bool
    note: str | None = None

    @property
    def age_s(self) -> float | None:
        """Seconds from the last candle's close to the as-of; None without candles."""
        if not len(self.candles):
            return None
        return (self.as_of_ms - int(self.candles.open_time_ms[-1]) - timeframe_ms(self.timeframe)) / 1000


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


class Exchanges:
    """One adapter for each exchange, made when it is first asked for."""

    def __init__(self, make: Callable[[str], Exchange]) -> None:
        self._make = make
        self._made: dict[str, Exchange] = {}

    def get(self, exchange_id: str) -> Exchange:
        """Give the adapter of an exchange.

        Raises:
            NotFound: there is no such exchange; the nearest is named.
        """
        if exchange_id not in self._made:
            self._made[exchange_id] = self._make(exchange_id)
        return self._made[exchange_id]

    async def close(self) -> None:
        """Close every adapter that was made."""
        for exchange in self._made.values():
            await exchange.close()


class Market:
    """Answers what was known of a market at a moment, and never anything later."""

    def __init__(self, exchanges: Exchanges, store: CandleStore, clock: Callable[[], datetime]) -> None:
        self._exchanges = exchanges
        self._store = store
        self._clock = clock

    async def candles(self, exchange_id: str, symbol: str, timeframe: str, count: int, as_of: datetime) -> History:
        """Give up to `count` closed candles, the last of them closed at `as_of` or before, oldest first.

        Raises:
            NotFound, NotSupported, Retryable, UpstreamRejected: as the exchange's adapter.
        """
        exchange = self._exchanges.get(exchange_id)
        as_of_ms = to_ms(as_of)
        wanted = _last_closed(as_of_ms, timeframe, count)
        note = None
        if exchange.simulated:
            exact = await exchange.symbol(symbol)
            found = await exchange.candles(exact, timeframe, *wanted)
        else:
            exact = await self._exact(exchange, symbol)
            found, note = await self._known(exchange, exact, timeframe, wanted)
        found = found.between(*wanted).closed_by(as_of_ms, timeframe)
        notes = [note, _shortfall(len(found), count, wanted, found)]
        said = " ".join(part for part in notes if part) or None
        return History(exchange.id, exact, timeframe, as_of_ms, found, exchange.simulated, said)

    async def price(self, exchange_id: str, symbol: str, as_of: datetime) -> Quote:
        """Give the live price for an as-of of the last 15 minutes, else the last close at or before it.

        Raises:
            NotFound, NotSupported, Retryable, UpstreamRejected: as the exchange's adapter.
        """
        exchange = self._exchanges.get(exchange_id)
        as_of_ms = to_ms(as_of)
        if self._clock() - as_of <= timedelta(seconds=LIVE_S):
            exact = await exchange.symbol(symbol)
            ticker = await exchange.ticker(exact)
            return Quote(
                exchange.id, exact, as_of_ms, ticker.last, ticker.observed_at_ms, exchange.simulated, "ticker", ticker
            )
        stored = None if exchange.simulated else await self._stored_close(exchange, symbol, as_of_ms)
        return stored or await self._fetched_close(exchange, symbol, as_of)

    async def _stored_close(self, exchange: Exchange, symbol: str, as_of_ms: int) -> Quote | None:
        """Give the latest close by then of all stored series that know their last candle by then."""
        from mcp_server.domain.candles import Candles
        from mcp_server.storage.candles import Series, Stored

        quotes = []
        for timeframe in await self._stored_timeframes(exchange, symbol):
            series, wanted = Series(exchange.id, symbol, timeframe), _last_closed(as_of_ms, timeframe, _FOR_A_PRICE)
            nothing = Stored(Candles.empty(), [wanted])
            stored = await self._ask_store(partial(_load, series, wanted), nothing)
            if len(stored.candles) and all(end <= stored.candles.open_time_ms[-1] for _, end in stored.missing):
                quotes.append(_close_of(exchange, symbol, timeframe, as_of_ms, stored.candles))
        return max(quotes, key=lambda quote: quote.price_time_ms, default=None)

    async def _fetched_close(self, exchange: Exchange, symbol: str, as_of: datetime) -> Quote:
        """Give the last close by then of the shortest timeframe that has one."""
        failure: TraderError = NotSupported(
            f"There is no price of {symbol!r} on {exchange.id!r} as of {iso(to_ms(as_of))}. Ask for a later moment, or "
            "import candles that reach back to it with `claude-trader import-candles`."
        )
        served = await exchange.timeframes()
        for timeframe in dict.fromkeys((served[0], *(t for t in ("1h", "1d") if t in served))):
            try:
                history = await self.candles(exchange.id, symbol, timeframe, _FOR_A_PRICE, as_of)
            except (NotSupported, Retryable) as error:
                failure = error
                continue
            if len(history.candles):
                return _close_of(exchange, history.symbol, timeframe, history.as_of_ms, history.candles)
        raise failure

    async def _stored_timeframes(self, exchange: Exchange, symbol: str) -> list[str]:
        return await self._ask_store(lambda store: store.timeframes(exchange.id, symbol), list[str]())

    async def _exact(self, exchange: Exchange, symbol: str) -> str:
        """Resolve a symbol; one that the store knows exactly needs no market list."""
        if await self._stored_timeframes(exchange, symbol):
            return symbol
        return await exchange.symbol(symbol)

    async def _known(
        self, exchange: Exchange, symbol: str, timeframe: str, wanted: Range
    ) -> tuple[Candles, str | None]:
        """Give the candles of a range from the store, after fetching what it was missing."""
        from mcp_server.domain.candles import Candles, merge
        from mcp_server.storage.candles import Series, Stored

        series = Series(exchange.id, symbol, timeframe)
        stored = await self._ask_store(partial(_load, series, wanted), Stored(Candles.empty(), [wanted]))
        if not stored.missing:
            return stored.candles, None
        if timeframe in await exchange.timeframes():
            return merge(
                [stored.candles, *[await self._fetched(exchange, series, hole) for hole in stored.missing]]
            ), None
        base = await _base_timeframe(exchange, timeframe)
        built = [await self._built(exchange, symbol, timeframe, base, hole) for hole in stored.missing]
        return merge([stored.candles, *built]), f"Built from closed {base} candles: {exchange.id} has no {timeframe}."

    async def _fetched(self, exchange: Exchange, series: Series, hole: Range) -> Candles:
        """Fetch what the store was missing, and keep what of it will not change any more."""
        start, end = hole
        now_ms = to_ms(self._clock())
        fetched = await exchange.candles(series.symbol, series.timeframe, max(start, EARLIEST_MS), end)
        fetched = fetched.between(start, end).closed_by(now_ms, series.timeframe)
        known = (start, min(end, _known_until(fetched, series.timeframe, now_ms)))
        if known[1] > start:
            await self._ask_store(partial(_keep, series, fetched.between(*known), known), 0)
        return fetched

    async def _built(self, exchange: Exchange, symbol: str, timeframe: str, base: str, hole: Range) -> Candles:
        """Build candles from smaller ones, but not one of which a part is still to be published."""
        from mcp_server.domain.candles import resample

        found, _ = await self._known(exchange, symbol, base, hole)
        last = hole[1] - timeframe_ms(timeframe)
        awaited = range(max(last, candle_open_ms(to_ms(self._clock()) - SETTLED_MS, base)), hole[1], timeframe_ms(base))
        if not set(awaited) <= set(found.open_time_ms.tolist()):
            found = found.between(hole[0], last)
        return resample(found, timeframe)

    async def _ask_store(self, ask: Callable[[CandleStore], T], otherwise: T) -> T:
        """Ask the store in a thread; while another process holds it, go on without it."""
        try:
            return await anyio.to_thread.run_sync(ask, self._store)
        except Retryable as error:
            logger.warning("the candle store is passed over: %s", error)
            return otherwise


def _keep(series: Series, candles: Candles, known: Range, store: CandleStore) -> int:
    return store.save(series, candles, known)


def _known_until(fetched: Candles, timeframe: str, now_ms: int) -> int:
    """Give up to where what was fetched is known for good: an exchange may publish its newest candles late."""
    length = timeframe_ms(timeframe)
    received = set(fetched.open_time_ms.tolist())
    until = candle_open_ms(now_ms - SETTLED_MS, timeframe)
    while until in received and until + length <= now_ms - REVISED_MS:
        until += length
    return until


async def _base_timeframe(exchange: Exchange, timeframe: str) -> str:
    length = timeframe_ms(timeframe)
    served = await exchange.timeframes()
    smaller = [t for t in served if length % timeframe_ms(t) == 0 and timeframe_ms(t) < length]
    if not smaller:
        raise NotSupported(
            f"{exchange.id!r} has no {timeframe} candles and none to build them from. "
            f"Use one of {', '.join(t for t in TIMEFRAMES if t in served)}."
        )
    return max(smaller, key=timeframe_ms)


def _last_closed(as_of_ms: int, timeframe: str, count: int) -> Range:
    """Give the range of the last `count` candles that are closed at a moment."""
    end = last_closed_open_ms(as_of_ms, timeframe) + timeframe_ms(timeframe)
    return max(end - count * timeframe_ms(timeframe), 0), end


def _close_of(exchange: Exchange, symbol: str, timeframe: str, as_of_ms: int, candles: Candles) -> Quote:
    closed_ms = int(candles.open_time_ms[-1]) + timeframe_ms(timeframe)
    basis = f"close of the last {timeframe} candle"
    return Quote(exchange.id, symbol, as_of_ms, float(candles.close[-1]), closed_ms, exchange.simulated, basis)


def _load(series: Series, wanted: Range, store: CandleStore) -> Stored:
    return store.load(series, wanted)


def _shortfall(found: int, asked: int, wanted: Range, candles: Candles) -> str | None:
    if found >= asked:
        return None
    first = f", from {iso(int(candles.open_time_ms[0]))}" if found else ""
    return f"{found} of {asked} candles{first}: the series has no more up to {iso(wanted[1])}, or has gaps."
