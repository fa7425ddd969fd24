"""Stops what runs too long. One thread watches any number of calls: a timer for each costs more than a short query."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock, Thread
from time import monotonic, sleep


class TimeLimit:
    """Calls what interrupts a call, once, when that has run for so many seconds. Any number of threads may use it.

    The watching thread sleeps until the earliest deadline. Whatever begins meanwhile has a later one, so nothing has to
    wake it. Where nothing runs any more it calls `at_rest` and ends; the next call begins another.
    """

    def __init__(self, seconds: float, at_rest: Callable[[], None] = lambda: None) -> None:
        self.seconds = seconds
        self._at_rest = at_rest
        self._lock = Lock()
        self._running: dict[object, tuple[float, Callable[[], None]]] = {}
        self._watcher: Thread | None = None

    @contextmanager
    def over(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """Limit what runs within. `interrupt` is never called after it."""
        call = object()
        try:
            with self._lock:
                self._running[call] = monotonic() + self.seconds, interrupt
                if self._watcher is None or not self._watcher.is_alive():
                    self._watcher = Thread(target=self._watch, daemon=True)
                    self._watcher.start()
            yield
        finally:
            with self._lock:
                self._running.pop(call, None)

    def _watch(self) -> None:
        pause_s: float | None = self.seconds  # whatever runs began just now; what is short may be over before a look
        while pause_s is not None:
            sleep(pause_s)
            pause_s = self._interrupt_late()
        self._at_rest()

    def _interrupt_late(self) -> float | None:
        """Interrupt what is over its time; return how long nothing else can be, or None where nothing runs."""
        with self._lock:
            now = monotonic()
            for call in [call for call, (deadline, _) in self._running.items() if deadline <= now]:
                self._running.pop(call)[1]()
            if not self._running:
                self._watcher = None
                return None
            return min(deadline for deadline, _ in self._running.values()) - now
