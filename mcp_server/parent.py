"""Ends this program with the one that started it, at any moment of its start too: when standard input closes.

On Linux the kernel does so too, and at once, even to a program that hangs or was stopped.

It imports nothing heavy, because a server that is still starting must end too.
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
"""How long an orderly end may take. A transaction that is stopped counts as never begun."""


class Parent:
    """Watches standard input from its construction on. Until `then` is called, the program ends at once."""

    def __init__(self) -> None:
        if sys.platform == "linux":
            import ctypes

            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        self._end: Callable[[], None] | None = None
        threading.Thread(target=self._watch, daemon=True).start()

    def then(self, end: Callable[[], None]) -> None:
        """Set how to end in good order."""
        self._end = end

    def _watch(self) -> None:
        while os.read(STANDARD_INPUT, 4096):
            pass
        if self._end is not None:
            self._end()
            time.sleep(GRACE_S)
        os._exit(0)
