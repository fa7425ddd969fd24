"""The described tables against the real ones: a column that a migration adds is described, or hidden with a reason."""

from pathlib import Path

import duckdb

from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.queries.functions import ALLOWED, MOMENT, TABLE_FUNCTIONS
from mcp_server.storage.queries.tables import HIDDEN, TABLES, explained
from tests.storage.queries.conftest import Asked


def test_every_column_of_the_schema_is_described_or_hidden_and_no_other_is(recorded: Path) -> None:
    rows = Database(Home(recorded).database).read(
        lambda c: c.execute("SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal").fetchall()
    )
    real = {(table, column) for table, column in rows if table not in HIDDEN}
    hidden = {tuple(name.split(".")) for name in HIDDEN if "." in name}
    described = {(name, column) for name, table in TABLES.items() for column in table.columns}
    of_series = {("candles", column) for column in ("exchange", "symbol", "timeframe")}
    assert real - hidden == described - of_series
    assert hidden <= real
    assert {name for name in HIDDEN if "." not in name} <= {table for table, _ in rows}


def test_a_query_sees_each_described_column_and_its_meaning(asked: Asked) -> None:
    for name, table in TABLES.items():
        assert asked(f"SELECT * FROM {name}")["columns"] == list(table.columns)
    assert asked("SELECT * FROM journal_columns", limit=500)["rows"] == [list(row) for row in explained()]


def test_every_function_on_the_list_exists() -> None:
    rows = duckdb.connect().execute("SELECT DISTINCT function_name FROM duckdb_functions()").fetchall()
    grammar = {"coalesce", "ifnull", "->"}
    exist = {name for (name,) in rows} | grammar
    assert ALLOWED - exist == set()
    assert TABLE_FUNCTIONS - exist == set()
    assert ALLOWED.isdisjoint(MOMENT)
