"""The schema of the database: numbered migrations, each in one transaction, and a copy of the file before them."""

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from mcp_server.errors import Misconfigured, NoSpace, Retryable
from mcp_server.storage.home import is_full
from mcp_server.storage.transactions import Work, transaction, translated

if TYPE_CHECKING:
    import duckdb


class OldSchema(Exception):
    """The file must be migrated before it can be read."""


def schema_version(connection: "duckdb.DuckDBPyConnection") -> int:
    """Return the number of the last migration that the database has seen; 0 for an empty one."""
    from mcp_server.domain.duckdb_core import duckdb

    try:
        row = connection.execute("SELECT max(version) FROM schema_migrations").fetchone()
    except duckdb.CatalogException:  # no such table; asking the catalogue first would cost 16 ms each time
        return 0
    return int(row[0] or 0) if row else 0


@cache
def migration_files() -> dict[int, Path]:
    """Return the file of every migration of this program by its number; looked for once, and needed at each opening."""
    folder = Path(__file__).with_name("migrations")
    return {int(file.name.split("_")[0]): file for file in folder.iterdir() if file.name.endswith(".sql")}


@cache
def migrations() -> dict[int, str]:
    """Return every migration of this program, number → SQL."""
    return {number: file.read_text("utf-8") for number, file in migration_files().items()}


def migrate(connection: "duckdb.DuckDBPyConnection", path: Path, *, read_only: bool) -> None:
    """Bring the schema up to date. What was there before is copied to a file beside it.

    Raises:
        OldSchema: it is not up to date, and this connection may only read.
        Misconfigured: a newer program has written the file.
        Retryable: the file could not be copied or written; nothing was changed.
    """
    present = schema_version(connection)
    newest = max(migration_files())
    if present > newest:
        raise Misconfigured(
            f"The database {str(path)!r} was written by a newer claude-trader (schema {present}, this program knows "
            f"{newest}). Nothing was changed.",
            "Update claude-trader.",
        )
    if present == newest:
        return
    if read_only:
        raise OldSchema
    if present:
        before = path.with_name(f"{path.name}.schema-{present}")
        translated(connection, path, lambda c: copy_file(c, path, before))
    for version in range(present + 1, newest + 1):
        transaction(connection, path, _migration(version, migrations()[version]))


def _migration(version: int, sql: str) -> Work[None]:
    def work(connection: "duckdb.DuckDBPyConnection") -> None:
        connection.execute(sql)
        connection.execute("INSERT INTO schema_migrations (version) VALUES (?)", [version])

    return work


def copy_file(connection: "duckdb.DuckDBPyConnection", path: Path, target: Path) -> None:
    """Copy the file that this connection holds, whole, by another process: closing it here would give up the lock."""
    connection.execute("CHECKPOINT")
    fresh = target.with_name(f"{target.name}.copying")
    program = "import os, shutil, sys; shutil.copyfile(*sys.argv[1:3]); os.replace(*sys.argv[2:4])"
    command = [sys.executable, "-I", "-c", program, str(path), str(fresh), str(target)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)  # noqa: S603 (this very Python)
    if done.returncode:
        fresh.unlink(missing_ok=True)
        why = done.stderr.strip().rpartition("\n")[2]
        if is_full(why):
            raise NoSpace(target)
        raise Retryable(f"{str(path)!r} could not be copied to {str(target)!r}: {why}", "Try again.")
