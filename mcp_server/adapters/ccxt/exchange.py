"""Exchanges through ccxt: public market data of any of its venues, in the project's own types and errors."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, cast

import anyio
import anyio.to_thread

from mcp_server.adapters.ccxt.client import check_exchange, loopback, make_client
from mcp_server.adapters.ccxt.markets import load_markets
from mcp_server.adapters.ccxt.pages import served_timeframes, whole_candles
from mcp_server.adapters.ccxt.perpetuals import fetch_fundings, fetch_perpetual_state, number
from mcp_server.adapters.ccxt.symbols import Markets, resolve, resolve_swap, unknown_symbol
from mcp_server.domain.candles import Candles
from mcp_server.domain.exchange import (
    Fetched,
    Funding,
    Kind,
    Level,
    Listing,
    Listings,
    OrderBook,
    PerpetualState,
    Ticker,
)
from mcp_server.errors import BadInput, NotFound, NotSupported, Retryable, UpstreamRejected
from mcp_server.moment import deadline

DEADLINE_S = 25.0
"""No call takes longer, retries, paging and waiting for the rate limit included."""

ATTEMPTS = 3

RELOAD_S = 600.0
"""A symbol that is unknown is looked for in a fresh market list, once the list at hand is so old."""

CHANGE_SINCE_MIDNIGHT = frozenset({"kraken"})
"""Where ccxt's percentage is not that of 24 hours: Kraken's opening price is that of the day in UTC."""

_DEPTHS = (5, 10, 20, 50, 100)
"""Depths that nearly every exchange takes; many refuse any other."""

_KINDS: tuple[Kind, ...] = ("spot", "swap", "future", "option")


class CcxtExchange:
    """An `Exchange` that ccxt reaches. Nothing is imported or opened until it is first asked.

    Args:
        exchange_id: ccxt's id.
        base_url: a stand-in on loopback that takes the place of scheme and host in each of the exchange's URLs.
        deadline_s: how long any one call may take.

    Raises:
        NotFound: ccxt has no such exchange; the nearest are named.
        Misconfigured: `base_url` is not on loopback.
    """

    def __init__(self, exchange_id: str, base_url: str | None = None, *, deadline_s: float = DEADLINE_S) -> None:
        check_exchange(exchange_id)
        self._id = exchange_id
        self._base_url = None if base_url is None else loopback(base_url, exchange_id)
        self._deadline_s = deadline_s
        self._making = anyio.Lock()
        self._loading = anyio.Lock()
        self._ccxt: Any = None
        self._markets: Markets | None = None
        self._loaded_at = 0.0

    @property
    def id(self) -> str:
        """The ccxt id."""
        return self._id

    @property
    def simulated(self) -> bool:
        """Its prices are real."""
        return False

    async def symbol(self, text: str) -> str:
        """Give the unified symbol that `text` means, however it is spelt.

        Raises:
            NotFound: no market fits, or several do; the message names the nearest.
        """
        return await self._resolved(text, resolve)

    async def swap_symbol(self, text: str) -> str:
        """Give the symbol of the perpetual swap that `text` means.

        Raises:
            NotFound: no swap fits, or several do; the message names the nearest.
        """
        return await self._resolved(text, resolve_swap)

    async def timeframes(self) -> Sequence[str]:
        """List the timeframes of up to a day that the exchange serves; it takes no request.

        Longer candles begin on different days from exchange to exchange (weeks on Mondays or Thursdays, say), so they
        are left to be built from days.
        """
        with self._deadline():
            return served_timeframes(await self._client())

    async def candles(self, symbol: str, timeframe: str, start_ms: int, end_ms: int) -> Fetched:
        """Fetch the candles that open in [start_ms, end_ms), in as many requests as it takes.

        Rows without a time or a value are dropped, as are those that do not open where candles of this timeframe do.

        Raises:
            NotFound: the exchange has no such symbol; the nearest is named.
            NotSupported: it has no such timeframe, or its candles open at other times than this project's.
            BadInput: the range takes more than `MAX_PAGES` requests.
        """
        from mcp_server.adapters.ccxt.answers import TOLD_MS
        from mcp_server.adapters.ccxt.pages import fetch_pages

        with self._deadline():
            client = await self._listed(symbol)
            if timeframe not in (served := served_timeframes(client)):
                raise NotSupported(f"{self._id!r} serves no {timeframe!r} candles. Use one of {', '.join(served)}.")
            TOLD_MS.set(None)  # else an empty range would tell what another exchange said before
            rows = await fetch_pages(self._ask, client, symbol, timeframe, (start_ms, end_ms))
            told_ms = TOLD_MS.get()
        try:
            return Fetched(Candles.from_rows(whole_candles(rows, self._id, timeframe)), told_ms)
        except BadInput as error:
            raise UpstreamRejected(f"{self._id!r} sent candles that cannot be used. {error}") from None

    async def ticker(self, symbol: str) -> Ticker:
        """Fetch the present snapshot of a market.

        Raises:
            NotFound: the exchange has no such symbol; the nearest is named.
            UpstreamRejected: it gives no last price, as where nothing was ever traded.
        """
        with self._deadline():
            client = await self._listed(symbol)
            told = await self._ask(partial(client.fetch_ticker, symbol))
        last = number(told.get("last"))
        if last is None:
            raise UpstreamRejected(f"{self._id!r} gives no last price of {symbol!r}. Ask another exchange.")
        percentage = None if self._id in CHANGE_SINCE_MIDNIGHT else number(told.get("percentage"))
        return Ticker(
            observed_at_ms=int(told.get("timestamp") or client.milliseconds()),
            last=last,
            bid=number(told.get("bid")),
            ask=number(told.get("ask")),
            volume_24h_base=number(told.get("baseVolume")),
            change_24h_pct=percentage,
        )

    async def order_book(self, symbol: str, depth: int) -> OrderBook:
        """Fetch the present order book, up to `depth` prices a side.

        Raises:
            NotFound: the exchange has no such symbol; the nearest is named.
            UpstreamRejected: what it sent is no order book.
        """
        with self._deadline():
            client = await self._listed(symbol)
            enough = next((n for n in _DEPTHS if n >= depth), None)
            try:
                told = await self._ask(partial(client.fetch_order_book, symbol, enough))
            except (UpstreamRejected, NotSupported):  # some take yet other depths, and all take none
                told = await self._ask(partial(client.fetch_order_book, symbol))
        bids, asks = (_levels(told[side]) for side in ("bids", "asks"))
        return OrderBook(int(told.get("timestamp") or client.milliseconds()), bids[:depth], asks[:depth])

    async def perpetual_state(self, symbol: str) -> PerpetualState:
        """Fetch the present funding rate and open interest of a perpetual swap, as far as the exchange tells them.

        Raises:
            NotFound: the exchange has no such symbol; the nearest is named.
            NotSupported: it is no perpetual swap, or the exchange tells nothing of its swaps.
        """
        with self._deadline():
            return await fetch_perpetual_state(self._ask, await self._listed(symbol), symbol)

    async def fundings(self, symbol: str, end_ms: int, count: int) -> Sequence[Funding]:
        """Fetch the last `count` fundings that were settled at `end_ms` or before, oldest first.

        Raises:
            NotFound: the exchange has no such symbol; the nearest is named.
            NotSupported: the exchange has no history of fundings.
        """
        with self._deadline():
            return await fetch_fundings(self._ask, await self._listed(symbol), symbol, end_ms, count)

    async def listings(self) -> Listings:
        """List every market of the exchange: those of the list at hand, at most `RELOAD_S` old."""
        with self._deadline():
            client, markets = await self._ready(RELOAD_S)
            told_ms = client.milliseconds() - int((time.monotonic() - self._loaded_at) * 1000)
        return Listings(told_ms, [found for market in markets.values() if (found := _listing(market))])

    async def close(self) -> None:
        """Close the connections, also while being cancelled."""
        with anyio.move_on_after(5, shield=True):
            async with self._making:
                client, self._ccxt, self._markets = self._ccxt, None, None
            if client is not None:
                await client.close()

    async def _resolved(self, text: str, how: Callable[[str, Markets, str], str]) -> str:
        """Resolve a symbol beside the event loop, for it may mean comparing it with thousands of others."""
        with self._deadline():
            _, markets = await self._ready()
            if text in markets and how is resolve:
                return text
            try:
                return await anyio.to_thread.run_sync(how, text, markets, self._id)
            except NotFound:
                _, fresh = await self._ready(RELOAD_S)
                if fresh is markets:
                    raise
                return await anyio.to_thread.run_sync(how, text, fresh, self._id)

    async def _listed(self, symbol: str) -> Any:
        """Give the ccxt object once it has this exact symbol among its markets."""
        client, markets = await self._ready()
        if symbol not in markets:
            client, markets = await self._ready(RELOAD_S)
        if symbol not in markets:
            raise await anyio.to_thread.run_sync(unknown_symbol, symbol, markets, self._id)
        return client

    async def _ready(self, fresh_s: float | None = None) -> tuple[Any, Markets]:
        """Give the ccxt object and its markets: loaded once, whoever asks first, and again once they are too old."""
        client = await self._client()
        if self._markets is not None and not self._stale(fresh_s):
            return client, self._markets  # also while somebody loads them anew
        async with self._loading:
            if self._markets is None or self._stale(fresh_s):
                loaded = await self._ask(partial(load_markets, partial(make_client, self._id, self._base_url)))
                if not loaded.markets:
                    raise UpstreamRejected(f"{self._id!r} answered with an empty list of markets.")
                client.set_markets_from_exchange(loaded)
                self._markets, self._loaded_at = client.markets, time.monotonic()
            return client, cast(Markets, self._markets)

    def _stale(self, fresh_s: float | None) -> bool:
        return fresh_s is not None and time.monotonic() - self._loaded_at > fresh_s

    async def _client(self) -> Any:
        async with self._making:
            if self._ccxt is None:
                self._ccxt = await anyio.to_thread.run_sync(make_client, self._id, self._base_url)
            return self._ccxt

    async def _ask(self, request: Callable[[], Awaitable[Any]]) -> Any:
        """Send a request, and again after a moment where that may help."""
        import stamina

        from mcp_server.adapters.ccxt.errors import translated

        # Its notices would go to standard output, where an MCP host listens.
        stamina.instrumentation.set_on_retry_hooks(())
        attempts = stamina.retry_context(on=Retryable, attempts=ATTEMPTS, wait_initial=0.3, wait_max=2, wait_jitter=0.3)
        async for attempt in attempts:
            with attempt, translated(self._id):
                return await request()
        raise AssertionError("the last attempt returns or raises")

    def _deadline(self) -> AbstractContextManager[None]:
        problem = f"{self._id!r} did not answer within {self._deadline_s:g} seconds."
        return deadline(self._deadline_s, problem, "Try again, or ask for less.")


def _levels(rows: Sequence[Sequence[Any]]) -> list[Level]:
    """Give the prices of one side at which something is offered."""
    read = [(number(row[0]), number(row[1])) for row in rows]
    return [(price, size) for price, size in read if price and size and price > 0 and size > 0]


def _listing(market: Mapping[str, Any]) -> Listing | None:
    kind = next((kind for kind in _KINDS if market.get(kind)), None)
    if kind is None:
        return None
    names = {name: str(market.get(name) or "") for name in ("symbol", "base", "quote")}
    return Listing(kind=kind, active=market.get("active"), settle=market.get("settle"), **names)
