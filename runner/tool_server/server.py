"""The tool server that a run works with: the one that TRADER_SERVER_URL names, or a local one for its duration."""

import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import anyio
import anyio.to_thread
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream
from pydantic import SecretStr

from mcp_server.errors import Retryable
from runner.no_proxy import no_proxy
from runner.settings import CREDENTIALS, RunnerSettings
from runner.tool_server.child_stderr import read_stderr

KEPT_BACK = frozenset((*CREDENTIALS, "TRADER_AS_OF", "TRADER_NOTIFY"))
"""Variables of the environment that a local server does not need."""

START_S = 30.0
"""How long a local server may take to say where it listens."""

END_S = 5.0
"""How long it may take to end before it is killed."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a tool server answers, and the token that it expects. `page` tells a person where its page is."""

    url: str
    token: SecretStr | None
    page: str = ""


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


@asynccontextmanager
async def local_server(
    settings: RunnerSettings,
    host: str,
    port: int,
    token: SecretStr | None,
    tell: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[tuple[Address, Process]]:
    """Start a tool server that ends with this block or with this process; give its address and its process.

    Args:
        settings: the operator's settings.
        host: the address to listen on.
        port: the port to listen on; 0 takes a free one.
        token: what other clients must send, or None.
        tell: called with each line that the server writes to standard error, in a thread.

    Raises:
        Retryable: it did not start; the problem has what it wrote.
    """
    environment = {name: value for name, value in os.environ.items() if name.upper() not in KEPT_BACK}
    own = SecretStr(secrets.token_urlsafe(24))  # a runner's calls are not counted with those of others
    environment |= {"TRADER_HOME": str(settings.home), "TRADER_RUNNER_TOKEN": own.get_secret_value()}
    environment |= {"TRADER_TOKEN": token.get_secret_value()} if token else {}
    environment |= no_proxy()
    if settings.as_of is not None:
        environment["TRADER_AS_OF"] = settings.as_of.isoformat()
    command = [sys.executable, "-P", "-m", "mcp_server", "--http", "--host", host, "--port", str(port), "--with-parent"]
    with read_stderr(tell) as child_stderr:
        process = await anyio.open_process(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=child_stderr.writing_end,
            env=environment,
            start_new_session=True,  # Ctrl-C is for this program alone: it lets runs end, and they need the server
        )
        child_stderr.hand_over()
        try:
            url, _, page = (await _first_lines(process)).partition("\n")
            if not url.startswith("http"):
                await _end(process)
                why = (await anyio.to_thread.run_sync(child_stderr.last_lines)) or "it wrote nothing."
                raise Retryable(f"The local tool server did not start: {why}")
            yield Address(_reachable(url), own, page.strip()), process
        finally:
            await _end(process)


def _reachable(url: str) -> str:
    """Return the address by which this machine reaches a server that listens on all of its addresses."""
    return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")


async def _first_lines(process: Process) -> str:
    """Return what a server writes at its start, all at once: where it answers, and where its page is."""
    assert process.stdout is not None  # noqa: S101 (it was opened with a pipe)
    lines = ""
    with anyio.move_on_after(START_S):
        async for part in TextReceiveStream(process.stdout):
            lines += part
            if "\n" in lines:
                break
    return lines


async def _end(process: Process) -> None:
    with anyio.CancelScope(shield=True):
        if process.returncode is None:
            process.terminate()
            with anyio.move_on_after(END_S):
                await process.wait()
        if process.returncode is None:
            process.kill()
        await process.aclose()
