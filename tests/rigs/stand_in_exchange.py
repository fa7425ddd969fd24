"""A stand-in for Kraken, Binance and Coinbase on loopback; ccxt's own classes talk to it as to the real ones.

    with StandInExchange() as rig:
        CcxtExchange("kraken", base_url=rig.url)

It serves the market lists, candles, tickers and order books of all three, and Binance's funding rates and open
interest, in their own formats and with their own limits per call; and one swap each of Gate and OKX. `rig.candle(…)`,
`rig.order_book(…)` and their like (see `World`) say what must come out; switches such as `rig.missing` and `rig.faults`
say what goes wrong.
"""

import contextlib
from collections import Counter
from dataclasses import dataclass
from email.utils import formatdate
from typing import Self

import anyio
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.rigs.exchanges import binance, coinbase, contracts, kraken
from tests.rigs.exchanges.world import LISTED_MS, OrderBook, World
from tests.rigs.loopback import served

__all__ = ["LISTED_MS", "Faults", "OrderBook", "StandInExchange"]


@dataclass
class Faults:
    """What goes wrong with the next requests; all off to begin with."""

    status: int | None = None
    body: str = "<html>no</html>"
    truncated: bool = False
    dropped: bool = False
    latency_s: float = 0.0
    times: int | None = None
    """How many requests it happens to; None: to all until it is switched off."""
    path: str | None = None
    """It happens only to requests whose path contains this, and only they are counted; None: to all."""
    retry_after_s: int | None = None
    """Goes into a Retry-After header beside `status`."""

    def take(self, path: str) -> bool:
        """Say whether it happens to this request."""
        if self.path is not None and self.path not in path:
            return False
        if self.times is None:
            return True
        self.times -= 1
        return self.times >= 0


class StandInExchange(World):
    """Use it as a context manager; `url` is where it listens.

    `requests` counts by path; `log` has the path and the query string of each, in order of arrival.
    """

    def __init__(self) -> None:
        super().__init__()
        self.requests: Counter[str] = Counter()
        self.log: list[tuple[str, str]] = []
        self.url = ""
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        routes = [*kraken.routes(self), *binance.routes(self), *coinbase.routes(self), *contracts.routes(self)]
        front = _Front(Starlette(routes=routes), self)
        self.url = self._stack.enter_context(served(front, date_header=False))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def heal(self) -> None:
        """Switch every fault off, and all the other switches."""
        super().heal()
        self.faults = Faults()


class _Front:
    """Notes the requests, dates the answers by the exchanges' clock, and lets go wrong what the rig says."""

    def __init__(self, app: ASGIApp, rig: StandInExchange) -> None:
        self._app = app
        self._rig = rig

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._rig.requests[scope["path"]] += 1
        self._rig.log.append((scope["path"], scope["query_string"].decode()))

        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["date"] = formatdate(self._rig.clock_ms / 1000, usegmt=True)
            await send(message)

        faults = self._rig.faults
        if faults.take(scope["path"]):
            await self._fail(faults, scope, receive, dated)
        else:
            await self._app(scope, receive, dated)

    async def _fail(self, faults: Faults, scope: Scope, receive: Receive, send: Send) -> None:
        if faults.latency_s:
            await anyio.sleep(faults.latency_s)
        if faults.dropped:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})
            raise ConnectionAbortedError("dropped on purpose: the server closes the socket")
        if faults.status is not None:
            headers = {} if faults.retry_after_s is None else {"retry-after": str(faults.retry_after_s)}
            await Response(faults.body, faults.status, headers, "text/html")(scope, receive, send)
        elif faults.truncated:
            await Response('{"error":[],"resu', media_type="application/json")(scope, receive, send)
        else:
            await self._app(scope, receive, send)
