"""Liveness: a locked file shows that a run's process is alive. The lock ends with the process, however that ends."""

import stat
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from mcp_server.storage.files import put_aside
from mcp_server.storage.home import unwritable


class Liveness:
    """Creates a file and holds a lock on it until `close`, which removes the file.

    Raises:
        Misconfigured: the file cannot be created.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FileLock(path, thread_local=False)
        try:
            self._lock.acquire(timeout=5)  # another process may be looking whether it is held
        except OSError as error:
            raise unwritable(path, error) from None

    def close(self, *, forget: bool = True) -> None:
        """Release the lock and remove the file; without `forget` it stays, as the sign of a run that has no end yet."""
        if forget:
            with suppress(PermissionError):  # Windows removes no file that is open: then it goes once it is not
                self.path.unlink(missing_ok=True)
        self._lock.release()
        if forget:
            with suppress(PermissionError):  # another process looks whether it is held, and then removes it
                self.path.unlink(missing_ok=True)


def is_alive(path: Path) -> bool:
    """Return whether some process holds the lock on this file. What is no regular file was not made by any."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return False
    except FileNotFoundError:
        return False
    except OSError:
        return True
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:  # not ours to judge: another user's file
        return True
    lock.release()
    return False


def forget(path: Path) -> None:
    """Remove the file of a process that is gone; what cannot be removed, a folder say, is put aside."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        with suppress(OSError):
            put_aside(path)
