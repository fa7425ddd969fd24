"""A strategy with which no process comes to an end, but for the one that made it; and a call that waits."""

import os
import signal
from threading import Event

TOLD = Event()


def until_told() -> None:
    """Wait in a worker's thread until `tell` is called in its process."""
    TOLD.wait()


def tell() -> None:
    """Let the calls of this process end that wait."""
    TOLD.set()


class Endless:
    def __init__(self) -> None:
        self._made_in = os.getpid()

    @property
    def config(self) -> None:
        while os.getpid() != self._made_in:
            signal.sigtimedwait([], 60)
