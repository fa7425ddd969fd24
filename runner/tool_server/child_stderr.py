"""What a program that this one has started writes to standard error: told line by line, and the last of it kept."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

KEPT_LINES = 20
LAST_S = 2.0
"""How long the rest of what an ended program wrote may take to arrive."""


@dataclass(slots=True)
class ChildStderr:
    """Give `writing` to one program, then call `given`."""

    writing: int
    _listening: threading.Thread
    _lines: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))

    def given(self) -> None:
        """Leave the writing end to the program alone, so that its end is noticed."""
        if self.writing >= 0:
            os.close(self.writing)
            self.writing = -1

    def last(self) -> str:
        """Give the last lines of a program that has ended."""
        self.given()
        self._listening.join(LAST_S)
        return "\n".join(self._lines).strip()


@contextmanager
def overhearing(tell: Callable[[str], None]) -> Iterator[ChildStderr]:
    """Listen to what is written, in a thread that ends with whoever writes; `tell` is given each line."""
    reading, writing = os.pipe()
    lines: deque[str] = deque(maxlen=KEPT_LINES)

    def listen() -> None:
        with os.fdopen(reading, encoding="utf-8", errors="replace") as stream:
            for line in stream:
                lines.append(line.rstrip())
                tell(line.rstrip())

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    overheard = ChildStderr(writing, thread, lines)
    try:
        yield overheard
    finally:
        overheard.given()
