"""The runner's clock: it tells the time and waits. Tests use another one, in which an hour takes a second."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

import anyio


class Clock(Protocol):
    """Tells the time as aware UTC, and waits."""

    def now(self) -> datetime:
        """Return the present."""

    async def sleep(self, seconds: float) -> None:
        """Wait so many seconds of this clock."""


class SystemClock:
    """The machine's own, or another that tells the present: that of a database which machines share."""

    def __init__(self, present: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._present = present

    def now(self) -> datetime:
        """Return the present."""
        return self._present()

    async def sleep(self, seconds: float) -> None:
        """Wait so many seconds."""
        await anyio.sleep(seconds)
