"""Enforces what a token allows: one that may only read neither sees nor can call the tools that write."""

from typing import TYPE_CHECKING, Any

import pydantic_core
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_REQUEST
from starlette.responses import JSONResponse

from mcp_server.toolkit import CLIENT_KEY

if TYPE_CHECKING:
    from mcp.server import MCPServer
    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SCOPE_KEY = "trader.scope"
"""The key in the ASGI scope where the gate puts what the token allows; a caller cannot send it as a header."""

MORE_SCOPE_KEY, SAW_KEY = "trader.more_scope", "trader.saw"
"""The same for callers by OAuth: the `WWW-Authenticate` for what they may not do, and whom to tell of their calls."""


class OnlyWhatIsAllowed:
    """A middleware of the MCP server, the same in both eras of the protocol."""

    def __init__(self, server: "MCPServer[Any]") -> None:
        self._server = server

    async def __call__(self, ctx: "ServerRequestContext[Any, Any]", call_next: "CallNext") -> "HandlerResult":
        """Handle one request, or refuse it with the name of the token that would allow it."""
        scope = getattr(ctx.request, "scope", None)
        if ctx.method == "tools/call" and scope is not None and SAW_KEY in scope:
            scope[SAW_KEY](scope[CLIENT_KEY], "call of a tool")
        if scope is None or scope.get(SCOPE_KEY) == "write":
            return await call_next(ctx)
        writing = await writing_tools(self._server)
        if ctx.method == "tools/call":
            name = (ctx.params or {}).get("name")
            if name in writing:
                raise MCPError(code=INVALID_REQUEST, message=_not_allowed(name))
        result = await call_next(ctx)
        if ctx.method == "tools/list" and isinstance(result, dict):
            return {**result, "tools": [tool for tool in result["tools"] if tool["name"] not in writing]}
        return result


class AsksForMore:
    """Answers a call that OAuth's client may not make with 403 and what it lacks, so that it can ask its owner again.

    `OnlyWhatIsAllowed` refuses it in any case, by an answer that only a model would understand.
    """

    def __init__(self, app: "ASGIApp", server: "MCPServer[Any]") -> None:
        self._app = app
        self._server = server

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer one ASGI scope; its body arrives whole."""
        if scope["type"] != "http" or MORE_SCOPE_KEY not in scope or scope[SCOPE_KEY] == "write":
            await self._app(scope, receive, send)
            return
        first: list[Message] = [await receive()]
        call = _tool_call(first[0].get("body", b""))
        if call is not None and call[1] in await writing_tools(self._server):
            error = {"code": INVALID_REQUEST, "message": _not_allowed(call[1])}
            answer = {"jsonrpc": "2.0", "id": call[0], "error": error}
            await JSONResponse(answer, 403, {"WWW-Authenticate": scope[MORE_SCOPE_KEY]})(scope, receive, send)
            return

        async def again() -> "Message":
            return first.pop() if first else await receive()

        await self._app(scope, again, send)


async def writing_tools(server: "MCPServer[Any]") -> list[str]:
    """Return the names of the tools that don't declare themselves read-only."""
    tools = await server.list_tools()
    return [tool.name for tool in tools if not (tool.annotations and tool.annotations.read_only_hint)]


def _tool_call(body: bytes) -> tuple[str | int, Any] | None:
    """Return id and tool of a call, read as the SDK reads it; None for what is no call that can be answered."""
    if b"tools/call" not in body:
        return None
    try:
        message = pydantic_core.from_json(body)
        sent, name = message["id"], message["params"]["name"]
        return (sent, name) if message["method"] == "tools/call" and isinstance(sent, str | int) else None
    except (ValueError, KeyError, TypeError):
        return None


def _not_allowed(name: str) -> str:
    return (
        f"This token may only read, so it cannot call {name!r}. Connect with a token of scope write "
        "(TRADER_TOKEN, or one of TRADER_TOKENS)."
    )
