"""Connects to a tool server and calls its tools over MCP; each failure is an error of ours."""

from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import anyio
import httpx2

from mcp_server.domain.late_models import built_when_used
from mcp_server.domain.late_parts import import_with_late_parts
from runner.tool_server.mcp_client import OF_THE_SERVER

with built_when_used():
    import_with_late_parts("mcp", OF_THE_SERVER)
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

from mcp.shared.exceptions import MCPError
from mcp_types import (
    METHOD_NOT_FOUND,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    ImageContent,
    Request,
    Result,
    TextContent,
    Tool,
)
from mcp_types.version import LATEST_MODERN_VERSION

from mcp_server.domain.strategy.agents import NOT_FOR_AGENTS
from mcp_server.domain.strategy.rules_outcome import TOGETHER
from mcp_server.errors import PROBLEM, REMEDY, RETRYABLE, Retryable, TraderError, UpstreamRejected, root
from runner.tool_server.server import Address

if TYPE_CHECKING:
    import ssl

Telling = Callable[[str], None]
"""Called with what a tool is doing."""


class Tools:
    """Calls tools of a server over MCP."""

    def __init__(self, client: Client, *, of_this_program: bool = False) -> None:
        """Take a connection. `of_this_program`: to a server that this process has started for itself alone."""
        self._client = client
        self.of_this_program = of_this_program
        self.evaluates_together = of_this_program or TOGETHER in (client.server_capabilities.extensions or {})
        """Whether the server evaluates rules of several strategies in one request: one that this runner has started."""

    async def offered(self) -> dict[str, bool]:
        """Return every tool's name, and whether it only looks: a scheduled agent may have no other."""
        return (await self.listed())[0]

    async def listed(self) -> tuple[dict[str, bool], frozenset[str]]:
        """Return what `offered` does, and the names of the tools that look at the market that they are given."""
        tools = (await self._client.list_tools()).tools
        of_markets = frozenset(tool.name for tool in tools if "symbol" in tool.input_schema.get("properties", {}))
        return {tool.name: _only_looks(tool) for tool in tools}, of_markets

    async def prompt(self, name: str, arguments: dict[str, str]) -> str:
        """Return the text of one of the server's prompts."""
        messages = (await self._client.get_prompt(name, arguments)).messages
        return "\n".join(message.content.text for message in messages if isinstance(message.content, TextContent))

    async def call(self, name: str, arguments: dict[str, Any], tell: Telling | None = None) -> dict[str, Any]:
        """Call a tool and return its structured answer.

        Args:
            name: the tool's.
            arguments: what it is given; those that are None are left out.
            tell: called with what it is doing, as it goes on.

        Raises:
            UpstreamRejected: the tool answered with an error; problem and remedy are the tool's own.
            Retryable: so too, and the same call may work later: an exchange is down, say.
        """
        result = await self._called(name, arguments, tell)
        if result.structured_content is None:
            raise UpstreamRejected(f"The tool {name} gave no answer.")
        answer: dict[str, Any] = result.structured_content
        return answer

    async def evaluate_together(self, asked: Sequence[Mapping[str, Any]]) -> list[dict[str, Any] | TraderError | None]:
        """Have rules of strategies of one market evaluated, given the arguments of `evaluate_strategy` for each.

        Return what that tool answers for each, an error too; None for one that is to be asked for alone. Where the
        request fails that is so for each, and where the server refuses it, it is not asked again.
        """
        request = _Evaluations(method=TOGETHER, params={"asked": [*asked]})
        try:
            answers = (await self._client.session.send_request(request, _EvaluationsResult)).answers
        except MCPError as error:
            if error.code == METHOD_NOT_FOUND:  # it was started by another runner, say
                self.evaluates_together = False
            return [None for _ in asked]
        return [_error_of(one["error"]) if "error" in one else one.get("answer") for one in answers]

    async def picture(self, name: str, arguments: dict[str, Any]) -> bytes:
        """Call a tool that draws and return its picture, a PNG.

        Raises:
            UpstreamRejected: the tool answered with an error, or without a picture.
        """
        result = await self._called(name, arguments)
        for block in result.content:
            if isinstance(block, ImageContent) and block.mime_type == "image/png":
                return b64decode(block.data)
        raise UpstreamRejected(f"The tool {name} gave no picture.")

    async def _called(self, name: str, arguments: dict[str, Any], tell: Telling | None = None) -> CallToolResult:
        async def heard(progress: float, total: float | None, message: str | None) -> None:
            if tell is not None and message:
                tell(message)

        stated = {key: value for key, value in arguments.items() if value is not None}
        request = CallToolRequest(params=CallToolRequestParams(name=name, arguments=stated))
        # `Client.call_tool` would list all tools first, to hold the answer against a schema that its own server gave.
        progress = heard if tell else None
        result = await self._client.session.send_request(request, CallToolResult, progress_callback=progress)
        if result.is_error:
            raise _tool_error(name, result)
        return result


def _only_looks(tool: Tool) -> bool:
    reads = tool.annotations is not None and bool(tool.annotations.read_only_hint)
    return reads and not (tool.meta or {}).get(NOT_FOR_AGENTS)


def _tool_error(name: str, result: CallToolResult) -> TraderError:
    """Return the error that a tool answered with, in its parts; arguments that are wrong come as text alone."""
    text = "\n".join(block.text for block in result.content if isinstance(block, TextContent))
    return _error_of(result.meta or {}, text or f"The tool {name} gave no answer.")


def _error_of(parts: Mapping[str, Any], text: str = "") -> TraderError:
    problem, remedy = str(parts.get(PROBLEM) or text), str(parts.get(REMEDY, ""))
    return Retryable(problem, remedy) if parts.get(RETRYABLE) else UpstreamRejected(problem, remedy)


class _Evaluations(Request[dict[str, Any], str]):
    """The method of the extension `TOGETHER`."""


class _EvaluationsResult(Result):
    """For each strategy that was asked for `answer`, `error` or nothing."""

    answers: list[dict[str, Any]]


Connecting = Callable[[], AbstractAsyncContextManager[Tools]]
"""Gives a connection to the tool server, for the duration of a block."""


@cache
def trust(*, encrypted: bool) -> "ssl.SSLContext":
    """Return whose certificates connections trust: the usual authorities', or nobody's where none is to be shown.

    It is made once. To read the authorities takes longer than a run by rules, and each report has a connection.
    """
    import ssl

    return httpx2.create_ssl_context(trust_env=False) if encrypted else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@asynccontextmanager
async def connected(address: Address) -> AsyncIterator[Tools]:
    """Connect to a tool server.

    Raises:
        Retryable: it cannot be reached, refuses the token, or was lost on the way.
    """
    headers = {"Authorization": f"Bearer {address.token.get_secret_value()}"} if address.token else {}
    timeout = httpx2.Timeout(10, read=300)
    mode = LATEST_MODERN_VERSION if address.of_this_program else "auto"  # which asks what it speaks
    try:
        async with (
            httpx2.AsyncClient(
                headers=headers,
                timeout=timeout,
                trust_env=False,
                verify=trust(encrypted=address.url.startswith("https:")),
            ) as http,
            Client(streamable_http_client(address.url, http_client=http), mode=mode) as client,
        ):
            yield Tools(client, of_this_program=address.of_this_program)
    except Exception as error:
        cause = root(error)
        if isinstance(cause, TraderError):
            raise cause from None
        if not isinstance(cause, (httpx2.HTTPError, MCPError, OSError, anyio.ClosedResourceError, anyio.EndOfStream)):
            raise
        raise Retryable(
            f"The tool server cannot be reached ({type(cause).__name__}).",
            "Start `claude-trader-mcp --http` and check TRADER_SERVER_URL and TRADER_TOKEN, or unset "
            "TRADER_SERVER_URL: then each run starts a server of its own.",
        ) from None
