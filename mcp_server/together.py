"""Asks several things at once, and fails as the first of them that failed would alone."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from mcp_server.errors import TraderError

T = TypeVar("T")


async def together(*asks: Callable[[], Awaitable[T]]) -> list[T]:
    """Give what each of them gives, in their order.

    Raises:
        TraderError: of the first, in their order, that raised one; the others were waited for.
    """
    given: dict[int, T] = {}
    failures: dict[int, TraderError] = {}

    async def run(number: int, ask: Callable[[], Awaitable[T]]) -> None:
        try:
            given[number] = await ask()
        except TraderError as error:
            failures[number] = error

    async with anyio.create_task_group() as tasks:
        for number, ask in enumerate(asks):
            tasks.start_soon(run, number, ask)
    if failures:
        raise failures[min(failures)]
    return [given[number] for number in range(len(asks))]
