"""One exchange through ccxt: its client and its list of markets, loaded once, and requests with retries."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import anyio.to_thread

from mcp_server.adapters.ccxt.client import check_exchange, loopback, make_client
from mcp_server.adapters.ccxt.markets import load_markets
from mcp_server.adapters.ccxt.symbols import Markets, resolve, unknown_symbol
from mcp_server.domain.exchange import MOST_SYMBOL
from mcp_server.domain.text import cleaned
from mcp_server.errors import NotFound, Retryable, UpstreamRejected

ATTEMPTS = 3

RELOAD_S = 600.0
"""If a symbol is unknown and the market list is this old, the list is loaded again."""


class CcxtConnection:
    """ccxt's client of an exchange, made when it is first needed; see `CcxtExchange` for the arguments."""

    def __init__(self, exchange_id: str, base_url: str | None) -> None:
        check_exchange(exchange_id)
        self._id = exchange_id
        self._base_url = None if base_url is None else loopback(base_url, exchange_id)
        self._making = anyio.Lock()
        self._loading = anyio.Lock()
        self._client: Any = None
        self._markets: Markets | None = None
        self._loaded_at = 0.0

    async def client(self) -> Any:
        """Return ccxt's client."""
        async with self._making:
            if self._client is None:
                self._client = await anyio.to_thread.run_sync(make_client, self._id, self._base_url)
            return self._client

    async def listed(self, symbol: str) -> Any:
        """Return ccxt's client once it has this exact symbol among its markets."""
        client, markets = await self._ready()
        if symbol not in markets:
            client, markets = await self._ready(RELOAD_S)
        if symbol not in markets:
            raise await anyio.to_thread.run_sync(unknown_symbol, symbol, markets, self._id)
        return client

    async def resolved(self, text: str, how: Callable[[str, Markets, str], str]) -> str:
        """Resolve a symbol in a thread, for it may mean comparing it with thousands of others."""
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

    async def markets(self) -> tuple[Markets, int]:
        """Return the markets, at most `RELOAD_S` old, and when they were loaded, in Unix ms."""
        client, markets = await self._ready(RELOAD_S)
        return markets, client.milliseconds() - int((time.monotonic() - self._loaded_at) * 1000)

    async def ask(self, request: Callable[[], Awaitable[Any]]) -> Any:
        """Send a request, and send it again after a moment where that may help."""
        import stamina

        from mcp_server.adapters.ccxt.errors import translated

        # Its notices would go to standard output, where an MCP host listens.
        stamina.instrumentation.set_on_retry_hooks(())
        attempts = stamina.retry_context(on=Retryable, attempts=ATTEMPTS, wait_initial=0.3, wait_max=2, wait_jitter=0.3)
        async for attempt in attempts:
            with attempt, translated(self._id):
                return await request()
        raise AssertionError("the last attempt returns or raises")

    async def close(self) -> None:
        """Close the connections, also while being cancelled."""
        with anyio.move_on_after(5, shield=True):
            async with self._making:
                client, self._client, self._markets = self._client, None, None
            if client is not None:
                await client.close()

    async def _ready(self, fresh_s: float | None = None) -> tuple[Any, Markets]:
        """Return client and markets: loaded once, whoever asks first, and again once they are older than `fresh_s`."""
        client = await self.client()
        if self._markets is not None and not self._stale(fresh_s):
            return client, self._markets  # also while another task loads them again
        async with self._loading:
            if self._markets is None or self._stale(fresh_s):
                loaded = await self.ask(partial(load_markets, partial(make_client, self._id, self._base_url)))
                if not loaded.markets:
                    raise UpstreamRejected(f"{self._id!r} answered with an empty list of markets.", "Try again later.")
                client.set_markets_from_exchange(loaded)
                self._markets, self._loaded_at = _honest(client.markets), time.monotonic()
            return client, self._markets

    def _stale(self, fresh_s: float | None) -> bool:
        return fresh_s is not None and time.monotonic() - self._loaded_at > fresh_s


def _honest(markets: Markets) -> Markets:
    """Leave out markets whose symbol hides something or is too long to be asked for."""
    return {symbol: market for symbol, market in markets.items() if cleaned(symbol, MOST_SYMBOL) == symbol}
