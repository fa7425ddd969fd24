"""A clock that runs faster than the machine's, from any moment on; all of a runner goes by it."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import anyio

START = datetime(2026, 4, 1, tzinfo=UTC)


class FastClock:
    """An hour takes `3600 / speed` seconds. Processes that are given the same `epoch_s` agree on what time it is.

    Args:
        speed: how many of its seconds pass in one.
        start: what it shows at `epoch_s`.
        epoch_s: a Unix time; None: now.
        present: the clock that it follows: the machine's, or that of a database which machines share.
    """

    def __init__(
        self,
        speed: float,
        start: datetime = START,
        epoch_s: float | None = None,
        present: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.speed = speed
        self._start = start
        self._present = present
        self.epoch_s = time.time() if epoch_s is None else epoch_s

    def now(self) -> datetime:
        return self._start + timedelta(seconds=(self._present().timestamp() - self.epoch_s) * self.speed)

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds / self.speed)
