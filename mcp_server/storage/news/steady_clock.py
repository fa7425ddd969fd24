"""The clock by which news is first seen: it does not go back while the program runs."""

import time
from collections.abc import Callable

from mcp_server.domain.timeframes import DAY_MS

MOST_BACK_MS = DAY_MS
"""A machine's clock that is set back by more than this was wrong before: then the new time holds."""


class SteadyClock:
    """What time it is, in Unix ms. If the machine's clock is set back, it goes on from what it was.

    An answer may have been given as of the time before, and nothing may be entered as seen by then.

    Args:
        wall: the machine's clock, in ns since 1970.
        elapsed: a clock that cannot be set, in ns.
    """

    def __init__(self, wall: Callable[[], int] = time.time_ns, elapsed: Callable[[], int] = time.monotonic_ns) -> None:
        self._wall, self._elapsed = wall, elapsed
        self._ahead = wall() - elapsed()

    def __call__(self) -> int:
        """Return what time it is."""
        elapsed = self._elapsed()
        ahead = self._wall() - elapsed
        if not 0 <= self._ahead - ahead <= MOST_BACK_MS * 1_000_000:
            self._ahead = ahead
        return (elapsed + self._ahead) // 1_000_000
