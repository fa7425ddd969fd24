"""Ends this program with the one that started it: when standard input closes, however far it has come by then.

It imports nothing heavy: a server that is still starting must end, too.
"""

import os
import threading
import time
from collections.abc import Callable

STANDARD_INPUT = 0

GRACE_S = 1.0
"""So long an orderly end may take. What is stopped in a transaction of the database is as if it had never begun."""


class Parent:
    """Watches standard input from its making on. Until `then` is called, the end is at once."""

    def __init__(self) -> None:
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
