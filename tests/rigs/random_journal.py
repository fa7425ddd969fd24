"""A journal of random rows in every table, with the values that are hardest to keep.

    fill(database, seed=1, rows=20)          # 20 rows in each table; ids have gaps

Texts have quotes, control and rare characters, braces and backslashes; floats are of any size, with infinities, NaN and
minus zero where the table takes them; a column that may be null is so in a quarter of the rows.
"""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from random import Random
from typing import Any

from mcp_server.storage.journal.copying import SEQUENCES, TABLES, TableCopy, tables_of
from mcp_server.storage.sql import JournalDatabase, SqlConnection

TEXTS = ["", "a", "it's", '"', "{}", "NULL", "\\", "a,b", "ä€𝄞\u202e", "line\nline\ttab\x01\x7f", "0", " ", "x" * 3_000]
FLOATS = [0.0, -0.0, 0.1, 1 / 3, 5e-324, 9.9e307, -1e-17, 123456789.123456789]
ODD_FLOATS = [float("inf"), float("-inf"), float("nan"), 1.7976931348623157e308]
CHOICES = {"signal": ["BUY", "SELL", "HOLD"], "state": ["judged", "void"]}
FIRST = datetime(2026, 1, 1)  # noqa: DTZ001 (as the database keeps it)


def fill(database: JournalDatabase, seed: int, rows: int) -> None:
    """Add rows to each table, in one transaction for each; `rows` is how many."""
    random = Random(seed)  # noqa: S311 (no secret)
    for table in database.read(tables_of):
        nullable = database.read(partial(_nullable, table=table))
        made = [_row(table, nullable, random, number) for number in range(rows)]
        random.shuffle(made)
        if made:
            table.insert(database, made)
    database.write(lambda connection: _take_ids(connection, rows))


def contents(database: JournalDatabase) -> dict[str, list[str]]:
    """Return all rows of each table in order, as Python writes their values."""

    def work(connection: SqlConnection) -> dict[str, list[str]]:
        asked = {table.name: f"SELECT {', '.join(table.columns)} FROM {table.name}" for table in tables_of(connection)}
        return {name: sorted(map(repr, connection.execute(query).fetchall())) for name, query in asked.items()}

    return database.read(work, anyway=True)


def next_ids(database: JournalDatabase) -> dict[str, int]:
    """Take an id of each sequence."""

    def work(connection: SqlConnection) -> dict[str, int]:
        return {name: connection.execute(f"SELECT nextval('{name}')").fetchall()[0][0] for name in SEQUENCES}

    return database.write(work)


def _row(table: TableCopy, nullable: set[str], random: Random, number: int) -> tuple[Any, ...]:
    return tuple(_value(table, name, kind, name in nullable, random, number) for name, kind in table.types.items())


def _value(table: TableCopy, name: str, kind: str, nullable: bool, random: Random, number: int) -> Any:
    if name in ("id", "execution_id") and kind in ("INTEGER", "BIGINT"):
        return 3 * number + 1
    if name in ("run_key", "name", "fetched_at", "scheduled_at", "as_of") or name in TABLES[table.name]:
        return FIRST + timedelta(microseconds=number * 999_983) if kind == "TIMESTAMP" else f"{number:032x}"
    if nullable and random.random() < 0.25:
        return None
    if name in CHOICES:
        return random.choice(CHOICES[name])
    return _VALUES[kind](random) if name != "price" else random.choice(FLOATS)


def _json(random: Random) -> str:
    return json.dumps({random.choice(TEXTS): [random.choice(TEXTS), None, 1.50]}, ensure_ascii=random.random() < 0.5)


_VALUES: dict[str, Callable[[Random], Any]] = {
    "INTEGER": lambda random: random.randrange(-(2**31), 2**31),
    "BIGINT": lambda random: random.choice([0, -1, 2**63 - 1, -(2**63), random.randrange(2**40)]),
    "BOOLEAN": lambda random: random.random() < 0.5,
    "TIMESTAMP": lambda random: FIRST + timedelta(microseconds=random.randrange(-(2**55), 2**55)),
    "DOUBLE PRECISION": lambda random: random.choice(FLOATS + ODD_FLOATS),
    "JSON": _json,
    "VARCHAR": lambda random: random.choice(TEXTS),
    "DECIMAL(5, 2)": lambda random: Decimal(random.randrange(10_001)) / 100,
    "DECIMAL(18, 6)": lambda random: Decimal(random.choice([0, 1, -1, 10**18 - 1, random.randrange(10**9)])) / 10**6,
}
"""A value of each type; a column of another type is an error."""


def _nullable(connection: SqlConnection, table: TableCopy) -> set[str]:
    query = (
        "SELECT column_name FROM information_schema.columns WHERE table_catalog = current_database() "
        "AND table_schema = current_schema() AND table_name = ? AND is_nullable = 'YES'"
    )
    return {name for (name,) in connection.execute(query, [table.name]).fetchall()}


def _take_ids(connection: SqlConnection, rows: int) -> None:
    """Take more ids than there are rows: some were given and are no longer there."""
    for number, sequence in enumerate(SEQUENCES):
        connection.execute(f"SELECT max(nextval('{sequence}')) FROM generate_series(1, {3 * rows + number})").fetchall()
