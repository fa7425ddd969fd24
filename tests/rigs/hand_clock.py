"""A clock that a test sets and moves by hand: no time passes by itself."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import anyio


@dataclass
class _Sleeper:
    left_s: float
    awake: anyio.Event = field(default_factory=anyio.Event)


class HandClock:
    """Shows `now` until it is moved: by `pass_by` time passes, by `set` only what the clock shows changes."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._sleepers: list[_Sleeper] = []
        self._slept = anyio.Event()

    def now(self) -> datetime:
        return self._now

    async def sleep(self, seconds: float) -> None:
        sleeper = _Sleeper(seconds)
        self._sleepers.append(sleeper)
        self._slept.set()
        try:
            await sleeper.awake.wait()
        finally:
            if sleeper in self._sleepers:
                self._sleepers.remove(sleeper)

    def set(self, now: datetime) -> None:
        """Set the clock: whoever sleeps sleeps on."""
        self._now = now

    def pass_by(self, seconds: float) -> None:
        """Let time pass: whoever has slept enough wakes."""
        self._now += timedelta(seconds=seconds)
        for sleeper in list(self._sleepers):
            sleeper.left_s -= seconds
            if sleeper.left_s <= 0:
                self._sleepers.remove(sleeper)
                sleeper.awake.set()

    async def until_asleep(self, count: int) -> None:
        """Wait until so many sleep."""
        while len(self._sleepers) < count:
            self._slept = anyio.Event()
            await self._slept.wait()
