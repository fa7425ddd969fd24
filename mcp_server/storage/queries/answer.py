"""The values of an answer: JSON that any client reads, with cells of bounded size."""

import math
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from mcp_server.errors import BadInput

if TYPE_CHECKING:
    import duckdb

SAFE_INTEGER = 2**53
"""Larger integers are sent as text: a reader that keeps numbers as doubles would change them."""

_NUMBERS = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DOUBLE|FLOAT|DECIMAL\(.*\)")
_NESTED = ("STRUCT", "MAP", "UNION")
_TIME = re.compile(r"(-?\d+)-(\d\d)-(\d\d) (\d\d:\d\d:\d\d)(\.\d+)?")


def answer_of(connection: "duckdb.DuckDBPyConnection", sql: str, limit: int, characters: int) -> dict[str, Any]:
    """Run a checked query; return its columns, up to `limit` rows, and whether there are more.

    Args:
        connection: the locked database.
        sql: from `check`.
        limit: the most rows.
        characters: the most characters of a cell; a longer one is cut and ends in an ellipsis.

    Raises:
        BadInput: a column holds what cannot be shown.
    """
    described = connection.execute(f"DESCRIBE {sql}").fetchall()
    names = [str(row[0]) for row in described]
    kinds = [str(row[1]) for row in described]
    aliases = ", ".join(f"c{number}" for number in range(len(names)))
    shown = ", ".join(_shown(f"c{n}", names[n], kind, characters) for n, kind in enumerate(kinds))
    rows = connection.execute(
        f"SELECT {shown} FROM ({sql}) AS asked({aliases}) LIMIT {limit + 1}"  # noqa: S608 - from a checked tree
    ).fetchall()
    values = [[_value(value, kind) for value, kind in zip(row, kinds, strict=True)] for row in rows[:limit]]
    return {"columns": names, "rows": values, "more": len(rows) > limit}


def _shown(column: str, name: str, kind: str, characters: int) -> str:
    """Write a column as a number, a truth value, or text that the database cuts."""
    if kind == "BOOLEAN" or _NUMBERS.fullmatch(kind):
        return column
    if kind == "BLOB":
        raise BadInput(f"Column {name!r} holds bytes, which are not shown.", "Leave it out.")
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"CAST(CAST({column} AS TIMESTAMP) AS VARCHAR)"
    nested = kind.endswith("]") or kind.startswith(_NESTED)
    text = f"CAST(to_json({column}) AS VARCHAR)" if nested else f"CAST({column} AS VARCHAR)"
    return f"CASE WHEN length({text}) > {characters} THEN left({text}, {characters - 1}) || '…' ELSE {text} END"


def _value(value: Any, kind: str) -> Any:
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int) and abs(value) > SAFE_INTEGER:
        return str(value)
    if isinstance(value, str) and kind.startswith("TIMESTAMP") and (time_of := _TIME.fullmatch(value)):
        year, month, day, time, fraction = time_of.groups()
        return f"{year}-{month}-{day}T{time}{(fraction or '')[:4]}Z"
    return value
