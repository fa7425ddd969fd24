"""`claude-trader` in a process of its own that need not import everything first.

A server process imports the command line once; each command is forked from it. Environment, folder, arguments, output
and exit code are the command's own, as they are when `python -m runner` is started.
"""

import atexit
import io
import multiprocessing
import os
import runpy
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path

PRELOADED = (
    *("runner.__main__", "runner.execute", "runner.cli.demo", "runner.doctor.checkup", "runner.claude.engine"),
    *("mcp", "mcp_server.app", "duckdb", "pytz", "structlog"),
)
READ_AT_START = ("PYTHON", "LANG", "LC_", "TZ")
"""Variables that Python itself reads when it starts: a command that sets one is started cold."""


def can_run(environment: Mapping[str, str]) -> bool:
    """Say whether a command with these variables behaves the same when it is forked."""
    changed = environment.items() ^ os.environ.items()
    return not any(name.startswith(READ_AT_START) for name, _ in changed)


def run(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path, timeout_s: float
) -> tuple[int, str, str]:
    """Run a command to its end; return its exit code and what it wrote to standard output and error.

    Raises:
        TimeoutError: it has not ended in time; it is killed.
    """
    with tempfile.TemporaryDirectory() as scratch:
        files = (Path(scratch) / "out", Path(scratch) / "err")
        process = _forking().Process(target=_run, args=(list(arguments), dict(environment), str(folder), files))
        process.start()
        process.join(timeout_s)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise TimeoutError(f"claude-trader {' '.join(arguments)} has not ended within {timeout_s:g} s")
        code, (out, err) = process.exitcode, (file.read_text("utf-8") for file in files)
        process.close()
    return code, out, err


@cache
def _forking() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOADED])
    return context


def _run(arguments: list[str], environment: dict[str, str], folder: str, files: tuple[Path, Path]) -> None:
    """Be the command, in the forked process."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for number, opened in enumerate((os.open(os.devnull, os.O_RDONLY), *(_created(file) for file in files))):
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin, sys.stdout, sys.stderr = (_stream(number, mode) for number, mode in enumerate("rww"))
    sys.argv = ["runner", *arguments]
    sys.modules.pop("runner.__main__", None)  # it is run as `__main__`
    try:
        runpy.run_module("runner", run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()


def _created(file: Path) -> int:
    return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def _stream(number: int, mode: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.FileIO(number, mode, closefd=False), "utf-8", write_through=True)
