"""Programs take turns at the database file, and none goes on from what another has just overwritten."""

import threading
import time
from contextlib import ExitStack
from pathlib import Path

import duckdb
import pytest
from filelock import FileLock

from mcp_server.errors import Retryable
from mcp_server.storage.database import Database
from mcp_server.storage.database_file import PATIENCE_S, TURN_S, DatabaseFile
from mcp_server.storage.file_turn import OVERTAKES_S, FileTurn
from mcp_server.storage.home import Home
from tests.rigs.forked_script import LIMIT_S, ForkedScript

pytestmark = pytest.mark.usefixtures("each_migrated")

WRITER = """
import sys
from pathlib import Path
from mcp_server.storage.database import Database
from mcp_server.storage.database_file import PATIENCE_S, DatabaseFile

database = Database(Path(sys.argv[1]), patience_s=60)
for number in range(int(sys.argv[3])):
    database.write(lambda c: c.execute(f"INSERT INTO notes VALUES ({sys.argv[2]}, {number})"))
"""
"""As fast as it can; without turns, four of these lose about one commit in some hundred on a busy machine."""


@pytest.fixture
def database(home: Path) -> Database:
    database = Database(Home(home).database, prepare=Home(home).prepare, patience_s=0.3)
    database.write(lambda c: c.execute("CREATE TABLE notes (who INTEGER, number INTEGER)"))
    return database


def count(database: Database) -> int:
    return int(database.read(lambda c: c.execute("SELECT count(*) FROM notes").fetchall())[0][0])


@pytest.mark.parametrize(("writers", "writes"), [(2, 20), pytest.param(4, 40, marks=pytest.mark.long)])
def test_programs_that_write_as_fast_as_they_can_lose_nothing(database: Database, writers: int, writes: int) -> None:
    with ExitStack() as programs:
        scripts = [
            programs.enter_context(ForkedScript(WRITER, str(database.path), str(who), str(writes)))
            for who in range(writers)
        ]
        assert [script.wait(120) for script in scripts] == [0] * writers
    assert count(database) == writers * writes


def test_a_program_waits_for_its_turn_and_says_who_has_it(database: Database) -> None:
    with (
        FileLock(f"{database.path}.lock"),
        pytest.raises(Retryable, match="another program of Claude Trader is at work"),
    ):
        database.write(lambda _: None)
    assert count(database) == 0


def test_who_has_had_a_turn_does_not_overtake_who_waits_for_one(tmp_path: Path) -> None:
    one, other = FileTurn(tmp_path / "file"), FileTurn(tmp_path / "file")
    assert one.take()
    for before, after in [(one, other), (other, one), (one, other)]:
        assert not after.take()
        before.leave()
        assert not before.take(), "another is next"
        assert after.take()


def test_who_gives_up_waiting_keeps_nobody_from_a_turn(tmp_path: Path) -> None:
    one, other = FileTurn(tmp_path / "file"), FileTurn(tmp_path / "file")
    assert one.take()
    assert not other.take()
    one.leave()
    other.give_up()
    assert one.take()


def test_who_is_next_and_never_asks_is_overtaken_by_who_has_waited_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where its program is suspended."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    busy, suspended, waits = (FileTurn(tmp_path / "file") for _ in range(3))
    assert busy.take()
    assert not suspended.take()
    busy.leave()
    assert not waits.take()
    now[0] += OVERTAKES_S
    assert waits.take()
    waits.leave()
    assert not waits.take(), "it has just had its turn"
    now[0] += OVERTAKES_S / 2
    waits.give_up()
    now[0] += OVERTAKES_S / 2
    assert not waits.take(), "it began to wait anew"


def test_a_program_asks_often_for_its_turn_and_is_no_longer_next_once_it_gives_up(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleep, slept = time.sleep, list[float]()

    def noted(seconds: float) -> None:
        slept.append(seconds)
        sleep(seconds)

    with FileLock(f"{database.path}.lock"), monkeypatch.context() as patched:
        patched.setattr(time, "sleep", noted)
        with pytest.raises(Retryable):
            database.write(lambda _: None)
    assert set(slept) == {TURN_S}
    assert FileTurn(database.path).take()


def test_two_databases_of_one_process_take_turns_too(database: Database) -> None:
    other = Database(database.path, patience_s=10)
    inside, done = threading.Event(), list[int]()

    def read() -> None:
        inside.wait(10)
        done.append(count(other))

    def work(connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute("INSERT INTO notes VALUES (1, 1)")
        inside.set()
        reader.join(0.2)
        assert done == [], "it waits for the end of the transaction"

    reader = threading.Thread(target=read)
    reader.start()
    database.write(work)
    reader.join(10)
    assert done == [1]


class OvertakenFile(DatabaseFile):
    """A shell writes just as this program opens the file, as often as `times` says."""

    times = 1

    def connect(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        if self.times:
            self.times -= 1
            shell = f"import duckdb; duckdb.connect({str(self.path)!r}).execute('INSERT INTO notes VALUES (9, 9)')"
            with ForkedScript(shell) as program:
                assert program.wait(LIMIT_S) == 0
        return super().connect(read_only=read_only)


def overtaken_database(path: Path, patience_s: float = PATIENCE_S) -> tuple[Database, OvertakenFile]:
    database, file = Database(path), OvertakenFile(path, None, patience_s)
    database._file = file
    return database, file


@pytest.mark.parametrize("reads", [False, True], ids=["write", "read"])
def test_what_a_shell_wrote_while_the_file_was_opened_is_seen_and_stays(database: Database, reads: bool) -> None:
    overtaken, file = overtaken_database(database.path)
    seen = (overtaken.read if reads else overtaken.write)(lambda c: c.execute("SELECT count(*) FROM notes").fetchall())
    assert seen == [(1,)]
    assert file.times == 0
    assert count(database) == 1


def test_a_shell_that_never_stops_writing_is_named_in_the_end(database: Database) -> None:
    overtaken, file = overtaken_database(database.path, patience_s=0.5)
    file.times = 100
    with pytest.raises(Retryable, match="another process wrote it at this very moment"):
        overtaken.write(lambda c: c.execute("INSERT INTO notes VALUES (1, 1)"))
    assert 0 < count(database) < 100
