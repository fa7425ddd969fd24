import csv
import io
import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from mcp_server.answers import ROWS, Table
from mcp_server.domain.text import shortened
from mcp_server.errors import BadInput
from mcp_server.storage.queries.ask import TIME_LIMIT_S
from mcp_server.storage.queries.question import Question
from mcp_server.storage.queries.tables import common
from mcp_server.toolkit import Call, tool

SIZES = {"short": (200, 7_000), "full": (4_000, 60_000)}
"""Characters of a cell, and bytes of the columns' names and all rows in both of their forms together."""

MOST_NAMES_BYTES = 1_500


class Queried(Table):
    """Times are UTC; lists and JSON are text; a number that is not finite is null."""

    rows: Annotated[list[list[Any]], ROWS]
    note: str | None = None


@tool(
    title="Journal query",
    open_world=False,
    at_a_time=2,  # each query is a process of its own
    example={"sql": "SELECT * FROM executions CROSS JOIN journal_columns"},
)
async def query_journal(
    call: Call,
    sql: Annotated[str, Field(min_length=1, max_length=10_000, description=f"Tables: {common()}")],
    limit: Annotated[int, Field(ge=1, le=500)] = 50,
    detail: Annotated[Literal["short", "full"], Field(description="full: long cells")] = "short",
) -> Queried:
    """Answer a DuckDB SELECT over the journal: counts, costs, failures, outcomes.

    For the latest runs use list_signals. Read-only, at most 5 s. executions has a row for each run and missed slot; the
    table journal_columns has all columns, explained. Times are UTC, now() is the moment asked for.
    """
    characters, most_bytes = SIZES[detail]
    async with call.turn():
        asked = (call.kit.home.root, sql, call.moment(None), limit, characters, TIME_LIMIT_S)
        question = Question(*asked, in_a_run=call.in_a_run)
        reply = await call.kit.queries.ask(question, call.left_s())
    columns: list[str] = reply["columns"]
    if (of_names := _size(columns)) > MOST_NAMES_BYTES:
        raise BadInput("The columns' names alone are too long.", "Select fewer, or shorten them with AS.")
    rows = _fitting(reply["rows"], most_bytes - of_names)
    return Queried(columns=columns, rows=rows, note=_note(reply, rows, detail, limit))


def _fitting(rows: list[list[Any]], most_bytes: int) -> list[list[Any]]:
    """Return the first rows that fit; at least one, with its texts cut if necessary."""
    room, kept = most_bytes, 0
    while kept < len(rows) and (room := room - _size(rows[kept])) >= 0:
        kept += 1
    if kept or not rows:
        return rows[:kept]
    for characters in (100, 50, 20, 8):
        first = [shortened(value, characters) if isinstance(value, str) else value for value in rows[0]]
        if _size(first) <= most_bytes:
            return [first]
    raise BadInput("One row alone is too long for an answer.", "Select fewer columns.")


def _size(row: Sequence[Any]) -> int:
    """Measure a row in bytes, as it is sent: once as JSON, once as a line of CSV within a JSON string."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(row)
    forms = (row, line.getvalue())
    return sum(len(json.dumps(form, separators=(",", ":"), ensure_ascii=False).encode()) for form in forms)


def _note(reply: dict[str, Any], rows: list[list[Any]], detail: str, limit: int) -> str | None:
    fetched = len(reply["rows"])
    notes = []
    if not rows:
        notes.append("No row fits the query, or none is recorded by then.")
    if len(rows) < fetched:
        more = " or ask with detail='full'" if detail == "short" else ""
        notes.append(
            f"Only the first {len(rows)} of {'more than ' if reply['more'] else ''}{fetched} rows fit into an answer: "
            f"aggregate, select fewer columns{more}."
        )
    elif reply["more"]:
        notes.append(f"There are more rows than these {limit}: aggregate, or raise limit (up to 500).")
    if any(isinstance(value, str) and value.endswith("…") for row in rows for value in row) and detail == "short":
        notes.append("Long cells are cut; detail='full' gives 4,000 characters of each.")
    return " ".join(notes) or None
