"""A backup of a home whose journal is in Postgres has that journal too, and is put back into an empty one."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mcp_server.domain.timeframes import naive
from mcp_server.storage.candles.store import CandleStore, Series
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal import copying
from mcp_server.storage.journal.move import JournalMove
from mcp_server.storage.journal.place import Moved, Place, write_place
from mcp_server.storage.journal.runs import Journal
from mcp_server.storage.postgres.address import PostgresAddress
from mcp_server.storage.postgres.database import PostgresDatabase
from runner.backup import back_up
from runner.cli.context import Context
from runner.restore import restore, unpack
from tests.rigs.journal_databases import IN_POSTGRES, kept_in, postgres_url
from tests.rigs.random_journal import contents, fill, next_ids
from tests.runner.conftest import trader_in
from tests.storage.queries.conftest import record
from tests.storage.test_journal import claim

NOW = datetime(2026, 6, 1, tzinfo=UTC)

__all__ = ["kept_in"]
pytestmark = IN_POSTGRES


@pytest.fixture
def context(home: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """A home with candles in its file, and its journal in Postgres: three random rows in each table."""
    monkeypatch.setenv("TRADER_DATABASE_URL", postgres_url())
    parts = Context()
    record(home)
    fill(parts.journal_database, 5, 3)
    return parts


def unpacked(archive: Path, folder: Path) -> Database:
    unpack(archive, folder)
    return Database(Home(folder).database)


def test_a_backup_has_the_journal_of_postgres_and_the_candles_of_the_file(context: Context, tmp_path: Path) -> None:
    back_up(context, tmp_path / "home.tar.gz")
    restored = unpacked(tmp_path / "home.tar.gz", tmp_path / "restored")
    assert contents(restored) == contents(context.journal_database)
    assert next_ids(restored) == next_ids(context.journal_database)
    known = CandleStore(restored).index(1.0)
    assert [*known] == [Series("coinbase", "BTC/USD", "1h")]
    assert len(contents(context.database)["executions"]) == 30, "the home's own file is as it was"
    context.journal_database.close()


@pytest.mark.long
def test_a_backup_of_a_home_that_was_moved_is_restored_and_moved_into_an_empty_database(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By all the commands; each part is also shown alone: a backup in this file, moves in `tests/storage/postgres`."""
    record(home)
    monkeypatch.setenv("TRADER_DATABASE_URL", postgres_url())
    first = Context().journal_database
    assert isinstance(first, PostgresDatabase)
    JournalMove.of(Home(home), Context().database, first, "postgres").move()
    saved = trader_in(home)("backup", str(tmp_path / "home.tar.gz"))
    assert saved.code == 0, saved.err
    assert "journal move --to postgres" in saved.out
    restored = unpacked(tmp_path / "home.tar.gz", tmp_path / "restored")
    assert claim(Journal(restored, Home(tmp_path / "restored"))).execution_id == 31, "it is a journal that goes on"
    restored = unpacked(tmp_path / "home.tar.gz", tmp_path / "again")
    trader = trader_in(tmp_path / "again")
    refused = trader("journal", "move", "--to", "postgres", "--yes")
    assert refused.code == 2
    assert "is not empty" in refused.err
    url = postgres_url(migrated=False)
    moved = trader("journal", "move", "--to", "postgres", "--yes", TRADER_DATABASE_URL=url)
    assert moved.code == 0, moved.err
    second = PostgresDatabase(PostgresAddress.of(url))
    assert contents(second) == contents(first) == contents(restored)
    for database in (first, second):
        database.close()


def test_what_is_saved_over_a_journal_that_was_moved_away_is_a_journal_that_goes_on(tmp_path: Path) -> None:
    source, file = Database(tmp_path / "source.duckdb"), Database(tmp_path / "file.duckdb")
    fill(source, 0, 2)
    moved = Place("a-journal", "a-move", "gone", "postgres", "there", naive(NOW))
    file.write(lambda connection: write_place(connection, moved))
    with pytest.raises(Moved):
        file.read(lambda _: None)
    copying.save_journal(source, file)
    file.read(lambda _: None)
    assert contents(file) == contents(source)


def test_a_backup_is_of_one_moment_while_others_write(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, copy = contents(context.journal_database), copying.TableCopy.copy
    url = context.settings.database_url
    assert url is not None
    other = PostgresDatabase(PostgresAddress.of(url.get_secret_value()))

    def meanwhile(self: copying.TableCopy, *arguments: Any) -> copying.TableSum:
        other.write(lambda c: c.execute(f"DELETE FROM {self.name}"))
        return copy(self, *arguments)

    monkeypatch.setattr(copying.TableCopy, "copy", meanwhile)
    back_up(context, tmp_path / "home.tar.gz")
    assert contents(unpacked(tmp_path / "home.tar.gz", tmp_path / "restored")) == before
    assert contents(other) == {name: [] for name in before}
    other.close()
    context.journal_database.close()


def test_a_container_restores_the_journal_into_an_empty_postgres_and_changes_nothing_where_it_is_not(
    context: Context, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "strategies" / "mine").mkdir()
    back_up(context, home / "restore.tar.gz")
    saved = contents(context.journal_database)
    context.journal_database.close()
    told = restore(home, NOW) or ""
    assert "was not restored" in told
    assert "is not empty" in told
    assert len(contents(context.database)["executions"]) == 30
    (home / "restore.tar.gz.unreadable").rename(home / "restore.tar.gz")
    url = postgres_url(migrated=False)
    monkeypatch.setenv("TRADER_DATABASE_URL", url)
    there = PostgresDatabase(PostgresAddress.of(url))
    for stopped_at in ("move", "end"):
        with monkeypatch.context() as patched:
            patched.setattr(*STOPS[stopped_at])
            with pytest.raises(Stopped):
                restore(home, NOW)
    told = restore(home, NOW) or ""
    assert told.endswith(f"Its journal is in {there.address}.")
    assert contents(there) == saved
    assert (home / "strategies" / "mine").is_dir()
    with pytest.raises(Moved):
        Context().database.read(lambda _: None)
    there.close()


class Stopped(BaseException):
    """Ends the container in the middle."""


def stop(*_: Any) -> None:
    raise Stopped


STOPS: dict[str, tuple[Any, str, Any]] = {
    "move": (copying, "_go_on_after", stop),
    "end": (Path, "rename", stop),
}
"""Where a restore is stopped: as the last table has arrived; once the journal has."""
