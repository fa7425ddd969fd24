"""The tool server that a run works with: the one that TRADER_SERVER_URL names, or a local one for its duration."""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace

from pydantic import SecretStr

from runner.settings import RunnerSettings
from runner.tool_server.server_process import ServerProcess, server_process


@dataclass(frozen=True, slots=True)
class Address:
    """Where a tool server answers, and the token that it expects. `page` tells a person where its page is.

    `of_this_program`: this process has started it for itself alone, so it need not be asked what it speaks.
    """

    url: str
    token: SecretStr | None
    page: str = ""
    of_this_program: bool = False


Serving = Callable[[], AbstractAsyncContextManager[Address]]
"""Gives where the tool server answers, for the duration of a block; starts one where there is none."""


@asynccontextmanager
async def tool_server(settings: RunnerSettings) -> AsyncIterator[Address]:
    """Give a tool server: the configured one, or a local one that ends with this block or with this process.

    Raises:
        Retryable: a local server did not start.
    """
    if settings.server_url:
        yield Address(settings.server_url, settings.token)
        return
    async with local_server(settings, "127.0.0.1", 0, SecretStr(secrets.token_urlsafe(24))) as (address, _):
        yield address


def begun(server: ServerProcess | None, settings: RunnerSettings) -> Serving:
    """Return what gives a server that was started early, or the configured one.

    When the block is left the early one begins to end: what follows need not wait for it.
    """
    if server is None or settings.server_url:
        return lambda: tool_server(settings)

    @asynccontextmanager
    async def serving() -> AsyncIterator[Address]:
        address = await address_of(server)
        try:
            yield replace(address, of_this_program=True)
        finally:
            server.begin_to_end()

    return serving


@asynccontextmanager
async def local_server(
    settings: RunnerSettings,
    host: str,
    port: int,
    token: SecretStr | None,
    tell: Callable[[str], None] = lambda _: None,
    *,
    collect_news: bool = False,
) -> AsyncIterator[tuple[Address, ServerProcess]]:
    """Start a tool server that ends with this block or with this process; give its address and its process.

    Args:
        settings: the operator's settings.
        host: the address to listen on.
        port: the port to listen on; 0 takes a free one.
        token: what other clients must send, or None.
        tell: called with each line that the server writes to standard error, in a thread.
        collect_news: it collects the news of its home, too.

    Raises:
        Retryable: it did not start; the problem has what it wrote.
    """
    variables = {"TRADER_HOME": str(settings.home)}
    url = settings.database_url
    variables["TRADER_DATABASE_URL"] = url.get_secret_value() if url else ""
    variables["TRADER_AS_OF"] = settings.as_of.isoformat() if settings.as_of else ""
    if token is not None:
        variables["TRADER_TOKEN"] = token.get_secret_value()
    async with server_process(variables, host, port, tell, collect_news=collect_news) as server:
        yield await address_of(server), server


async def address_of(server: ServerProcess) -> Address:
    """Wait until a local server listens; return where it answers its runner.

    Raises:
        Retryable: it did not start.
    """
    url, page = await server.where()
    return Address(url, SecretStr(server.runner_token), page)
