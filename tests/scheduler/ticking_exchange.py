"""A stand-in exchange whose clock is a fast one, and which publishes each minute's candle a while after its close."""

from mcp_server.domain.timeframes import to_ms
from tests.rigs.fast_clock import FastClock
from tests.rigs.stand_in_exchange import StandInExchange

MINUTE_MS = 60_000


class TickingExchange(StandInExchange):
    """Use it as a context manager; `delay_s` is by its clock, and less than a minute."""

    def __init__(self, clock: FastClock, delay_s: float = 0.0) -> None:
        super().__init__()
        self.clock = clock
        self.delay_s = delay_s
        self.stopped_ms: int | None = None

    def stop(self) -> None:
        """Publish nothing more from now on: its clock stands still."""
        self.stopped_ms = self.clock_ms

    @property
    def clock_ms(self) -> int:
        return to_ms(self.clock.now()) if self.stopped_ms is None else self.stopped_ms

    @property
    def unpublished(self) -> int:
        """One where the minute that closed last is not out yet."""
        return 1 if self.clock_ms % MINUTE_MS < self.delay_s * 1000 else 0

    @unpublished.setter
    def unpublished(self, _: int) -> None:
        """It follows from the clock alone."""
