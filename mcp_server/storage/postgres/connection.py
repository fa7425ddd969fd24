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
from mcp_server.errors import Misconfigured, Retryable, TraderError
from mcp_server.storage.machine import machine_name
from mcp_server.storage.postgres.address import PostgresAddress
from mcp_server.storage.postgres.encryption import why_unsafe

SESSION = (
    "SET TimeZone = 'UTC'; SET plan_cache_mode = force_custom_plan; SET idle_in_transaction_session_timeout = '60s'; "
    "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3; "
    "SET tcp_user_timeout = '40s'"
)
"""A machine that is lost is noticed by the server within 40 s, and a program that hangs in a transaction within 60:
then its locks are free."""

KEEPALIVES = {
    "keepalives": "1", "keepalives_idle": "10", "keepalives_interval": "10", "keepalives_count": "3",
    "tcp_user_timeout": "40000",
}  # fmt: skip
"""A server that is lost is noticed within 40 s, also by whoever has just sent something: keepalives rest then."""

OLDEST = 12
"""The first Postgres that has all that is asked of it: `plan_cache_mode` is the newest part."""

READ_ONLY = "25006"
"""What Postgres calls it where it takes no writes: a standby, or one that was told so."""

_UNREACHED = (
    "Look whether it runs and can be reached from here, and whether TRADER_DATABASE_URL has the right host, port, "
    "database, user and password."
)
_GRANT = "Grant it to the role of TRADER_DATABASE_URL: docs/guides/scaling.md lists what is needed."
_REMEDIES = {
    READ_ONLY: "Name the server that takes writes: with several hosts in TRADER_DATABASE_URL, that one is chosen.",
    "53100": "Free some space on its disk: then all goes on by itself.",
    "55P03": "Another program keeps its turn for long. Try again.",
}
"""What helps, by Postgres' own code of what is wrong; where there is none, the same may work later."""

_MISCONFIGURED = {
    "42501": _GRANT,
    "3F000": "Make the schema that `search_path` names: `CREATE SCHEMA`. Or leave search_path out of the URL.",
    "42P01": "A table of the journal is gone. Restore a backup, or name an empty database or schema.",
}

_PLACES = re.compile(r"'[^']*'|\"[^\"]*\"|\?")
_DTYPES = {
    **dict.fromkeys(("int2", "int4", "int8"), "int64"),
    **dict.fromkeys(("float4", "float8"), "float64"),
    "timestamp": "datetime64[us]",
    "bool": "bool",
}


def connect(address: PostgresAddress, connect_timeout_s: int) -> "PostgresConnection":
    """Connect, of several hosts to the first that takes writes; what libpq raises is the caller's to translate.

    Raises:
        Misconfigured: it cannot be encrypted as it must, it is too old, it cannot keep every text, or a pooler is in
            between: no lock of a session would show who is alive. To try again is no remedy.
    """
    asked = {**KEEPALIVES, "application_name": f"claude-trader on {machine_name()}"}
    asked |= {"connect_timeout": str(connect_timeout_s), "target_session_attrs": "read-write"}
    asked |= {**address.parameters, "client_encoding": "UTF8"}
    try:
        opened = Connection.connect(make_conninfo("", **asked), autocommit=True, cursor_factory=RawCursor)
    except psycopg.errors.ConnectionTimeout:
        raise
    except psycopg.OperationalError as error:
        if error.diag.sqlstate is None and (flaw := why_unsafe(address, connect_timeout_s)) is not None:
            raise flaw from None
        raise
    try:
        opened.adapters.register_loader("json", TextLoader)
        _refuse(opened, address)
        opened.execute(SESSION)
    except BaseException:
        opened.close()
        raise
    return PostgresConnection(opened)


def _refuse(opened: "Connection[Any]", address: PostgresAddress) -> None:
    """Raise `Misconfigured` where sessions are not what they must be.

    An outcome with a character that the encoding lacks could never be written, and SQL_ASCII does not know what a
    character is. A pooler tells its clients a process of its own invention, as it gives them one server's process after
    the other.
    """
    version = opened.info.server_version // 10_000
    if version < OLDEST:
        raise Misconfigured(
            f"The database {address} is on Postgres {version}, which is too old.", f"Use Postgres {OLDEST} or newer."
        )
    if (encoding := opened.info.parameter_status("server_encoding")) != "UTF8":
        raise Misconfigured(
            f"The database {address} has the encoding {encoding}. The journal needs UTF8: with another encoding, not "
            "every text is kept as it is.",
            "Make a new database, `CREATE DATABASE NAME ENCODING 'UTF8' TEMPLATE template0`, and name it in "
            "TRADER_DATABASE_URL.",
        )
    if opened.execute("SELECT pg_backend_pid()").fetchone() != (opened.info.backend_pid,):
        raise Misconfigured(
            f"A connection pooler, such as PgBouncer, is in front of the database {address}: through it, the locks "
            "that show which runners are alive do not hold.",
            "Name the host and the port of Postgres itself, which managed services call the direct address.",
        )


def could_not_be_used(address: PostgresAddress, error: psycopg.Error, *, connected: bool = True) -> TraderError:
    """Make the error of what Postgres could not do now; what it said is told without passwords.

    Where a right is lacking, or a table, to try again is no remedy.

    Args:
        address: where.
        error: what psycopg raised.
        connected: whether there was a connection at all.
    """
    lines = str(error).strip().splitlines() or [type(error).__name__]
    said = error.diag.message_primary or (lines[-1] if lines[0].endswith(":") else lines[0])  # of several, the last
    why = cleaned(address.without_secrets(said), 300).rstrip(".")
    code = error.diag.sqlstate
    problem = f"The database {address} could not be used: {why}. Nothing was changed."
    if code in _MISCONFIGURED:
        return Misconfigured(problem, _MISCONFIGURED[code])
    return Retryable(problem, _REMEDIES.get(code or "", "Try again.") if connected else _UNREACHED)


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

    def last(self) -> tuple[Any, ...] | None:
        """Return the first row of the last of several statements; None: it has none."""
        while self._cursor.nextset():
            pass
        return self.fetchone() if self._cursor.description else None

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
