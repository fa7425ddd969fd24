"""Liveness in Postgres: a process that was killed is missed, one that lives is not, whatever becomes of its session."""

import threading
import time
from pathlib import Path

import pytest

from mcp_server.domain.outcome import Status
from mcp_server.errors import Retryable
from mcp_server.storage.home import Home
from mcp_server.storage.journal.liveness import Taken
from mcp_server.storage.journal.runs import Journal
from mcp_server.storage.postgres import liveness
from mcp_server.storage.postgres.address import PostgresAddress
from mcp_server.storage.postgres.database import PostgresDatabase
from mcp_server.storage.postgres.liveness import HeldLocks
from tests.rigs.forked_script import ForkedScript
from tests.rigs.journal_databases import IN_POSTGRES, away, journal_database, until_missed
from tests.rigs.postgres import Postgres
from tests.storage.test_journal import BOUGHT, claim, end

pytestmark = IN_POSTGRES
LIMIT_S = 30.0
RESTARTED_S = liveness.RESTARTED_S  # which the fixture sets to nothing


@pytest.fixture
def journal(home: Path, database: PostgresDatabase) -> Journal:
    return Journal(database, Home(home))


def dead(database: PostgresDatabase) -> list[str]:
    return [*database.signs_of_life(Path()).dead()]


def statuses(journal: Journal) -> list[str]:
    return [entry.status for entry in journal.entries(outcomes="all")]


def holds(database: PostgresDatabase, within: PostgresDatabase) -> list[tuple[object, ...]]:
    """Return the sessions in which a program holds locks."""
    assert isinstance(database._signs, HeldLocks)
    query = "SELECT DISTINCT pid FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
    return within.read(lambda c: c.execute(query).fetchall())


CLAIMS = """
import os, sys
from pathlib import Path
from tests.storage.test_journal import Home, Journal, claim, journal_database
root = Path(sys.argv[1])
claim(Journal(journal_database(root), Home(root)))
print("claimed", flush=True)
sys.stdin.read()
"""


def test_a_process_is_gone_once_it_was_missing_for_a_second_at_each_look(
    journal: Journal, database: PostgresDatabase, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = [100.0]
    monkeypatch.setattr(liveness, "GONE_AFTER_S", 1.0)
    monkeypatch.setattr(liveness, "monotonic", lambda: moment[0])
    with ForkedScript(CLAIMS, str(home)) as program:
        assert program.stdout.readline() == "claimed\n"
        assert dead(database) == []
        program.kill()
        program.wait(10)
    deadline = time.time() + LIMIT_S
    while not database._signs._missing and time.time() < deadline:  # Postgres learns of it in its own time
        assert dead(database) == []
    moment[0] += 0.9
    assert dead(database) == []
    moment[0] += liveness.LOOKS_S + 1
    assert dead(database) == [], "nobody looked in between"
    moment[0] += 1.0
    assert len(dead(database)) == 1
    journal.settle()
    assert statuses(journal) == [Status.ERROR]


def test_after_a_start_of_postgres_nobody_is_counted_as_gone_for_a_minute(
    journal: Journal, database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed = claim(journal)
    assert claimed.liveness is not None
    claimed.liveness.close(forget=False)
    monkeypatch.setattr(liveness, "RESTARTED_S", 10**6)
    assert dead(database) == []
    monkeypatch.setattr(liveness, "RESTARTED_S", 0)
    assert dead(database) == [claimed.key]


def test_a_live_process_whose_session_is_lost_takes_its_locks_again_by_itself(
    journal: Journal, database: PostgresDatabase, home: Path
) -> None:
    claimed = claim(journal)
    other: PostgresDatabase = journal_database(home)
    (before,) = holds(database, other)
    with away(home):
        pass
    deadline = time.time() + LIMIT_S
    while (now := holds(database, other)) in ([], [before]) and time.time() < deadline:
        pass
    assert len(now) == 1
    assert now != [before]
    assert dead(other) == []
    assert end(journal, claimed) is None
    assert holds(database, other) == []


def test_a_killed_postgres_keeps_what_was_committed_and_interrupts_no_live_run(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "RESTARTED_S", RESTARTED_S)
    with Postgres() as server:
        address = PostgresAddress.of(server.new_database())
        mine, other = PostgresDatabase(address), PostgresDatabase(address)
        journal, beside = Journal(mine, Home(home)), Journal(other, Home(home))
        claimed = claim(journal)
        assert end(journal, claim(journal)) is None
        server.kill()
        with pytest.raises(Retryable):
            beside.settle()
        server.start()
        for _ in range(2):
            beside.settle()
        assert statuses(beside) == [Status.SUCCESS, Status.RUNNING], "both, to the last commit before the kill"
        deadline = time.time() + LIMIT_S
        while not holds(mine, other) and time.time() < deadline:
            pass
        monkeypatch.setattr(liveness, "RESTARTED_S", 0)
        assert dead(other) == [], "it has taken its lock again"
        assert end(journal, claimed) is None
        assert statuses(beside) == [Status.SUCCESS] * 2
        for database in (mine, other):
            database.close()


def test_the_outcome_of_a_process_that_was_given_up_loses(journal: Journal, database: PostgresDatabase) -> None:
    zombie = claim(journal)
    database._signs.give_back(zombie.key)
    journal.settle()
    assert end(journal, zombie, BOUGHT) is None
    (entry,) = journal.entries(outcomes="all")
    assert (entry.status, entry.signal, (entry.why or "")[:11]) == (Status.ERROR, None, "interrupted")


def test_a_run_of_a_host_has_no_process_and_is_not_missed(journal: Journal, database: PostgresDatabase) -> None:
    claim(journal).liveness.close()  # type: ignore[union-attr]
    database.write(lambda c: c.execute("UPDATE executions SET answer_by = started_at"))
    assert dead(database) == []


def test_what_one_process_holds_no_other_does_nor_another_part_of_it(database: PostgresDatabase, home: Path) -> None:
    mine, others = database.signs_of_life(home), journal_database(home).signs_of_life(home)
    with mine.hold("replay-x"):
        for signs in (mine, others):
            with pytest.raises(Taken), signs.hold("replay-x"):
                pass
        with others.hold("replay-y"):
            pass
    with others.hold("replay-x"):
        pass


def watchers() -> int:
    return sum(thread.name == liveness.WATCHER for thread in threading.enumerate())


def test_a_closed_database_leaves_no_thread_and_no_session(
    home: Path, journal: Journal, database: PostgresDatabase
) -> None:
    before = watchers()
    other: PostgresDatabase = journal_database(home)
    claim(Journal(other, Home(home)))
    assert watchers() == before + 1
    other.close()
    assert watchers() == before
    until_missed(database)
    journal.settle()
    assert statuses(journal) == [Status.ERROR]
