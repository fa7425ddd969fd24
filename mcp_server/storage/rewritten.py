"""Rewriting the DuckDB file: what was deleted or emptied frees its room only in a fresh file.

DuckDB keeps the room for later rows, and neither CHECKPOINT nor VACUUM gives it back. The fresh file takes the place of
the other in one step, so that a process which is killed at any moment leaves one of them, whole.
"""

import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mcp_server.errors import Retryable
from mcp_server.storage.home import unwritable

if TYPE_CHECKING:
    import duckdb

Columns = Mapping[str, str]
"""Expressions that take the place of columns, by `table.column`."""


def rewrite_file(connection: "duckdb.DuckDBPyConnection", path: Path, columns: Columns) -> None:
    """Replace the file that this connection holds, as `file`, by a fresh one with the same rows in the same order.

    Raises:
        NoSpace, Misconfigured: the fresh file cannot be written.
        Retryable: it lacks rows. Nothing was changed then, as after any other error.
    """
    fresh = path.with_name(f"{path.name}.rewriting")
    _remove(fresh)  # a process that was killed may have left it
    try:
        connection.execute("CHECKPOINT")
        _attached(connection, fresh, lambda: _fill(connection, columns))
        shutil.copymode(path, fresh)
        _sync(fresh, os.O_RDWR)
        _put_in_place(connection, fresh, path)
        _sync(path.parent, os.O_RDONLY)
    except OSError as error:
        raise unwritable(fresh, error) from None
    finally:
        _remove(fresh)


def _attached(connection: "duckdb.DuckDBPyConnection", fresh: Path, work: Callable[[], None]) -> None:
    quoted = str(fresh).replace("'", "''")
    connection.execute(f"ATTACH '{quoted}' AS fresh")
    try:
        work()
        connection.execute("CHECKPOINT fresh")
    finally:
        connection.execute("DETACH fresh")


def _fill(connection: "duckdb.DuckDBPyConnection", columns: Columns) -> None:
    """Copy each table, also those that its owner has added; views, indexes and sequences come with the schema."""
    connection.execute("COPY FROM DATABASE file TO fresh (SCHEMA)")
    tables = connection.execute(
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'file' AND NOT internal"
    ).fetchall()
    for schema, table in tables:
        name = f"{_name(schema)}.{_name(table)}"
        others = [f"{value} AS {key.split('.')[1]}" for key, value in columns.items() if key.split(".")[0] == table]
        replaced = f" REPLACE ({', '.join(others)})" if others and schema == "main" else ""
        connection.execute(f"INSERT INTO fresh.{name} SELECT *{replaced} FROM file.{name}")  # noqa: S608 - names of tables
        counts = f"SELECT (SELECT count(*) FROM file.{name}), (SELECT count(*) FROM fresh.{name})"  # noqa: S608
        (before, after), *_ = connection.execute(counts).fetchall()
        if before != after:
            raise Retryable(f"The table {table!r} was copied in part: {after} of {before} rows.", "Try again.")


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _put_in_place(connection: "duckdb.DuckDBPyConnection", fresh: Path, path: Path) -> None:
    """Give the fresh file the other's name while DuckDB still locks that one: no shell can have written to it.

    Windows replaces no file that is open, so it is closed there first; programs of this project still wait their turn.
    """
    try:
        fresh.replace(path)
    except PermissionError:
        connection.execute("USE memory")
        connection.execute("DETACH file")
        fresh.replace(path)


def _sync(path: Path, access: int) -> None:
    """Have the disk keep a file, or what a folder lists; where a folder cannot be opened, the system does that."""
    try:
        descriptor = os.open(path, access)
    except PermissionError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(fresh: Path) -> None:
    for file in (fresh, fresh.with_name(f"{fresh.name}.wal")):
        with suppress(FileNotFoundError):
            file.unlink()
