"""Fair turns: what costs much is done for so many calls at a time, and never for two of the same client."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

import anyio

from mcp_server.errors import Retryable

LEFT_S = 10.0
"""A call whose turn comes later than so long before its end is not begun any more."""


class _OneAtATime:
    def __init__(self) -> None:
        self.place = anyio.Semaphore(1)


class Turns:
    """The turns of one tool.

    Args:
        name: the tool's.
        at_a_time: how many calls may work at once, each of another client.
    """

    def __init__(self, name: str, at_a_time: float = math.inf) -> None:
        self._name = name
        self._all = None if at_a_time == math.inf else anyio.Semaphore(int(at_a_time))
        self._clients: WeakValueDictionary[str, _OneAtATime] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, client: str, until: float) -> AsyncIterator[None]:
        """Wait until this call may work; until `LEFT_S` before `until` at the longest.

        Raises:
            Retryable: other calls were still working; this one has not begun.
        """
        if self._all is None:
            yield
            return
        own = self._clients.setdefault(client, _OneAtATime())
        async with (
            self._waited(own.place, "Your earlier calls", until),
            self._waited(self._all, "Other clients", until),
        ):
            yield

    @asynccontextmanager
    async def _waited(self, place: anyio.Semaphore, whose: str, until: float) -> AsyncIterator[None]:
        try:
            with anyio.fail_at(until - LEFT_S):
                await place.acquire()
        except TimeoutError:
            raise Retryable(
                f"{whose} kept {self._name} busy, so this call has not begun.", "Wait for them to end, then try again."
            ) from None
        try:
            yield
        finally:
            place.release()
