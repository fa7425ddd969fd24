"""Enforces what a token allows: one that may only read neither sees nor can call the tools that write."""

from typing import TYPE_CHECKING, Any

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_REQUEST

if TYPE_CHECKING:
    from mcp.server import MCPServer
    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

SCOPE_KEY = "trader.scope"
"""The key in the ASGI scope where the gate puts what the token allows; a caller cannot send it as a header."""


class OnlyWhatIsAllowed:
    """A middleware of the MCP server, the same in both eras of the protocol."""

    def __init__(self, server: "MCPServer[Any]") -> None:
        self._server = server

    async def __call__(self, ctx: "ServerRequestContext[Any, Any]", call_next: "CallNext") -> "HandlerResult":
        """Handle one request, or refuse it with the name of the token that would allow it."""
        scope = getattr(ctx.request, "scope", None)
        if scope is None or scope.get(SCOPE_KEY) == "write":
            return await call_next(ctx)
        tools = await self._server.list_tools()
        reading = {tool.name for tool in tools if tool.annotations and tool.annotations.read_only_hint}
        if ctx.method == "tools/call":
            name = (ctx.params or {}).get("name")
            if name not in reading:
                raise MCPError(
                    code=INVALID_REQUEST,
                    message=f"This token may only read, so it cannot call {str(name)[:80]!r}. Connect with a token of "
                    "scope write (TRADER_TOKEN, or one of TRADER_TOKENS).",
                )
        result = await call_next(ctx)
        if ctx.method == "tools/list" and isinstance(result, dict):
            return {**result, "tools": [tool for tool in result["tools"] if tool["name"] in reading]}
        return result
