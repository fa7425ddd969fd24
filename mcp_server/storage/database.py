"""The DuckDB file, opened only for as long as one transaction takes, so that any process may use it.

DuckDB locks its file against every other process while it is open for writing. So each transaction opens the file,
works and closes it (about 40 ms), and waits its turn: on a lock of this project's programs (`turn`), then on DuckDB's
own. Within this process one lock serialises the opens, and writes that wait together share one transaction.
"""

import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mcp_server.errors import Misconfigured, Retryable, TraderError
from mcp_server.storage.file_turn import FileTurn
from mcp_server.storage.home import unwritable

if TYPE_CHECKING:
    import duckdb

T = TypeVar("T")
Work = Callable[["duckdb.DuckDBPyConnection"], T]

PATIENCE_S = 10.0
"""How long a transaction waits for a file that another process holds."""

SHORT_PATIENCE_S = 0.5
"""How long it waits where another has just waited in vain: whoever holds the file then is in no hurry."""

HELD_S = 60.0
"""For how long that is taken to be so."""


class Database:
    """One DuckDB file, created and migrated when it is first used.

    Args:
        path: the file.
        prepare: makes its folder; called before the file is first opened.
        patience_s: how long a transaction waits for another process before it gives up, in seconds.
    """

    def __init__(
        self, path: Path, *, prepare: Callable[[], None] | None = None, patience_s: float = PATIENCE_S
    ) -> None:
        self._path = path
        self._prepare = prepare
        self._patience_s = patience_s
        self._gave_up_at = -HELD_S
        self._hurried = False
        self._opening = threading.Lock()
        self._queueing = threading.Lock()
        self._waiting: list[tuple[Work[Any], Future[Any]]] = []
        self._turn = FileTurn(path)

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    def hurry(self) -> None:
        """Wait no longer than `SHORT_PATIENCE_S` from now on, also where a wait has begun: this program is ending."""
        self._hurried = True

    def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction and return what it returns.

        Writes that wait together share one transaction; if one of them fails, each is run again by itself. So `work`
        touches nothing but the connection that it is given.

        Raises:
            Retryable: another process held the file for too long, or it could not be written; nothing was changed.
            Misconfigured: the file cannot be used until the operator acts.
        """
        mine: Future[T] = Future()
        with self._queueing:
            self._waiting.append((work, mine))
        with self._opening:
            if not mine.done():
                with self._queueing:
                    batch, self._waiting = self._waiting, []
                self._run(batch)
        return mine.result()

    def read(self, work: Work[T], *, patience_s: float | None = None) -> T:
        """Run `work` on a connection that cannot write, beside other readers, and return what it returns.

        Args:
            work: what to do.
            patience_s: how long it waits for another process, where that is less than usual.

        Raises:
            Retryable, Misconfigured: as `write`.
        """
        if not self._path.exists():
            self.write(_nothing)
        try:
            return self._look(work, patience_s)
        except _OldSchema:
            self.write(_nothing)
            return self._look(work, patience_s)

    def copy(self, target: Path) -> None:
        """Copy the file as it is between two transactions; everybody else waits meanwhile.

        Raises:
            Retryable, Misconfigured: as `write`; or the copy could not be written.
        """
        with self._opening:
            connection = self._open(read_only=False)
            try:
                self._translated(lambda c: _copied(c, self._path, target), connection)
            finally:
                self._close(connection)

    def copied(self, fill: Work[T]) -> tuple["duckdb.DuckDBPyConnection", T]:
        """Give a database in memory that `fill` has filled from this one, and what `fill` returned.

        For `fill` this one's tables are `file.main.…`; the file is let go of before this returns. Close the database.

        Raises:
            Retryable, Misconfigured: as `write`.
        """
        self.read(_nothing)  # which migrates it where that is needed
        with self._opening:
            connection = self._patiently(self._attached, None, read_only=True)
            try:
                filled = self._translated(fill, connection)
                connection.execute("DETACH file")
            except BaseException:
                connection.close()
                raise
            finally:
                self._turn.leave()
            return connection, filled

    def _attached(self) -> "duckdb.DuckDBPyConnection":
        import duckdb

        connection = duckdb.connect(":memory:", config={"autoinstall_known_extensions": "false", "threads": "1"})
        try:
            connection.execute(f"ATTACH {_quoted(str(self._path))} AS file (READ_ONLY)")
        except duckdb.Error as error:
            connection.close()
            raise self._why_not(str(error)) from None
        return connection

    def _look(self, work: Work[T], most_s: float | None) -> T:
        if not self._opening.acquire(timeout=-1 if most_s is None else most_s):
            raise Retryable(f"The database {str(self._path)!r} is busy with this program's own work. Try again.")
        try:
            connection = self._open(read_only=True, most_s=most_s)
            try:
                return self._translated(work, connection)
            finally:
                self._close(connection)
        finally:
            self._opening.release()

    def _run(self, batch: list[tuple[Work[Any], Future[Any]]]) -> None:
        try:
            connection = self._open(read_only=False)
            try:
                if len(batch) == 1 or not self._together(connection, batch):
                    for job in batch:
                        self._alone(connection, *job)
            finally:
                self._close(connection)
        except BaseException as error:  # whatever stopped the one that leads, nobody may wait for ever
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)

    def _together(self, connection: "duckdb.DuckDBPyConnection", batch: list[tuple[Work[Any], Future[Any]]]) -> bool:
        def all_of_them(c: "duckdb.DuckDBPyConnection") -> list[Any]:
            return [work(c) for work, _ in batch]

        try:
            results = self._transaction(connection, all_of_them)
        except Exception:  # each is run again by itself, and raises what is its own
            return False
        for (_, future), result in zip(batch, results, strict=True):
            future.set_result(result)
        return True

    def _alone(self, connection: "duckdb.DuckDBPyConnection", work: Work[Any], future: Future[Any]) -> None:
        try:
            future.set_result(self._transaction(connection, work))
        except BaseException as error:  # it belongs to whoever waits for this future
            future.set_exception(error)

    def _transaction(self, connection: "duckdb.DuckDBPyConnection", work: Work[T]) -> T:
        def committed(c: "duckdb.DuckDBPyConnection") -> T:
            c.execute("BEGIN")
            try:
                result = work(c)
                c.execute("COMMIT")
            except BaseException:
                _roll_back(c)
                raise
            return result

        return self._translated(committed, connection)

    def _translated(self, work: Work[T], connection: "duckdb.DuckDBPyConnection") -> T:
        import duckdb

        try:
            return work(connection)
        except (
            duckdb.IOException,
            duckdb.FatalException,
            duckdb.TransactionException,
            duckdb.InternalException,
        ) as error:
            raise Retryable(
                f"The database {str(self._path)!r} could not be used: {_cut(error)} Nothing was changed. "
                "Free some disk space if it is full, and try again."
            ) from None

    def _open(self, *, read_only: bool, most_s: float | None = None) -> "duckdb.DuckDBPyConnection":
        connection = self._patiently(lambda: self._connect(read_only=read_only), most_s, read_only=read_only)
        try:
            self._migrate(connection, read_only=read_only)
        except BaseException:
            self._close(connection)
            raise
        return connection

    def _close(self, connection: "duckdb.DuckDBPyConnection") -> None:
        try:
            connection.close()
        finally:
            self._turn.leave()

    def _in_turn(
        self, connect: Callable[[], "duckdb.DuckDBPyConnection"], *, read_only: bool
    ) -> "duckdb.DuckDBPyConnection":
        """Connect in this program's turn, which ends with `_close`."""
        if self._prepare is not None:
            self._prepare()
            self._prepare = None
        try:
            if not self._turn.take():
                raise _Held(self._path, "another program of Claude Trader is at work in it")
        except OSError as error:
            if not read_only:  # where nobody can make a file, nobody writes either
                raise unwritable(self._path, error) from None
        try:
            before = self._turn.written()
            connection = connect()
            if before is not None and self._turn.written() != before:
                connection.close()
                raise _Held(self._path, "another process wrote it at this very moment")
        except BaseException:
            self._turn.leave()
            raise
        return connection

    def _patiently(
        self, connect: Callable[[], "duckdb.DuckDBPyConnection"], most_s: float | None, *, read_only: bool
    ) -> "duckdb.DuckDBPyConnection":
        """Wait for the file where another process holds it."""
        import stamina

        # That it waits for its turn is no news, and would be told on standard output, where an MCP host listens.
        stamina.instrumentation.set_on_retry_hooks(())

        in_vain = self._hurried or time.monotonic() - self._gave_up_at < HELD_S
        patience_s = min(SHORT_PATIENCE_S if in_vain else self._patience_s, most_s or self._patience_s)

        def worth_waiting(error: Exception) -> bool:
            return isinstance(error, _Held) and (in_vain or not self._hurried)

        try:
            for attempt in stamina.retry_context(
                on=worth_waiting, attempts=None, timeout=patience_s, wait_initial=0.005, wait_max=0.1, wait_jitter=0.05
            ):
                with attempt:
                    connection = self._in_turn(connect, read_only=read_only)
        except _Held:
            if most_s is None:  # who waits less than usual cannot say that it was in vain
                self._gave_up_at = time.monotonic()
            raise
        self._gave_up_at = -HELD_S
        return connection

    def _connect(self, *, read_only: bool) -> "duckdb.DuckDBPyConnection":
        import duckdb

        try:
            return duckdb.connect(self._path, read_only=read_only, config={"autoinstall_known_extensions": "false"})
        except duckdb.ConnectionException as error:  # this very process has it open in the other mode
            raise _Held(self._path, _cut(error)) from None
        except duckdb.Error as error:
            raise self._why_not(str(error)) from None

    def _why_not(self, text: str) -> TraderError:
        if holder := re.search(r"held in (.+?) \(PID (\d+)\)", text):
            return _Held(self._path, f"process {holder[2]} ({holder[1]}) has it open")
        if "Could not set lock" in text or "already attached" in text:
            return _Held(self._path, "another process has it open")
        if "WAL" in text:
            wal = self._path.with_name(self._path.name + ".wal")
            return Misconfigured(
                f"The write-ahead log {str(wal)!r} is damaged ({_cut(text)}). Nothing was changed. Keep a copy of it "
                f"and of {str(self._path)!r}, then move it aside: the database opens without it, and lacks only what "
                "the log held."
            )
        if "not a valid DuckDB" in text or "newer version" in text or "serialized" in text.lower():
            return Misconfigured(
                f"{str(self._path)!r} cannot be read as a database ({_cut(text)}). Nothing was changed. "
                "Update claude-trader if a newer one wrote it; otherwise move it aside, or restore a copy."
            )
        return unwritable(self._path, OSError(_cut(text)))

    def _migrate(self, connection: "duckdb.DuckDBPyConnection", *, read_only: bool) -> None:
        present = schema_version(connection)
        wanted = migrations()
        newest = max(wanted)
        if present > newest:
            raise Misconfigured(
                f"The database {str(self._path)!r} was written by a newer claude-trader (schema {present}, this "
                f"program knows {newest}). Update claude-trader; nothing was changed."
            )
        if present == newest:
            return
        if read_only:
            raise _OldSchema
        if present:
            before = self._path.with_name(f"{self._path.name}.schema-{present}")
            self._translated(lambda c: _copied(c, self._path, before), connection)
        for version in range(present + 1, newest + 1):
            self._transaction(connection, _migration(version, wanted[version]))


def _copied(connection: "duckdb.DuckDBPyConnection", path: Path, target: Path) -> None:
    """Copy the file that this connection holds, whole, by another process: closing it here would give up the lock."""
    connection.execute("CHECKPOINT")
    fresh = target.with_name(f"{target.name}.copying")
    program = "import os, shutil, sys; shutil.copyfile(*sys.argv[1:3]); os.replace(*sys.argv[2:4])"
    command = [sys.executable, "-I", "-c", program, str(path), str(fresh), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (this very Python)
    if done.returncode:
        fresh.unlink(missing_ok=True)
        why = done.stderr.strip().rpartition("\n")[2]
        raise Retryable(f"{str(path)!r} could not be copied to {str(target)!r}: {why} Free some disk space, try again.")


class _Held(Retryable):
    """Another process holds the file."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"The database {str(path)!r} is in use: {why}. Close that shell, notebook or program and try again."
        )


class _OldSchema(Exception):
    """The file must be migrated before it can be read."""


def _nothing(_: "duckdb.DuckDBPyConnection") -> None:
    """Do nothing: opening for writing creates and migrates."""


def schema_version(connection: "duckdb.DuckDBPyConnection") -> int:
    """Give the number of the last migration that the database has seen; 0 for an empty one."""
    import duckdb

    try:
        row = connection.execute("SELECT max(version) FROM schema_migrations").fetchone()
    except duckdb.CatalogException:  # no such table; asking the catalogue first would cost 16 ms each time
        return 0
    return int(row[0] or 0) if row else 0


def migrations() -> dict[int, str]:
    """Give every migration of this program, number → SQL."""
    folder = resources.files("mcp_server.storage") / "migrations"
    files = [file for file in folder.iterdir() if file.name.endswith(".sql")]
    return {int(file.name.split("_")[0]): file.read_text("utf-8") for file in files}


def _migration(version: int, sql: str) -> Work[None]:
    def work(connection: "duckdb.DuckDBPyConnection") -> None:
        connection.execute(sql)
        connection.execute("INSERT INTO schema_migrations (version) VALUES (?)", [version])

    return work


def _roll_back(connection: "duckdb.DuckDBPyConnection") -> None:
    import duckdb

    try:
        connection.execute("ROLLBACK")
    except duckdb.Error:  # a fatal error has already ended the transaction
        return


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _cut(error: object) -> str:
    """Give the first sentence of DuckDB's text, without its links."""
    return re.sub(r"https?://\S+", "", str(error)).split("\n")[0].replace("See also", "").strip()[:300]
