"""Runs that were left in the home's file when TRADER_DATABASE_URL was set are told of, with the remedy."""

import logging
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mcp_server.overview import Overview, RunnerState
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal.place import Place, left_in_file, write_place
from runner.cli.context import Context
from runner.doctor.facts import judged_journal
from runner.up import _tell_what_was_left
from tests.rigs.journal_databases import kept_in, postgres_url
from tests.rigs.random_journal import fill
from tests.runner.conftest import trader_in

NOW = datetime(2026, 3, 1, tzinfo=UTC)
__all__ = ["kept_in"]

TOLD = "this home's own file has a journal with runs"


class Elsewhere:
    """A journal that is no file of this machine, as one in Postgres is."""

    path = None

    def __init__(self, kept: Database) -> None:
        self.read = kept.read


def database_of(home: Path, rows: int) -> Database:
    database = Database(Home(home).database, prepare=Home(home).prepare)
    fill(database, 0, rows)
    return database


def gone(connection: Any) -> None:
    write_place(connection, Place("j", "m", "gone", "postgres", "db/journal", NOW.replace(tzinfo=None)))


def test_runs_in_the_file_are_told_of_where_the_journal_elsewhere_has_none(tmp_path: Path) -> None:
    empty: Any = Elsewhere(database_of(tmp_path / "empty", 0))
    other: Any = Elsewhere(database_of(tmp_path / "other", 1))
    file, candles = database_of(tmp_path / "home", 1), database_of(tmp_path / "candles", 0)
    left = left_in_file(empty, file)
    assert left is not None
    assert TOLD in left.problem
    assert "`claude-trader journal move --to postgres`" in left.remedy
    assert left_in_file(other, file) is None, "others' runs, or those that were moved"
    assert left_in_file(empty, candles) is None
    assert left_in_file(empty, Database(tmp_path / "none" / "x")) is None
    assert not (tmp_path / "none").exists()
    assert left_in_file(file, file) is None, "the journal is in the file"
    stands = Overview(NOW, RunnerState(NOW, None), [], None, None, Decimal(5), None, left_in_file=left)
    assert stands.problems == [str(left)]
    (told,) = judged_journal(0, [], left)
    assert (told.status, told.sentence, told.remedy) == ("warning", left.problem, left.remedy)
    file.write(gone, anyway=True)
    assert left_in_file(empty, file) is None, "it was moved away"


def test_without_a_url_nothing_is_looked_at(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRADER_DATABASE_URL", raising=False)
    monkeypatch.setenv("TRADER_HOME", str(home))
    context = Context()
    assert context.left_in_file() is None
    assert not {"database", "journal_database", "settings"} & context.__dict__.keys()


@pytest.mark.long
@pytest.mark.usefixtures("kept_in")
@pytest.mark.parametrize("kept_in", ["postgres"], indirect=True)
async def test_commands_tell_of_it_once_until_it_was_moved(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TRADER_HOME", str(home))
    file = Context().database
    fill(file, 0, 3)
    url, trader = postgres_url(migrated=False), trader_in(home)
    monkeypatch.setenv("TRADER_DATABASE_URL", url)

    def told(*words: str) -> int:
        done = trader(*words)
        return " ".join((done.out + done.err).split()).count(TOLD)

    assert [told("status"), told("status", "--json"), told("signals")] == [1, 1, 1]
    with caplog.at_level(logging.WARNING, "runner.up"):
        context = Context()
        await _tell_what_was_left(context)
        context.journal_database.close()
    assert TOLD in caplog.text
    assert trader("journal", "move", "--to", "postgres", "--yes").code == 0
    assert [told("status"), told("signals")] == [0, 0]
