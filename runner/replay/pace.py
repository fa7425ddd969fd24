"""How many runs of a replay go on at once: as many as memory allows, fewer where Claude's API asks for less.

At the first sign of a limit or an outage the number halves and nobody begins for a while; it grows again one by one.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import anyio

from runner.clock import Clock
from runner.memory import claude_runs

FIRST_WAIT, MOST_WAIT = timedelta(seconds=5), timedelta(minutes=5)

MOST_FAILURES = 5
"""After so many waits in a row after which Claude's API still fails, there is no use in going on."""


@dataclass(slots=True)
class ReplayPace:
    """Gives turns. `most` bounds the runs at once; None: what memory allows.

    `on_wait` is called with the moment at which it goes on, each time that all have to wait.
    """

    clock: Clock
    most: int | None = None
    on_wait: Callable[[datetime], None] = lambda _: None
    running: int = 0
    most_running: int = 0
    failures: int = 0
    wait_until: datetime | None = None
    _allowed: int | None = None
    _well: int = 0
    _counted_until: datetime | None = None
    _changed: anyio.Event = field(default_factory=anyio.Event)

    @property
    def at_once(self) -> int:
        """How many may run at once now."""
        room = self.most or claude_runs(self.running)
        return room if self._allowed is None else min(room, self._allowed)

    @property
    def given_up(self) -> bool:
        """Whether Claude's API has failed too often in a row."""
        return self.failures >= MOST_FAILURES

    async def begin(self) -> None:
        """Wait for a turn and take it; `end` gives it back."""
        while True:
            if (left_s := self._left_s()) > 0:
                await self.clock.sleep(left_s)
            elif self.running >= self.at_once:
                await self._changed.wait()
            else:
                break
        self.running += 1
        self.most_running = max(self.most_running, self.running)

    def end(self) -> None:
        """Give a turn back."""
        self.running -= 1
        self._wake()

    def slow_down(self, retry_after_s: float | None = None) -> None:
        """Halve the number at once, and let nobody begin for as long as the API asks, or ever longer.

        Runs that go on together meet one limit together: it halves once for all of them.
        """
        asked = FIRST_WAIT * 2**self.failures if retry_after_s is None else timedelta(seconds=retry_after_s)
        until = self.clock.now() + min(asked, MOST_WAIT)
        if self._left_s() <= 0:
            self._allowed, self._well = max(1, min(max(self.running, 1), self.at_once) // 2), 0
            self.wait_until = until
        elif self.wait_until is None or until > self.wait_until:
            self.wait_until = until
        else:
            return
        self.on_wait(self.wait_until)

    def failed(self, began_at: datetime) -> None:
        """Note that a run has ended because the API could not be used; of those before one wait, one counts."""
        if self._counted_until is not None and began_at < self._counted_until:
            return
        if self.wait_until is None or began_at >= self.wait_until:
            self.slow_down()
        self.failures += 1
        self._counted_until = self.wait_until

    def went_well(self) -> None:
        """Note that the API has served a run to its end: after a round of such, one more may go on at once."""
        self.failures, self._counted_until = 0, None
        if self._allowed is None:
            return
        self._well += 1
        if self._well >= self._allowed:
            self._allowed, self._well = self._allowed + 1, 0
            self._wake()

    def _left_s(self) -> float:
        return 0.0 if self.wait_until is None else (self.wait_until - self.clock.now()).total_seconds()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
