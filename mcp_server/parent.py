"""Ends this program with the one that started it, however far it has come by then: when standard input closes.

On Linux the kernel does it, too, and at once, also to a program that hangs or was stopped.

It imports nothing heavy: a server that is still starting must end, too.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable

STANDARD_INPUT = 0
PR_SET_PDEATHSIG = 1

GRACE_S = 0.5
"""So long an orderly end may take. What is stopped in a transaction of the database is as if it had never begun."""


class Parent:
    """Watches standard input from its making on. Until `then` is called, the end is at once."""

    def __init__(self) -> None:
        if sys.platform == "linux":
            import ctypes

            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        self._end: Callable[[], None] | None = None
        threading.Thread(target=self._watch, daemon=True).start()

    def then(self, end: Callable[[], None]) -> None:
        """Say how to end in good order."""
        self._end = end

    def _watch(self) -> None:
        while os.read(STANDARD_INPUT, 4096):
            pass
        if self._end is not None:
            self._end()
            time.sleep(GRACE_S)
        os._exit(0)
