"""A small MCP server over HTTP on loopback: two tools that look and one that writes.

It keeps the calls and the headers they came with. Without a network and with fixed answers, it stands for the
project's own server where the agent that calls the tools is what is tested.
"""

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.rigs.loopback import served

TOOLS = {"get_price": True, "calculate_rsi": True, "write_strategy": False}
"""The tools it offers: name → whether it only reads."""


@dataclass
class ToolServer:
    """Use it as a context manager; `url` ends in `/mcp`.

    `price` is what get_price answers, and `about_price` its description. `before` is called in each call of a tool that
    looks, in a thread of its own: it may wait. `reached` is set by the first request.
    """

    token: str | None = None
    price: float = 42.5
    about_price: str = "Get the price of a symbol, in an answer that is as much longer as one wants."
    before: Callable[[str, Mapping[str, Any]], None] = lambda tool, arguments: None
    url: str = ""
    calls: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    reached: threading.Event = field(default_factory=threading.Event)
    _leaving: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> "ToolServer":
        app = self._server().streamable_http_app(stateless_http=True)
        app.user_middleware.append(Middleware(_Door, server=self))
        self.url = f"{self._leaving.enter_context(served(app))}/mcp"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.close()

    def _server(self) -> MCPServer:
        server = MCPServer("tool-server", log_level="CRITICAL")
        looks, writes = ToolAnnotations(read_only_hint=True), ToolAnnotations(read_only_hint=False)

        @server.tool(annotations=looks, description=self.about_price)
        def get_price(symbol: str, padding: int = 0, as_of: str | None = None) -> dict[str, Any]:
            self.calls.append(("get_price", {"symbol": symbol}))
            self.before("get_price", {"symbol": symbol, "padding": padding})
            if symbol == "NONE/USDT":
                raise ToolError("Unknown symbol 'NONE/USDT'.")
            return {"symbol": symbol, "last": self.price, **({"padding": "1" * padding} if padding else {})}

        @server.tool(annotations=looks)
        def calculate_rsi(symbol: str, period: int = 14) -> dict[str, Any]:
            """Calculate the RSI of a symbol."""
            self.calls.append(("calculate_rsi", {"symbol": symbol, "period": period}))
            self.before("calculate_rsi", {"symbol": symbol, "period": period})
            return {"symbol": symbol, "rsi": 28.5}

        @server.tool(annotations=writes)
        def write_strategy(strategy_name: str) -> dict[str, Any]:
            """Write a strategy."""
            self.calls.append(("write_strategy", {"strategy_name": strategy_name}))
            return {"strategy_name": strategy_name}

        return server


class _Door:
    """Keeps each request's headers and, where a token is set, turns away who does not carry it."""

    def __init__(self, app: ASGIApp, server: ToolServer) -> None:
        self._app = app
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = dict(Request(scope).headers)
        self._server.headers.append(headers)
        self._server.reached.set()
        expected = self._server.token
        if expected is not None and headers.get("authorization") != f"Bearer {expected}":
            return await PlainTextResponse("no", status_code=401)(scope, receive, send)
        return await self._app(scope, receive, send)
