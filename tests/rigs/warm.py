"""Programs of ours in processes of their own that need not import everything first, nor the tool servers they start.

A server process imports them once, for all workers of a run of the tests; each is forked from it. Environment, folder,
arguments, streams and exit code are the program's own, as they are when `python -m MODULE` is started.
"""

import atexit
import fcntl
import multiprocessing
import os
import runpy
import signal
import sys
import tempfile
import termios
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.forkserver import _forkserver
from pathlib import Path

import psutil

PRELOADED = (
    *(
        "runner.__main__",
        "runner.cli.app",
        "runner.execute",
        "runner.cli.run_demo",
        "runner.doctor.checkup",
        "runner.claude.engine",
    ),
    *("mcp", "mcp_server.app", "duckdb", "pytz", "structlog", "tests.rigs.fast_runner", "tests.rigs.warm"),
    *("mcp_server.http.serve", "mcp_server.http.health", "mcp_server.adapters.simulated.exchange"),
    *("mcp_server.domain.indicators.talib_functions", "tests.rigs.forked_server"),
    *("anyio._backends._asyncio", "httpcore2", "jsonschema", "truststore", "stamina", "croniter"),
    *("runner.check_folder", "runner.notify.notices", "runner.backtest.backtest", "runner.backtest.fetch"),
    *("mcp_server.domain.backtest.run", "rich.progress", "runner.cli.show_backtest", "runner.cli.show_scores"),
    *("claude_agent_sdk", "runner.claude.recording", "runner.claude.twin", "mcp_server.evaluations"),
    *("mcp_server.overview_cache", "mcp_server.charts.artist", "mcp_server.scoring.performance"),
    *("mcp_server.charts.child", "mcp_server.charts.draw", "mcp_server.charts.draw_backtest"),
    *(
        "runner.cli.ready_run",
        "runner.backtest.fundings",
        "mcp_server.storage.owner",
        "mcp_server.storage.journal.ends",
    ),
    *("numpy.random", "numpy.fft", "rich.status", "rich._emoji_codes"),
    *("mcp_server.parent", "uvicorn.lifespan.on", "anyio._core._signals", "anyio._core._subprocesses", "netrc"),
    *("mcp_server.news.collecting", "mcp_server.news.collector", "mcp_server.adapters.news.reader"),
    *("mcp_server.overview", "runner.cli.show_status", "multiprocessing.synchronize"),
    "tests.rigs.preloaded",
)
FORKING = "FORKING_FOR_TESTS"
"""The environment variable with the address of the process that forks for all workers of a run of the tests."""

READ_AT_START = ("PYTHON", "LANG", "LC_")
"""Variables that Python itself reads when it starts: a program that sets one cannot be forked, but for this one."""

ENCODING = "PYTHONIOENCODING"


class Warm:
    """A program that runs: the methods that are used of `subprocess.Popen`.

    Args:
        module: what `python -m` would run.
        arguments: after it.
        environment: all that it sees.
        folder: where it runs.
        streams: file descriptors of standard input, output and error.
        session: True gives it a session of its own, whose terminal is its standard input where that is one.
        forks_servers: True lets the tool servers that it starts be forked, too.
        forks_workers: True does so with the processes of its sweeps; they are no children of its own then.
    """

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        streams: tuple[int, int, int],
        *,
        session: bool = False,
        forks_servers: bool = False,
        forks_workers: bool = False,
    ) -> None:
        assert can_run(environment)
        passed = [Connection(os.dup(stream)) for stream in streams]  # which multiprocessing can hand on
        work = (
            module,
            list(arguments),
            dict(environment),
            str(folder),
            passed,
            session,
            os.getpid(),
            forks_servers,
            forks_workers,
        )
        self._process = forking_context().Process(target=_be, args=work, daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid
        for connection in passed:
            connection.close()

    @property
    def sentinel(self) -> int:
        """A file descriptor that can be read once it has ended."""
        return self._process.sentinel

    @property
    def returncode(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Return the exit code; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for its end; return its exit code.

        Raises:
            psutil.TimeoutExpired: it still runs.
        """
        self._process.join(timeout_s)
        if self._process.exitcode is None:
            raise psutil.TimeoutExpired(timeout_s or 0, self.pid)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has just ended, and who forked it has seen that
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it outright."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)


def can_run(environment: Mapping[str, str]) -> bool:
    """Say whether a program with these variables behaves the same when it is forked."""
    changed = environment.items() ^ os.environ.items()
    return not any(name.startswith(READ_AT_START) and name != ENCODING for name, _ in changed)


def run(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path, timeout_s: float, module: str = "runner"
) -> tuple[int, str, str]:
    """Run `claude-trader` to its end; return its exit code and what it wrote to standard output and error.

    Raises:
        psutil.TimeoutExpired: it has not ended in time; it is killed.
    """
    with open(os.devnull) as nothing, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        streams = (nothing.fileno(), out.fileno(), err.fileno())
        program = Warm(module, arguments, environment, folder, streams, forks_servers=True, forks_workers=True)
        try:
            code = program.wait(timeout_s)
        finally:
            program.kill()
        texts = [os.pread(stream.fileno(), os.fstat(stream.fileno()).st_size, 0).decode() for stream in (out, err)]
    return code, texts[0], texts[1]


def forked_by(*pids: int) -> list[psutil.Process]:
    """Return the forked programs that processes have started, and that still run."""
    names = {_name(pid) for pid in pids}
    return [each for each in psutil.process_iter() if _is_named(names, each)]


def _is_named(names: set[str], process: psutil.Process) -> bool:
    try:
        name = Path(f"/proc/{process.pid}/comm").read_text().strip()
        return name in names and process.status() != psutil.STATUS_ZOMBIE
    except (OSError, psutil.Error):
        return False


def _name(starter: int) -> str:
    """Return the name of a forked program, which is a child of the process that forks and not of its starter."""
    return f"of {starter}"


def fork_for_all() -> None:
    """Start the process that forks, for all that have this one's environment: it takes two seconds of a core."""
    if not hasattr(_forkserver, "_forkserver_authkey"):  # later Pythons let in only who was told a key
        forking_context()
        _forkserver.ensure_running()
        os.environ[FORKING] = vars(_forkserver)["_forkserver_address"]


@cache
def forking_context() -> ForkServerContext:
    """Return what forks processes from the one that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    if address := os.environ.get(FORKING):
        there = {"_forkserver_address": address, "_forkserver_alive_fd": os.open(os.devnull, os.O_RDONLY)}
        vars(_forkserver).update(there, ensure_running=lambda: None)
    else:
        context.set_forkserver_preload([*PRELOADED])
    return context


def _be(
    module: str,
    arguments: list[str],
    environment: dict[str, str],
    folder: str,
    streams: list[Connection],
    session: bool,
    starter: int,
    forks_servers: bool,
    forks_workers: bool,
) -> None:
    """Be the program, in the forked process."""
    with suppress(OSError):  # only Linux has it
        Path("/proc/self/comm").write_text(_name(starter))
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(folder)
    if session:
        os.setsid()
        if os.isatty(streams[0].fileno()):
            fcntl.ioctl(streams[0].fileno(), termios.TIOCSCTTY, 0)
    for number, stream in enumerate(streams):
        os.dup2(stream.fileno(), number)
        stream.close()
    encoding = environment.get(ENCODING, "utf-8")
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(number, mode, buffering=1, encoding=encoding, closefd=False) for number, mode in enumerate("rww")
    )
    kept = {"__stdin__": sys.stdin, "__stdout__": sys.stdout, "__stderr__": sys.stderr}
    vars(sys).update(kept)  # else one that the program replaces would be closed
    if forks_servers:
        from tests.rigs.forked_server import fork_servers

        fork_servers()
    if forks_workers:
        from tests.rigs.forked_server import fork_workers

        fork_workers()
    sys.argv = [module, *arguments]
    for name in (module, f"{module}.__main__"):
        if name != "runner":
            sys.modules.pop(name, None)  # it is run as `__main__`
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()
