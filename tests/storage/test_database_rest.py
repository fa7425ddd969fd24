"""The DuckDB in memory that a database's file is attached to ends when nobody uses it, and begins again unseen."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from mcp_server.domain import memory_at_rest
from mcp_server.storage import database_file
from mcp_server.storage.database import Database
from tests.rigs.done_once import starting_each


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setattr(database_file, "REST_S", 0.0)
    with starting_each():
        yield Database(tmp_path / "claude_trader.duckdb")


def count(connection: duckdb.DuckDBPyConnection) -> int:
    (row,) = connection.execute("SELECT count(*) FROM strategies").fetchall()
    return int(row[0])


def test_it_ends_by_itself_after_a_while_without_use_and_the_next_read_starts_it_again(database: Database) -> None:
    assert database.read(count) == 0
    while database._file._duckdb is not None:
        time.sleep(0.001)
    assert database.read(count) == 0


def test_a_look_ends_it(database: Database) -> None:
    database.read(count)
    database._file._rest()
    assert database._file._duckdb is None


def test_when_it_has_ended_and_not_before_what_is_free_goes_back_to_the_system(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_back: list[bool] = []
    monkeypatch.setattr(memory_at_rest, "give_back_memory", lambda: given_back.append(database._file._duckdb is None))

    def looked_at_meanwhile(connection: duckdb.DuckDBPyConnection) -> None:
        before = len(given_back)
        database._file._rest()
        assert len(given_back) == before

    database.read(looked_at_meanwhile)
    database._file._rest()
    assert given_back
    assert all(given_back)


def test_it_does_not_end_under_a_transaction_or_soon_after_one(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def looked_at_meanwhile(connection: duckdb.DuckDBPyConnection) -> int:
        database._file._rest()
        assert database._file._duckdb is not None
        return count(connection)

    assert database.read(looked_at_meanwhile) == 0
    monkeypatch.setattr(database_file, "REST_S", 3_600.0)
    assert database.read(count) == 0
    database._file._rest()
    assert database._file._duckdb is not None


@pytest.mark.parametrize("reads", [1, pytest.param(4, marks=pytest.mark.long)])
def test_reads_of_many_threads_survive_each_end(database: Database, reads: int) -> None:
    wrong: list[BaseException] = []

    def read() -> None:
        try:
            for _ in range(reads):
                assert database.read(count) == 0
                database._file._rest()
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_one_thread_at_most_waits_for_the_end(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_file, "REST_S", 3_600.0)
    database.read(count)
    before = threading.active_count()
    for _ in range(20):
        database.read(count)
    assert threading.active_count() == before
