"""Exchanges through ccxt: public market data of any of its venues, in the project's own types and errors."""

from __future__ import annotations

import importlib
import ipaddress
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from math import isfinite
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from mcp_server.adapters.symbols import Markets, resolve, unknown_symbol
from mcp_server.domain.candles import Candles
from mcp_server.domain.exchange import Ticker
from mcp_server.domain.timeframes import DAY_MS, TIMEFRAMES, candle_open_ms, iso, timeframe_ms
from mcp_server.errors import BadInput, Misconfigured, NotFound, NotSupported, Retryable, UpstreamRejected

DEADLINE_S = 25.0
"""No call takes longer, retries, paging and waiting for the rate limit included."""

REQUEST_TIMEOUT_MS = 10_000
ATTEMPTS = 3

MAX_PAGES = 40
"""A range that needs more requests than this is refused: it would not end within the deadline anyway."""

CAREFUL_PAGE = 100
"""Candles per request where ccxt does not know an exchange's limit: every exchange gives as many."""

CHANGE_SINCE_MIDNIGHT = frozenset({"kraken"})
"""Where ccxt's percentage is not that of 24 hours: Kraken's opening price is that of the day in UTC."""

Row = Sequence[float]


class CcxtExchange:
    """An `Exchange` that ccxt reaches. Nothing is imported or opened until it is first asked.

    Args:
        exchange_id: ccxt's id; an unknown one raises `NotFound` when the exchange is first asked.
        base_url: a stand-in on loopback that takes the place of scheme and host in each of the exchange's URLs.
        deadline_s: how long any one call may take.

    Raises:
        Misconfigured: `base_url` is not on loopback.
    """

    def __init__(self, exchange_id: str, base_url: str | None = None, *, deadline_s: float = DEADLINE_S) -> None:
        self._id = exchange_id
        self._base_url = None if base_url is None else _loopback(base_url, exchange_id)
        self._deadline_s = deadline_s
        self._making = anyio.Lock()
        self._loading = anyio.Lock()
        self._ccxt: Any = None
        self._markets: Markets | None = None

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
        with self._deadline():
            _, markets = await self._ready()
            return resolve(text, markets, self._id)

    async def timeframes(self) -> Sequence[str]:
        """List the timeframes of up to a day that the exchange serves; it takes no request.

        Longer candles begin on different days from exchange to exchange (weeks on Mondays or Thursdays, say), so they
        are left to be built from days.
        """
        with self._deadline():
            return _timeframes(await self._client())

    async def candles(self, symbol: str, timeframe: str, start_ms: int, end_ms: int) -> Candles:
        """Fetch the candles that open in [start_ms, end_ms), in as many requests as it takes.

        Rows without a time or a value are dropped, as are those that do not open where candles of this timeframe do.

        Raises:
            NotFound: the exchange has no such symbol; the nearest is named.
            NotSupported: it has no such timeframe, or its candles open at other times than this project's.
            BadInput: the range takes more than `MAX_PAGES` requests.
        """
        with self._deadline():
            client, markets = await self._ready()
            if symbol not in markets:
                raise unknown_symbol(symbol, markets, self._id)
            if timeframe not in (served := _timeframes(client)):
                raise NotSupported(f"{self._id!r} serves no {timeframe!r} candles. Use one of {', '.join(served)}.")
            rows = await self._pages(client, symbol, timeframe, (start_ms, end_ms))
        whole = [row for row in rows if None not in row[:6]]
        on_grid = [row for row in whole if candle_open_ms(int(row[0]), timeframe) == row[0]]
        if whole and not on_grid:
            raise NotSupported(
                f"{self._id!r} opens its {timeframe} candles at other times than multiples of {timeframe} in UTC. "
                "Use a shorter timeframe."
            )
        try:
            return Candles.from_rows(on_grid)
        except BadInput as error:
            raise UpstreamRejected(f"{self._id!r} sent candles that cannot be used. {error}") from None

    async def ticker(self, symbol: str) -> Ticker:
        """Fetch the present snapshot of a market.

        Raises:
            NotFound: the exchange has no such symbol; the nearest is named.
            UpstreamRejected: it gives no last price, as where nothing was ever traded.
        """
        with self._deadline():
            client, markets = await self._ready()
            if symbol not in markets:
                raise unknown_symbol(symbol, markets, self._id)
            told = await self._ask(partial(client.fetch_ticker, symbol))
        last = _number(told.get("last"))
        if last is None:
            raise UpstreamRejected(f"{self._id!r} gives no last price of {symbol!r}. Ask another exchange.")
        percentage = None if self._id in CHANGE_SINCE_MIDNIGHT else _number(told.get("percentage"))
        return Ticker(
            observed_at_ms=int(told.get("timestamp") or client.milliseconds()),
            last=last,
            bid=_number(told.get("bid")),
            ask=_number(told.get("ask")),
            volume_24h_base=_number(told.get("baseVolume")),
            change_24h_pct=percentage,
        )

    async def close(self) -> None:
        """Close the connections, also while being cancelled."""
        with anyio.move_on_after(5, shield=True):
            async with self._making:
                client, self._ccxt = self._ccxt, None
            if client is not None:
                await client.close()

    async def _pages(self, client: Any, symbol: str, timeframe: str, span: tuple[int, int]) -> list[Row]:
        """Fetch page after page until the span is covered; give its rows in order of time, each once.

        Limits are cut without a word, so each page begins where the one before it ended. One that brings nothing is
        no end: some exchanges answer for a window of time, and nothing may have been traded in it.
        """
        length = timeframe_ms(timeframe)
        most = client.feature_value(symbol, "fetchOHLCV", "limit", None) or CAREFUL_PAGE
        rows: dict[int, Row] = {}
        start, end = span
        for asked in range(MAX_PAGES + 1):
            if start >= end:
                return [rows[opened] for opened in sorted(rows)]
            if asked + (end - start) / (most * length) > MAX_PAGES:
                break
            count = min(most, -(-(end - start) // length))
            page = await self._ask(partial(client.fetch_ohlcv, symbol, timeframe, start, count))
            new = {int(row[0]): row for row in page if row[0] is not None and row[0] >= start}
            rows |= {opened: row for opened, row in new.items() if opened < end}
            start = max(new) + length if new else start + count * length
        raise BadInput(
            f"{timeframe} candles from {iso(span[0])} to {iso(end)} take more than {MAX_PAGES} requests to "
            f"{self._id!r}. Ask for fewer candles or a longer timeframe."
        )

    async def _ready(self) -> tuple[Any, Markets]:
        """Give the ccxt object and its markets; they are made and loaded once, whoever asks first."""
        client = await self._client()
        async with self._loading:
            if self._markets is None:
                found = await self._ask(partial(client.load_markets, True))  # True: ccxt keeps an empty list, too
                if not found:
                    raise UpstreamRejected(f"{self._id!r} answered with an empty list of markets.")
                self._markets = found
            return client, self._markets

    async def _client(self) -> Any:
        async with self._making:
            if self._ccxt is None:
                self._ccxt = await anyio.to_thread.run_sync(_make, self._id, self._base_url)
            return self._ccxt

    async def _ask(self, request: Callable[[], Awaitable[Any]]) -> Any:
        """Send a request, and again after a moment where that may help."""
        import stamina

        from mcp_server.adapters.ccxt_errors import translated

        attempts = stamina.retry_context(on=Retryable, attempts=ATTEMPTS, wait_initial=0.3, wait_max=2, wait_jitter=0.3)
        async for attempt in attempts:
            with attempt, translated(self._id):
                return await request()
        raise AssertionError("the last attempt returns or raises")

    @contextmanager
    def _deadline(self) -> Iterator[None]:
        try:
            with anyio.fail_after(self._deadline_s):
                yield
        except TimeoutError:
            raise Retryable(
                f"{self._id!r} did not answer within {self._deadline_s:g} seconds. Try again, or ask for less."
            ) from None


def _make(exchange_id: str, base_url: str | None) -> Any:
    """Import ccxt and make its object for an exchange: 0.6 s the first time, so not for the event loop."""
    ccxt = importlib.import_module("ccxt.async_support")
    errors = importlib.import_module("mcp_server.adapters.ccxt_errors")
    if exchange_id not in ccxt.exchanges:
        near = get_close_matches(exchange_id.lower(), [*ccxt.exchanges, "simulated"], n=3)
        hint = (
            f"Did you mean {' or '.join(map(repr, near))}?" if near else "Use a ccxt id, like 'kraken' or 'coinbase'."
        )
        raise NotFound(f"Unknown exchange {exchange_id[:40]!r}. {hint}")
    kind = getattr(ccxt, exchange_id)
    client = type(exchange_id, (errors.WholeAnswers, kind), {})(
        {"enableRateLimit": True, "rateLimiterAlgorithm": "rollingWindow", "timeout": REQUEST_TIMEOUT_MS}
    )
    if base_url is not None:
        client.urls["api"] = _moved(client.urls["api"], base_url)
        client.timeout_on_exit = 0  # ms; without TLS there is no farewell to wait for
    return client


def _timeframes(client: Any) -> list[str]:
    served = client.timeframes or {}
    return [name for name, length in TIMEFRAMES.items() if name in served and length <= DAY_MS]


def _loopback(base_url: str, exchange_id: str) -> str:
    """Check that a stand-in's URL is scheme, host and port of this machine; the URL itself stays out of the message."""
    try:
        parts = urlsplit(base_url)
        host = parts.hostname or ""
        good = parts.scheme in ("http", "https") and (host == "localhost" or ipaddress.ip_address(host).is_loopback)
    except ValueError:
        good = False
    if not good or parts.path not in ("", "/") or parts.query or parts.username:
        raise Misconfigured(
            f"TRADER_EXCHANGE_URLS: the URL for {exchange_id!r} must be that of a stand-in on this machine: "
            "http, a loopback host and a port, without a path."
        )
    return base_url


def _moved(url: Any, base_url: str) -> Any:
    """Put another scheme and host into every URL of ccxt's nested dicts of them, and keep each path."""
    if isinstance(url, dict):
        return {name: _moved(inner, base_url) for name, inner in url.items()}
    if not isinstance(url, str):
        return url
    to = urlsplit(base_url)
    return urlsplit(url)._replace(scheme=to.scheme, netloc=to.netloc).geturl()


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and isfinite(value) else None
