"""The copy that a query runs on: the rows of the journal until a moment, in memory, behind locks."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mcp_server.domain.timeframes import KNOWN_AFTER_MS, TIMEFRAMES, from_ms, iso, last_closed_open_ms, naive, to_ms
from mcp_server.errors import BadInput
from mcp_server.storage.journal.by_then import AT_ITS_TIME, KNOWN_AT_THE_END, answered_by, there_by
from mcp_server.storage.queries.check import CheckedQuery
from mcp_server.storage.queries.tables import COLUMNS_TABLE, TABLES, explained
from mcp_server.storage.schema import migrations
from mcp_server.storage.sql import SqlConnection, unnested

if TYPE_CHECKING:
    import duckdb

MOST_CANDLES = 3_000_000
"""Copying so many takes a third of a second, and 170 MB while the query runs."""

_EMPTY = "as_in_a_file"

_AT_ONCE = 5_000
"""So many rows are put into a copy by one statement."""

LOCKS = (
    "memory_limit = '400MB'",
    "temp_directory = ''",
    "TimeZone = 'UTC'",
    "python_enable_replacements = false",
    "autoload_known_extensions = false",
    "enable_external_access = false",
    "lock_configuration = true",
)
"""In this order: without external access the folder cannot be set any more, and after the lock nothing can."""

OF_A_VERSION = ("description", "status", "interval", "config", "agents", "version", "updated_at")
"""The columns of a strategy that say how it was when it last ran."""

_SWAPS_SIDES = "build_side_probe_side"
"""The step of DuckDB's that may turn the rows of a table around, by how many others there are: later ones, too."""

_OF_SERIES = ("exchange", "symbol", "timeframe")

_TOLD = f"(NOT $2 OR {AT_ITS_TIME})"
_RUNS = f"FROM executions e WHERE {_TOLD} AND"
_UNTIL = {
    "strategies": f"id IN (SELECT e.strategy_id {_RUNS} {there_by('$1')})",
    "executions": f"{_TOLD} AND {there_by('$1')}",
    "analysis_results": f"execution_id IN (SELECT e.id {_RUNS} {answered_by('$1')})",
    "outcomes": f"(NOT $2 OR execution_id IN (SELECT e.id {_RUNS} true)) "
    f"AND exit_time + INTERVAL '{KNOWN_AFTER_MS} milliseconds' <= $1",
    "backtests": "$2 IS NOT NULL AND created_at <= $1",
    "news": "$2 IS NOT NULL AND first_seen_at <= $1",
    "news_fetches": "$2 IS NOT NULL AND fetched_at <= $1",
}
"""Which rows exist at a moment. The journal's time is a run's as-of: what a replay of the past said counts as said
then, after as long as it took. So does a backtest of a server in the past. An outcome exists once its exit was known,
whenever it was settled. A sub-agent ($2) is told of no run that was made later as of its moment."""


_KEYS = {
    **dict.fromkeys(("strategies", "executions", "backtests", "news"), "id"),
    "analysis_results": "execution_id",
    "outcomes": "execution_id",
    "news_fetches": "fetched_at, source",
}
"""The order of rows in a copy from Postgres, which has none."""


def fill(
    connection: "duckdb.DuckDBPyConnection",
    checked: CheckedQuery,
    moment: datetime,
    in_a_run: bool = False,
    journal: SqlConnection | None = None,
) -> None:
    """Copy what a query needs into memory; the file is attached as `file`, if candles or a journal in it are asked for.

    Rows keep the order that they have in the file, so nothing that is recorded later changes what `LIMIT` leaves.

    Args:
        connection: the database in memory.
        checked: the query.
        moment: until when.
        in_a_run: a sub-agent asks.
        journal: where the journal is, if not in the file.

    Raises:
        BadInput: the store holds more candles than are copied.
    """
    connection.execute(f"SET disabled_optimizers = '{_SWAPS_SIDES}'")
    if journal is not None:
        _make_empty(connection)
    for name in checked.tables:
        if name == COLUMNS_TABLE:
            _fill_columns(connection)
        elif name == "candles":
            _fill_candles(connection, moment, _needed(name, checked))
        else:
            needed = _needed(name, checked)
            rows = f"SELECT {', '.join(_by_then(name, column) for column in needed)} FROM {{}}{name} e WHERE "  # noqa: S608 - ours
            if journal is None:
                until = _UNTIL[name].replace("FROM executions", "FROM file.main.executions")
                asked = f"CREATE TABLE {name} AS {rows.format('file.main.')}{until}"
                connection.execute(asked, [naive(moment), in_a_run])
            else:
                asked = f"{rows.format('')}{_UNTIL[name]} ORDER BY {_KEYS[name]}"
                _copy(connection, name, needed, journal.execute(asked, [naive(moment), in_a_run]).fetchall())
    connection.execute("RESET disabled_optimizers")


def _make_empty(connection: "duckdb.DuckDBPyConnection") -> None:
    """Make all tables of a home's file beside the copy, without a row: the copy's columns are like theirs."""
    connection.execute(f"ATTACH ':memory:' AS {_EMPTY}")
    connection.execute(f"USE {_EMPTY}")
    for _, migration in sorted(migrations().items()):
        connection.execute(migration)
    connection.execute("USE memory")


def _copy(
    connection: "duckdb.DuckDBPyConnection", name: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Make a table like that of a home's file, and put rows into it."""
    shown = ", ".join(f'"{column}"' for column in columns)
    connection.execute(f"CREATE TABLE {name} AS SELECT {shown} FROM {_EMPTY}.main.{name} LIMIT 0")  # noqa: S608 - ours
    described = connection.execute(f"DESCRIBE {name}").fetchall()
    types = {str(row[0]): str(row[1]) for row in described}
    for first in range(0, len(rows), _AT_ONCE):
        some = [[*values] for values in zip(*rows[first : first + _AT_ONCE], strict=True)]
        connection.execute(f"INSERT INTO {name} SELECT {unnested(types)}", some)


def lock(connection: "duckdb.DuckDBPyConnection") -> None:
    """Deny a connection everything beyond its own tables, for good."""
    for setting in LOCKS:
        connection.execute(f"SET {setting}")


def _by_then(table: str, column: str) -> str:
    """Return a column as it stood at the moment.

    Of a run that had not answered, its end is not known; of a strategy that has run otherwise since then, what it was;
    and of an outcome that was settled later, when that was.
    """
    if table == "strategies" and column in OF_A_VERSION:
        return f'CASE WHEN updated_at <= $1 THEN "{column}" END AS "{column}"'
    if column == "settled_at":
        return "CASE WHEN settled_at <= $1 THEN settled_at END AS settled_at"
    if table != "executions" or column not in (*KNOWN_AT_THE_END, "status"):
        return f'"{column}"'
    otherwise = " ELSE 'running'" if column == "status" else ""
    return f'CASE WHEN {answered_by("$1")} THEN "{column}"{otherwise} END AS "{column}"'


def _needed(name: str, checked: CheckedQuery) -> list[str]:
    """Return the columns of a table that the query may read; its first, where it only counts rows."""
    columns = list(TABLES[name].columns)
    if checked.columns is None:
        return columns
    return [column for column in columns if column in checked.columns] or columns[:1]


def _fill_columns(connection: "duckdb.DuckDBPyConnection") -> None:
    tables, columns, meanings = (list(texts) for texts in zip(*explained(), strict=True))
    connection.execute(
        f'CREATE TABLE {COLUMNS_TABLE} AS SELECT unnest($1) AS "table", unnest($2) AS "column", unnest($3) AS meaning',
        [tables, columns, meanings],
    )


def _fill_candles(connection: "duckdb.DuckDBPyConnection", moment: datetime, columns: list[str]) -> None:
    """Copy the candles that had closed by then; each timeframe has its own last one."""
    connection.execute("CREATE TABLE _last (timeframe VARCHAR, last_open TIMESTAMP)")
    last = [(name, naive(from_ms(last_closed_open_ms(to_ms(moment), name)))) for name in TIMEFRAMES]
    connection.executemany("INSERT INTO _last VALUES (?, ?)", last)
    connection.execute(
        "CREATE TABLE _series AS SELECT id, exchange, symbol, timeframe, last_open FROM file.main.series "
        "JOIN _last USING (timeframe)"
    )
    closed = "FROM file.main.candles c JOIN _series s ON s.id = c.series_id AND c.open_time <= s.last_open"
    count = connection.execute(f"SELECT count(*) {closed}").fetchone()
    if count and count[0] > MOST_CANDLES:
        raise BadInput(
            f"The store holds {count[0]:,} candles by {iso(to_ms(moment))}; a query sees {MOST_CANDLES:,} at most.",
            "Leave `candles` out, and ask get_ohlcv for those that you need.",
        )
    kept = ["series_id", *(column for column in columns if column not in _OF_SERIES)]
    connection.execute(f"CREATE TABLE _candles AS SELECT {', '.join(f'c.{column}' for column in kept)} {closed}")
    shown = ", ".join(f"{'s' if column in _OF_SERIES else 'c'}.{column}" for column in columns)
    connection.execute(
        f"CREATE VIEW candles AS SELECT {shown} FROM _candles c JOIN _series s ON s.id = c.series_id"  # noqa: S608 - ours
    )
