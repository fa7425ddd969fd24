"""Single flight: of those who want the same thing at the same time one goes for it, and the others wait for him."""

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
    """Those that are under way, by what they are for."""

    def __init__(self) -> None:
        self._flying: dict[Hashable, _Flight] = {}

    async def share(self, key: Hashable, fetch: Callable[[], Awaitable[T]]) -> T:
        """Give what `fetch` gives, or what someone else's gives that is under way for the same key.

        A failure is shared too, as the same request would fail again; only a `BadInput` is its caller's own. When the
        one who went is cancelled, one of those who waited goes.

        Raises:
            TraderError: as `fetch`.
        """
        while (flight := self._flying.get(key)) is not None:
            await flight.landed.wait()
            if flight.done:
                shared: T = flight.value
                return shared
            if flight.failure is not None and type(flight.failure) is not BadInput:
                raise type(flight.failure)(flight.failure.problem, flight.failure.remedy)
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
