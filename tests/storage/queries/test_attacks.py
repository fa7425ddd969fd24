"""What a query must not do: reach files, settings or other tables, change anything, or take too much."""

import hashlib
import os
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from mcp_server import child_process
from mcp_server.errors import BadInput, Retryable, TraderError
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.queries.ask import CHILD, PROCESS_S, Queries
from mcp_server.storage.queries.check import check
from mcp_server.storage.queries.child import answer
from mcp_server.storage.queries.question import Question
from mcp_server.storage.queries.snapshot import lock
from tests.storage.queries.conftest import NOW, Asked
from tests.storage.test_database import held_by_a_shell

REFUSED = {
    "Function 'read_csv' is not allowed in FROM": (
        "SELECT * FROM read_csv('/etc/passwd')",
        "WITH x AS (SELECT * FROM read_csv('/etc/passwd')) SELECT * FROM x",
    ),
    "Function 'read_text' is not allowed in FROM": (
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT (SELECT content FROM read_text('/etc/passwd'))",
        "SELECT * FROM executions, LATERAL (SELECT * FROM read_text(error_message))",
    ),
    "Function 'read_blob' is not allowed in FROM": ("SELECT * FROM read_blob('/etc/passwd')",),
    "Function 'read_json_auto' is not allowed in FROM": ("SELECT * FROM read_json_auto('/etc/passwd')",),
    "Function 'parquet_scan' is not allowed in FROM": ("SELECT * FROM parquet_scan('x.parquet')",),
    "Unknown table '/etc/passwd'": ("SELECT * FROM '/etc/passwd'",),
    "Unknown table 'data.csv'": ('SELECT * FROM "data.csv"',),
    "Unknown table 'https": ("FROM 'https://example.com/x.parquet'",),
    "Function 'glob' is not allowed in FROM": (
        "SELECT * FROM glob('/*')",
        "SELECT 1 WHERE EXISTS (FROM glob('/etc/*'))",
    ),
    "Function 'sniff_csv' is not allowed in FROM": ("SELECT * FROM sniff_csv('/etc/passwd')",),
    "Only SELECT is answered": (
        "COPY executions TO '/tmp/out.csv'",
        "COPY (SELECT 1) TO '/tmp/out.csv'",
        "ATTACH '/tmp/other.duckdb'",
        "ATTACH ':memory:' AS m",
        "DETACH file",
        "USE file",
        "INSTALL httpfs",
        "LOAD httpfs",
        "PRAGMA database_list",
        "PRAGMA table_info('executions')",
        "SET memory_limit = '10GB'",
        "RESET lock_configuration",
        "SET VARIABLE x = 1",
        "EXPORT DATABASE '/tmp/x'",
        "IMPORT DATABASE '/tmp/x'",
        "CALL pragma_version()",
        "CHECKPOINT",
        "VACUUM",
        "BEGIN",
        "EXPLAIN ANALYZE SELECT 1",
        "INSERT INTO executions VALUES (1)",
        "UPDATE executions SET status = 'success'",
        "DELETE FROM executions",
        "DROP TABLE executions",
        "CREATE TABLE t (i INTEGER)",
        "CREATE MACRO f() AS 1",
        "CREATE TEMP TABLE t AS SELECT 1",
        "ALTER TABLE executions DROP COLUMN status",
        "TRUNCATE executions",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "SELECT 1; DROP TABLE executions",
        "SELECT 1 /* ; */; DELETE FROM executions --",
    ),
    "DESCRIBE, SHOW and SUMMARIZE are not answered": (
        "DESCRIBE executions",
        "SUMMARIZE executions",
        "SHOW TABLES",
        "SELECT * FROM (DESCRIBE executions)",
        "SELECT * FROM (SHOW ALL TABLES)",
    ),
    "Found 2 statements": ("SELECT 1; SELECT 2",),
    "DELETE QUERY NODE is not allowed in a query of the journal": (
        "WITH x AS (DELETE FROM executions RETURNING *) SELECT * FROM x",
    ),
    "Function 'duckdb_settings' is not allowed in FROM": (
        'WITH "/etc/passwd" AS (SELECT 1) SELECT 1 FROM (SELECT * FROM duckdb_settings())',
        "SELECT * FROM duckdb_settings()",
    ),
    "Function 'getenv' is not allowed in a query": (
        "SELECT getenv('HOME')",
        "SELECT system.main.getenv('HOME')",
        "SELECT GETENV('HOME')",
        "SELECT \"getenv\"('HOME')",
        "SELECT getenv\xa0('HOME')",
        "SELECT COLUMNS(c -> getenv(c) IS NULL) FROM executions",
    ),
    "Function 'current_setting' is not allowed in a query": ("SELECT current_setting('home_directory')",),
    "Function 'getvariable' is not allowed in a query": ("SELECT getvariable('x')",),
    "current_user is not allowed": ("SELECT current_user",),
    "Function 'current_database' is not allowed in a query": ("SELECT current_database()",),
    "Function 'current_query' is not allowed in a query": ("SELECT current_query()",),
    "Function 'version' is not allowed in a query": ("SELECT version()",),
    "Function 'nextval' is not allowed in a query": ("SELECT nextval('execution_ids')",),
    "Function 'random' is not allowed in a query": ("SELECT random()",),
    "Function 'uuid' is not allowed in a query": ("SELECT uuid()",),
    "current_time is not allowed": ("SELECT current_time",),
    "Function 'age' is not allowed in a query": ("SELECT age(as_of) FROM executions",),
    "Function 'ago' is not allowed in a query": ("SELECT ago(INTERVAL 1 DAY)",),
    "Function 'sleep_ms' is not allowed in a query": ("SELECT sleep_ms(10000)",),
    "Function 'pg_sleep' is not allowed in a query": ("SELECT pg_sleep(10)",),
    "Function 'write_log' is not allowed in a query": ("SELECT write_log('x')",),
    "Function 'json_execute_serialized_sql' is not allowed in a query": ("SELECT json_execute_serialized_sql('x')",),
    "Function 'json_execute_serialized_sql' is not allowed in FROM": (
        "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    ),
    "Function 'query' is not allowed in FROM": ("SELECT * FROM query('SELECT * FROM duckdb_settings()')",),
    "Function 'query_table' is not allowed in FROM": ("SELECT * FROM query_table('executions')",),
    "Function 'duckdb_secrets' is not allowed in FROM": ("SELECT * FROM duckdb_secrets()",),
    "Unknown table 'duckdb_tables'": ("SELECT * FROM duckdb_tables",),
    "Function 'duckdb_functions' is not allowed in FROM": ("SELECT * FROM duckdb_functions()",),
    "The table 'tables' has a schema before it": (
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM system.information_schema.tables",
    ),
    "The table 'pg_tables' has a schema before it": ("SELECT * FROM pg_catalog.pg_tables",),
    "Unknown table 'sqlite_master'": ("SELECT * FROM sqlite_master",),
    "The table 'executions' has a schema before it": (
        "SELECT * FROM main.executions",
        "SELECT * FROM file.main.executions",
    ),
    "Unknown table 'schema_migrations'": ("SELECT * FROM schema_migrations",),
    "Unknown table 'coverage'": ("SELECT * FROM coverage",),
    "Unknown table 'series'": ("SELECT * FROM series",),
    "Unknown table '_candles'": ("SELECT * FROM _candles",),
    "Unknown column 'run_key'": ("SELECT run_key FROM executions",),
    "AT is not allowed": ("SELECT * FROM executions AT (VERSION => 1)",),
    "Function 'seq_scan' is not allowed in FROM": ("SELECT * FROM seq_scan('executions')",),
    "Function 'arrow_scan' is not allowed in FROM": ("SELECT * FROM arrow_scan(1, 2, 3)",),
    "Function 'python_map_function' is not allowed in FROM": ("SELECT * FROM python_map_function()",),
    "Function 'test_all_types' is not allowed in FROM": ("SELECT * FROM test_all_types()",),
    "Function 'count' is not allowed in a query": ("SELECT main.count(1)",),
    "Function 'g\\\\0065tenv' is not allowed in a query": ("SELECT U&\"g\\0065tenv\"('HOME')",),
    "Function 'read_text' is not allowed in a query": ("SELECT list_transform(['/etc/passwd'], x -> read_text(x))",),
    "Aggregate Function with name getenv does not exist": ("SELECT list_aggregate([1], 'getenv')",),
    "Parameters are not allowed": (
        "SELECT $1",
        "SELECT ?",
    ),
    "Column 'bytes' holds bytes, which are not shown": ("SELECT x'41'::BLOB AS bytes",),
    "Function 'error' is not allowed in a query": ("SELECT error('x')",),
    "The query cannot be parsed": (
        "\u202eSELECT 1",
        "SELECT",
    ),
    "The query cannot be answered: Invalid Input Error: Python Conversion Failure": ("SELECT '\ud83d'",),
    "Found 0 statements": (
        ";",
        "   ",
        "-- nothing",
    ),
    "Unknown table 'duckdb_settings'": ("TABLE duckdb_settings",),
    "Unknown table 'a_variable_of_python'": ("SELECT * FROM a_variable_of_python",),
}
"""The reason → the attacks that are refused for it."""

ATTACKS = [(reason, sql) for reason, attacks in REFUSED.items() for sql in attacks]

ONCE_IT_RUNS = {
    "Unknown column 'run_key'",
    "Aggregate Function with name getenv does not exist",
    "Column 'bytes' holds bytes, which are not shown",
    "The query cannot be answered: Invalid Input Error: Python Conversion Failure",
}
"""The reasons that only DuckDB, or its answer, tells; for all others nothing of a query runs."""


@pytest.mark.parametrize(
    ("reason", "sql"),
    [pytest.param(reason, sql, marks=[] if reason in ONCE_IT_RUNS else pytest.mark.long) for reason, sql in ATTACKS],
)
def test_what_reaches_beyond_the_described_tables_is_refused_for_its_own_reason(
    asked: Asked, reason: str, sql: str
) -> None:
    a_variable_of_python = {"secret": [1]}
    with pytest.raises(BadInput) as refused:
        asked(sql)
    assert a_variable_of_python
    assert reason in refused.value.problem
    assert len(str(refused.value)) < 2_000


def test_an_attack_is_refused_before_anything_runs() -> None:
    """Those that are `long` above, where the tables are there that it would reach beyond."""
    a_variable_of_python = {"secret": [1]}
    with duckdb.connect() as connection:
        for reason, sql in ATTACKS:
            if reason not in ONCE_IT_RUNS:
                with pytest.raises(BadInput) as refused:
                    check(connection, sql, NOW)
                assert reason in refused.value.problem, sql
                assert len(str(refused.value)) < 2_000
    assert a_variable_of_python


def test_deep_nesting_is_refused_and_many_parts_are_answered(asked: Asked) -> None:
    for deep in (f"SELECT {'(' * 3000}1{')' * 3000}", "SELECT " + "1+" * 4000 + "1"):
        with pytest.raises(BadInput, match="cannot be parsed: Max expression depth"):
            asked(deep)
    assert asked("SELECT 1" + " UNION SELECT 1" * 600)["rows"] == [[1]]


async def ask(question: Question, within_s: float = PROCESS_S) -> dict[str, Any]:
    """Ask a process that has waited for its question."""
    queries = Queries()
    await queries._child._start_next()
    try:
        return await queries.ask(question, within_s)
    finally:
        await queries.close()


BOMBS = {
    "The query took longer than 0.5 s and was stopped": (
        "WITH RECURSIVE a AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM a) SELECT max(x) FROM a",
        "SELECT count(*) FROM range(1000000) a, range(1000000) b, range(100000) c WHERE a.range + b.range = c.range",
        "SELECT count(*) FROM executions a, executions b, executions c, executions d, executions e, executions f, "
        "executions g, executions h WHERE a.id + b.id + c.id + d.id = e.id + f.id + g.id * h.id",
    ),
    "The query needs too much memory": (
        "SELECT len(range(1000000000))",
        "SELECT length(lpad('x', 2000000000, 'y'))",
        "SELECT len(list(i)) FROM range(10000000000) t(i)",
        "SELECT length(string_agg('abcdefghijklmnopqrst' || i)) FROM range(10000000000) t(i)",
        "WITH RECURSIVE a AS (SELECT 1 n, 'xxxxxxxx' s UNION ALL SELECT n + 1, s || s FROM a WHERE n < 40) "
        "SELECT max(length(s)) FROM a",
        "SELECT list_sort(range(100000000))[1]",
        "SELECT length(printf('%2000000000d', 1))",
        "SELECT length(format('{:>2000000000}', 'x'))",
        "SELECT sum(len(regexp_extract_all(lpad('', (1000000 + i)::INTEGER, 'ab'), '(a|b)*'))) FROM range(1000) t(i)",
    ),
}
"""The reason → the queries that are stopped for it; those that need memory may take longer."""


def child_with(bound: str) -> tuple[str, ...]:
    """Return the command of a process with another bound."""
    code = f"from mcp_server.storage.queries import child; child.{bound}; child.main()"
    return (sys.executable, "-P", "-c", code)


@pytest.mark.parametrize(
    ("reason", "sql"),
    [
        pytest.param(reason, sql, marks=pytest.mark.long if place else [])
        for reason, bombs in BOMBS.items()
        for place, sql in enumerate(bombs)
    ],
)
async def test_what_would_take_too_much_is_stopped_for_its_own_reason(
    recorded: Path, monkeypatch: pytest.MonkeyPatch, reason: str, sql: str
) -> None:
    if "lpad" in sql:  # it takes memory byte by byte, for many seconds up to the usual bound
        less = child_with("MOST_MEMORY_BYTES = 190_000_000")
        monkeypatch.setattr("mcp_server.storage.queries.ask.CHILD", less)
    began = time.monotonic()
    with pytest.raises(BadInput) as stopped:
        await ask(Question(recorded, sql, NOW, 10, 200, 15.0 if "memory" in reason else 0.5))
    assert reason in stopped.value.problem
    assert time.monotonic() - began < 30, "it ends by itself after 20 s at the latest"


async def test_a_query_that_was_not_begun_is_told_as_that(recorded: Path) -> None:
    with pytest.raises(Retryable, match="has not begun"):
        await ask(Question(recorded, "SELECT 1", NOW, 10, 200, 5.0), within_s=0.01)


BEGUN_AND_ENDLESS = (sys.executable, "-I", "-S", "-c", "import time; print(flush=True); time.sleep(60)")


async def test_a_query_that_was_begun_and_does_not_end_is_told_as_slow(
    recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = Question(recorded, "SELECT 1", NOW, 10, 200, 60.0)
    ending = await child_process.run_child(CHILD, question.as_json().encode(), 60)
    assert ending.out.startswith(b"\n"), "the process says so when its query begins"
    monkeypatch.setattr("mcp_server.storage.queries.ask.CHILD", BEGUN_AND_ENDLESS)
    with pytest.raises(BadInput, match="took longer than 60 s"):
        await ask(question, within_s=3.0)


def test_tables_that_cannot_be_copied_in_time_mean_that_the_query_has_not_begun(
    recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(connection: Any, *_: object, **__: object) -> None:
        connection.execute("WITH RECURSIVE a AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM a) SELECT max(x) FROM a")

    monkeypatch.setattr("mcp_server.storage.queries.child.fill", endless)
    with pytest.raises(Retryable, match="has not begun"):
        answer(Question(recorded, "SELECT count(*) FROM executions", NOW, 10, 200, 0.1))


OUT_OF_PROCESSOR_TIME = "import os, signal; print(flush=True); os.kill(os.getpid(), signal.SIGXCPU)"


async def test_a_process_that_the_system_ends_for_its_processor_time_is_told_as_that(
    recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "mcp_server.storage.queries.ask.CHILD", (sys.executable, "-I", "-S", "-c", OUT_OF_PROCESSOR_TIME)
    )
    with pytest.raises(BadInput, match="of processor time"):
        await ask(Question(recorded, "SELECT 1", NOW, 10, 200, 60.0))


@pytest.mark.long
async def test_a_query_that_takes_too_much_processor_time_is_told_as_that(
    recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_server.storage.queries.ask.CHILD", child_with("MOST_PROCESSOR_S = 1"))
    with pytest.raises(BadInput, match="of processor time"):
        await ask(Question(recorded, next(iter(BOMBS.values()))[0], NOW, 10, 200, 60.0))


def test_what_a_check_had_let_through_would_be_denied_by_duckdb_itself(tmp_path: Path) -> None:
    (file := tmp_path / "secret.txt").write_text("secret")
    a_variable_of_python = np.array([1])
    with duckdb.connect() as connection:
        lock(connection)
        for sql in (
            f"SELECT * FROM read_text('{file}')",
            f"COPY (SELECT 1) TO '{tmp_path / 'new.csv'}'",
            f"ATTACH '{tmp_path / 'new.duckdb'}'",
            "SELECT * FROM a_variable_of_python",
            "SET memory_limit = '9GB'",
            "RESET TimeZone",
        ):
            with pytest.raises(duckdb.Error):
                connection.execute(sql).fetchall()
        settings = "SELECT current_setting('temp_directory'), current_setting('TimeZone')"
        assert connection.execute(settings).fetchall() == [("", "UTC")]
    assert [*tmp_path.glob("new*")] == []
    assert a_variable_of_python.size


def test_a_query_holds_the_file_only_while_it_copies(home: Path) -> None:
    """Once the query itself begins, another program can write: however long the query takes."""
    at = Home(home)
    Database(at.database, prepare=at.prepare).write(lambda c: c.execute("SELECT 1"))
    wrote = []

    def write_meanwhile() -> None:
        with held_by_a_shell(at.database):
            wrote.append(True)

    answered = answer(Question(home, "SELECT count(*) FROM executions", NOW, 10, 200, 60.0), write_meanwhile)
    assert (answered["rows"], wrote) == ([[0]], [True])


async def test_a_file_that_another_program_holds_is_told_as_that(home: Path) -> None:
    database = Database(Home(home).database, prepare=Home(home).prepare)
    database.write(lambda c: c.execute("SELECT 1"))
    with held_by_a_shell(database.path) as pid, pytest.raises(Retryable, match=f"process {pid}"):
        await ask(Question(home, "SELECT 1", NOW, 10, 200, 1.0, 0.3))


async def test_the_process_has_nothing_of_the_environment_that_is_secret(
    recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key")
    assert (await ask(Question(recorded, "SELECT 1 AS one", NOW, 10, 200, 5.0))) == {
        "columns": ["one"],
        "rows": [[1]],
        "more": False,
    }
    assert not [name for name in child_process._NEEDED if "KEY" in name or "TOKEN" in name]


def test_after_all_of_it_the_journal_is_what_it_was(asked: Asked, recorded: Path) -> None:
    def content() -> str:
        tables = ("strategies", "executions", "analysis_results", "candles", "series", "coverage", "schema_migrations")
        rows = Database(Home(recorded).database).read(lambda c: [c.execute(f"FROM {t}").fetchall() for t in tables])
        return hashlib.sha256(repr(rows).encode()).hexdigest()

    before, files = content(), sorted(os.listdir(recorded))
    for _, sql in ATTACKS[::20]:
        with pytest.raises(TraderError):
            asked(sql, NOW - timedelta(days=1))
    assert (content(), sorted(os.listdir(recorded))) == (before, files)
