"""A local tool server as a process. It imports little, so that a server can be started before anything else is."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread
from anyio.abc import Process

from mcp_server.errors import Retryable
from runner.credentials import CREDENTIALS
from runner.no_proxy import no_proxy
from runner.tool_server.child_stderr import ChildStderr, read_stderr

KEPT_BACK = frozenset((*CREDENTIALS, "TRADER_NOTIFY"))
"""Variables of the environment that a local server does not need."""

SERVER_URL = "TRADER_SERVER_URL"

START_S = 30.0
"""How long a local server may take to say where it listens."""

END_S = 5.0
"""How long it may take to end before it is killed."""


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A local server that has been started. `runner_token` lets its runner in, and is counted apart from others."""

    process: Process
    runner_token: str
    _stderr: ChildStderr

    async def where(self) -> tuple[str, str]:
        """Wait until it listens; return the URL by which this machine reaches it, and where a person finds its page.

        Raises:
            Retryable: it did not start; the problem has what it wrote.
        """
        url, _, page = (await _first_lines(self.process)).partition("\n")
        if not url.startswith("http"):
            await end(self.process)
            why = (await anyio.to_thread.run_sync(self._stderr.last_lines)) or "it wrote nothing."
            raise Retryable(f"The local tool server did not start: {why}")
        return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:"), page.strip()

    def begin_to_end(self) -> None:
        """Ask it to end, and do not wait for that."""
        if self.process.returncode is None:
            self.process.terminate()


@asynccontextmanager
async def server_process(
    variables: Mapping[str, str],
    host: str = "127.0.0.1",
    port: int = 0,
    tell: Callable[[str], None] = lambda _: None,
    *,
    for_a_run: bool = False,
) -> AsyncIterator[ServerProcess]:
    """Start a tool server that ends with this block or with this process, and do not wait for it.

    Args:
        variables: settings of the server that take the place of those in the environment.
        host: the address to listen on.
        port: the port to listen on; 0 takes a free one.
        tell: called with each line that the server writes to standard error, in a thread.
        for_a_run: it imports at once what a run needs.
    """
    own = _token()
    left_out = {*KEPT_BACK, *variables}
    environment = {name: value for name, value in os.environ.items() if name.upper() not in left_out}
    environment.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # to look for some takes 30 ms of its start
    environment |= {**variables, "TRADER_RUNNER_TOKEN": own, **no_proxy()}
    command = [sys.executable, "-P", "-m", "mcp_server", "--http", "--host", host, "--port", str(port), "--with-parent"]
    command += ["--for-a-run"] if for_a_run else []
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
            yield ServerProcess(process, own, child_stderr)
        finally:
            await end(process)


@asynccontextmanager
async def early_server(home: Path) -> AsyncIterator[ServerProcess | None]:
    """Start a local server for the runner of a home, before any setting but the home has been read.

    Give None where the settings may name a server elsewhere: who has read them knows.
    """
    if _may_be_elsewhere(home):
        yield None
        return
    variables = {"TRADER_HOME": str(home), "TRADER_TOKEN": _token()}
    async with server_process(variables, for_a_run=True) as server:
        yield server


def _may_be_elsewhere(home: Path) -> bool:
    if any(value for name, value in os.environ.items() if name.upper() == SERVER_URL):
        return True
    try:
        return SERVER_URL in (home / ".env").read_text("utf-8", errors="replace").upper()
    except FileNotFoundError:
        return False
    except OSError:
        return True


async def _first_lines(process: Process) -> str:
    """Return what a server writes at its start, all at once: where it answers, and where its page is."""
    assert process.stdout is not None  # noqa: S101 (it was opened with a pipe)
    written = b""
    with anyio.move_on_after(START_S):
        async for part in process.stdout:
            written += part
            if b"\n" in written:
                break
    return written.decode("utf-8", errors="replace")


def _token() -> str:
    return os.urandom(24).hex()  # `secrets` takes longer to import than to do without


async def end(process: Process) -> None:
    """End a server in good order, or else outright."""
    with anyio.CancelScope(shield=True):
        if process.returncode is None:
            process.terminate()
            with anyio.move_on_after(END_S):
                await process.wait()
        if process.returncode is None:
            process.kill()
        await process.aclose()
