"""A lock of a file that ends with the process that holds it, however that ends.

It is the lock of the package `filelock`, which takes longer to import than a listing takes to read the journal. So a
system that has `flock` is asked itself; elsewhere, and on a file system without it, the package locks. Either of them
keeps out who asks the other.
"""

import os
import time
from errno import EACCES, EAGAIN, ENOSYS
from pathlib import Path
from typing import Any
from weakref import WeakSet

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

POLL_S = 0.05

HELD_BY_ANOTHER = frozenset((EACCES, EAGAIN))


class ProcessLock:
    """The lock of one file, which is made where it is missing. Another `ProcessLock` of this process waits, too."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._packages: Any = None

    @property
    def held(self) -> bool:
        """Whether this one holds it."""
        return self._descriptor is not None or (self._packages is not None and self._packages.is_locked)

    def take(self, within_s: float = 0) -> bool:
        """Take it; return False where another holds it for so long.

        Raises:
            OSError: the file cannot be made or opened.
        """
        until = time.monotonic() + within_s
        while not (taken := self._take()) and time.monotonic() < until:
            time.sleep(POLL_S)
        return taken

    def release(self) -> None:
        """Let another take it; this does nothing where it is not held. The file stays."""
        if self._packages is not None:
            self._packages.release()
        descriptor, self._descriptor = self._descriptor, None  # another thread may take it as soon as it is free
        if descriptor is not None:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # also for a process that has just been forked
            os.close(descriptor)

    __del__ = release

    def leave_to_parent(self) -> None:
        """Close its file, and keep it locked for the process that has forked this one."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _take(self) -> bool:
        if fcntl is None:
            return self._take_by_package()
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                removed = not os.fstat(descriptor).st_nlink
            except BaseException as error:
                os.close(descriptor)
                if not isinstance(error, OSError) or error.errno not in {*HELD_BY_ANOTHER, ENOSYS}:
                    raise
                return error.errno == ENOSYS and self._take_by_package()
            if not removed:
                self._descriptor = descriptor
                _held.add(self)
                return True
            os.close(descriptor)  # who held it took the file away: others make one of this name

    def _take_by_package(self) -> bool:
        from filelock import FileLock, Timeout

        if self._packages is None:
            self._packages = FileLock(self._path, thread_local=False)
        try:
            self._packages.acquire(timeout=0)
        except Timeout:
            return False
        return True


_held: WeakSet[ProcessLock] = WeakSet()
"""All locks that this process has taken."""


def _leave_to_parent() -> None:
    """Hold nothing in a forked process: its copies would keep the locks when the parent has ended."""
    for lock in [*_held]:
        lock.leave_to_parent()
    _held.clear()


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(after_in_child=_leave_to_parent)
