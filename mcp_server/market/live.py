"""Data that exists only now: requested once for all who want it at the same time, and reused for two seconds."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import TypeVar, cast

from mcp_server.single_flight import SingleFlight

T = TypeVar("T")

FRESH_S = 2.0
"""A snapshot is reused for this long after it was requested; reading it does not extend that."""

_MOST = 256


class LiveCache:
    """The latest snapshots, by key."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._single_flight = SingleFlight()
        self._snapshots: OrderedDict[Hashable, tuple[float, object]] = OrderedDict()

    async def get(self, key: Hashable, fetch: Callable[[], Awaitable[T]], fresh_s: float = FRESH_S) -> T:
        """Return the snapshot of a key: the latest while it is fresh, else a new one."""
        snapshot = self._snapshots.get(key)
        if snapshot is not None and self._clock() - snapshot[0] <= fresh_s:
            return cast(T, snapshot[1])

        async def renewed() -> T:
            began = self._clock()
            value = await fetch()
            self._snapshots[key] = (began, value)
            self._snapshots.move_to_end(key)
            while len(self._snapshots) > _MOST:
                self._snapshots.popitem(last=False)
            return value

        return await self._single_flight.share(key, renewed)
