"""A local tool server as a process. It imports little, so that a server can be started before anything else is."""

import os
import stat
import sys
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from typing import TypeVar

from mcp_server.errors import Retryable
from runner.credentials import CREDENTIALS
from runner.no_proxy import no_proxy
from runner.tool_server.child_stderr import ChildStderr, read_stderr

T = TypeVar("T")

KEPT_BACK = frozenset((*CREDENTIALS, "TRADER_NOTIFY"))
"""Variables of the environment that a local server does not need."""

FOR_A_RUN = {
    "MALLOC_TRIM_THRESHOLD_": f"{1 << 28}",
    "MALLOC_MMAP_THRESHOLD_": f"{1 << 24}",
    "MALLOC_TOP_PAD_": f"{1 << 24}",
    "OPENBLAS_NUM_THREADS": "1",
}
"""By the first three glibc keeps what a server for one run has freed, in bytes: to return it, and take it anew for each
of some thousand arrays, takes a third as long as to fill them. By the last numpy starts no threads, which take a
quarter of its import: rules solve no equations."""

SERVER_URL = "TRADER_SERVER_URL"

HELP = frozenset(("--help", "-h"))

START_S = 30.0
"""How long a local server may take to say where it listens."""

END_S = 5.0
"""How long it may take to end before it is killed."""


class ServerProcess:
    """A local server that has been started. `runner_token` lets its runner in, and is counted apart from others."""

    def __init__(self, runner_token: str, program: "Popen[bytes]", child_stderr: ChildStderr) -> None:
        self.runner_token = runner_token
        self._program = program
        self._stderr = child_stderr
        self._told = False

    async def where(self) -> tuple[str, str]:
        """Wait until it listens; return the URL by which this machine reaches it, and where a person finds its page.

        Raises:
            Retryable: it did not start; the problem has what it wrote.
        """
        import anyio

        lines = ""
        with anyio.move_on_after(START_S):
            lines = await _in_thread(self._first_lines)
        url, _, page = lines.partition("\n")
        if not url.startswith("http"):
            await _in_thread(self.end)
            why = (await _in_thread(self._stderr.last_lines)) or "it wrote nothing."
            raise Retryable(f"The local tool server did not start: {why}")
        return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:"), page.strip()

    async def wait(self) -> int:
        """Wait for its end; return its exit code."""
        return await _in_thread(self._program.wait)

    def begin_to_end(self) -> None:
        """Ask it to end, and do not wait for that."""
        if not self._told:  # told again, it would drop what it is about to store
            self._told = True
            self._program.terminate()

    def kill(self) -> None:
        """End it outright."""
        self._program.kill()

    def end(self) -> None:
        """End it in good order, or else outright, and wait until it has ended."""
        outright = threading.Timer(END_S, self.kill)
        try:
            self.begin_to_end()
            outright.start()
            self._program.wait()
        finally:
            outright.cancel()
            self.kill()  # which does nothing to one that has ended
            for pipe in (self._program.stdin, self._program.stdout):
                if pipe is not None:
                    pipe.close()

    def _first_lines(self) -> str:
        """Return what it writes at its start, all at once: where it answers, and where its page is."""
        assert self._program.stdout is not None  # noqa: S101 (it was opened with a pipe)
        written = b""
        while b"\n" not in written and (part := self._program.stdout.read(4096)):
            written += part
        return written.decode("utf-8", errors="replace")


def start_server(
    variables: Mapping[str, str],
    host: str = "127.0.0.1",
    port: int = 0,
    tell: Callable[[str], None] = lambda _: None,
    *,
    for_a_run: bool = False,
    collect_news: bool = False,
) -> ServerProcess:
    """Start a tool server that ends with this process, and do not wait for it.

    Args:
        variables: settings of the server that take the place of those in the environment.
        host: the address to listen on.
        port: the port to listen on; 0 takes a free one.
        tell: called with each line that the server writes to standard error, in a thread.
        for_a_run: it imports at once what a run needs, keeps all memory until it ends, and computes in one thread.
        collect_news: it collects the news of its home.
    """
    own = _token()
    left_out = {*KEPT_BACK, *variables}
    environment = {name: value for name, value in os.environ.items() if name.upper() not in left_out}
    environment.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # to look for some takes 30 ms of its start
    for name, value in FOR_A_RUN.items() if for_a_run else ():
        environment.setdefault(name, value)
    environment |= {**variables, "TRADER_RUNNER_TOKEN": own, **no_proxy()}
    command = [sys.executable, "-P", "-m", "mcp_server", "--http", "--host", host, "--port", str(port), "--with-parent"]
    command += [*(["--for-a-run"] if for_a_run else []), *(["--collect-news"] if collect_news else [])]
    with read_stderr(tell) as child_stderr:
        program = Popen(  # noqa: S603 (all of it is ours)
            command,
            bufsize=0,
            stdin=PIPE,
            stdout=PIPE,
            stderr=child_stderr.writing_end,
            env=environment,
            start_new_session=True,  # Ctrl-C is for this program alone: it lets runs end, and they need the server
        )
    return ServerProcess(own, program, child_stderr)


@asynccontextmanager
async def server_process(
    variables: Mapping[str, str], host: str, port: int, tell: Callable[[str], None], *, collect_news: bool = False
) -> AsyncIterator[ServerProcess]:
    """Start a tool server that ends with this block or with this process; see `start_server`."""
    import anyio

    server = start_server(variables, host, port, tell, collect_news=collect_news)
    try:
        yield server
    finally:
        with anyio.CancelScope(shield=True):
            await _in_thread(server.end)


def early_server(arguments: Sequence[str], home: Path) -> ServerProcess | None:
    """Start a local server for a run with these arguments, before any setting but the home has been read.

    Return None where help is asked for, and where the settings may name a server elsewhere: who has read them knows.
    """
    if not HELP.isdisjoint(arguments) or _may_be_elsewhere(home):
        return None
    return start_server({"TRADER_HOME": str(home), "TRADER_TOKEN": _token()}, for_a_run=True)


def _may_be_elsewhere(home: Path) -> bool:
    if any(value for name, value in os.environ.items() if name.upper() == SERVER_URL):
        return True
    file = home / ".env"
    try:
        if not stat.S_ISREG(file.stat().st_mode):  # a pipe may give its content once, or never
            return True
        return SERVER_URL in file.read_text("utf-8", errors="replace").upper()
    except FileNotFoundError:
        return False
    except OSError:
        return True


async def _in_thread(work: Callable[[], T]) -> T:
    """Work in a thread that nobody else waits for: it may last as long as the server."""
    import anyio
    import anyio.to_thread

    return await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1))


def _token() -> str:
    return os.urandom(24).hex()  # `secrets` takes longer to import than to do without
