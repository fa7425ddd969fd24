"""The process that answers one query: what runs away in it takes neither the server's time nor its memory.

DuckDB's own limits do not hold everywhere: one call of one function can take gigabytes or minutes. So the operating
system sets bounds too, where it can. It reads one JSON object from standard input and writes one to standard output.

It may start before its question comes. Until then it has opened no file, and each process answers one question only.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from threading import Timer, stack_size
from typing import TYPE_CHECKING, Any

from mcp_server.domain.error_hints import nearest
from mcp_server.errors import BadInput, NotFound, TraderError
from mcp_server.process_bounds import bound
from mcp_server.storage.database import Database
from mcp_server.storage.database_file import in_memory
from mcp_server.storage.home import Home
from mcp_server.storage.queries.answer import answer_of
from mcp_server.storage.queries.check import CheckedQuery, check
from mcp_server.storage.queries.question import KINDS, MOST_PROCESSOR_S, Question, not_begun, too_large, too_slow
from mcp_server.storage.queries.snapshot import fill, lock
from mcp_server.storage.queries.tables import TABLES, listed
from mcp_server.storage.schema import migrations

if TYPE_CHECKING:
    import duckdb

MOST_MEMORY_BYTES = 600_000_000
"""Of addresses: Python and DuckDB take 150 MB, and DuckDB's own limit lets a query have 400 MB."""

MOST_WAIT_S = 60.0
"""A process that is asked nothing for so long ends."""


def started() -> "duckdb.DuckDBPyConnection":
    """Start the database in memory that a query runs on, with all that the first query would wait for."""
    import uuid  # noqa: F401 - DuckDB needs it to take a value

    import stamina  # noqa: F401 - the wait for the file needs it

    migrations()
    connection = in_memory(threads="1", async_threads="1")
    check(connection, "SELECT count(*) FROM executions", datetime(2000, 1, 1, tzinfo=UTC))
    return connection


def answer(
    question: Question, begun: Callable[[], None] = lambda: None, ready: "duckdb.DuckDBPyConnection | None" = None
) -> dict[str, Any]:
    """Answer a question in a database of its own.

    Args:
        question: the question.
        begun: called when the query itself begins.
        ready: a database from `started` that has seen no other question, if there is one; it ends with its process.

    Raises:
        BadInput: the query is not allowed, wrong, or took too much.
        Retryable, Misconfigured: the journal cannot be read.
    """
    from mcp_server.domain.duckdb_core import duckdb

    connection = ready or started()
    tables = frozenset(TABLES)
    try:
        checked = _checked(connection, question)
        tables = checked.tables or tables
        try:
            connection = _copied(question, checked, connection)
        except duckdb.InterruptException:
            raise not_begun() from None
        with _stopped_after(question.time_limit_s, connection):
            lock(connection)
            begun()
            return answer_of(connection, checked.sql, question.limit, question.characters)
    except duckdb.InterruptException:
        raise too_slow(question.time_limit_s) from None
    except (duckdb.OutOfMemoryException, MemoryError):
        raise too_large() from None
    except duckdb.Error as error:
        raise _explained(str(error), tables) from None
    finally:
        if ready is None:
            connection.close()


def _checked(connection: "duckdb.DuckDBPyConnection", question: Question) -> CheckedQuery:
    try:
        return check(connection, question.sql, question.moment)
    except UnicodeEncodeError:
        raise BadInput(
            "The query contains half of a character (a lone surrogate).", "Write the whole character."
        ) from None


def _copied(
    question: Question, checked: CheckedQuery, ready: "duckdb.DuckDBPyConnection"
) -> "duckdb.DuckDBPyConnection":
    """Copy what a query needs into memory, and return where it is: in `ready`, or in another where the file was held.

    Where the journal is in Postgres, the home's file is opened for candles alone, and is free again before Postgres is
    asked.
    """
    if question.journal_url is None:
        return _from_file(question, checked, ready)
    if candles := checked.tables & {"candles"}:
        ready = _from_file(question, replace(checked, tables=candles), ready)
    _from_postgres(question, replace(checked, tables=checked.tables - candles), ready)
    return ready


def _from_file(
    question: Question, checked: CheckedQuery, ready: "duckdb.DuckDBPyConnection"
) -> "duckdb.DuckDBPyConnection":
    databases: list[duckdb.DuckDBPyConnection] = []

    def start() -> "duckdb.DuckDBPyConnection":
        databases.append(started() if databases else ready)
        return databases[-1]

    def copy(connection: "duckdb.DuckDBPyConnection") -> None:
        connection.execute("USE memory")
        with _stopped_after(question.time_limit_s, connection):
            fill(connection, checked, question.moment, question.in_a_run)

    home = Home(question.home)
    file = Database(home.database, prepare=home.prepare, patience_s=question.patience_s, start=start)
    file.read(copy, anyway=question.journal_url is not None)
    return databases[-1]


def _from_postgres(question: Question, checked: CheckedQuery, connection: "duckdb.DuckDBPyConnection") -> None:
    from mcp_server.storage.postgres.address import PostgresAddress
    from mcp_server.storage.postgres.database import PostgresDatabase

    journal = PostgresDatabase(PostgresAddress.of(question.journal_url or ""), patience_s=question.patience_s)
    work = partial(fill, connection, checked, question.moment, question.in_a_run)
    try:
        with _stopped_after(question.time_limit_s, connection):
            journal.read(work, in_turn=bool({"news", "news_fetches"} & checked.tables))
    finally:
        journal.close()


@contextmanager
def _stopped_after(limit_s: float, connection: "duckdb.DuckDBPyConnection") -> Iterator[None]:
    timer = Timer(limit_s, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _explained(text: str, tables: frozenset[str]) -> TraderError:
    """Make an error of DuckDB's first line, with the nearest name of those tables where one is unknown."""
    line = text.splitlines()[0].removeprefix("Binder Error: ")[:300]
    if unknown := re.search(r'Referenced column "([^"]+)"|a column named "([^"]+)"', line):
        name = unknown[1] or unknown[2]
        known = {column for table in tables if table in TABLES for column in TABLES[table].columns}
        hint = nearest(name.lower(), known)
        return NotFound(
            f"Unknown column {name!r}.", f"{hint if len(hint) < 100 else ''} The tables are:\n{listed()}".lstrip()
        )
    return BadInput(f"The query cannot be answered: {line}")


def _say_that_it_begins() -> None:
    """Write a line, which is no part of the JSON after it: the parent knows why it waits."""
    sys.stdout.write("\n")
    sys.stdout.flush()


def reply(
    text: str, begun: Callable[[], None] = lambda: None, ready: "duckdb.DuckDBPyConnection | None" = None
) -> dict[str, Any]:
    """Answer a question that is written as JSON; return the answer, or its error in parts."""
    try:
        return answer(Question.of(text), begun, ready)
    except TraderError as error:
        kind = next(name for name, kind in KINDS.items() if isinstance(error, kind))
        return {"error": kind, "problem": error.problem, "remedy": error.remedy}


def main() -> None:
    """Get ready, wait for the question on standard input, and answer it."""
    stack_size(1 << 20)  # of threads that only look at the clock; where the system gives more, it counts as memory
    end = Timer(MOST_WAIT_S, os._exit, (0,))
    end.daemon = True
    end.start()
    ready = started()
    text = sys.stdin.read()
    end.cancel()
    if not text:  # whoever might have asked has ended
        return
    bound(memory_bytes=MOST_MEMORY_BYTES, processor_s=MOST_PROCESSOR_S)
    sys.stdout.write(json.dumps(reply(text, _say_that_it_begins, ready)))
    sys.stdout.flush()
    os._exit(0)  # to end in good order takes Python and DuckDB twice as long as a small query


if __name__ == "__main__":
    main()
