"""Work of daemon threads that the end of the program must not break off: whatever they have DuckDB do.

When Python ends, it stops each daemon thread where that next needs Python. A thread that is inside C++ by then takes
the whole process with it ("terminate called", exit code 134). The threads of a daemon thread are daemons, too: so are
those in which the Python interface and the collector of news use the database.
"""

import atexit
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

LAST_S = 2.0
"""For so long the end of the program waits for work that has begun. What takes longer DuckDB itself interrupts then."""


class UnbrokenWork:
    """Knows what daemon threads are at. Other threads need none of this: Python waits for them before it ends."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._under_way: set[object] = set()
        self._ending = False

    def begin(self) -> object:
        """Return what `end` takes. Once the program ends, a daemon thread stays here for ever."""
        work = object()
        if threading.current_thread().daemon:
            with self._changed:
                self._stay_if_ending()
                self._under_way.add(work)
        return work

    def end(self, work: object) -> None:
        """Say that work is over. Once the program ends, a daemon thread stays here for ever."""
        with self._changed:
            if work in self._under_way:
                self._under_way.remove(work)
                self._changed.notify_all()
                self._stay_if_ending()

    @contextmanager
    def unbroken(self) -> Iterator[None]:
        """Begin and end work."""
        work = self.begin()
        try:
            yield
        finally:
            self.end(work)

    def wait(self) -> None:
        """Let no work begin any more, and wait until what is under way has ended: the program ends."""
        with self._changed:
            self._ending = True
            self._changed.wait_for(lambda: not self._under_way, LAST_S)

    def forget(self) -> None:
        """Begin anew, in a forked process: no other thread came along."""
        self._changed, self._under_way, self._ending = threading.Condition(), set(), False

    def _stay_if_ending(self) -> None:
        while self._ending:
            self._changed.wait()


WORK = UnbrokenWork()
"""That of this process."""

atexit.register(WORK.wait)
if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(after_in_child=WORK.forget)
