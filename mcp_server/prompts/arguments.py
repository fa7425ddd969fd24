"""Checks which prompt is asked for and with which arguments; the protocol's own checks would end as internal errors."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from mcp_server.domain.error_hints import nearest
from mcp_server.domain.text import escaped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcp.server import MCPServer
    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
    from mcp_types import Prompt


class PromptArguments:
    """A middleware of the MCP server, the same in both eras of the protocol."""

    def __init__(self, server: MCPServer[Any]) -> None:
        self._server = server

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Handle one request, or refuse it with the name of what is missing or not known."""
        if ctx.method != "prompts/get":
            return await call_next(ctx)
        params = dict(ctx.params or {})
        given = params.get("arguments") or {}
        if isinstance(given, dict):
            prompts = {prompt.name: prompt for prompt in await self._server.list_prompts()}
            params["arguments"] = _checked(params.get("name"), given, prompts)
        return await call_next(replace(ctx, params=params))


def _checked(name: Any, given: dict[str, Any], prompts: Mapping[str, Prompt]) -> dict[str, Any]:
    """Return the arguments without those that are null, which count as not given.

    Raises:
        MCPError: there is no such prompt, or no such argument, or a required one is missing.
    """
    if name not in prompts:
        remedy = nearest(str(name), prompts) if prompts else "This server offers none."
        raise _refused(f"There is no prompt {escaped(repr(name))}. {remedy}")
    arguments = {argument.name: bool(argument.required) for argument in prompts[name].arguments or []}
    for word in given:
        if word not in arguments:
            raise _refused(f"{name}: {escaped(word)}: not a known argument. {nearest(word, arguments)}")
    sent = {word: value for word, value in given.items() if value is not None}
    for word, required in arguments.items():
        if required and not str(sent.get(word, "")).strip():
            raise _refused(f"{name}: {word}: missing. This argument is required.")
    return sent


def _refused(message: str) -> MCPError:
    return MCPError(code=INVALID_PARAMS, message=message)
