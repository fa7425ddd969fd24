"""A connection to Postgres in DuckDB's shape, so that the same statements run on both and give the same values."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

import psycopg
from psycopg import Connection, Cursor, RawCursor
from psycopg.conninfo import make_conninfo
from psycopg.types.string import TextLoader

from mcp_server.domain.text import cleaned
from mcp_server.errors import Retryable, TraderError
from mcp_server.storage.postgres.address import PostgresAddress
from mcp_server.storage.postgres.encryption import why_unsafe

SESSION = (
    "SET TimeZone = 'UTC'; SET plan_cache_mode = force_custom_plan; SET idle_in_transaction_session_timeout = '60s'; "
    "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3"
)
"""A machine that is lost is noticed by the server within 40 s, and a program that hangs in a transaction within 60:
then its locks are free."""

KEEPALIVES = {"keepalives": "1", "keepalives_idle": "10", "keepalives_interval": "10", "keepalives_count": "3"}
"""A server that is lost is noticed within 40 s."""

_PLACES = re.compile(r"'[^']*'|\"[^\"]*\"|\?")
_DTYPES = {
    **dict.fromkeys(("int2", "int4", "int8"), "int64"),
    **dict.fromkeys(("float4", "float8"), "float64"),
    "timestamp": "datetime64[us]",
    "bool": "bool",
}


def connect(address: PostgresAddress, connect_timeout_s: int) -> "PostgresConnection":
    """Connect; what libpq raises is the caller's to translate.

    Raises:
        Misconfigured: it cannot be encrypted as it must; to try again is no remedy.
    """
    asked = {**KEEPALIVES, "application_name": "claude-trader", "connect_timeout": str(connect_timeout_s)}
    asked |= {**address.parameters, "client_encoding": "UTF8"}
    try:
        opened = Connection.connect(make_conninfo("", **asked), autocommit=True, cursor_factory=RawCursor)
    except psycopg.errors.ConnectionTimeout:
        raise
    except psycopg.OperationalError as error:
        if error.diag.sqlstate is None and (flaw := why_unsafe(address, connect_timeout_s)) is not None:
            raise flaw from None
        raise
    opened.adapters.register_loader("json", TextLoader)
    opened.execute(SESSION)
    return PostgresConnection(opened)


def could_not_be_used(address: PostgresAddress, error: psycopg.Error) -> TraderError:
    """Make the error of what Postgres could not do now; what it said is told without passwords."""
    said = error.diag.message_primary or next(iter(str(error).strip().splitlines()), type(error).__name__)
    why = cleaned(address.without_secrets(said), 300).rstrip(".")
    return Retryable(f"The database {address} could not be used: {why}. Nothing was changed.", "Try again.")


class PostgresConnection:
    """One session. `execute` takes what DuckDB's takes; BEGIN and COMMIT are statements like any other."""

    def __init__(self, opened: "Connection[Any]") -> None:
        self.opened = opened

    def execute(self, query: str, parameters: Sequence[Any] | None = None, /) -> "PostgresResult":
        """Run a statement; without parameters, it may be several."""
        return PostgresResult(self.opened.execute(numbered(query).encode(), parameters))

    @property
    def broken(self) -> bool:
        """Whether the session is over."""
        return self.opened.closed

    def roll_back(self) -> None:
        """Undo what was not committed; with a session that is over it is undone already."""
        with suppress(psycopg.Error):
            self.opened.execute("ROLLBACK")

    def close(self) -> None:
        """End the session."""
        self.opened.close()


class PostgresResult:
    """The rows of a statement."""

    def __init__(self, cursor: "Cursor[Any]") -> None:
        self._cursor = cursor

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return all rows."""
        return self._cursor.fetchall()

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the next row; None: there is none."""
        row: tuple[Any, ...] | None = self._cursor.fetchone()
        return row

    def fetchnumpy(self) -> Mapping[str, Any]:
        """Return the columns by name, as arrays; one with nulls is masked where it has them."""
        rows = self._cursor.fetchall()
        types = self._cursor.adapters.types
        columns = {}
        for at, column in enumerate(self._cursor.description or ()):
            known = types.get(column.type_code)
            columns[column.name] = _array([row[at] for row in rows], _DTYPES.get(known.name if known else "", "object"))
        return columns


@lru_cache(maxsize=1_000)
def numbered(query: str) -> str:
    """Write `$1`, `$2` and so on for the question marks of a statement; those within quotes stay."""
    places = 0

    def place(found: re.Match[str]) -> str:
        nonlocal places
        if found[0] != "?":
            return found[0]
        places += 1
        return f"${places}"

    return _PLACES.sub(place, query)


def _array(values: Sequence[Any], dtype: str) -> Any:
    import numpy as np

    nulls = [value is None for value in values]
    if not any(nulls):
        return np.array(values, dtype=dtype)
    filler = next((value for value in values if value is not None), 0)
    whole = np.array([filler if value is None else value for value in values], dtype=dtype)
    return np.ma.MaskedArray(whole, mask=nulls)
