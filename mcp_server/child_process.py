"""Runs a program of ours in a process of its own, and ends it with the caller's patience."""

import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from subprocess import PIPE
from typing import cast

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream, Process

OUT_OF_TIME = getattr(signal, "SIGXCPU", 24)  # Windows has no such signal, and no such bound

_NEEDED = ("SYSTEMROOT", "PATH", "LD_LIBRARY_PATH")
"""The only variables of ours that every process gets; none is secret."""

_ONE_ARENA = {"MALLOC_ARENA_MAX": "1"}
"""Else glibc sets 64 MB of addresses aside for each thread, which count against the bound of a process's memory."""


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
    until = anyio.current_time() + within_s
    return await _answered(await _started(command), question, until)


class WaitingChild:
    """Runs a program as `run_child` does, and then starts the next process, which waits for the next question.

    So each question has a process of its own, and only the first waits until it has started. The program ends when it
    has waited for long, or when this process ends: then its standard input closes.

    Args:
        command: the program with its arguments.
        environment: variables that it gets beside the few that every program needs.
    """

    def __init__(self, command: tuple[str, ...], environment: Mapping[str, str] | None = None) -> None:
        self._command = command
        self._environment = environment or {}
        self._waiting: Process | None = None
        self._starting = False

    async def run(self, question: bytes, within_s: float) -> ChildEnding:
        """Run the program, as `run_child` does."""
        until = anyio.current_time() + within_s
        process, self._waiting = self._waiting, None
        if process is None:
            ending = await _answered(await _started(self._command, self._environment), question, until)
        else:
            ending = await _answered(process, question, until)
            if ending.code is not None and not ending.out:  # it had waited for too long, and has read nothing
                ending = await _answered(await _started(self._command, self._environment), question, until)
        await self._start_next()
        return ending

    async def close(self) -> None:
        """End the process that waits."""
        process, self._waiting = self._waiting, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.aclose()

    async def _start_next(self) -> None:
        if self._waiting is not None or self._starting:
            return
        self._starting = True
        try:
            with suppress(OSError):  # the system lets nothing start now; the question just answered is no less so
                self._waiting = await _started(self._command, self._environment)
        finally:
            self._starting = False


async def _started(command: tuple[str, ...], beside: Mapping[str, str] | None = None) -> Process:
    environment = {name: os.environ[name] for name in _NEEDED if name in os.environ} | _ONE_ARENA | {**(beside or {})}
    with anyio.CancelScope(shield=True):  # a start that is cancelled half-way leaves a process to nobody
        process = await anyio.open_process(command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment)
    return process  # noqa: RET504 - in the scope it would not be seen that something is always returned


async def _answered(process: Process, question: bytes, until: float) -> ChildEnding:
    """Ask a process that has started, and wait for its end; kill it at `until`, or when the caller is cancelled."""
    out, err = bytearray(), bytearray()

    async def collect(stream: ByteReceiveStream, into: bytearray) -> None:
        async for part in stream:
            into += part

    with anyio.CancelScope(deadline=until):
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
