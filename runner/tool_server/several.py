"""Asks a tool server many questions, several at a time, and fewer where it refuses more."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio

from mcp_server.errors import root

AT_A_TIME = 4

PAUSE_S, MOST_PAUSES = 2.0, 60
"""How long it waits where a server refuses more calls, and how often."""

T = TypeVar("T")
U = TypeVar("U")


async def for_each(parts: Sequence[T], ask: Callable[[T], Awaitable[U]], arrived: Callable[[T], None]) -> list[U]:
    """Ask for each part, several at a time; the first error ends all.

    A server may refuse a call because so many are running, or were begun in a minute: then fewer are asked for at a
    time, at last one after a pause.
    """
    from mcp.shared.exceptions import MCPError

    answers: dict[int, U] = {}
    waiting = list(enumerate(parts))
    asking, pauses = 0, 0

    async def work() -> None:
        nonlocal asking, pauses
        asking += 1
        while waiting:
            position, part = waiting.pop(0)
            try:
                answers[position] = await ask(part)
            except MCPError:
                waiting.insert(0, (position, part))
                if asking > 1:
                    break
                pauses += 1
                if pauses > MOST_PAUSES:
                    raise
                await anyio.sleep(PAUSE_S)
            else:
                arrived(part)
        asking -= 1

    try:
        async with anyio.create_task_group() as tasks:
            for _ in range(min(AT_A_TIME, len(waiting))):
                tasks.start_soon(work)
    except BaseExceptionGroup as group:
        raise root(group) from None
    return [answers[position] for position in range(len(parts))]
