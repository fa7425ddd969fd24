"""The schema in Postgres: the same numbers of migrations as in DuckDB, made by the first program that needs them."""

import re
from functools import cache
from pathlib import Path

from mcp_server.errors import Misconfigured
from mcp_server.storage.postgres.connection import PostgresConnection
from mcp_server.storage.schema import migrations

FIRST = 8
"""The migration in which a new database has everything up to it."""

_TABLE = "schema_migrations"

SCHEMA = f"SELECT max(version) FROM {_TABLE}"  # noqa: S608 - ours
"""Asks for the number of the last migration that a database has seen."""

_PRESENT = """
WITH seen AS (
  SELECT relname, (SELECT nspname FROM pg_namespace n WHERE n.oid = c.relnamespace) = current_schema() AS here,
    EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'applied_at') AS timed
  FROM pg_class c WHERE relname = ANY(?) AND pg_table_is_visible(c.oid)
)
SELECT relname, timed FROM seen WHERE here OR (relname = ? AND timed)
"""
"""Which of some names are taken, and whether by a table with the time of each migration: that of other programs, which
often has the same name, has none. What others have in schemas further down the search path is in nobody's way."""


@cache
def postgres_migrations() -> dict[int, str]:
    """Return every migration, number → SQL: Postgres' own text where there is one, else that of both."""
    folder = Path(__file__).parents[1] / "migrations" / "postgres"
    own = {int(file.name.split("_")[0]): file.read_text("utf-8") for file in folder.glob("*.sql")}
    return {number: own.get(number, text) for number, text in migrations().items() if number >= FIRST}


@cache
def made_names() -> frozenset[str]:
    """Return what the migrations make: tables, sequences and indexes."""
    made = re.compile(r"CREATE (?:UNIQUE )?(?:TABLE|SEQUENCE|INDEX) (\w+)")
    return frozenset(name for text in postgres_migrations().values() for name in made.findall(text))


def migrate(connection: PostgresConnection, where: str, lock: int) -> None:
    """Bring the schema up to date, in one transaction; of programs that start together one does it, the others wait.

    Args:
        connection: outside of a transaction.
        where: names the database in errors.
        lock: what whoever writes takes.

    Raises:
        Misconfigured: as in `present_version`.
    """
    wanted = postgres_migrations()
    if present_version(connection, where) == max(wanted):
        return
    connection.execute(f"BEGIN; SELECT pg_advisory_xact_lock({lock})")
    try:
        for number in range(max(present_version(connection, where), FIRST - 1) + 1, max(wanted) + 1):
            connection.execute(re.sub(r"--[^\n]*", "", wanted[number]))  # a comment may have a question mark
            connection.execute("INSERT INTO schema_migrations (version) VALUES (?)", [number])
        connection.execute("COMMIT")
    except BaseException:
        connection.roll_back()
        raise


def refuse_newer(present: int, where: str) -> None:
    """Raise `Misconfigured` where a newer program has written the schema."""
    newest = max(postgres_migrations())
    if present > newest:
        raise Misconfigured(
            f"The database {where} was written by a newer claude-trader (schema {present}, this program knows "
            f"{newest}). Nothing was changed.",
            "Update claude-trader.",
        )


def present_version(connection: PostgresConnection, where: str) -> int:
    """Return the number of the last migration that the database has seen; 0: it has no table of ours.

    Raises:
        Misconfigured: a newer program has written it, or another program's tables have the names of ours.
    """
    # Asked by name alone (`to_regclass`), a session goes on to believe what it knew before it waited for the lock.
    asked = [sorted(made_names()), _TABLE]
    taken = {str(name): bool(ours) for name, ours in connection.execute(_PRESENT, asked).fetchall()}
    if not taken:
        return 0
    if not taken.get(_TABLE):
        raise Misconfigured(
            f"The database {where} belongs to another program: it has {min(taken)!r}, and no journal. "
            "Nothing was changed.",
            "Name an empty database, or give the journal a schema of its own, as docs/guides/scaling.md says.",
        )
    row = connection.execute(SCHEMA).fetchone()
    present = int(row[0] or 0) if row else 0
    refuse_newer(present, where)
    return present
