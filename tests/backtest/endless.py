"""A strategy with which no process comes to an end, but for the one that made it."""

import os
import signal


class Endless:
    def __init__(self) -> None:
        self._made_in = os.getpid()

    @property
    def config(self) -> None:
        while os.getpid() != self._made_in:
            signal.sigtimedwait([], 60)
