"""Runs a program of ours in a process of its own, and ends it with the caller's patience."""

import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from subprocess import PIPE
from typing import cast

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream

OUT_OF_TIME = getattr(signal, "SIGXCPU", 24)  # Windows has no such signal, and no such bound

_NEEDED = ("SYSTEMROOT", "PATH", "LD_LIBRARY_PATH")
"""The only variables that the process gets; none is secret."""


@dataclass(frozen=True, slots=True)
class ChildEnding:
    """How a process ended: what it wrote, and its exit code, which is None if its time was over."""

    out: bytes
    err: bytes
    code: int | None

    @property
    def out_of_processor_time(self) -> bool:
        """Whether the system stopped it, because it had computed for too long."""
        return self.code == -OUT_OF_TIME

    @property
    def out_of_memory(self) -> bool:
        """Whether it was stopped by another of the system's bounds."""
        return b"MemoryError" in self.err or b"bad_alloc" in self.err or (self.code or 0) < 0

    @property
    def last_line(self) -> str:
        """The last line that it wrote about an error."""
        lines = self.err.decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:300] if lines else "it ended"


def command_of(module: str) -> tuple[str, ...]:
    """Return the command that runs one of our modules with this Python, whatever the working folder holds."""
    return (sys.executable, "-P", "-m", module)


async def run_child(command: tuple[str, ...], question: bytes, within_s: float) -> ChildEnding:
    """Run a program to its end, or kill it after `within_s` seconds or when the caller is cancelled.

    Args:
        command: the program and its arguments.
        question: what it reads from standard input.
        within_s: how long it may take, its start included.
    """
    environment = {name: os.environ[name] for name in _NEEDED if name in os.environ}
    out, err = bytearray(), bytearray()

    async def collect(stream: ByteReceiveStream, into: bytearray) -> None:
        async for part in stream:
            into += part

    with anyio.move_on_after(within_s):
        with anyio.CancelScope(shield=True):  # a start that is cancelled half-way leaves a process to nobody
            process = await anyio.open_process(command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment)
        async with process:
            async with anyio.create_task_group() as reading:
                reading.start_soon(collect, cast(ByteReceiveStream, process.stdout), out)
                reading.start_soon(collect, cast(ByteReceiveStream, process.stderr), err)
                stdin = cast(ByteSendStream, process.stdin)
                with suppress(anyio.BrokenResourceError):  # it has ended; `err` says why
                    await stdin.send(question)
                await stdin.aclose()
            code = await process.wait()
        return ChildEnding(bytes(out), bytes(err), code)
    return ChildEnding(bytes(out), bytes(err), None)
