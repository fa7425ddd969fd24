"""Awaits several calls at once, and fails as the first of them that failed would alone."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

import anyio

from mcp_server.errors import TraderError

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")


@overload
async def together(one: Callable[[], Awaitable[A]], two: Callable[[], Awaitable[B]], /) -> tuple[A, B]: ...
@overload
async def together(
    one: Callable[[], Awaitable[A]], two: Callable[[], Awaitable[B]], three: Callable[[], Awaitable[C]], /
) -> tuple[A, B, C]: ...
@overload
async def together(*asks: Callable[[], Awaitable[T]]) -> tuple[T, ...]: ...


async def together(*asks: Callable[[], Awaitable[Any]]) -> tuple[Any, ...]:
    """Return their results, in the order of the asks.

    Raises:
        TraderError: of the first, in that order, that raised one; the others were waited for.
    """
    results: dict[int, Any] = {}
    failures: dict[int, TraderError] = {}

    async def run(number: int, ask: Callable[[], Awaitable[Any]]) -> None:
        try:
            results[number] = await ask()
        except TraderError as error:
            failures[number] = error

    async with anyio.create_task_group() as tasks:
        for number, ask in enumerate(asks):
            tasks.start_soon(run, number, ask)
    if failures:
        raise failures[min(failures)]
    return tuple(results[number] for number in range(len(asks)))
