"""Public market data of every exchange that ccxt reaches, in the project's own types and errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from mcp_server.adapters.ccxt.connection import CcxtConnection
from mcp_server.adapters.ccxt.pages import candles_a_request, fetch_pages, served_timeframes, whole_candles
from mcp_server.adapters.ccxt.perpetuals import fetch_fundings, fetch_fundings_between, fetch_perpetual_state, number
from mcp_server.adapters.ccxt.symbols import resolve, resolve_swap
from mcp_server.adapters.ccxt.volumes import base_volume_of, base_volumes, has_known_unit
from mcp_server.domain.exchange import (
    MOST_SYMBOL,
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
from mcp_server.domain.text import cleaned
from mcp_server.errors import BadInput, NotSupported, UpstreamRejected
from mcp_server.moment import deadline

DEADLINE_S = 25.0
"""No call takes longer, including retries, paging and waiting for the rate limit."""

CHANGE_SINCE_MIDNIGHT = frozenset({"kraken"})
"""Exchanges whose percentage in ccxt does not cover 24 hours: Kraken's counts from the beginning of the UTC day."""

_DEPTHS = (5, 10, 20, 50, 100)
"""Depths that nearly every exchange accepts; many refuse any other."""

_NO_UNIT = "Whether its 24 h volume counts contracts or base is not known, so it is left out."

_KINDS: tuple[Kind, ...] = ("spot", "swap", "future", "option")


class CcxtExchange:
    """An `Exchange` that ccxt reaches. Nothing is imported or opened before the first question.

    Args:
        exchange_id: ccxt's id.
        base_url: a stand-in on loopback that replaces scheme and host in each of the exchange's URLs.
        deadline_s: how long any one call may take.

    Raises:
        UnknownExchange: ccxt has no such exchange; the nearest are named.
        Misconfigured: `base_url` is not on loopback.
    """

    simulated = False

    def __init__(self, exchange_id: str, base_url: str | None = None, *, deadline_s: float = DEADLINE_S) -> None:
        self.id = exchange_id
        self._connection = CcxtConnection(exchange_id, base_url)
        self._deadline_s = deadline_s

    async def symbol(self, text: str) -> str:
        """Return the unified symbol that `text` means, however it is spelt."""
        with self._deadline():
            return await self._connection.resolved(text, resolve)

    async def swap_symbol(self, text: str) -> str:
        """Return the symbol of the perpetual swap that `text` means."""
        with self._deadline():
            return await self._connection.resolved(text, resolve_swap)

    async def timeframes(self) -> Sequence[str]:
        """List the timeframes of up to a day that the exchange serves; it takes no request.

        Longer candles begin on different days from exchange to exchange (weeks on Mondays or Thursdays, say), so they
        are left to be built from days.
        """
        with self._deadline():
            return served_timeframes(await self._connection.client())

    async def candles(self, symbol: str, timeframe: str, start_ms: int, end_ms: int) -> Fetched:
        """Fetch the candles that open in [start_ms, end_ms), in as many requests as it takes.

        Rows without a time or a value are dropped, as are those that do not open where candles of this timeframe do.
        A volume whose unit is not known is NaN.
        """
        from mcp_server.adapters.ccxt.answers import CLOCK_MS
        from mcp_server.domain.candles import Candles

        with self._deadline():
            client = await self._connection.listed(symbol)
            if timeframe not in (served := served_timeframes(client)):
                raise NotSupported(f"{self.id!r} serves no {timeframe!r} candles.", f"Use one of {', '.join(served)}.")
            CLOCK_MS.set(None)  # else an empty range would keep the clock of the exchange that this task asked before
            rows = await fetch_pages(self._connection.ask, client, symbol, timeframe, (start_ms, end_ms))
            clock_ms = CLOCK_MS.get()
        rows = base_volumes(rows, self.id, client.market(symbol))
        try:
            return Fetched(Candles.from_rows(whole_candles(rows, self.id, timeframe)), clock_ms)
        except BadInput as error:
            problem = f"{self.id!r} sent candles that cannot be used. {error.problem}"
            raise UpstreamRejected(problem, "Try again later, or another exchange.") from None

    async def candles_a_request(self, symbol: str) -> int:
        """Return how many candles come with one request at most."""
        with self._deadline():
            return candles_a_request(await self._connection.listed(symbol), symbol)

    async def ticker(self, symbol: str) -> Ticker:
        """Fetch the present snapshot of a market; one in which nothing was ever traded has no last price."""
        with self._deadline():
            client = await self._connection.listed(symbol)
            answer = await self._connection.ask(partial(client.fetch_ticker, symbol))
        last = number(answer.get("last"))
        if last is None:
            raise UpstreamRejected(f"{self.id!r} has no last price of {symbol!r}.", "Ask another exchange.")
        percentage = None if self.id in CHANGE_SINCE_MIDNIGHT else number(answer.get("percentage"))
        return Ticker(
            observed_at_ms=int(answer.get("timestamp") or client.milliseconds()),
            last=last,
            bid=number(answer.get("bid")),
            ask=number(answer.get("ask")),
            volume_24h_base=base_volume_of(answer, self.id, client.market(symbol)),
            change_24h_pct=percentage,
            note=None if has_known_unit(self.id, client.market(symbol)) else _NO_UNIT,
        )

    async def order_book(self, symbol: str, depth: int) -> OrderBook:
        """Fetch the present order book, up to `depth` prices a side."""
        with self._deadline():
            client = await self._connection.listed(symbol)
            enough = next((n for n in _DEPTHS if n >= depth), None)
            try:
                answer = await self._connection.ask(partial(client.fetch_order_book, symbol, enough))
            except (UpstreamRejected, NotSupported):  # some accept only other depths, and all accept none
                answer = await self._connection.ask(partial(client.fetch_order_book, symbol))
        bids, asks = (_levels(answer[side]) for side in ("bids", "asks"))
        return OrderBook(int(answer.get("timestamp") or client.milliseconds()), bids[:depth], asks[:depth])

    async def perpetual_state(self, symbol: str) -> PerpetualState:
        """Fetch the present funding rate and open interest of a perpetual swap, as far as the exchange tells them."""
        with self._deadline():
            return await fetch_perpetual_state(self._connection.ask, await self._connection.listed(symbol), symbol)

    async def fundings(self, symbol: str, end_ms: int, count: int) -> Sequence[Funding]:
        """Fetch the last `count` fundings that were settled at `end_ms` or before, oldest first."""
        with self._deadline():
            client = await self._connection.listed(symbol)
            return await fetch_fundings(self._connection.ask, client, symbol, end_ms, count)

    async def fundings_between(self, symbol: str, start_ms: int, end_ms: int) -> Sequence[Funding]:
        """Fetch the fundings settled from `start_ms` to `end_ms`, oldest first; of a long range, the latest part."""
        with self._deadline():
            client = await self._connection.listed(symbol)
            return await fetch_fundings_between(self._connection.ask, client, symbol, start_ms, end_ms)

    async def listings(self) -> Listings:
        """List every market of the exchange: those of the list at hand, at most `RELOAD_S` old."""
        with self._deadline():
            markets, loaded_ms = await self._connection.markets()
        return Listings(loaded_ms, [listing for market in markets.values() if (listing := _listing(market))])

    async def close(self) -> None:
        """Close the connections, also while being cancelled."""
        await self._connection.close()

    def _deadline(self) -> AbstractContextManager[None]:
        problem = f"{self.id!r} did not answer within {self._deadline_s:g} seconds."
        return deadline(self._deadline_s, problem, "Try again, or ask for less.")


def _levels(rows: Sequence[Sequence[Any]]) -> list[Level]:
    """Return the prices of one side at which something is offered."""
    read = [(number(row[0]), number(row[1])) for row in rows]
    return [(price, size) for price, size in read if price and size and price > 0 and size > 0]


def _listing(market: Mapping[str, Any]) -> Listing | None:
    kind = next((kind for kind in _KINDS if market.get(kind)), None)
    if kind is None:
        return None
    names = {name: cleaned(str(market.get(name) or ""), MOST_SYMBOL) for name in ("symbol", "base", "quote")}
    settle = market.get("settle") and cleaned(str(market["settle"]), MOST_SYMBOL)
    return Listing(kind=kind, active=market.get("active"), settle=settle, **names)
