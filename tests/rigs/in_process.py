"""`claude-trader` within the process of a test: for what a command says and does, and not for its process.

Environment, folder, arguments and standard streams are the command's own. All of it is put back at its end, as is what
there is once in a process: handlers of signals and of logs, and how garbage is collected.
"""

import asyncio
import gc
import io
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import Context
from pathlib import Path
from subprocess import Popen

import pytest

from runner.__main__ import run_command_line
from runner.backtest import executors
from runner.tool_server import server_process
from tests.rigs.forked_server import forking
from tests.rigs.quick_backtests import hurry
from tests.rigs.warm import ENCODING, can_run, forking_context

HANDLED = (signal.SIGINT, signal.SIGTERM)
LOGGERS = ("", "runner")
PROGRAMS: Mapping[str, Callable[[pytest.MonkeyPatch], None]] = {
    "runner": lambda _: None,
    "tests.rigs.quick_backtests": hurry,
}
"""What can run here, by the module that `python -m` would run, and what it changes first."""


def possible(program: str, environment: Mapping[str, str]) -> bool:
    """Tell whether a program with these variables can run here: where no event loop runs, and in the main thread.

    Its connections to Postgres would end with its process only.
    """
    here = program in PROGRAMS and can_run(environment) and "TRADER_DATABASE_URL" not in environment
    return here and threading.current_thread() is threading.main_thread() and asyncio._get_running_loop() is None


def run(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path, program: str = "runner"
) -> tuple[int, str, str]:
    """Run `claude-trader`, by one of `PROGRAMS`; return its exit code and what it wrote to standard output and error.

    The tool servers that it starts, and the workers of its sweeps, are forked.
    """
    encoding = environment.get(ENCODING, "utf-8")
    out, err = io.BytesIO(), io.BytesIO()
    with pytest.MonkeyPatch.context() as patch, open(os.devnull) as nothing, _restored():
        PROGRAMS[program](patch)
        patch.setattr(server_process, "Popen", forking(Popen))
        patch.setattr(executors, "get_context", lambda _: forking_context())
        patch.setattr(gc, "freeze", lambda: None)  # the garbage of tests would stay
        patch.setattr(sys, "argv", ["claude-trader", *arguments])
        patch.setattr(sys, "stdin", nothing)
        patch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding, write_through=True))
        patch.setattr(sys, "stderr", io.TextIOWrapper(err, encoding, write_through=True))
        os.environ.clear()
        os.environ.update(environment)
        time.tzset()
        os.chdir(folder)
        code = Context().run(_code)  # in which no event loop of the tests stands
        return code, out.getvalue().decode(encoding), err.getvalue().decode(encoding)


def _code() -> int:
    """Run the program; return the code with which its process would end."""
    try:
        run_command_line()
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)  # noqa: T201 (as Python does)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


@contextmanager
def _restored() -> Iterator[None]:
    environment, folder = dict(os.environ), Path.cwd()
    handlers = {number: signal.getsignal(number) for number in HANDLED}
    logs = [(logger, logger.level, logger.handlers) for logger in map(logging.getLogger, LOGGERS)]
    threshold = gc.get_threshold()
    try:
        yield
    finally:
        gc.set_threshold(*threshold)
        for logger, level, its_handlers in logs:
            logger.level, logger.handlers = level, its_handlers
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        time.tzset()
