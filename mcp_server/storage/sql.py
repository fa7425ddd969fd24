"""The seam between the journal and what keeps it: SQL that DuckDB and Postgres both understand, in transactions.

Parameters are `?`, or `$1` and on where one is used several times. A parameter that may be null is cast where it is
first used, so that Postgres knows what it would be: `CAST($1 AS VARCHAR) IS NULL OR name = $1`; so is each list.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from mcp_server.storage.journal.liveness import SignsOfLife

T = TypeVar("T")


class SqlResult(Protocol):
    """The rows of a statement. Times are naive UTC, money is `Decimal`, JSON is text."""

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return all rows, as tuples."""

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the next row as a tuple; None: there is none."""

    def fetchnumpy(self) -> Mapping[str, Any]:
        """Return the columns by name, as arrays; one with nulls is masked where it has them."""


class SqlConnection(Protocol):
    """A connection in a transaction."""

    def execute(self, query: str, parameters: Any = None, /) -> SqlResult:
        """Run a statement."""


class JournalDatabase(Protocol):
    """Where a journal is kept. What it raises is what `Database` raises."""

    @property
    def path(self) -> Path | None:
        """The file; None: it is none of this machine's."""

    def exists(self) -> bool:
        """Return whether it was ever written."""

    def write(self, work: Callable[[SqlConnection], T], /, *, anyway: bool = False) -> T:
        """Run `work` in a transaction, one after the other with all other writes, and return what it returns.

        It may be run twice, and touches nothing but the connection that it is given. Where the journal was moved away,
        or is being moved, `Moved` is raised, unless it is to be done `anyway`.
        """

    def read(
        self,
        work: Callable[[SqlConnection], T],
        /,
        *,
        patience_s: float | None = None,
        in_turn: bool = False,
        anyway: bool = False,
    ) -> T:
        """Run `work` on what is committed, and return what it returns; wait at most `patience_s` where that is less.

        With `in_turn`, nobody writes meanwhile: what is entered later has a later `now_within`. `anyway` is as in
        `write`.
        """

    def close(self) -> None:
        """End what is kept open; the next use opens it anew."""

    def problem(self) -> str | None:
        """Return what its operator should know, in a sentence; None: nothing."""

    def now(self) -> datetime:
        """Return the present (aware UTC) by the clock that decides: the machine's, or that of a database of many."""

    def now_within(self, connection: Any, /) -> datetime | None:
        """Return the present by the database's own clock; None: it has none but the machine's."""

    def hurry(self) -> None:
        """Wait for nothing long from now on: this program is ending."""

    def signs_of_life(self, running: Path, /) -> "SignsOfLife":
        """Return what shows which processes are alive: in the folder `running`, where the journal is a file."""

    @property
    def refusals(self) -> tuple[type[Exception], ...]:
        """What is raised where a value cannot be kept, such as NaN, or half a character."""


def unnested(columns: Mapping[str, str]) -> str:
    """Return the columns of a SELECT whose parameters are lists, one for each column by its type: a row each.

    >>> unnested({"id": "BIGINT"})
    'unnest(CAST(? AS BIGINT[])) AS id'
    """
    return ", ".join(f"unnest(CAST(? AS {kind}[])) AS {name}" for name, kind in columns.items())
