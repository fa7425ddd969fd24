"""The DuckDB file, opened only for as long as one transaction takes, so that any process may use it.

DuckDB locks its file against every other process while it is open for writing. So each transaction opens the file,
works and closes it (a few ms), and waits its turn: on a lock of this project's programs (`file_turn`), then on
DuckDB's own. Within this process one lock serialises the opens, and writes that wait together share one transaction.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mcp_server.errors import Retryable
from mcp_server.storage.database_file import PATIENCE_S, DatabaseFile, Start
from mcp_server.storage.journal.place import where_it_is
from mcp_server.storage.rewritten import Columns, rewrite_file
from mcp_server.storage.schema import OldSchema, copy_file, migrate
from mcp_server.storage.transactions import Job, T, WaitingWrites, Work, run_batch, transaction, translated

if TYPE_CHECKING:
    import duckdb

    from mcp_server.storage.journal.liveness import SignsOfLife


class Database:
    """One DuckDB file, created and migrated when it is first used.

    Args:
        path: the file.
        prepare: makes its folder; called before the file is first opened.
        patience_s: how long a transaction waits for another process before it gives up, in seconds.
        start: starts the DuckDB in memory that the file is attached to, if not as usual.

    Every method that opens the file raises:
        Retryable: another process held the file for too long, or it could not be written; nothing was changed.
        Misconfigured: the file cannot be used until the operator acts.
    """

    def __init__(
        self,
        path: Path,
        *,
        prepare: Callable[[], None] | None = None,
        patience_s: float = PATIENCE_S,
        start: Start | None = None,
    ) -> None:
        self._file = DatabaseFile(path, prepare, patience_s, start)
        self._opening = threading.Lock()
        self._writes = WaitingWrites(self._opening, self._run)

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    @property
    def refusals(self) -> tuple[type[Exception], ...]:
        """What is raised where a value cannot be kept, such as NaN, or half a character."""
        from mcp_server.domain.duckdb_core import duckdb

        return ValueError, duckdb.Error

    def signs_of_life(self, running: Path) -> "SignsOfLife":
        """Return what shows which processes are alive: locked files in a folder."""
        from mcp_server.storage.journal.liveness import LockedFiles

        return LockedFiles(running)

    def exists(self) -> bool:
        """Return whether the file is there."""
        return self.path.exists()

    def hurry(self) -> None:
        """Wait no longer than `SHORT_PATIENCE_S` from now on, also where a wait has begun: this program is ending."""
        self._file.hurry()

    def write(self, work: Work[T], *, anyway: bool = False) -> T:
        """Run `work` in a transaction and return what it returns.

        Writes that wait together share one transaction; if one of them fails, each is run again by itself. So `work`
        touches nothing but the connection that it is given. A journal that was moved away raises `Moved`; what is not
        the journal's, candles say, is done `anyway`.
        """
        return self._writes.write(work if anyway else where_it_is(work))

    def close(self) -> None:
        """Do nothing: the file is open only for as long as a transaction takes."""

    def problem(self) -> None:
        """Return None: what is wrong with a file, its use tells."""

    def now(self) -> datetime:
        """Return the present (aware UTC) by the machine's clock."""
        return datetime.now(UTC)

    def now_within(self, _: object) -> None:
        """Return None: the file has no clock but the machine's."""

    def read(self, work: Work[T], *, patience_s: float | None = None, in_turn: bool = False, anyway: bool = False) -> T:
        """Run `work` on a connection that cannot write, beside other readers, and return what it returns.

        Args:
            work: what to do.
            patience_s: how long it waits for another process, where that is less than usual.
            in_turn: keep others from writing meanwhile, which a file always does.
            anyway: as in `write`.
        """
        work = work if anyway else where_it_is(work)
        if not self.exists():
            self.write(_nothing, anyway=True)
        try:
            return self._look(work, patience_s)
        except OldSchema:
            self.write(_nothing, anyway=True)
            return self._look(work, patience_s)

    def copy(self, target: Path) -> None:
        """Copy the file as it is between two transactions; everybody else waits meanwhile."""
        with self._opening:
            connection = self._open(read_only=False)
            try:
                translated(connection, self.path, lambda c: copy_file(c, self.path, target))
            finally:
                self._file.close(connection)

    def rewrite(self, columns: Columns) -> None:
        """Replace the file by a fresh one that takes no room for what has gone; everybody else waits meanwhile.

        Args:
            columns: what takes the place of columns, as `rewrite_file`.
        """
        with self._opening:
            connection = self._open(read_only=False)
            try:
                translated(connection, self.path, lambda c: rewrite_file(c, self.path, columns))
            finally:
                self._file.close(connection)

    def _look(self, work: Work[T], most_s: float | None) -> T:
        if not self._opening.acquire(timeout=-1 if most_s is None else most_s):
            raise Retryable(f"The database {str(self.path)!r} is busy with this program's own work.", "Try again.")
        try:
            connection = self._open(read_only=True, most_s=most_s)
            try:
                return translated(connection, self.path, work)
            finally:
                self._file.close(connection)
        finally:
            self._opening.release()

    def _run(self, batch: list[Job]) -> None:
        connection = self._open(read_only=False)
        try:
            run_batch(partial(transaction, connection, self.path), batch)
        finally:
            self._file.close(connection)

    def _open(self, *, read_only: bool, most_s: float | None = None) -> "duckdb.DuckDBPyConnection":
        connection = self._file.open(read_only=read_only, most_s=most_s)
        try:
            migrate(connection, self.path, read_only=read_only)
        except BaseException:
            self._file.close(connection)
            raise
        return connection


def _nothing(_: "duckdb.DuckDBPyConnection") -> None:
    """Do nothing: opening for writing creates and migrates."""
