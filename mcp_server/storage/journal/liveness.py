"""Liveness: a lock shows that a run's process is alive, and ends with the process, however that ends.

It is that of a file here; in Postgres, that of a session.
"""

import re
import stat
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from mcp_server.storage.files import put_aside
from mcp_server.storage.home import unwritable
from mcp_server.storage.journal.runner_note import RunnerNote
from mcp_server.storage.process_lock import ProcessLock
from mcp_server.storage.sql import SqlConnection

KEY = re.compile(r"[0-9a-f]{32}(\.[0-9]+)?", re.ASCII)
"""The key of a run or a runner. Files of other names are not ours, and are left alone."""

PATIENCE_S = 5
"""How long a sign of life waits for another process, which may be looking whether it is held."""


class SignOfLife(Protocol):
    """Shows others that this process is alive, until it is closed."""

    @property
    def key(self) -> str:
        """What it is shown under: the key of a run, or of a runner."""

    def confirm(self, connection: SqlConnection) -> None:
        """Look whether others see it, in the transaction that relies on it.

        Raises:
            Retryable: they do not; then no run may begin.
        """

    def close(self, *, forget: bool = True) -> None:
        """Take it back; without `forget`, runs under it that have no end yet are ended by others as interrupted."""


class Taken(Exception):
    """Another process holds it."""


class SignsOfLife(Protocol):
    """Who is alive, of all that have runs under way in a journal."""

    look_every_s: float | None
    """How often a scheduler looks who is gone; None: whenever it looks at the strategy folders."""

    def show(self, key: str) -> SignOfLife:
        """Show that this process is alive, under a key.

        Raises:
            Retryable, Misconfigured: it cannot be shown; then no run may begin.
        """

    def hold(self, name: str) -> AbstractContextManager[None]:
        """Hold what only one process may, for as long as the block lasts.

        Raises:
            Taken: another process holds it.
            Retryable, Misconfigured: it cannot be held.
        """

    def dead(self, connection: SqlConnection | None = None) -> Iterator[str]:
        """Yield the keys of processes that are gone; within a transaction, its connection is needed."""

    def here(self) -> frozenset[str] | None:
        """Return every key that was shown and not taken back; None where nobody can say."""

    def forget(self, key: str) -> None:
        """Remove what is left of a process that is gone."""

    def exchange(self, own: RunnerNote) -> list[RunnerNote]:
        """Tell the other runners what one of this process has, and return the same of all of them, this one's first.

        Raises:
            Retryable, Misconfigured: they cannot be told.
        """

    def scheduled_elsewhere(self, key: str, names: Collection[str], connection: SqlConnection) -> frozenset[str]:
        """Note that the runner of this key lacks strategies; return those that another one has scheduled."""


class LockedFiles:
    """Signs of life in a folder: one locked file for each."""

    look_every_s: float | None = None

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def show(self, key: str) -> "Liveness":
        """Show that this process is alive, under a key.

        Raises:
            Misconfigured: the folder cannot be written.
        """
        return Liveness(self._folder / key)

    @contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """Hold the lock of a file of this name for as long as the block lasts.

        Raises:
            Taken: another process holds it.
            Misconfigured: the folder cannot be written.
        """
        path = self._folder / f"{name}.lock"
        lock = ProcessLock(path)
        try:
            taken = lock.take()
        except OSError as error:
            raise unwritable(path, error) from None
        if not taken:
            raise Taken
        try:
            yield
        finally:
            lock.release()

    def dead(self, connection: SqlConnection | None = None) -> Iterator[str]:
        """Yield the keys of processes that are gone."""
        for name in self.here() or ():
            if KEY.fullmatch(name) and not is_alive(self._folder / name):
                yield name

    def here(self) -> frozenset[str] | None:
        """Return the names of all files; None where the folder cannot be read."""
        try:
            return frozenset(file.name for file in self._folder.iterdir())
        except OSError:
            return None

    def exchange(self, own: RunnerNote) -> list[RunnerNote]:
        """Return what this runner has: others of the same home have the same folders."""
        return [own]

    def scheduled_elsewhere(self, key: str, names: Collection[str], connection: SqlConnection) -> frozenset[str]:
        """Return none: a folder that is gone is gone for all runners of the home."""
        return frozenset()

    def forget(self, key: str) -> None:
        """Remove the file of a process that is gone; what cannot be removed, a folder say, is put aside."""
        path = self._folder / key
        try:
            path.unlink(missing_ok=True)
        except OSError:
            with suppress(OSError):
                put_aside(path)


class Liveness:
    """Creates a file and holds a lock on it until `close`, which removes the file.

    Raises:
        Misconfigured: the file cannot be created.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = ProcessLock(path)
        try:
            if not self._lock.take(PATIENCE_S):
                raise TimeoutError("another process holds it")
        except OSError as error:
            raise unwritable(path, error) from None

    @property
    def key(self) -> str:
        """Its file's name."""
        return self.path.name

    def confirm(self, connection: SqlConnection) -> None:
        """Do nothing: whoever holds a lock of a file is seen."""

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
    lock = ProcessLock(path)
    try:
        taken = lock.take()
    except OSError:  # not ours to judge: another user's file
        return True
    lock.release()
    return not taken
