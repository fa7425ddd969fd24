"""A journal's database in Postgres: turns, reads, values as in DuckDB, lost connections, and who may make tables."""

import subprocess
import sys
import threading
from contextlib import ExitStack
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest

from mcp_server.errors import Misconfigured, Retryable
from mcp_server.storage.postgres.address import PostgresAddress
from mcp_server.storage.postgres.connection import numbered
from mcp_server.storage.postgres.database import PostgresDatabase
from mcp_server.storage.postgres.schema import postgres_migrations
from mcp_server.storage.schema import migrations
from tests.rigs.forked_script import ForkedScript
from tests.rigs.journal_databases import IN_POSTGRES, away, journal_database, postgres_url

pytestmark = IN_POSTGRES

COUNT = "CREATE TABLE counts (n INTEGER); INSERT INTO counts VALUES (0)"


def counted(database: PostgresDatabase) -> int:
    return int(database.read(lambda c: c.execute("SELECT n FROM counts").fetchall())[0][0])


def count_up(connection: Any) -> None:
    ((before,),) = connection.execute("SELECT n FROM counts").fetchall()
    connection.execute("UPDATE counts SET n = ?", [before + 1])


COUNTS = """
import sys
from pathlib import Path
from tests.rigs.journal_databases import journal_database
from tests.storage.postgres.test_database import count_up
database = journal_database(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for _ in range(50):
    database.write(count_up)
database.close()
"""


def test_writes_of_all_programs_take_turns(database: PostgresDatabase, home: Path) -> None:
    database.write(lambda c: c.execute(COUNT))
    with ForkedScript(COUNTS, str(home)) as one, ForkedScript(COUNTS, str(home)) as other:
        for program in (one, other):
            assert program.stdout.readline() == "ready\n"
        for program in (one, other):
            program.stdin.write("\n")
            program.stdin.flush()
        for program in (one, other):
            program.communicate()
            assert program.returncode == 0
    assert counted(database) == 100


def test_who_waits_too_long_for_its_turn_is_told_so_and_has_changed_nothing(
    database: PostgresDatabase, home: Path
) -> None:
    database.write(lambda c: c.execute(COUNT))
    other: PostgresDatabase = journal_database(home)

    def work(connection: Any) -> None:
        count_up(connection)
        with pytest.raises(Retryable, match=r"could not be used: .*lock timeout"):
            database.write(count_up)
        assert counted(database) == 0, "a reader does not wait, and sees what is committed"

    other.write(work)
    assert counted(database) == 1


def test_what_fails_is_undone_and_what_waited_with_it_is_done_by_itself(database: PostgresDatabase) -> None:
    database.write(lambda c: c.execute(COUNT))
    begun, go_on, seen = threading.Event(), threading.Event(), list[BaseException]()

    def hold(_: Any) -> None:
        begun.set()
        go_on.wait(10)

    def fail(connection: Any) -> None:
        count_up(connection)
        raise KeyError("mine")

    def failing() -> None:
        try:
            database.write(fail)
        except KeyError as error:
            seen.append(error)

    threads = [threading.Thread(target=database.write, args=[hold])]
    threads[0].start()
    begun.wait(10)
    threads += [threading.Thread(target=failing), threading.Thread(target=database.write, args=[count_up])]
    for thread in threads[1:]:
        thread.start()
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert len(seen) == 1
    assert counted(database) == 1


def test_a_reader_cannot_write_and_sees_one_moment(database: PostgresDatabase, home: Path) -> None:
    database.write(lambda c: c.execute(COUNT))
    other: PostgresDatabase = journal_database(home)
    with pytest.raises(Retryable, match="read-only transaction"):
        database.read(count_up)

    def twice(connection: Any) -> list[Any]:
        query = "SELECT n FROM counts"
        before = connection.execute(query).fetchall()
        other.write(count_up)
        return [before, connection.execute(query).fetchall()]

    assert database.read(twice) == [[(0,)], [(0,)]]
    assert counted(database) == 1


VALUES: list[tuple[str, Any]] = [
    ("BIGINT", 2**40),
    ("DECIMAL(18, 6)", Decimal("0.012345")),
    ("TIMESTAMP", datetime(2026, 1, 31, 12, 0, 0, 123456)),  # noqa: DTZ001 (as databases have it)
    ("DOUBLE PRECISION", 0.0000081),
    ("BOOLEAN", True),
    ("VARCHAR", "100 % of $1, why not?"),
    ("JSON", '{"b": 1, "a":  [null]}'),
]


def test_values_come_back_as_from_duckdb(database: PostgresDatabase, home: Path) -> None:
    import duckdb

    casts = ", ".join(f"CAST(? AS {kind}) AS c{at}" for at, (kind, _) in enumerate(VALUES))
    query = f"SELECT {casts}, '?' AS mark UNION ALL SELECT {', '.join(['NULL'] * len(VALUES))}, 'x' ORDER BY mark"
    given = [value for _, value in VALUES]
    with duckdb.connect() as file:
        assert database.read(lambda c: c.execute(query, given).fetchall()) == file.execute(query, given).fetchall()
        mine = database.read(lambda c: c.execute(query, given).fetchnumpy())
        theirs = file.execute(query, given).fetchnumpy()
    assert list(mine) == list(theirs)
    for name, column in theirs.items():
        assert np.ma.getmaskarray(mine[name]).tolist() == np.ma.getmaskarray(column).tolist()
        if name not in ("c1", "c5", "c6"):
            assert mine[name].dtype == column.dtype or mine[name].dtype.kind == column.dtype.kind
        if name != "c1":
            assert mine[name].tolist() == column.tolist()


def test_a_question_mark_in_quotes_is_no_parameter() -> None:
    assert numbered("SELECT '?', \"?\", ? WHERE x = ? AND y = $1") == "SELECT '?', \"?\", $1 WHERE x = $2 AND y = $1"


def test_a_connection_that_was_lost_while_nobody_used_it_is_made_anew(database: PostgresDatabase, home: Path) -> None:
    database.write(lambda c: c.execute(COUNT))
    with away(home) as why:
        with pytest.raises(Retryable, match=why):
            database.write(count_up)
        with pytest.raises(Retryable, match=why):
            counted(database)
    database.write(count_up)
    with away(home):
        pass
    assert counted(database) == 1


def test_a_connection_that_is_lost_in_a_transaction_undoes_it(database: PostgresDatabase, home: Path) -> None:
    database.write(lambda c: c.execute(COUNT))

    def lost(connection: Any) -> None:
        count_up(connection)
        with away(home):
            connection.execute("SELECT 1")

    with pytest.raises(Retryable, match="could not be used"):
        database.write(lost)
    assert counted(database) == 0


MIGRATES = """
import sys
from mcp_server.storage.postgres.address import PostgresAddress
from mcp_server.storage.postgres.database import PostgresDatabase
database = PostgresDatabase(PostgresAddress.of(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
database.read(lambda connection: None)
database.close()
"""


def test_programs_that_start_together_make_the_tables_once() -> None:
    url = postgres_url(migrated=False)
    with ExitStack() as ends:
        programs = [ends.enter_context(ForkedScript(MIGRATES, url)) for _ in range(3)]
        for program in programs:
            assert program.stdout.readline() == "ready\n"
        for program in programs:
            program.stdin.write("\n")
            program.stdin.flush()
        for program in programs:
            program.communicate()
        assert [program.returncode for program in programs] == [0, 0, 0]
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT version FROM schema_migrations ORDER BY version").fetchall()
    assert rows == [(number,) for number in sorted(postgres_migrations())]


def test_each_migration_of_the_file_is_one_in_postgres_too() -> None:
    assert max(postgres_migrations()) == max(migrations())


def test_a_database_of_a_newer_program_is_left_alone(database: PostgresDatabase) -> None:
    database.write(lambda c: c.execute("INSERT INTO schema_migrations (version) VALUES (999)"))
    other = PostgresDatabase(database.address)
    with pytest.raises(Misconfigured, match=r"written by a newer claude-trader \(schema 999"):
        other.read(lambda c: None)


def test_a_database_that_cannot_keep_every_text_is_refused() -> None:
    url = postgres_url()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS narrow")
        connection.execute("CREATE DATABASE narrow ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
        name = connection.info.dbname
    database = PostgresDatabase(PostgresAddress.of(url.replace(f"/{name}", "/narrow")))
    with pytest.raises(Misconfigured, match="has the encoding LATIN1") as raised:
        database.read(lambda c: None)
    assert "`CREATE DATABASE NAME ENCODING 'UTF8' TEMPLATE template0`" in raised.value.remedy


def test_a_role_that_may_make_no_tables_is_told_what_to_do(database: PostgresDatabase) -> None:
    empty = postgres_url(migrated=False)
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS reader")
        connection.execute("CREATE ROLE reader LOGIN")
        connection.execute("REVOKE CREATE ON SCHEMA public FROM public")
    other = PostgresDatabase(PostgresAddress.of(empty.replace("trader@", "reader:hunter2@")))
    with pytest.raises(Misconfigured, match="this role may not") as raised:
        other.read(lambda c: None)
    assert "CREATE" in raised.value.remedy
    assert "hunter2" not in str(raised.value)


def test_what_postgres_says_is_told_without_the_password() -> None:
    url = postgres_url()
    database = PostgresDatabase(PostgresAddress.of(url.replace("trader@", "hunter2:hunter2@")))
    with pytest.raises(Retryable, match=r"role \"\[secret\]\" does not exist") as raised:
        database.read(lambda c: None)
    assert "hunter2" not in str(raised.value)


def test_a_program_with_its_journal_in_a_file_imports_nothing_of_postgres(home: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from mcp_server.storage.home import Home; "
        "from mcp_server.storage.database import Database; from mcp_server.storage.journal.runs import Journal; "
        "import mcp_server.storage.journal.slots, runner.settings; runner.settings.RunnerSettings.load(); "
        "Journal(Database(Home(Path(sys.argv[1])).database), Home(Path(sys.argv[1]))).entries(); "
        "assert not [name for name in sys.modules if 'psycopg' in name or '.postgres' in name]"
    )
    subprocess.run([sys.executable, "-c", script, str(home)], check=True)
