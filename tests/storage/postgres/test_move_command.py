"""`claude-trader journal move`: what it says, what it asks, and that no password is told or taken as an argument."""

import json
from pathlib import Path
from typing import Any

import pytest

from mcp_server.storage.journal import move as moving
from mcp_server.storage.journal.copying import TABLES
from mcp_server.storage.postgres.address import PostgresAddress
from mcp_server.storage.postgres.database import PostgresDatabase
from runner.cli.context import Context
from runner.cli.journal_move import move
from tests.rigs.journal_databases import IN_POSTGRES, postgres_url
from tests.rigs.random_journal import contents, fill
from tests.runner.conftest import trader_in

pytestmark = IN_POSTGRES


@pytest.fixture
def url(home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The programs of this home know an empty Postgres; its file has three random rows in each table."""
    fill(Context().database, 0, 3)
    made = postgres_url(migrated=False) + "&password=hunter2"
    monkeypatch.setenv("TRADER_DATABASE_URL", made)
    return made


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_move_shows_what_there_is_asks_and_says_what_to_do_from_then_on(home: Path, url: str, whole: bool) -> None:
    """In `make test`, `test_move.py` has what is said to whoever uses or moves it afterwards, and the way back."""
    trader, file, before = trader_in(home), Context().database, contents(Context().database)
    shown = trader("journal", "move", "--to", "postgres", "--dry-run", "--json")
    assert (shown.code, shown.json["moved"]) == (0, False), shown.err
    assert {name: of["rows"] for name, of in shown.json["tables"].items()} == dict.fromkeys(TABLES, 3)
    asked = trader("journal", "move", "--to", "postgres")
    assert asked.code == 2
    assert "executions: 3" in asked.err
    assert "It takes about 1 s." in asked.err
    assert "Confirm with --yes" in asked.err
    assert contents(file) == before
    assert PostgresDatabase(PostgresAddress.of(url)).untouched()
    moved = trader("journal", "move", "--to", "postgres", "--yes")
    assert moved.code == 0, moved.err
    assert [line for line in moved.err.splitlines() if "rows" in line] == [f"{name}: 3 rows" for name in TABLES]
    assert "compared by counts and checksums" in moved.err
    for done in (shown, asked, moved):
        assert "hunter2" not in done.out + done.err
    if not whole:
        return
    told = trader("signals", TRADER_DATABASE_URL="")
    assert told.code == 1
    assert "Set TRADER_DATABASE_URL to that database" in told.err
    again = trader("journal", "move", "--to", "postgres", "--yes")
    assert again.code == 1
    assert "it is in /" in again.err
    back = trader("journal", "move", "--to", "file", "--yes", "--json")
    assert back.json["tables"]["news"]["rows"] == 3
    assert len(back.json["tables"]["news"]["checksum"]) == 64
    assert contents(file) == before
    for done in (told, again, back):
        assert "hunter2" not in done.out + done.err


def call(to: str, **options: Any) -> None:
    move(to=to, **{"dry_run": False, "yes": True, "as_json": False, **options})


@pytest.mark.parametrize("given", ["postgresql://me:hunter2@db/journal", "host=db password=hunter2"])
def test_the_address_of_a_database_is_no_argument_and_is_not_told_back(home: Path, given: str) -> None:
    done = trader_in(home)("journal", "move", "--to", given)
    assert done.code == 2
    assert "every user of this machine can read arguments" in done.err
    assert "give `--to postgres`" in done.err.replace("\n", " ")
    assert "hunter2" not in done.out + done.err


def test_a_place_that_there_is_not_and_a_database_that_is_not_set_are_refused(home: Path) -> None:
    trader = trader_in(home)
    for words, told in (("cloud", "is no place"), ("postgres", "TRADER_DATABASE_URL is not set")):
        done = trader("journal", "move", "--to", words, TRADER_DATABASE_URL="")
        assert (done.code, told in done.err) == (2, True), done.err


def stopped_by(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """End every move, before anything is copied but after the source was marked."""

    def copy(*arguments: Any) -> None:
        arguments[-1]("strategies", 0, 3)
        raise error

    monkeypatch.setattr(moving, "copy_journal", copy)


def test_a_move_that_is_stopped_says_how_to_go_on_and_how_to_stay(
    home: Path, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mcp_server.errors import NoSpace

    for error, code, told in ((KeyboardInterrupt(), 130, "nothing is lost"), (NoSpace(home), 2, "No space is left")):
        stopped_by(error, monkeypatch)
        with pytest.raises(SystemExit) as ended:
            call("postgres")
        said = capsys.readouterr().err
        assert ended.value.code == code
        assert told in said
        assert "To go on: `claude-trader journal move --to postgres`" in said
        assert "To leave the journal where it was: `claude-trader journal move --to file`" in said
    call("file", as_json=True)
    taken_back = capsys.readouterr()
    assert json.loads(taken_back.out)["taken_back"] is True
    assert "goes on in" in taken_back.err
    assert Context().database.read(lambda c: c.execute("SELECT count(*) FROM news").fetchall()) == [(3,)]
