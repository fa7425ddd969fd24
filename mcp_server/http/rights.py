"""What a caller's token allows: one that only reads is not offered what writes, and is refused when it asks for it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_REQUEST

if TYPE_CHECKING:
    from mcp.server import MCPServer
    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

SCOPE_KEY = "trader.scope"
"""Where the gate leaves what the token allows, in the ASGI scope: no header that a caller could send."""


class OnlyWhatIsAllowed:
    """A middleware of the MCP server, the same in both eras of the protocol."""

    def __init__(self, server: "MCPServer[Any]") -> None:
        self._server = server

    async def __call__(self, ctx: "ServerRequestContext[Any, Any]", call_next: "CallNext") -> "HandlerResult":
        """Handle one request.

        Raises:
            MCPError: the token does not allow it; the text says what would.
        """
        scope = getattr(ctx.request, "scope", None)
        if scope is None or scope.get(SCOPE_KEY) == "write":
            return await call_next(ctx)
        reading = {each.name for each in await self._server.list_tools() if _reads(each)}
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
            tools: Sequence[dict[str, Any]] = result["tools"]
            return {**result, "tools": [tool for tool in tools if tool["name"] in reading]}
        return result


def _reads(tool: Any) -> bool:
    return tool.annotations is not None and tool.annotations.read_only_hint is True
