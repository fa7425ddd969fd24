"""What exists only now: asked for once by all who want it at the same time, and good for two seconds."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import TypeVar, cast

from mcp_server.single_flight import SingleFlight

T = TypeVar("T")

FRESH_S = 2.0
"""For so long after it was asked for, a snapshot is given again; reading it does not make it younger."""

_MOST = 256


class LiveCache:
    """The latest snapshots, by what they are of."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._flights = SingleFlight()
        self._taken: OrderedDict[Hashable, tuple[float, object]] = OrderedDict()

    async def take(self, key: Hashable, fetch: Callable[[], Awaitable[T]], fresh_s: float = FRESH_S) -> T:
        """Give the snapshot of a key: the one at hand while it is fresh, else a new one.

        Raises:
            TraderError: as `fetch`.
        """
        taken = self._taken.get(key)
        if taken is not None and self._clock() - taken[0] <= fresh_s:
            return cast(T, taken[1])

        async def fetched() -> T:
            began = self._clock()
            value = await fetch()
            self._taken[key] = (began, value)
            self._taken.move_to_end(key)
            while len(self._taken) > _MOST:
                self._taken.popitem(last=False)
            return value

        return await self._flights.share(key, fetched)
