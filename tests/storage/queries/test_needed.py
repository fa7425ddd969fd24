"""Only what a query reads is copied, and its answer is the one that it would have over whole tables."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from mcp_server.errors import TraderError
from mcp_server.storage.queries import child, snapshot
from mcp_server.storage.queries.check import CheckedQuery, check
from mcp_server.storage.queries.child import started
from mcp_server.storage.queries.question import Question
from mcp_server.storage.queries.tables import TABLES
from tests.rigs.sampled import sampled
from tests.storage.queries.conftest import NOW, Asked
from tests.storage.queries.test_questions import QUESTIONS

MENTIONED = {
    "SELECT count(*) FROM executions": [],
    "SELECT Status FROM executions e WHERE e.as_of > now()": ["e", "status", "as_of"],
    "SELECT s.name FROM executions JOIN strategies s USING (id)": ["s", "name", "id"],
    "WITH x AS (SELECT id AS e FROM executions) SELECT e FROM x": ["id", "e"],
    "SELECT signal FROM analysis_results ORDER BY max(price) OVER (PARTITION BY data->>'a')": [
        "signal",
        "price",
        "data",
    ],
}

ALL = [
    "SELECT * FROM executions",
    "FROM strategies",
    "SELECT e.* EXCLUDE (id) FROM executions e",
    "SELECT COLUMNS('.*_id') FROM executions",
    "SELECT strategies FROM strategies",
    "SELECT E FROM strategies e",
    "SELECT s FROM (SELECT 1 AS x), strategies AS S",
    "SELECT to_json(e) FROM executions e",
    "SELECT count(DISTINCT e) FROM executions e",
    "SELECT #3 FROM executions",
    "SELECT b FROM strategies AS s(a, b)",
    "SELECT count(*) FROM executions NATURAL JOIN analysis_results",
    "SELECT count(*) FROM (PIVOT executions ON status IN ('success') USING count(*))",
    "SELECT count(*) FROM executions PIVOT (count(*) FOR status IN ('success'))",
    "SELECT name FROM (UNPIVOT (SELECT id, name, version FROM strategies) ON name, version)",
    "SELECT (SELECT e) FROM executions e",
]


def checked(sql: str) -> CheckedQuery:
    with duckdb.connect(":memory:") as connection:
        return check(connection, sql, datetime(2026, 5, 1, tzinfo=UTC))


@pytest.mark.parametrize(("sql", "columns"), MENTIONED.items())
def test_the_columns_that_a_query_mentions_are_those_of_its_parse_tree(sql: str, columns: list[str]) -> None:
    assert checked(sql).columns == frozenset(columns)


@pytest.mark.parametrize("sql", ALL)
def test_a_query_that_may_read_every_column_has_them_all(sql: str) -> None:
    assert checked(sql).columns is None


@pytest.mark.parametrize("sql", [*sampled([*MENTIONED, *ALL], 6), *sampled([sql for sql, _ in QUESTIONS.values()], 8)])
def test_a_query_is_answered_as_over_whole_tables(asked: Asked, monkeypatch: pytest.MonkeyPatch, sql: str) -> None:
    def outcome() -> Any:
        try:
            answer = asked(sql)
        except TraderError as error:
            return str(error)
        return {**answer, "rows": sorted(answer["rows"], key=repr)}

    over_needed = outcome()
    monkeypatch.setattr(snapshot, "_needed", lambda name, _: list(TABLES[name].columns))
    assert over_needed == outcome()


COPIED = {
    "SELECT status, trace FROM executions": {("executions", "status"), ("executions", "trace")},
    "SELECT count(*) FROM executions": {("executions", "id")},
    "SELECT close FROM candles c WHERE c.symbol = 'BTC/USD'": {
        *(("candles", "symbol"), ("candles", "close"), ("_candles", "series_id"), ("_candles", "close"))
    },
    "SELECT 1": set(),
}


@pytest.mark.parametrize(("sql", "expected"), COPIED.items())
def test_nothing_else_is_copied(recorded: Path, sql: str, expected: set[tuple[str, str]]) -> None:
    with started() as ready:
        connection = child._copied(Question(recorded, sql, NOW, 10, 200, 5.0), checked(sql), ready)
        columns = connection.execute("SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal")
        copied = {column for column in columns.fetchall() if column[0] not in ("_last", "_series")}
    assert copied == expected
