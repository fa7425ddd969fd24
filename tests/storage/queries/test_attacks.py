"""What a query must not do: reach files, settings or other tables, change anything, or take too much."""

import hashlib
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from mcp_server.errors import BadInput, Retryable, TraderError
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.queries.ask import ask
from mcp_server.storage.queries.child import Question
from tests.storage.queries.conftest import NOW, Asked
from tests.storage.test_database import held_by_a_shell

REFUSED = [
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/etc/passwd')",
    "SELECT * FROM read_json_auto('/etc/passwd')",
    "SELECT * FROM parquet_scan('x.parquet')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM \"data.csv\"",
    "FROM 'https://example.com/x.parquet'",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
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
    "DESCRIBE executions",
    "SUMMARIZE executions",
    "SHOW TABLES",
    "SELECT * FROM (DESCRIBE executions)",
    "SELECT * FROM (SHOW ALL TABLES)",
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
    "SELECT 1; SELECT 2",
    "SELECT 1 /* ; */; DELETE FROM executions --",
    "WITH x AS (DELETE FROM executions RETURNING *) SELECT * FROM x",
    "WITH x AS (SELECT * FROM read_csv('/etc/passwd')) SELECT * FROM x",
    "WITH \"/etc/passwd\" AS (SELECT 1) SELECT 1 FROM (SELECT * FROM duckdb_settings())",
    "SELECT (SELECT content FROM read_text('/etc/passwd'))",
    "SELECT 1 WHERE EXISTS (FROM glob('/etc/*'))",
    "SELECT * FROM executions, LATERAL (SELECT * FROM read_text(error_message))",
    "SELECT getenv('HOME')",
    "SELECT current_setting('home_directory')",
    "SELECT getvariable('x')",
    "SELECT current_user",
    "SELECT current_database()",
    "SELECT current_query()",
    "SELECT version()",
    "SELECT nextval('execution_ids')",
    "SELECT random()",
    "SELECT uuid()",
    "SELECT current_time",
    "SELECT age(as_of) FROM executions",
    "SELECT ago(INTERVAL 1 DAY)",
    "SELECT sleep_ms(10000)",
    "SELECT pg_sleep(10)",
    "SELECT write_log('x')",
    "SELECT json_execute_serialized_sql('x')",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    "SELECT * FROM query('SELECT * FROM duckdb_settings()')",
    "SELECT * FROM query_table('executions')",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM duckdb_tables",
    "SELECT * FROM duckdb_functions()",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM pg_catalog.pg_tables",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM main.executions",
    "SELECT * FROM file.main.executions",
    "SELECT * FROM system.information_schema.tables",
    "SELECT * FROM schema_migrations",
    "SELECT * FROM coverage",
    "SELECT * FROM series",
    "SELECT * FROM _candles",
    "SELECT run_key FROM executions",
    "SELECT * FROM executions AT (VERSION => 1)",
    "SELECT * FROM seq_scan('executions')",
    "SELECT * FROM arrow_scan(1, 2, 3)",
    "SELECT * FROM python_map_function()",
    "SELECT * FROM test_all_types()",
    "SELECT main.count(1)",
    "SELECT system.main.getenv('HOME')",
    "SELECT GETENV('HOME')",
    "SELECT \"getenv\"('HOME')",
    "SELECT getenv\u00a0('HOME')",
    "SELECT U&\"g\\0065tenv\"('HOME')",
    "SELECT list_transform(['/etc/passwd'], x -> read_text(x))",
    "SELECT COLUMNS(c -> getenv(c) IS NULL) FROM executions",
    "SELECT list_aggregate([1], 'getenv')",
    "SELECT $1",
    "SELECT ?",
    "SELECT x'41'::BLOB AS bytes",
    "SELECT error('x')",
    "\u202eSELECT 1",
    "SELECT '\ud83d'",
    ";",
    "   ",
    "-- nothing",
    "SELECT",
    "TABLE duckdb_settings",
    "SELECT * FROM a_variable_of_python",
]  # fmt: skip


@pytest.mark.parametrize("sql", REFUSED)
def test_what_reaches_beyond_the_described_tables_is_refused(asked: Asked, sql: str) -> None:
    a_variable_of_python = {"secret": [1]}
    with pytest.raises(BadInput) as refused:
        asked(sql)
    assert a_variable_of_python
    assert "root:" not in str(refused.value)
    assert len(str(refused.value)) < 2_000


def test_deep_nesting_and_large_numbers_of_parts_are_refused_or_answered(asked: Asked) -> None:
    for sql in (
        f"SELECT {'(' * 3000}1{')' * 3000}",
        "SELECT " + "1+" * 4000 + "1",
        "SELECT 1" + " UNION SELECT 1" * 600,
    ):
        try:
            asked(sql)
        except BadInput:
            continue


BOMBS = [
    "WITH RECURSIVE a AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM a) SELECT max(x) FROM a",
    "SELECT count(*) FROM range(1000000) a, range(1000000) b, range(100000) c WHERE a.range + b.range = c.range",
    "SELECT length(lpad('x', 200000000, 'y'))",
    "SELECT len(range(1000000000))",
    "SELECT len(list(i)) FROM range(10000000000) t(i)",
    "SELECT length(string_agg('abcdefghijklmnopqrst' || i)) FROM range(10000000000) t(i)",
    "WITH RECURSIVE a AS (SELECT 1 n, 'xxxxxxxx' s UNION ALL SELECT n + 1, s || s FROM a WHERE n < 40) "
    "SELECT max(length(s)) FROM a",
    "SELECT list_sort(range(100000000))[1]",
    "SELECT length(printf('%2000000000d', 1))",
    "SELECT count(*) FROM executions a, executions b, executions c, executions d, executions e, executions f, "
    "executions g, executions h WHERE a.id + b.id + c.id + d.id = e.id + f.id + g.id * h.id",
    "SELECT length(format('{:>2000000000}', 'x'))",
    "SELECT sum(len(regexp_extract_all(lpad('', 1000000 + i, 'ab'), '(a|b)*'))) FROM range(1000) t(i)",
]


@pytest.mark.parametrize("sql", BOMBS)
async def test_what_would_take_too_much_is_stopped(recorded: Path, sql: str) -> None:
    began = time.monotonic()
    with pytest.raises(BadInput, match=r"took longer than|too much memory|cannot be answered"):
        await ask(Question(recorded, sql, NOW, 10, 200, 0.5))
    assert time.monotonic() - began < 30, "it ends by itself after 20 s at the latest"


async def test_a_query_holds_the_file_only_while_it_copies(home: Path) -> None:
    """The process has let go of the file long before a slow query is stopped: a write is done meanwhile."""
    import anyio

    at = Home(home)
    database = Database(at.database, prepare=at.prepare, patience_s=1.0)
    database.write(lambda c: c.execute("SELECT 1"))
    slow = "WITH RECURSIVE a AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM a) SELECT max(x) FROM a"
    wrote = []

    async def write_meanwhile() -> None:
        await anyio.sleep(0.7)
        began = time.monotonic()
        await anyio.to_thread.run_sync(database.write, lambda c: c.execute("CREATE TABLE t (i INTEGER)"))
        wrote.append(time.monotonic() - began)

    async with anyio.create_task_group() as group:
        group.start_soon(write_meanwhile)
        with pytest.raises(BadInput, match="took longer"):
            await ask(Question(home, slow, NOW, 10, 200, 2.0))
        assert wrote


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
    from mcp_server.storage.queries import ask as module

    assert not [name for name in module._NEEDED if "KEY" in name or "TOKEN" in name]


def test_after_all_of_it_the_journal_is_what_it_was(asked: Asked, recorded: Path) -> None:
    def content() -> str:
        tables = ("strategies", "executions", "analysis_results", "candles", "series", "coverage", "schema_migrations")
        rows = Database(Home(recorded).database).read(lambda c: [c.execute(f"FROM {t}").fetchall() for t in tables])
        return hashlib.sha256(repr(rows).encode()).hexdigest()

    before, files = content(), sorted(os.listdir(recorded))
    for sql in REFUSED[::5]:
        with pytest.raises(TraderError):
            asked(sql, NOW - timedelta(days=1))
    assert (content(), sorted(os.listdir(recorded))) == (before, files)
