"""The standard error of a program that this one has started: passed on line by line, and its last lines kept."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

KEPT_LINES = 20
LAST_S = 2.0
"""How long the rest of what an ended program wrote may take to arrive."""


class ChildStderr:
    """Give `writing_end` to one program as its standard error, then call `hand_over`."""

    def __init__(self, writing_end: int, reader: threading.Thread, lines: deque[str]) -> None:
        self.writing_end = writing_end
        self._reader = reader
        self._lines = lines

    def hand_over(self) -> None:
        """Leave the writing end to the program alone, so that its end is noticed."""
        if self.writing_end >= 0:
            os.close(self.writing_end)
            self.writing_end = -1

    def last_lines(self) -> str:
        """Return the last lines of a program that has ended."""
        self.hand_over()
        self._reader.join(LAST_S)
        return "\n".join(self._lines).strip()


@contextmanager
def read_stderr(tell: Callable[[str], None]) -> Iterator[ChildStderr]:
    """Read what a program writes, in a thread that ends with it; `tell` is called there with each line."""
    reading_end, writing_end = os.pipe()
    lines: deque[str] = deque(maxlen=KEPT_LINES)

    def read() -> None:
        with os.fdopen(reading_end, encoding="utf-8", errors="replace") as stream:
            for line in stream:
                lines.append(line.rstrip())
                tell(line.rstrip())

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    child_stderr = ChildStderr(writing_end, thread, lines)
    try:
        yield child_stderr
    finally:
        child_stderr.hand_over()
