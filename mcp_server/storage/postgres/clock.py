"""The database's clock, as this machine knows it: what it said last, and the time that has passed here since.

How this machine's own clock is set makes no difference. What is told is never ahead of the database's clock, and behind
it by no more than a request takes, and 30 ms in a minute.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from mcp_server.storage.sql import SqlConnection

EVERY_S = 60.0
"""How often the clock is asked, while the database is in use."""

AGAIN_S = 2.0
"""How long one question may take before there is another."""

SKEW = timedelta(seconds=5)
"""A machine whose clock is wrong by more is told of."""

_SLOWED = 0.9995
"""A clock that is being put right, here or there, runs wrong by no more than this."""


def elapsed_s() -> float:
    """Return the seconds of a clock that nobody sets, and that goes on while the machine sleeps."""
    kind = getattr(time, "CLOCK_BOOTTIME", None) or getattr(time, "CLOCK_MONOTONIC", None)
    return time.monotonic() if kind is None else time.clock_gettime(kind)


class DatabaseClock:
    """Tells the database's time, as aware UTC; until that was asked, this machine's.

    Args:
        elapsed: a clock that cannot be set, in seconds.
        wall: this machine's clock.
    """

    def __init__(
        self,
        elapsed: Callable[[], float] = elapsed_s,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._elapsed, self._wall = elapsed, wall
        self._measured: tuple[datetime, float] | None = None
        self._asked_s = -AGAIN_S

    @property
    def due(self) -> bool:
        """Whether the database is to be asked again."""
        return self._measured is None or not 0 <= self._elapsed() - self._measured[1] < EVERY_S

    @property
    def ask(self) -> bool:
        """Whether it is due and was not told so within `AGAIN_S`."""
        now_s = self._elapsed()
        if not self.due or 0 <= now_s - self._asked_s < AGAIN_S:
            return False
        self._asked_s = now_s
        return True

    def measure(self, connection: SqlConnection) -> None:
        """Ask the database what time it is."""
        moment = clock_of(connection)
        self._measured = moment, self._elapsed()

    def now(self) -> datetime:
        """Return the present."""
        if (measured := self._measured) is None:
            return self._wall()
        moment, at_s = measured
        return moment + timedelta(seconds=(self._elapsed() - at_s) * _SLOWED)

    @property
    def skew(self) -> timedelta:
        """How far this machine's clock is ahead of the database's."""
        return self._wall() - self.now()


def clock_of(connection: SqlConnection) -> datetime:
    """Return what time it is by the database, at this moment, as aware UTC."""
    row = connection.execute("SELECT clock_timestamp() AT TIME ZONE 'UTC'").fetchone()
    assert row is not None  # noqa: S101 (a query without a table has one row)
    moment: datetime = row[0]
    return moment.replace(tzinfo=UTC)
