"""The tool servers that a forked program of ours starts, forked as well: its own code stays as it is."""

import multiprocessing.forkserver
import multiprocessing.process
import os
import subprocess
import threading
from collections.abc import Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from mcp_server.app import tool_files
from runner.tool_server import server_process
from tests.rigs.warm import Warm, can_run

SERVER = ["-P", "-m", "mcp_server"]

list(tool_files().values())  # they are imported where this is, before anything is forked


class ForkedServer:
    """A tool server that runs: what is used of `subprocess.Popen`, from several threads."""

    def __init__(self, arguments: Sequence[str], environment: dict[str, str], errors: int) -> None:
        given, kept = os.pipe()
        output, written = os.pipe()
        self.stdin, self.stdout = os.fdopen(kept, "wb", 0), os.fdopen(output, "rb", 0)
        self._turn = threading.Lock()
        try:
            streams = (given, written, errors)
            self._program = Warm("mcp_server", arguments, environment, Path.cwd(), streams, session=True)
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


def forking(start: Any) -> Any:
    """Return what opens processes as `start` does, and forks those that are tool servers."""

    def popen(command: Sequence[str], **options: Any) -> Any:
        if list(command[1:4]) == SERVER and can_run(options["env"]):
            return ForkedServer(command[4:], options["env"], options["stderr"])
        return start(command, **options)

    return popen
