"""What lies in a home and is not as it should be stops nothing: it is put aside and told, and its run ends."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from mcp import Client
from pydantic import SecretStr

from mcp_server.app import build_server
from mcp_server.domain.outcome import Status
from mcp_server.settings import ServerSettings
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal.rows import Run, insert_run
from mcp_server.storage.journal.runs import Journal
from tests.rigs.journal_databases import ON_A_FILE, away, journal_url
from tests.rigs.sampled import sampled
from tests.scheduler.slot_homes import Machine, at, hourly
from tests.scheduler.slot_homes import claim as slot_claim
from tests.storage.test_journal import BOUGHT, NOON, claim, database, end, journal, strategy

__all__ = ["database", "journal"]
pytestmark = pytest.mark.usefixtures("kept_in")

CONTENTS = {
    "empty": b"",
    "a list": b"[]",
    "without keys": b"{}",
    "deep": b'{"trace":' * 50_000,
    "not text": b"\xff\xfe\x00",
}
CHANGES: dict[str, dict[str, object]] = {
    "of a newer version": {"status": "moonshot"},
    "without a moment": {"completed_at": "soon"},
    "without a zone": {"as_of": "2026-01-31T12:00:00"},
    "of another run": {"run_key": "0" * 32},
    "with a signal that is none": {"signal": ["BUY"]},
}
KINDS = [*CONTENTS, *CHANGES, "cut", "a pipe", "a link", "a folder"]


def spoil(file: Path, kind: str) -> None:
    """Make of a file of state something that cannot be used."""
    content = file.read_bytes() if file.is_file() else b"{}"
    if kind in CHANGES:
        _changed(file, **CHANGES[kind])
        return
    file.unlink(missing_ok=True)
    if kind == "a pipe":
        os.mkfifo(file)
    elif kind == "a link":
        file.with_suffix(".aside").write_bytes(content)
        file.symlink_to(file.with_suffix(".aside"))
    elif kind == "a folder":
        file.mkdir()
        (file / "inside").touch()
    else:
        file.write_bytes(content[:-20] if kind == "cut" else CONTENTS[kind])


def _changed(file: Path, **values: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


@pytest.mark.parametrize(
    "kinds", sampled([["cut", "of another run", "a link"], *(KINDS[at : at + 3] for at in range(0, len(KINDS), 3))], 99)
)
def test_outcomes_that_cannot_be_read_are_put_aside_and_told_their_rows_end_and_the_others_are_entered(
    journal: Journal, database: Database, home: Path, kinds: list[str]
) -> None:
    spoilt, other = [claim(journal) for _ in kinds], claim(journal)
    with away(home):
        for one in (*spoilt, other):
            end(journal, one)
    for one, kind in zip(spoilt, kinds, strict=True):
        spoil(home / "outbox" / f"{one.key}.json", kind)
    journal.settle()
    names = {f"{one.key}.json" for one in spoilt}
    assert {file.name for file in (home / "outbox" / "broken").iterdir()} == names
    assert list((home / "outbox").glob("*.json")) == []
    entered, *broken = journal.entries(outcomes="all")
    assert (entered.execution_id, entered.signal) == (other.execution_id, "BUY")
    assert {entry.execution_id for entry in broken} == {one.execution_id for one in spoilt}
    for entry in broken:
        assert (entry.status, entry.cost_usd) == (Status.ERROR, None)
        assert "could not be read" in (entry.why or "")
    assert [name for name in names if name not in (journal.problem() or "")] == []
    journal.settle()
    assert end(journal, claim(journal)) is None


@pytest.mark.parametrize("kind", sampled(["another user's", "a file", "a link"], 3))
def test_a_broken_outcome_that_cannot_be_moved_either_holds_up_nothing_and_is_told(
    journal: Journal, database: Database, home: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    one, other = claim(journal), claim(journal)
    with away(home):
        end(journal, one)
        end(journal, other)
    file, aside = home / "outbox" / f"{one.key}.json", home / "outbox" / "broken"
    file.write_text("{")
    if kind == "a file":
        aside.touch()
    elif kind == "a link":
        aside.symlink_to("/nowhere/at/all")
    else:
        monkeypatch.setattr("mcp_server.storage.journal.outbox.put_aside", _denied)
    journal.settle()
    assert file.exists()
    entered, broken = journal.entries(outcomes="all")
    assert (entered.signal, broken.status) == ("BUY", Status.ERROR)
    assert f"{one.key}.json' cannot be used, nor moved to" in (journal.problem() or "")
    assert end(journal, claim(journal)) is None
    file.unlink()
    journal.settle()
    assert journal.problem() is None


def test_what_an_older_version_left_in_the_outbox_is_entered(journal: Journal, database: Database, home: Path) -> None:
    claimed = claim(journal)
    with away(home):
        end(journal, claimed)
    file = home / "outbox" / f"{claimed.key}.json"
    document = json.loads(file.read_text())
    file.write_text(json.dumps({key: document[key] for key in document if key not in ("started_at", "own_failure")}))
    journal.settle()
    assert [(entry.signal, entry.cost_usd) for entry in journal.entries()] == [("BUY", BOUGHT.cost_usd)]


def test_a_file_that_this_user_may_not_read_goes_on_waiting_and_holds_up_nothing(
    journal: Journal, database: Database, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed = claim(journal)
    with away(home):
        end(journal, claimed)

    with monkeypatch.context() as patched:
        patched.setattr("mcp_server.storage.files._without_waiting", _denied)
        journal.settle()
        assert end(journal, claim(journal)) is None
        assert journal.entries(outcomes="all")[1].status == Status.RUNNING, "it is not interrupted either"
        assert f"{claimed.key}.json' cannot be read (Permission denied)" in (journal.problem() or "")
    journal.settle()
    assert journal.problem() is None
    assert len(journal.entries()) == 2


@pytest.mark.parametrize("copied", [False, True])
def test_a_slots_outcome_that_waits_is_not_interrupted_though_its_runner_is_gone(
    home: Path, monkeypatch: pytest.MonkeyPatch, copied: bool
) -> None:
    machine = Machine(home, patience_s=0.1)
    machine.slot_store.open()
    machine.adopt(hourly(), at("10:30"))
    (claimed,) = machine.slot_store.claim([slot_claim(hourly(), "10:30", "11:00")], at("11:00:05")).started
    with away(home):
        assert machine.journal.finish(claimed, BOUGHT, at("11:00:06")).waiting is not None
    machine.slot_store.close(forget=copied)
    with monkeypatch.context() as patched:  # it cannot be read for a moment
        patched.setattr("mcp_server.storage.files._without_waiting", _denied)
        machine.journal.settle()
        machine.journal.end_orphans()
        assert machine.slots() == [("running", "11:00", "11:00", 1)]
    machine.journal.settle()
    assert machine.slots() == [("success", "11:00", "11:00", 1)]


def _denied(*_: object) -> int:
    raise PermissionError(13, "Permission denied")


@ON_A_FILE
@pytest.mark.parametrize("name", sampled([b"\xff\xfe", b"notes.txt", b"0" * 31, b"A" * 32], 3))
def test_a_foreign_name_in_running_ends_no_run_and_stops_none(journal: Journal, home: Path, name: bytes) -> None:
    first = claim(journal)
    foreign = os.fsencode(home / "running") + b"/" + name
    with open(foreign, "wb"):
        pass
    assert end(journal, claim(journal)) is None
    assert end(journal, first) is None
    assert os.path.exists(foreign)


@ON_A_FILE
@pytest.mark.parametrize("kind", ["folder", "pipe", "link"])
def test_what_is_no_lock_in_running_is_the_sign_of_a_run_that_is_gone(
    journal: Journal, database: Database, home: Path, kind: str
) -> None:
    key, precious = "0" * 32, home / "precious"
    precious.write_text("content")
    file = home / "running" / key
    database.write(lambda c: insert_run(c, Run(strategy(), "manual", NOON, "rules", NOON), key))
    make: dict[str, Callable[[], object]] = {
        "folder": file.mkdir,
        "pipe": lambda: os.mkfifo(file),
        "link": lambda: file.symlink_to(precious),
    }
    make[kind]()
    for _ in range(2):
        journal.settle()
    (entry,) = journal.entries(outcomes="all")
    assert (entry.status, (entry.why or "")[:11]) == (Status.ERROR, "interrupted")
    assert precious.read_text() == "content"
    assert not os.path.lexists(file)


def test_what_was_left_half_written_goes_after_a_while(journal: Journal, home: Path) -> None:
    Home(home).prepare()
    old, new = home / "outbox" / ".a.json.1.new", home / "outbox" / ".b.json.2.new"
    for file in (old, new):
        file.write_text("{")
    os.utime(old, (0, 0))
    journal.problem()
    assert [file.name for file in (home / "outbox").iterdir()] == [new.name]


async def test_a_status_that_this_version_does_not_know_is_listed_as_it_is(
    journal: Journal, database: Database, home: Path
) -> None:
    end(journal, claim(journal))
    database.write(lambda c: c.execute("UPDATE executions SET status = 'moonshot'"))
    assert [entry.status for entry in journal.entries(outcomes="all")] == ["moonshot"]
    url = journal_url(home)
    settings = ServerSettings(home=home, database_url=None if url is None else SecretStr(url))
    async with Client(build_server(settings)) as client:
        answer = await client.call_tool("list_signals", {"outcomes": "all"})
    assert not answer.is_error
    assert "moonshot" in str(answer.structured_content)
