"""The composed server on chains and exchanges that stand in for the real ones, asked as a host asks it."""

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mcp import Client
from pydantic import SecretStr

from mcp_server.app import build_server
from mcp_server.domain.timeframes import from_ms
from mcp_server.settings import ServerSettings
from tests.tools.conftest import answer_of

Ask = Callable[..., Coroutine[Any, Any, dict[str, Any]]]


def chain_settings(home: Path, urls: Mapping[str, Sequence[str]], **more: Any) -> ServerSettings:
    """Give settings with these endpoints, and the simulated exchange for prices."""
    secret = {chain: [SecretStr(url) for url in of] for chain, of in urls.items()}
    return ServerSettings(home=home, chain_urls=secret, **{"exchange": "simulated", **more})


@asynccontextmanager
async def asking(
    home: Path, urls: Mapping[str, Sequence[str]], now_ms: Callable[[], int], **more: Any
) -> AsyncIterator[Ask]:
    """Connect to a server of one's own; its clock is the chain's."""
    server = build_server(chain_settings(home, urls, **more), clock=lambda: from_ms(now_ms()))
    async with Client(server, raise_exceptions=True) as client:

        async def ask(name: str, **arguments: Any) -> dict[str, Any]:
            return answer_of(await client.call_tool(name, arguments))

        yield ask
