"""The tool server that a run works with: the one that TRADER_SERVER_URL names, or a local one for its duration."""

import os
import secrets
import subprocess
import sys
from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.to_thread
import httpx2
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, ImageContent, TextContent
from pydantic import SecretStr

from mcp_server.errors import RETRYABLE, Retryable, TraderError, UpstreamRejected
from runner.settings import CREDENTIALS, RunnerSettings
from runner.tool_server.child_stderr import overhearing

KEPT_BACK = frozenset((*CREDENTIALS, "TRADER_AS_OF", "TRADER_NOTIFY"))
"""Of the environment, what a local server has no need of."""

START_S = 30.0
"""How long a local server may take to say where it listens."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a tool server answers, and the token that it wants."""

    url: str
    token: SecretStr | None


Serving = Callable[[], AbstractAsyncContextManager[Address]]
"""Gives where the tool server answers, for the duration of a block; starts one where there is none."""


@asynccontextmanager
async def tool_server(settings: RunnerSettings) -> AsyncIterator[Address]:
    """Give a tool server: the configured one, or a local one that ends with this block, or with this process.

    Raises:
        Retryable: a local server did not start; the text says why.
    """
    if settings.server_url:
        yield Address(settings.server_url, settings.token)
        return
    async with local_server(settings, "127.0.0.1", 0, SecretStr(secrets.token_urlsafe(24))) as (address, _):
        yield address


@asynccontextmanager
async def local_server(
    settings: RunnerSettings,
    host: str,
    port: int,
    token: SecretStr | None,
    tell: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[tuple[Address, Process]]:
    """Start a tool server that ends with this block, or with this process; give where it answers, and its process.

    Args:
        settings: what the operator decided.
        host: the address that it listens on.
        port: the port; 0 takes a free one.
        token: what others must send, or None.
        tell: is given each line that it writes to standard error, in a thread.

    Raises:
        Retryable: it did not start; the text says why.
    """
    environment = {name: value for name, value in os.environ.items() if name not in KEPT_BACK}
    own = SecretStr(secrets.token_urlsafe(24))  # a runner's calls are not counted with those of others
    environment |= {"TRADER_HOME": str(settings.home), "TRADER_RUNNER_TOKEN": own.get_secret_value()}
    environment |= {"TRADER_TOKEN": token.get_secret_value()} if token else {}
    if settings.as_of is not None:
        environment["TRADER_AS_OF"] = settings.as_of.isoformat()
    command = [sys.executable, "-P", "-m", "mcp_server", "--http", "--host", host, "--port", str(port), "--with-parent"]
    with overhearing(tell) as overheard:
        process = await anyio.open_process(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=overheard.writing,
            env=environment,
            start_new_session=True,  # Ctrl-C is for this program alone: it lets runs end, and they need the server
        )
        overheard.given()
        try:
            url = await _first_line(process)
            if not url.startswith("http"):
                await _end(process)
                why = (await anyio.to_thread.run_sync(overheard.last)) or "it said nothing"
                raise Retryable(f"The local tool server did not start: {why}")
            yield Address(_reachable(url), own), process
        finally:
            await _end(process)


def _reachable(url: str) -> str:
    """Give the address by which this machine reaches a server that listens on all of its addresses."""
    return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")


async def _first_line(process: Process) -> str:
    assert process.stdout is not None  # noqa: S101 (it was opened with a pipe)
    line = ""
    with anyio.move_on_after(START_S):
        async for part in TextReceiveStream(process.stdout):
            line += part
            if "\n" in line:
                break
    return line.partition("\n")[0]


async def _end(process: Process) -> None:
    with anyio.CancelScope(shield=True):
        if process.returncode is None:
            process.terminate()
            with anyio.move_on_after(5):
                await process.wait()
        if process.returncode is None:
            process.kill()
        await process.aclose()


class Tools:
    """Calls tools of a server over MCP."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def offered(self) -> dict[str, bool]:
        """Give every tool's name, and whether it only reads."""
        listed = await self._client.list_tools()
        return {tool.name: bool(tool.annotations and tool.annotations.read_only_hint) for tool in listed.tools}

    async def prompt(self, name: str, arguments: dict[str, str]) -> str:
        """Give the text of one of the server's prompts."""
        given = await self._client.get_prompt(name, arguments)
        return "\n".join(each.content.text for each in given.messages if isinstance(each.content, TextContent))

    async def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Call a tool and give its structured answer.

        Raises:
            UpstreamRejected: the tool answered with an error; the text is the tool's own.
            Retryable: so too, and the same call may work later: an exchange is down, say.
        """
        result = await self._called(name, arguments)
        if result.structured_content is None:
            raise UpstreamRejected(f"{name} gave no answer")
        answer: dict[str, Any] = result.structured_content
        return answer

    async def picture(self, name: str, arguments: dict[str, Any]) -> bytes:
        """Call a tool that draws and give its picture, a PNG.

        Raises:
            UpstreamRejected: the tool answered with an error, or without a picture.
        """
        result = await self._called(name, arguments)
        for block in result.content:
            if isinstance(block, ImageContent) and block.mime_type == "image/png":
                return b64decode(block.data)
        raise UpstreamRejected(f"{name} gave no picture")

    async def _called(self, name: str, arguments: dict[str, Any]) -> CallToolResult:
        result = await self._client.call_tool(
            name, {key: value for key, value in arguments.items() if value is not None}
        )
        text = "\n".join(block.text for block in result.content if isinstance(block, TextContent))
        if result.is_error:
            kind = Retryable if (result.meta or {}).get(RETRYABLE) else UpstreamRejected
            raise kind(text or f"{name} gave no answer")
        return result


Connecting = Callable[[], AbstractAsyncContextManager[Tools]]
"""Gives a connection to the tool server, for the duration of a block."""


@asynccontextmanager
async def connected(address: Address) -> AsyncIterator[Tools]:
    """Connect to a tool server.

    Raises:
        Retryable: it cannot be reached, refuses the token, or was lost on the way.
    """
    headers = {"Authorization": f"Bearer {address.token.get_secret_value()}"} if address.token else {}
    timeout = httpx2.Timeout(10, read=300)
    try:
        async with (
            httpx2.AsyncClient(headers=headers, timeout=timeout, trust_env=False) as http,
            Client(streamable_http_client(address.url, http_client=http)) as client,
        ):
            yield Tools(client)
    except Exception as error:
        cause = root(error)
        if isinstance(cause, TraderError):
            raise cause from None
        if not isinstance(cause, (httpx2.HTTPError, MCPError, OSError, anyio.ClosedResourceError, anyio.EndOfStream)):
            raise
        raise Retryable(
            f"The tool server cannot be reached ({type(cause).__name__}). Start "
            "`claude-trader-mcp --http` and check TRADER_SERVER_URL and TRADER_TOKEN, or unset TRADER_SERVER_URL to "
            "have one started for the run."
        ) from None


def root(error: BaseException) -> BaseException:
    """Find the error itself inside of the groups that task groups wrap around it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
