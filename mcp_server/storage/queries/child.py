"""The process that answers one query: what runs away in it takes neither the server's time nor its memory.

DuckDB's own limits do not hold everywhere: one call of one function can take gigabytes or minutes. So the operating
system sets bounds too, where it can. It reads one JSON object from standard input and writes one to standard output.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any

from mcp_server.domain.error_hints import nearest
from mcp_server.errors import BadInput, Misconfigured, NotFound, NotSupported, Retryable, TraderError
from mcp_server.process_bounds import bound
from mcp_server.storage.database import Database
from mcp_server.storage.database_file import PATIENCE_S
from mcp_server.storage.home import Home
from mcp_server.storage.queries.answer import answer_of
from mcp_server.storage.queries.check import CheckedQuery, check
from mcp_server.storage.queries.snapshot import fill, lock
from mcp_server.storage.queries.tables import TABLES, listed

if TYPE_CHECKING:
    import duckdb

MOST_MEMORY_BYTES = 1_500_000_000
MOST_PROCESSOR_S = 12

KINDS: dict[str, type[TraderError]] = {
    kind.__name__: kind for kind in (NotFound, BadInput, NotSupported, Retryable, Misconfigured)
}
"""The errors that the process can answer with; of two that fit, the first counts."""


@dataclass(frozen=True, slots=True)
class Question:
    """One query, as it goes to the process. `moment` is aware. `in_a_run`: a sub-agent asks.

    `time_limit_s` is what the query itself may take, `patience_s` how long it waits for the file.
    """

    home: Path
    sql: str
    moment: datetime
    limit: int
    characters: int
    time_limit_s: float
    patience_s: float = PATIENCE_S
    in_a_run: bool = False

    def as_json(self) -> str:
        """Return it as one line."""
        return json.dumps({**asdict(self), "home": str(self.home), "moment": self.moment.isoformat()})

    @classmethod
    def of(cls, text: str) -> "Question":
        """Read it back."""
        values = json.loads(text)
        return cls(**{**values, "home": Path(values["home"]), "moment": datetime.fromisoformat(values["moment"])})


def answer(question: Question, begun: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Answer a question; call `begun` when the query itself begins.

    Raises:
        BadInput: the query is not allowed, wrong, or took too much.
        Retryable, Misconfigured: the journal cannot be read.
    """
    import duckdb

    home = Home(question.home)
    checked = _checked(question)
    database = Database(home.database, prepare=home.prepare, patience_s=question.patience_s)

    def copy(connection: "duckdb.DuckDBPyConnection") -> None:
        with _stopped_after(question.time_limit_s, connection):
            fill(connection, checked, question.moment, in_a_run=question.in_a_run)

    try:
        try:
            connection, _ = database.copied(copy)
        except duckdb.InterruptException:
            raise not_begun() from None
        with connection, _stopped_after(question.time_limit_s, connection):
            lock(connection)
            begun()
            return answer_of(connection, checked.sql, question.limit, question.characters)
    except duckdb.InterruptException:
        raise too_slow(question.time_limit_s) from None
    except (duckdb.OutOfMemoryException, MemoryError):
        raise too_large() from None
    except duckdb.Error as error:
        raise _explained(str(error)) from None


def _checked(question: Question) -> CheckedQuery:
    import duckdb

    try:
        with duckdb.connect(":memory:") as parser:
            return check(parser, question.sql, question.moment)
    except UnicodeEncodeError:
        raise BadInput(
            "The query contains half of a character (a lone surrogate).", "Write the whole character."
        ) from None
    except duckdb.Error as error:
        raise _explained(str(error)) from None


@contextmanager
def _stopped_after(limit_s: float, connection: "duckdb.DuckDBPyConnection") -> Iterator[None]:
    timer = Timer(limit_s, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def not_begun() -> Retryable:
    """Make the error of a query that was not even begun: the time went into starting, or into copying its tables."""
    return Retryable(
        "The query has not begun: this machine was too busy to copy what it reads.",
        "Try again later, or read fewer tables.",
    )


def too_slow(limit_s: float, of: str = "") -> BadInput:
    """Make the error of a query that was stopped."""
    return BadInput(
        f"The query took longer than {limit_s:g} s{of} and was stopped.",
        "Filter by time or strategy, or join fewer rows.",
    )


def too_large() -> BadInput:
    """Make the error of a query that needs too much memory."""
    return BadInput("The query needs too much memory.", "Filter or aggregate before you join, and build no long texts.")


def _explained(text: str) -> TraderError:
    """Make an error of DuckDB's first line, with the nearest name where one is unknown."""
    line = text.splitlines()[0].removeprefix("Binder Error: ")[:300]
    if unknown := re.search(r'Referenced column "([^"]+)"|a column named "([^"]+)"', line):
        name = unknown[1] or unknown[2]
        known = {column for table in TABLES.values() for column in table.columns}
        hint = nearest(name.lower(), known)
        return NotFound(
            f"Unknown column {name!r}.", f"{hint if len(hint) < 100 else ''} The tables are:\n{listed()}".lstrip()
        )
    return BadInput(f"The query cannot be answered: {line}")


def _say_that_it_begins() -> None:
    """Write a line, which is no part of the JSON after it: the parent knows why it waits."""
    sys.stdout.write("\n")
    sys.stdout.flush()


def reply(text: str, begun: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Answer a question that is written as JSON; return the answer, or its error in parts."""
    try:
        return answer(Question.of(text), begun)
    except TraderError as error:
        kind = next(name for name, kind in KINDS.items() if isinstance(error, kind))
        return {"error": kind, "problem": error.problem, "remedy": error.remedy}


def main() -> None:
    """Answer the question on standard input."""
    bound(memory_bytes=MOST_MEMORY_BYTES, processor_s=MOST_PROCESSOR_S)
    sys.stdout.write(json.dumps(reply(sys.stdin.read(), _say_that_it_begins)))


if __name__ == "__main__":
    main()
