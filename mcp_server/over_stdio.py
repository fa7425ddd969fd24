"""Serves MCP over standard input and output, until the host leaves or a signal ends it."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, cast

import anyio
from mcp.server.stdio import stdio_server

from mcp_server.parent import GRACE_S

if TYPE_CHECKING:
    from mcp.server import MCPServer

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def serve(server: "MCPServer[Any]", leave: Callable[[int], NoReturn]) -> None:
    """Serve until standard input closes, or until SIGINT or SIGTERM.

    Args:
        server: what answers.
        leave: ends the process with an exit code, which after a signal is that of a shell: 128 and its number.
    """
    anyio.run(_serve, server, leave)


async def _serve(server: "MCPServer[Any]", leave: Callable[[int], NoReturn]) -> None:
    lowlevel, told = server._lowlevel_server, list[int]()
    with _ended_by_signals(told, leave):
        async with stdio_server() as (reads, writes):
            try:
                await lowlevel.run(reads, writes, lowlevel.create_initialization_options())
            finally:
                if told:  # all is closed, and only the thread is left that waits for the host's next line
                    leave(128 + told[0])


@contextmanager
def _ended_by_signals(told: list[int], leave: Callable[[int], NoReturn]) -> Iterator[None]:
    """Cancel the task at a signal, which is noted in `told`; end the process if that takes long, or at a second one."""
    loop, task = asyncio.get_running_loop(), cast("asyncio.Task[None]", asyncio.current_task())

    def end(number: int, _: FrameType | None) -> None:
        told.append(number)
        if len(told) > 1:
            leave(128 + told[0])
        loop.call_soon_threadsafe(task.cancel)  # which wakes the loop up, too
        loop.call_soon_threadsafe(loop.call_later, GRACE_S, leave, 128 + number)

    before = {number: signal.signal(number, end) for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN}
    if task.cancelling():  # asyncio has had a handler of its own until now
        leave(128 + signal.SIGINT)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
