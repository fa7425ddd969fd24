import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest

from mcp_server.domain import duckdb_core
from mcp_server.errors import Misconfigured, Retryable
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.schema import migrations
from tests.rigs.done_once import starting_each
from tests.rigs.forked_script import ForkedScript

pytestmark = pytest.mark.usefixtures("each_migrated")

HOLD = """
import sys, time, duckdb
deadline = time.monotonic() + 10
while True:
    try:
        connection = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "True")
        break
    except duckdb.IOException:  # a program has it open for a moment
        if time.monotonic() > deadline:
            raise
        time.sleep(0.005)
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held_by_a_shell(file: Path, *, read_only: bool = False) -> Iterator[int]:
    """Another process has the file open until the block ends; gives its pid."""
    with ForkedScript(HOLD, str(file), str(read_only)) as shell:
        assert shell.stdout.readline() == "held\n"
        try:
            yield shell.pid
        finally:
            shell.communicate()


@pytest.fixture
def database(home: Path) -> Database:
    return Database(home / "claude_trader.duckdb", patience_s=0.2)


def _count(database: Database) -> int:
    row = database.read(lambda c: c.execute("SELECT count(*) FROM strategies").fetchone())
    assert row is not None
    return int(row[0])


def _add(name: str) -> str:
    return (
        "INSERT INTO strategies (name, description, status, interval, config, agents, version, created_at, updated_at) "
        f"VALUES ('{name}', '', 'active', '1h', '{{}}', '{{}}', 'v', now()::TIMESTAMP, now()::TIMESTAMP)"
    )


def test_a_new_file_has_the_newest_schema(database: Database) -> None:
    assert _count(database) == 0
    versions = database.read(lambda c: c.execute("SELECT version FROM schema_migrations ORDER BY 1").fetchall())
    assert [row[0] for row in versions] == sorted(migrations())


def test_the_file_is_closed_between_transactions(database: Database) -> None:
    database.write(lambda c: c.execute(_add("a")))
    with duckdb.connect(database.path) as other:
        assert other.execute("SELECT count(*) FROM strategies").fetchone() == (1,)


def test_a_transaction_that_fails_changes_nothing(database: Database) -> None:
    def work(connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute(_add("a"))
        raise ValueError("after all")

    with pytest.raises(ValueError, match="after all"):
        database.write(work)
    assert _count(database) == 0


def test_writes_that_wait_together_are_all_made_and_one_that_fails_fails_alone(database: Database) -> None:
    _count(database)
    failures: list[str] = []

    def write(number: int) -> None:
        def work(connection: duckdb.DuckDBPyConnection) -> None:
            connection.execute(_add(f"s{number}"))
            if number % 10 == 3:
                raise ValueError(f"s{number}")

        try:
            database.write(work)
        except ValueError as error:
            failures.append(str(error))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(failures) == ["s13", "s23", "s3", "s33"]
    assert _count(database) == 36


def test_a_file_that_a_shell_holds_is_waited_for_and_then_named_with_its_holder(database: Database) -> None:
    _count(database)
    with held_by_a_shell(database.path) as pid, pytest.raises(Retryable, match=rf"in use: process {pid} .*Close that"):
        database.write(lambda c: c.execute(_add("a")))
    database.write(lambda c: c.execute(_add("a")))
    assert _count(database) == 1


WAITING = """
import sys
from pathlib import Path
from mcp_server.errors import Retryable
from mcp_server.storage.database import Database
try:
    Database(Path(sys.argv[1]), patience_s=0.3).write(lambda _: None)
except Retryable:
    print("gave up", file=sys.stderr)
"""


def test_waiting_says_nothing_on_standard_output_which_belongs_to_an_mcp_host(database: Database) -> None:
    database.write(lambda _: None)
    with held_by_a_shell(database.path):
        command = [sys.executable, "-c", WAITING, str(database.path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "gave up\n")


def test_a_waiting_transaction_goes_on_when_the_shell_lets_go(home: Path) -> None:
    database = Database(home / "claude_trader.duckdb", patience_s=30)
    _count(database)
    done = threading.Event()

    def write() -> None:
        database.write(lambda c: c.execute(_add("a")))
        done.set()

    with held_by_a_shell(database.path):
        thread = threading.Thread(target=write)
        thread.start()
        assert not done.wait(0.3)
    thread.join(30)
    assert done.is_set()
    assert _count(database) == 1


def test_waiting_for_its_turn_writes_nothing_to_standard_output(
    database: Database, capfd: pytest.CaptureFixture[str]
) -> None:
    _count(database)
    with held_by_a_shell(database.path), pytest.raises(Retryable):
        _count(database)
    assert capfd.readouterr() == ("", "")


def test_a_newer_database_is_refused_and_left_alone(database: Database) -> None:
    _count(database)
    with duckdb.connect(database.path) as other:
        other.execute("INSERT INTO schema_migrations (version) VALUES (999)")
    before = database.path.read_bytes()
    for use in (database.read, database.write):
        with pytest.raises(Misconfigured, match=r"claude_trader\.duckdb' was written by a newer claude-trader"):
            use(lambda c: c.execute("SELECT 1"))
    assert database.path.read_bytes() == before


CRASH = """
import sys, os, duckdb
connection = duckdb.connect(sys.argv[1])
connection.execute("CREATE TABLE filler AS SELECT range AS number, range::VARCHAR AS text FROM range(2000)")
os._exit(1)
"""


def test_a_damaged_write_ahead_log_is_named_and_nothing_is_touched(database: Database) -> None:
    database.write(lambda c: c.execute(_add("a")))
    subprocess.run([sys.executable, "-c", CRASH, str(database.path)], check=False)
    log = database.path.with_name("claude_trader.duckdb.wal")
    content = bytearray(log.read_bytes())
    content[len(content) // 2] ^= 0xFF
    log.write_bytes(content)
    files = {file: file.read_bytes() for file in (log, database.path)}
    with pytest.raises(Misconfigured, match=r"claude_trader\.duckdb\.wal' is damaged"):
        database.write(lambda c: c.execute(_add("b")))
    assert {file: file.read_bytes() for file in files} == files
    log.rename(log.with_suffix(".aside"))
    assert _count(database) == 1


def test_a_file_that_is_no_database_is_named(database: Database) -> None:
    database.path.write_text("my notes")
    with pytest.raises(Misconfigured, match=r"claude_trader\.duckdb' cannot be read as a database"):
        _count(database)
    assert database.path.read_text() == "my notes"


@pytest.mark.parametrize("kind", ["a pipe", "a folder", "a link to nowhere"])
def test_what_is_no_file_in_the_place_of_the_database_is_named_without_waiting_at_it(
    database: Database, kind: str
) -> None:
    if kind == "a pipe":
        os.mkfifo(database.path)
    elif kind == "a folder":
        database.path.mkdir()
    else:
        database.path.symlink_to("/nowhere/at/all")
    for work in (lambda: _count(database), lambda: database.write(lambda _: None)):
        with pytest.raises(Misconfigured, match=r"claude_trader\.duckdb' is no regular file.*move it aside"):
            work()


def test_what_is_in_the_way_of_a_folder_of_the_home_is_named(home: Path) -> None:
    home.mkdir(exist_ok=True)
    (home / "outbox").touch()
    with pytest.raises(Misconfigured, match=r"outbox' is in the way \(File exists.*move it aside"):
        Home(home).prepare()


def test_a_home_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    home = Home(tmp_path / "taken" / "home")
    with pytest.raises(Misconfigured, match=r"cannot be written: .*taken.*TRADER_HOME"):
        Database(home.database, prepare=home.prepare).write(lambda c: c.execute("SELECT 1"))


def test_a_home_where_nothing_can_be_created_says_so() -> None:
    with pytest.raises(Misconfigured, match=r"cannot be written: '/proc/claude-trader'.*TRADER_HOME"):
        Home(Path("/proc/claude-trader")).prepare()


def test_a_duckdb_that_does_nothing_any_more_is_started_anew(database: Database) -> None:
    def work(connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute(_add("a"))
        assert database._file._duckdb is not None
        database._file._duckdb.close()

    with pytest.raises(duckdb.Error):
        database.write(work)
    assert _count(database) == 0
    database.write(lambda c: c.execute(_add("b")))
    assert _count(database) == 1


def test_duckdb_is_started_once_for_many_transactions(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[object] = []
    connect = duckdb.connect

    def counted(*arguments: Any, **options: Any) -> duckdb.DuckDBPyConnection:
        starts.append(arguments)
        return connect(*arguments, **options)

    monkeypatch.setattr(duckdb_core.duckdb, "connect", counted)
    with starting_each():
        for name in "abc":
            database.write(lambda c, name=name: c.execute(_add(name)))  # type: ignore[misc]
        assert _count(database) == 3
    assert len(starts) == 1
