"""What a program of ours starts, forked as well: tool servers, what draws for them, and workers of a sweep.

The program's own code stays as it is.
"""

import multiprocessing.forkserver
import multiprocessing.process
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import pytest

from mcp_server.app import tool_files
from mcp_server.charts import artist
from runner.backtest import executors
from runner.tool_server import server_process
from tests.rigs.warm import READ_AT_START, Warm, can_run, forking_context

SERVER = ["-P", "-m", "mcp_server"]
ARTIST = list(artist.CHILD[1:])

list(tool_files().values())  # they are imported where this is, before anything is forked


class ForkedServer:
    """A tool server, or what draws for one, that runs: what is used of `subprocess.Popen`, from several threads."""

    def __init__(
        self, module: str, arguments: Sequence[str], environment: Mapping[str, str], errors: int, *, buffering: int = 0
    ) -> None:
        given, kept = os.pipe()
        output, written = os.pipe()
        self.stdin, self.stdout = os.fdopen(kept, "wb", buffering), os.fdopen(output, "rb", buffering)
        self._turn = threading.Lock()
        try:
            streams = (given, written, errors)
            self._program = Warm(
                module, arguments, environment, Path.cwd(), streams, session=True, forks_servers=module == SERVER[-1]
            )
        finally:
            os.close(given)
            os.close(written)
        self.pid = self._program.pid

    def poll(self) -> int | None:
        with self._turn:
            return self._program.poll()

    def wait(self) -> int:
        while (code := self.poll()) is None:
            wait([self._program.sentinel])
        return code

    def terminate(self) -> None:
        with self._turn:
            self._program.terminate()

    def kill(self) -> None:
        with self._turn:
            self._program.kill()


def fork_servers() -> None:
    """Let this process, which was forked, fork its tool servers from where it comes from."""
    multiprocessing.process.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
    multiprocessing.forkserver._forkserver.ensure_running = lambda: None  # type: ignore[method-assign]
    vars(server_process)["Popen"] = forking(subprocess.Popen)
    vars(artist)["Popen"] = forking_artist


def fork_workers() -> None:
    """Let this process, whose servers are forked, fork the workers of its sweeps: each would import for a second."""
    vars(executors)["get_context"] = lambda _: forking_context()


def forking(start: Any) -> Any:
    """Return what opens processes as `start` does, and forks those that are tool servers."""

    def popen(command: Sequence[str], **options: Any) -> Any:
        if list(command[1:4]) == SERVER and can_run(options["env"]):
            return ForkedServer("mcp_server", command[4:], options["env"], options["stderr"])
        return start(command, **options)

    return popen


@contextmanager
def drawing_forked() -> Iterator[None]:
    """Let the servers in this process fork what draws for them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(artist, "Popen", forking_artist)
        yield


def forking_artist(command: Sequence[str], *, env: Mapping[str, str], **options: Any) -> Any:
    """Open a process as `subprocess.Popen` does, and fork it if it is to draw: to import what draws takes 0.7 s."""
    if list(command[1:]) != ARTIST:
        return subprocess.Popen(command, env=env, **options)
    inherited = {name: value for name, value in os.environ.items() if name.startswith(READ_AT_START)}
    return ForkedServer(ARTIST[-1], [], {**inherited, **env}, 2, buffering=-1)
