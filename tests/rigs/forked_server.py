"""The tool servers that a forked program of ours starts, forked as well: its own code stays as it is."""

import multiprocessing.forkserver
import multiprocessing.process
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import ByteReceiveStream

from mcp_server.app import tool_files
from tests.rigs.warm import Warm, can_run

SERVER = ["-P", "-m", "mcp_server"]

list(tool_files().values())  # they are imported where this is, before anything is forked


class _Output(ByteReceiveStream):
    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    async def receive(self, max_bytes: int = 65536) -> bytes:
        await anyio.wait_readable(self._pipe)
        if part := os.read(self._pipe, max_bytes):
            return part
        raise anyio.EndOfStream

    async def aclose(self) -> None:
        os.close(self._pipe)


class ForkedServer:
    """A tool server that runs: what is used of `anyio.abc.Process`."""

    def __init__(self, arguments: Sequence[str], environment: dict[str, str], errors: int) -> None:
        given, self._input = os.pipe()
        output, written = os.pipe()
        self.stdout = _Output(output)
        try:
            streams = (given, written, errors)
            self._program = Warm("mcp_server", arguments, environment, Path.cwd(), streams, session=True)
        finally:
            os.close(given)
            os.close(written)
        self.pid, self._closed = self._program.pid, False
        self.terminate, self.kill = self._program.terminate, self._program.kill

    @property
    def returncode(self) -> int | None:
        return self._program.poll()

    async def wait(self) -> int:
        while (code := self._program.poll()) is None:
            await anyio.wait_readable(self._program.sentinel)
        return code

    async def aclose(self) -> None:
        with anyio.CancelScope(shield=True):
            if not self._closed:
                self._closed = True
                os.close(self._input)
                await self.stdout.aclose()
            await self.wait()


def fork_servers() -> None:
    """Let this process, which was forked, fork its tool servers from where it comes from."""
    multiprocessing.process.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
    multiprocessing.forkserver._forkserver.ensure_running = lambda: None  # type: ignore[method-assign]
    anyio.open_process = forking(anyio.open_process)


def forking(start: Any) -> Any:
    """Return what opens processes as `start` does, and forks those that are tool servers."""

    async def open_process(command: Sequence[str], **options: Any) -> Any:
        if list(command[1:4]) == SERVER and can_run(options["env"]):
            return ForkedServer(command[4:], options["env"], options["stderr"])
        return await start(command, **options)

    return open_process
