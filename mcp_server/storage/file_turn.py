"""Turns at the DuckDB file: one program of this project opens it at a time, and none begins with an old header.

DuckDB reads a file's header before it locks the file. Where another process writes in between, it goes on from the old
header, and its own write then undoes the other's: one commit in some hundred was lost by four processes that wrote as
fast as they could. So programs of this project take turns by a lock of their own, and look whether a program that knows
nothing of that, a shell say, has written while they opened the file.

A second lock says who is next. Without it, a program that writes one transaction after another takes the turn again
before those that wait look again, and one of them can wait in vain for as long as that goes on. Who is next and never
asks, as its program is suspended (Ctrl-Z), is overtaken by those who have waited for a second.
"""

import time
from pathlib import Path

from mcp_server.storage.process_lock import ProcessLock

OVERTAKES_S = 1.0
"""Who waits for so long need not be next."""

Written = tuple[int, int] | None
"""When a file was last written, in ns, and its size; None where there is none."""


class FileTurn:
    """The turn at one file, for one program. Another `FileTurn` of the same process waits for it, too."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = ProcessLock(path.with_name(f"{path.name}.lock"))
        self._next = ProcessLock(path.with_name(f"{path.name}.next.lock"))
        self._waits_since: float | None = None

    def take(self) -> bool:
        """Take the turn; False where another has it, or is next. Who asks again is next as soon as nobody else is.

        Raises:
            OSError: a lock's file cannot be made.
        """
        now = time.monotonic()
        since = self._waits_since = self._waits_since or now
        is_next = self._next.held or self._next.take()
        if not (is_next or now - since >= OVERTAKES_S) or not self._lock.take():
            return False
        self.give_up()
        return True

    def give_up(self) -> None:
        """Let another be next: this program asks no more."""
        self._waits_since = None
        self._next.release()

    def leave(self) -> None:
        """Let others have their turn."""
        self._lock.release()

    def written(self) -> Written:
        """Return when the file was last written. It is not opened for that: to close it would give up DuckDB's lock."""
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size
