"""The runner's clock: it tells the time and waits. Tests use another one, in which an hour takes a second."""

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
    """The machine's own."""

    def now(self) -> datetime:
        """Return the present."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait so many seconds."""
        await anyio.sleep(seconds)
