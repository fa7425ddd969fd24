"""Single flight: of all who want the same thing at the same time, one fetches it and the others wait for the result."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import anyio

from mcp_server.errors import BadInput, TraderError

T = TypeVar("T")


@dataclass(slots=True)
class _Flight:
    landed: anyio.Event = field(default_factory=anyio.Event)
    done: bool = False
    value: Any = None
    failure: TraderError | None = None


class SingleFlight:
    """The running fetches, by key."""

    def __init__(self) -> None:
        self._flying: dict[Hashable, _Flight] = {}

    async def share(self, key: Hashable, fetch: Callable[[], Awaitable[T]]) -> T:
        """Return the result of `fetch`, or of a running fetch for the same key.

        A failure is shared too, because the same request would fail again; only a `BadInput` concerns its caller alone.
        If the caller that fetches is cancelled, one of those that wait fetches instead.

        Raises:
            TraderError: as `fetch`.
        """
        while (flight := self._flying.get(key)) is not None:
            await flight.landed.wait()
            if flight.done:
                shared: T = flight.value
                return shared
            if flight.failure is not None and type(flight.failure) is not BadInput:
                raise flight.failure.again()
        flight = self._flying[key] = _Flight()
        try:
            value = await fetch()
            flight.value, flight.done = value, True
        except TraderError as error:
            flight.failure = error
            raise
        finally:
            del self._flying[key]
            flight.landed.set()
        return value
