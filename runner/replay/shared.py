"""What all runs of a replay share: one tool server with one connection to it, and one recording proxy."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import anyio
from pydantic import SecretStr

from mcp_server.errors import TraderError, root
from runner.claude.recording import Proxy, recording_proxy
from runner.settings import RunnerSettings
from runner.tool_server.client import Connecting
from runner.tool_server.connection import Connection
from runner.tool_server.server import Serving, tool_server
from runner.tool_server.supervisor import WatchedServer


@dataclass(frozen=True, slots=True)
class Shared:
    """Where the tool server answers, the connection to it, and the proxy."""

    serving: Serving
    connect: Connecting
    proxy: Proxy


@asynccontextmanager
async def shared(settings: RunnerSettings, environment: dict[str, str]) -> AsyncIterator[Shared]:
    """Give what runs share, for the duration of a block. A tool server that ends is started again.

    Args:
        settings: which tool server is used; a local one is started where none is named.
        environment: the credentials, and where Claude's API is.

    Raises:
        TraderError: as what happens in the block; or no tool server could be started.
    """
    server = None
    serving: Serving = partial(tool_server, settings)
    if settings.server_url is None:
        server = WatchedServer(settings, token=SecretStr(secrets.token_urlsafe(24)))
        serving = server.serving
    connection = Connection(serving)
    try:
        async with recording_proxy(environment) as proxy, anyio.create_task_group() as tasks:
            if server is not None:
                server.on_change = connection.lose
                tasks.start_soon(server.keep)
            tasks.start_soon(connection.hold)
            await connection.ready()
            yield Shared(serving, connection.tools, proxy)
            tasks.cancel_scope.cancel()
    except ExceptionGroup as group:
        if isinstance(error := root(group), TraderError):
            raise error from None
        raise
