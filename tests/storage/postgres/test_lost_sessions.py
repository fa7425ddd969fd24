"""A session that is lost: who is not seen claims nothing, and whoever lost its own says nothing of the others."""

import errno
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest

from mcp_server.domain.outcome import Status
from mcp_server.errors import Retryable
from mcp_server.storage.home import Home
from mcp_server.storage.journal import slots
from mcp_server.storage.journal.budget import SpendingLimits, admit
from mcp_server.storage.journal.runs import Journal
from mcp_server.storage.postgres import connection as connections
from mcp_server.storage.postgres import liveness
from mcp_server.storage.postgres.address import PostgresAddress
from mcp_server.storage.postgres.clock import DatabaseClock
from mcp_server.storage.postgres.database import PostgresDatabase
from mcp_server.storage.postgres.liveness import HeldLocks
from mcp_server.storage.postgres.locks import lock_of
from runner.clock import SystemClock
from runner.scheduler import scheduler as schedulers
from tests.rigs.journal_databases import IN_POSTGRES, journal_database, until_missed
from tests.rigs.lossy_proxy import LossyProxy
from tests.rigs.postgres import Postgres
from tests.scheduler.hand_driven import Engine, make_scheduler
from tests.scheduler.slot_homes import HELD, Machine, at, hourly, write
from tests.scheduler.slot_homes import claim as claim_slot
from tests.storage.test_journal import claim, end

pytestmark = IN_POSTGRES
LIMIT_S = 30.0
WHAT = hourly()


def signs(database: Any) -> HeldLocks:
    assert isinstance(database._signs, HeldLocks)
    return database._signs


@contextmanager
def missed_by_the_server(machine: Machine, key: str) -> Iterator[None]:
    """End the session of a sign of life; what it belongs to gets no chance to make another one meanwhile."""
    with signs(machine.database)._changing:
        other = journal_database(machine.root)
        ending = (
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 "
            "AND (CAST(classid AS BIGINT) << 32) | CAST(objid AS BIGINT) = CAST(? AS BIGINT)"
        )
        assert other.write(lambda c: c.execute(ending, [lock_of(key)]).fetchall()) == [(True,)]
        until(lambda: not held(other, key))
        yield


def held(database: Any, key: str) -> bool:
    try:
        database.read(lambda connection: signs(database).confirm(key, connection))
    except Retryable:
        return False
    return True


def until(good: Any) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not good():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_runner_that_the_others_do_not_see_claims_nothing_until_they_do(home: Path) -> None:
    machine = Machine(home)
    machine.slot_store.open()
    asked = [claim_slot(WHAT, "11:00", "12:00")]
    key = machine.slot_store._liveness.key  # type: ignore[union-attr]
    with missed_by_the_server(machine, key), pytest.raises(Retryable, match="has lost the session"):
        machine.slot_store.claim(asked, at("12:00"))
    assert machine.ask("SELECT 1 FROM executions") == []
    until(lambda: held(machine.database, key))
    (claimed,) = machine.slot_store.claim(asked, at("12:00")).started
    machine.journal.finish(claimed, HELD, at("12:00"))


def test_a_claim_that_is_refused_has_the_session_looked_at_of_which_nothing_was_heard(home: Path) -> None:
    machine = Machine(home)
    signs_of_life = signs(machine.database)
    machine.database.read(lambda connection: None)
    here, there = socket.socketpair()
    with here, there:
        here.setblocking(False)  # what is not sent at once never is
        signs_of_life._wake = there
        assert not held(machine.database, "0" * 32)
        assert here.recv(8) == b"?"
        signs_of_life._wake = None


def test_a_process_that_lost_its_own_session_counts_nobody_as_gone_for_a_minute(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking, other = Machine(home), Machine(home)
    looking.slot_store.open()
    gone = claim(other.journal)
    signs(other.database).give_back(gone.key)
    assert [*signs(looking.database).dead()] == [gone.key]
    moment = [1000.0]
    monkeypatch.setattr(liveness, "monotonic", lambda: moment[0])
    monkeypatch.setattr(liveness, "RESTARTED_S", 60)
    key = looking.slot_store._liveness.key  # type: ignore[union-attr]
    with missed_by_the_server(looking, key):
        pass
    until(lambda: signs(looking.database)._lost_at is not None)
    monkeypatch.setattr(liveness, "_MISSING", liveness._MISSING.replace("> CAST(?", "> 0 * CAST(?"))
    assert [*signs(looking.database).dead()] == []
    moment[0] += 59
    assert [*signs(looking.database).dead()] == []
    moment[0] += 2
    assert [*signs(looking.database).dead()] == [gone.key]


def test_the_watcher_survives_a_session_that_is_closed_at_the_moment_it_looks(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(home)
    machine.slot_store.open()
    session = signs(machine.database)._session
    assert session is not None
    session.close()
    monkeypatch.setattr(liveness, "LOOK_AT_SESSION_S", 0.0)
    here, there = socket.socketpair()
    with here, there:
        assert liveness._heard(here, session) is None
        there.send(b"?")
        assert liveness._heard(here, session) == b"?"
        there.close()
        assert liveness._heard(here, None) == b""


def test_the_watcher_survives_what_it_does_not_expect_and_makes_the_session_anew(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    machine, heard, failed = Machine(home), liveness._heard, threading.Event()

    def too_many_files(*arguments: Any) -> bytes | None:
        if not failed.is_set():
            failed.set()
            raise OSError(errno.EMFILE, "Too many open files")
        return heard(*arguments)

    monkeypatch.setattr(liveness, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(liveness, "_heard", too_many_files)
    machine.slot_store.open()
    assert failed.wait(LIMIT_S)
    key = machine.slot_store._liveness.key  # type: ignore[union-attr]
    with missed_by_the_server(machine, key):
        pass
    until(lambda: held(machine.database, key))
    assert "Too many open files" in caplog.text


def test_a_run_that_others_have_ended_reserves_nothing_and_asks_nobody(home: Path) -> None:
    machine = Machine(home)
    zombie = claim(machine.journal)
    signs(machine.database).give_back(zombie.key)
    machine.journal.settle()
    limits = SpendingLimits(Decimal(1), None, None)
    with pytest.raises(Retryable, match="was ended by another program"):
        admit(machine.database, zombie.execution_id, "dip", limits, at("12:00"))
    assert machine.ask("SELECT reserved_usd FROM executions") == [(None,)]


async def test_nothing_is_scheduled_before_the_databases_clock_is_known(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PostgresDatabase, "_ask_clock", lambda _: None)  # nothing asks early by chance
    monkeypatch.setattr(HeldLocks, "look_every_s", None)
    monkeypatch.setattr(slots, "refuse_if_moved", lambda *_: None)  # as where the database was away at first
    machine = Machine(home)
    machine.database.clock = DatabaseClock(wall=lambda: datetime.now(UTC) + timedelta(days=3))  # type: ignore[attr-defined]
    write(home, WHAT)
    stop = anyio.Event()
    scheduler = make_scheduler(machine, SystemClock(machine.database.now), Engine())  # type: ignore[arg-type]
    with anyio.fail_after(LIMIT_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(scheduler.serve, stop)
            while not scheduler.schedules.by_name:  # noqa: ASYNC110 (nothing tells of it)
                await anyio.sleep(0.01)
            stop.set()
    assert machine.slot_store.stored_schedules()["s"].since < datetime.now(UTC) + timedelta(hours=1)


SESSION = connections.SESSION
THERE = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout")
QUICK = (
    "SET TimeZone = 'UTC'; SET tcp_keepalives_idle = 1; SET tcp_keepalives_interval = 1; SET tcp_user_timeout = 1500"
)


async def test_an_unexpected_error_does_not_end_the_looks_for_killed_runners(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Journal] = []

    def fail_first(journal: Journal) -> None:
        looks.append(journal)
        if len(looks) == 1:
            raise RuntimeError

    monkeypatch.setattr(Journal, "end_dead", fail_first)
    monkeypatch.setattr(schedulers, "RETRY_S", 0.0)
    scheduler = make_scheduler(Machine(home), SystemClock(), Engine())  # type: ignore[arg-type]
    with anyio.fail_after(LIMIT_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(scheduler._watch_others)
            while len(looks) < 2:  # noqa: ASYNC110 (nothing tells of it)
                await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()


@pytest.fixture
def cable(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[LossyProxy, str, str]]:
    """Return a cable to a Postgres of its own, what leads there through it, and what leads there without."""
    monkeypatch.setattr(connections, "SESSION", QUICK)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with Postgres(listen_addresses="127.0.0.1", port=str(port)) as server, LossyProxy(port) as proxy:
        url = server.new_database()
        asked = "keepalives_idle=1&keepalives_interval=1&keepalives_count=1&tcp_user_timeout=1500"
        name = PostgresAddress.of(url).parameters["dbname"]
        yield proxy, f"postgresql://trader@127.0.0.1:{proxy.port}/{name}?{asked}", url


def test_both_sides_give_up_a_lost_connection_within_40_s_whether_it_was_at_rest_or_not(
    cable: tuple[LossyProxy, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "SESSION", SESSION)
    opened = connections.connect(PostgresAddress.of(cable[1].partition("?")[0]), 2)
    here = opened.opened.info.get_parameters()
    there = {name: str(opened.execute(f"SHOW {name}").fetchone()[0]) for name in THERE}  # type: ignore[index]
    assert int(here["keepalives_idle"]) + int(here["keepalives_count"]) * int(here["keepalives_interval"]) <= 40
    assert int(here["tcp_user_timeout"]) <= 40_000
    assert list(there.values()) == ["10", "10", "3", "40000"]
    opened.close()


def test_a_machine_that_is_cut_off_is_missed_and_its_late_outcome_is_kept_and_changes_nothing(
    cable: tuple[LossyProxy, str, str], home: Path, tmp_path: Path
) -> None:
    proxy, through, url = cable
    far, near = PostgresDatabase(PostgresAddress.of(through)), PostgresDatabase(PostgresAddress.of(url))
    journal, beside = Journal(far, Home(home)), Journal(near, Home(tmp_path / "near"))
    claimed = claim(journal)
    proxy.cut()
    waiting = end(journal, claimed)  # which ends by itself, although nobody answers
    assert waiting is not None
    assert "could not be used" in waiting
    with pytest.raises(Retryable):
        claim(journal)
    until_missed(near)
    beside.settle()
    proxy.mend()
    until(lambda: _settled(journal))
    (entry,) = beside.entries(outcomes="all")
    assert (entry.status, entry.signal, (entry.why or "")[:11]) == (Status.ERROR, None, "interrupted")
    assert [file.stem for file in (home / "outbox" / "late").iterdir()] == [claimed.key]
    for database in (far, near):
        database.close()


def _settled(journal: Journal) -> bool:
    try:
        journal.settle()
    except Retryable:
        return False
    return True
