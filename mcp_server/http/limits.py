"""Rate limits of each client: calls at a time, and calls per minute."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil

from mcp_server.http.refusal import Refused

MOST_CLIENTS = 1_000
"""The allowances of this many clients are kept; those that are full again are dropped first."""


class PerMinute:
    """Lets each client begin so much per minute, even all at once; it comes back evenly, however often is asked."""

    def __init__(self, per_minute: int, now: Callable[[], float]) -> None:
        self._per_minute = per_minute
        self._now = now
        self._left: dict[str, tuple[float, float]] = {}

    def wait_s(self, client: str) -> int:
        """Return how many seconds the client has to wait for its next one; nothing is taken."""
        return ceil(max(0, 1 - self._left_at(client, self._now())) * 60 / self._per_minute)

    def take(self, client: str) -> int:
        """Take one of the client's, and return 0, or how many seconds it has to wait for the next."""
        if wait_s := self.wait_s(client):
            return wait_s
        now = self._now()
        left = self._left_at(client, now)
        if len(self._left) >= MOST_CLIENTS:
            full = [name for name, (_, since) in self._left.items() if now - since >= 60]
            for name in full or list(self._left)[: MOST_CLIENTS // 2]:
                del self._left[name]
        self._left[client] = (left - 1, now)
        return 0

    def _left_at(self, client: str, now: float) -> float:
        left, since = self._left.get(client, (float(self._per_minute), now))
        return min(self._per_minute, left + (now - since) * self._per_minute / 60)


class RateLimits:
    """Limits each client by itself: none can use up the allowance of another.

    Args:
        at_a_time: calls that a client may have running.
        per_minute: calls that a client may begin in a minute, even all at once; the allowance refills evenly.
        now: a clock in seconds that never goes back.
    """

    def __init__(self, at_a_time: int, per_minute: int, now: Callable[[], float]) -> None:
        self._at_a_time = at_a_time
        self._per_minute = per_minute
        self._begun = PerMinute(per_minute, now)
        self._under_way: Counter[str] = Counter()

    @contextmanager
    def call(self, client: str) -> Iterator[None]:
        """Count one call for as long as the block lasts.

        Raises:
            Refused: 429, with `Retry-After` in seconds.
        """
        if self._under_way[client] >= self._at_a_time:
            problem = f"This client has {self._at_a_time} calls running."
            raise Refused(
                429, f"{problem} Wait for one to end, or raise TRADER_CONCURRENT_CALLS.", {"Retry-After": "1"}
            )
        if wait_s := self._begun.take(client):
            raise Refused(
                429,
                f"This client has used its {self._per_minute} calls per minute. Try again in {wait_s} s, or raise "
                "TRADER_CALLS_PER_MINUTE.",
                {"Retry-After": str(wait_s)},
            )
        self._under_way[client] += 1
        try:
            yield
        finally:
            self._under_way[client] -= 1
            if not self._under_way[client]:
                del self._under_way[client]
