"""Claims: whoever asks, whatever the clock says and whenever a runner dies, each slot has one row and runs once."""

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from mcp_server.domain.outcome import Outcome, Status
from mcp_server.errors import Retryable
from mcp_server.storage.database import Database
from mcp_server.storage.journal.budget import Spent
from mcp_server.storage.journal.slot_history import LastSlot, failures, last_runs
from mcp_server.storage.journal.slot_rows import Accounted, StoredSchedule
from mcp_server.storage.journal.slots import OVERLAP, Change
from mcp_server.storage.schema import migrations
from tests.rigs.forked_script import ForkedScript
from tests.rigs.journal_databases import ON_A_FILE, away, until_missed
from tests.scheduler.slot_homes import HELD, Machine, at, claim, hourly, missed, spent

pytestmark = pytest.mark.usefixtures("kept_in")

WHAT = hourly()
FAILED = Outcome(Status.ERROR, error="it broke", tokens_used=0, cost_usd=Decimal(0))


@pytest.fixture
def one(home: Path) -> Machine:
    machine = Machine(home)
    machine.slot_store.open()
    return machine


@pytest.fixture
def other(home: Path) -> Machine:
    machine = Machine(home)
    machine.slot_store.open()
    return machine


def run_slot(machine: Machine, slot: str, after: str, outcome: Outcome = HELD) -> None:
    (claimed,) = machine.slot_store.claim([claim(WHAT, after, slot)], at(slot)).started
    assert machine.journal.finish(claimed, outcome, at(slot)).waiting is None


def test_a_claim_gives_each_slot_its_row_and_this_runner_the_one_to_run(one: Machine) -> None:
    many = missed("02:00", "09:00", slots=8)
    done = one.slot_store.claim([claim(WHAT, "01:00", "12:00", many, missed("10:00"), missed("11:00"))], at("12:00"))
    ((claimed,), behind) = (done.started, done.behind)
    assert (claimed.run.as_of, claimed.run.trigger, claimed.run.engine, behind) == (
        at("12:00"),
        "schedule",
        "rules",
        {},
    )
    assert one.slots() == [
        ("missed", "02:00", "09:00", 8),
        ("missed", "10:00", "10:00", 1),
        ("missed", "11:00", "11:00", 1),
        ("running", "12:00", "12:00", 1),
    ]
    assert one.ask("SELECT DISTINCT cost_usd, tokens_used, completed_at FROM executions WHERE status = 'missed'") == [
        (Decimal(0), 0, at("12:00").replace(tzinfo=None))
    ]
    one.journal.finish(claimed, HELD, at("12:01"), began_at=at("12:00:30"))
    assert one.slots()[-1] == ("success", "12:00", "12:00", 1)
    assert one.ask(
        "SELECT started_at, execution_time_ms FROM executions JOIN analysis_results r ON execution_id = executions.id"
    ) == [(at("12:00:30").replace(tzinfo=None), 30_000)]


def test_a_slot_comes_due_once_while_the_one_before_it_still_runs(one: Machine) -> None:
    one.slot_store.claim([claim(WHAT, "11:00", "12:00")], at("12:00"))
    assert one.slot_store.claim([claim(WHAT, "12:00", "13:00")], at("13:00")).started == []
    assert one.slots() == [("running", "12:00", "12:00", 1), ("skipped_overlap", "13:00", "13:00", 1)]
    assert one.reasons()[-1] == OVERLAP


def test_a_manual_run_of_a_strategy_keeps_none_of_its_slots_from_running(one: Machine) -> None:
    from mcp_server.storage.journal.rows import Run

    one.journal.claim(Run(WHAT, "manual", at("11:59"), "rules", at("11:59")))
    assert len(one.slot_store.claim([claim(WHAT, "11:00", "12:00")], at("12:00")).started) == 1


def test_all_claims_are_written_or_none(one: Machine) -> None:
    broken = claim(hourly("t"), "11:00", None, missed("12:00", slots=2**40))
    with pytest.raises(one.database.refusals):
        one.slot_store.claim([claim(WHAT, "11:00", "12:00"), broken], at("12:00"))
    assert one.slots() == one.slots("t") == []


def test_a_claim_that_knows_less_than_the_journal_is_behind_and_writes_nothing(one: Machine, other: Machine) -> None:
    run_slot(one, "12:00", "11:00")
    run_slot(one, "13:00", "12:00")
    done = other.slot_store.claim([claim(WHAT, "11:00", "14:00", missed("12:00"), missed("13:00"))], at("14:00"))
    assert (done.started, done.behind) == ([], {"s": at("13:00")})
    assert [slot for _, slot, _, _ in one.slots()] == ["12:00", "13:00"]
    (anew,) = other.slot_store.claim([claim(WHAT, "13:00", "14:00")], at("14:00")).started
    assert anew.run.as_of == at("14:00")


def test_a_claim_of_what_is_accounted_for_already_runs_nothing(one: Machine, other: Machine) -> None:
    run_slot(one, "12:00", "11:00")
    same = [claim(WHAT, "11:00", "12:00")]
    assert other.slot_store.claim(same, at("12:00")).behind == {"s": at("12:00")}
    again = one.slot_store.claim([claim(WHAT, "12:00", "12:00")], at("12:00"))
    assert (again.started, again.behind) == ([], {})
    assert one.slots() == [("success", "12:00", "12:00", 1)]


@pytest.mark.parametrize("slots", [5, pytest.param(12, marks=pytest.mark.long)])
def test_two_processes_claim_each_slot_once(one: Machine, home: Path, slots: int) -> None:
    one.ask("SELECT 1")  # the schema is there before they start
    program = "from tests.scheduler.claiming_process import main; main()"
    with (
        ForkedScript(program, str(home), str(slots)) as first,
        ForkedScript(program, str(home), str(slots)) as second,
    ):
        for process in (first, second):
            assert process.stdout.readline() == "ready\n"
        for process in (first, second):
            process.stdin.write("go\n")
            process.stdin.flush()
        said = [process.communicate().splitlines() for process in (first, second)]
    mine = Counter(datetime.fromisoformat(line) for lines in said for line in lines)
    minutes = [f"12:{number:02}" for number in range(1, slots + 1)]
    rows = one.slots()
    assert [first for _, first, _, _ in rows] == minutes, "each has one row"
    assert {status for status, _, _, _ in rows} <= {"success", "skipped_overlap"}
    assert mine == {at(first): 1 for status, first, _, _ in rows if status == "success"}, "each ran once"


def test_a_clock_that_was_set_back_doubles_nothing_and_loses_nothing(one: Machine) -> None:
    run_slot(one, "12:00", "11:00")
    run_slot(one, "13:00", "12:00")
    # A runner that is started while the clock is behind knows from the journal where to go on.
    done = one.slot_store.claim([claim(WHAT, "11:00", "12:00")], at("12:00:05"))
    assert (done.started, done.behind) == ([], {"s": at("13:00")})
    run_slot(one, "14:00", "13:00")
    assert one.slots() == [("success", hour, hour, 1) for hour in ("12:00", "13:00", "14:00")]


def test_of_what_a_clock_days_ahead_has_written_only_what_is_still_to_come_and_did_not_run_is_taken_back(
    one: Machine,
) -> None:
    one.adopt(WHAT, at("11:30"))
    one.slot_store.claim([claim(WHAT, "11:30", None, missed("12:00"))], at("12:10"))
    to_come = [missed("16:00"), missed("20:00"), missed("21:00"), missed("22:00", "08T11:00", slots=62)]
    one.slot_store.claim([claim(WHAT, "12:00", "08T12:00", *to_come)], at("08T12:00:10"))
    kept = one.slots()
    assert one.slot_store.take_back(at("07T20:30")) == {}, "less than a day ahead"
    assert one.slot_store.take_back(at("04T20:30")) == {}, "before it was made"
    assert one.slots() == kept
    assert one.slot_store.take_back(at("20:30")) == {"s": at("20:30")}
    assert [row[:2] for row in one.slots()] == [
        ("missed", "12:00"),
        ("missed", "16:00"),
        ("missed", "20:00"),
        ("running", "08T12:00"),
    ]
    assert one.slot_store.stored_schedules()["s"].accounted_until == at("20:30")
    assert one.slot_store.take_back(at("20:30")) == {}


def test_missed_slots_in_one_row_are_claimed_anew_after_those_that_have_rows(one: Machine) -> None:
    """A clock that went far astray made the scheduler forget up to when slots are accounted for: the rows know."""
    run_slot(one, "04:00", "03:00")
    run_slot(one, "05:00", "04:00")
    one.ask_to_forget("s", at("03:00"))
    many = missed("04:00", "11:00", slots=8)
    done = one.slot_store.claim([claim(WHAT, "03:00", "12:00", many)], at("12:00"))
    assert (done.started, done.behind) == ([], {"s": at("05:00")})
    done = one.slot_store.claim([claim(WHAT, "05:00", "12:00", missed("06:00", "11:00", slots=6))], at("12:00"))
    assert len(done.started) == 1
    assert sum(slots for _, _, _, slots in one.slots()) == 9


def test_a_runner_that_was_killed_leaves_its_runs_and_no_others_to_be_ended_as_interrupted(
    one: Machine, other: Machine
) -> None:
    (killed,) = one.slot_store.claim([claim(WHAT, "11:00", "12:00")], at("12:00")).started
    (alive,) = other.slot_store.claim([claim(hourly("t"), "11:00", "12:00")], at("12:00")).started
    one.slot_store.close(forget=False)  # what a kill leaves: the file, and no lock on it
    third = Machine(one.root)
    third.journal.settle()
    assert (third.slots(), third.slots("t")) == (
        [("error", "12:00", "12:00", 1)],
        [("running", "12:00", "12:00", 1)],
    )
    assert "interrupted" in (third.reasons()[0] or "")
    assert (third.home.running / alive.key.partition(".")[0]).exists() == isinstance(third.database, Database)
    assert not (third.home.running / killed.key.partition(".")[0]).exists()
    third.journal.finish(killed, HELD, at("12:01"))
    assert third.slots() == [("error", "12:00", "12:00", 1)], "an end is for good"
    assert failures(third.database, "s", 5) == 0, "what a kill ends is no failure of its strategy"


CLAIMS_AND_WAITS = """
import sys
from pathlib import Path
from tests.scheduler.slot_homes import Machine, at, claim, hourly
machine = Machine(Path(sys.argv[1]))
machine.slot_store.open()
machine.slot_store.claim([claim(hourly(), "11:00", "12:00")], at("12:00"))
print("claimed", flush=True)
sys.stdin.read()
"""


def test_a_runner_that_is_killed_outright_is_accounted_for_by_the_next_and_its_slot_is_not_run_again(
    one: Machine,
) -> None:
    with ForkedScript(CLAIMS_AND_WAITS, str(one.root)) as runner:
        assert runner.stdout.readline() == "claimed\n"
        one.journal.settle()
        assert one.slots() == [("running", "12:00", "12:00", 1)], "it is alive"
    assert one.slot_store.claim([claim(WHAT, "12:00", "13:00")], at("13:00")).started == [], "nobody has looked yet"
    until_missed(one.database)
    one.journal.settle()
    assert [row[:2] for row in one.slots()] == [("error", "12:00"), ("skipped_overlap", "13:00")]
    assert len(one.slot_store.claim([claim(WHAT, "13:00", "14:00")], at("14:00")).started) == 1
    assert one.slot_store.claim([claim(WHAT, "11:00", "12:00")], at("14:00")).started == []


def test_a_runner_that_ends_rightly_leaves_nothing_to_settle(one: Machine) -> None:
    (claimed,) = one.slot_store.claim([claim(WHAT, "11:00", "12:00")], at("12:00")).started
    one.journal.finish(claimed, HELD, at("12:01"))
    one.slot_store.close(forget=True)
    assert [*one.home.running.iterdir()] == []


def test_an_outcome_in_the_outbox_of_a_runner_that_was_killed_is_not_lost(home: Path) -> None:
    one = Machine(home, patience_s=0.1)
    one.slot_store.open()
    first, second = one.slot_store.claim(
        [claim(WHAT, "11:00", "12:00"), claim(hourly("t"), "11:00", "12:00")], at("12:00")
    ).started
    with away(home) as who:
        assert who in (one.journal.finish(first, HELD, at("12:01")).waiting or "")
    one.slot_store.close(forget=False)
    Machine(home).journal.settle()
    assert [row[0] for row in one.slots() + one.slots("t")] == ["success", "error"]
    assert [*one.home.running.iterdir()] == [*one.home.outbox.iterdir()] == []
    assert second.run.strategy.name == "t"


def test_while_another_holds_the_database_nothing_is_claimed(home: Path) -> None:
    one = Machine(home, patience_s=0.1)
    one.slot_store.open()
    run_slot(one, "12:00", "11:00")
    with away(home) as who, pytest.raises(Retryable, match=who):
        one.slot_store.claim([claim(WHAT, "12:00", "13:00")], at("13:00"))
    assert len(one.slots()) == 1
    run_slot(one, "13:00", "12:00")


def test_failures_in_a_row_count_from_when_a_strategy_was_made_active_and_only_its_own(one: Machine) -> None:
    one.adopt(WHAT, at("08:00"))
    assert failures(one.database, "s", 5) == 0
    run_slot(one, "09:00", "08:00", FAILED)
    run_slot(one, "10:00", "09:00", HELD)
    run_slot(one, "11:00", "10:00", FAILED)
    run_slot(one, "12:00", "11:00", Outcome(Status.ERROR, error="an outage", blame="outside"))
    one.slot_store.claim([claim(WHAT, "12:00", None, missed("13:00"))], at("13:30"))
    run_slot(one, "14:00", "13:00", Outcome(Status.TIMEOUT, error="too slow"))
    assert (failures(one.database, "s", 5), failures(one.database, "s", 1), failures(one.database, "t", 5)) == (2, 1, 0)
    paused = StoredSchedule(None, at("08:00"), at("14:00"), WHAT.version)
    one.slot_store.change([Change("s", WHAT, paused, ())], at("14:10"))
    one.adopt(WHAT, at("14:30"))
    assert failures(one.database, "s", 5) == 0, "resumed: it begins anew"
    run_slot(one, "15:00", "14:30", FAILED)
    assert failures(one.database, "s", 5) == 1
    run_slot(one, "16:00", "15:00", Outcome(Status.ABSTAINED, error="no candle"))
    assert failures(one.database, "s", 5) == 0, "to abstain is no failure"


def last_slots(database: Database) -> dict[str, LastSlot]:
    return {name: last.slot for name, last in database.read(last_runs).items() if last.slot is not None}


def test_the_last_slots_are_the_latest_by_their_time_with_signal_or_reason(one: Machine) -> None:
    assert last_slots(one.database) == {}
    run_slot(one, "12:00", "11:00")
    one.slot_store.claim([claim(hourly("t"), "01:00", None, missed("02:00", "12:00", slots=11))], at("12:30"))
    assert last_slots(one.database) == {
        "s": LastSlot(at("12:00"), 1, "success", "HOLD", None),
        "t": LastSlot(at("12:00"), 11, "missed", None, "Nothing ran."),
    }
    run_slot(one, "13:00", "12:00", FAILED)
    assert last_slots(one.database)["s"] == LastSlot(at("13:00"), 1, "error", None, "it broke")


@ON_A_FILE
def test_a_home_of_the_release_before_slots_goes_on(home: Path) -> None:
    file = Machine(home).home.database
    old = duckdb.connect(file)
    for version in (1, 2):
        old.execute(migrations()[version])
        old.execute("INSERT INTO schema_migrations (version) VALUES (?)", [version])
    old.execute(
        "INSERT INTO strategies (name, description, status, interval, config, agents, version, created_at, updated_at) "
        "VALUES ('s', '', 'active', '1h', '{}', '{}', 'older', '2026-01-01', '2026-01-01')"
    )
    insert = (
        'INSERT INTO executions (strategy_id, strategy_version, "trigger", as_of, engine, started_at, status, run_key, '
        "cost_usd) VALUES (1, 'older', 'manual', ?, ?, ?, ?, ?, ?)"
    )
    for engine, status, cost in [
        ("claude", "success", Decimal("0.2")),
        ("claude", "timeout", None),
        ("claude", "skipped_budget", None),
        ("rules", "success", None),
    ]:
        moment = at("09:00").replace(tzinfo=None)
        old.execute(insert, [moment, engine, moment, status, f"{engine}-{status}", cost])
    old.close()

    machine = Machine(home)
    machine.slot_store.open()
    assert machine.slot_store.stored_schedules() == {}
    assert last_slots(machine.database) == {}
    day = at("00:00")
    today = spent(machine.database, day, day + timedelta(days=1))
    assert today == Spent(Decimal("0.7"), Decimal(0)), "what is unknown counts as half a dollar, the default of a run"
    assert spent(machine.database, day - timedelta(days=1), day) == Spent(Decimal(0), Decimal(0))
    run_slot(machine, "12:00", "11:00")
    assert machine.slots() == [("success", "12:00", "12:00", 1)]
    assert machine.ask("SELECT count(*) FROM executions") == [(5,)]


def test_what_another_runner_has_scheduled_stays_due_from_when_it_did(one: Machine, other: Machine) -> None:
    """Else a slot between both moments, which comes due after the second, would have no row."""
    first = StoredSchedule(WHAT.config_json(), at("11:30"), at("11:30"), WHAT.version)
    later = replace(first, since=at("12:01"), accounted_until=at("12:01"))
    assert one.slot_store.change([Change("s", WHAT, first, ())], at("11:30")) == {"s": first}
    assert other.slot_store.change([Change("s", WHAT, later, ())], at("12:01")) == {"s": first}
    assert other.slot_store.stored_schedules() == {"s": first}
    (claimed,) = one.slot_store.claim([claim(WHAT, "11:30", "12:00")], at("12:02")).started
    one.journal.finish(claimed, HELD, at("12:02"))
    edited = StoredSchedule(WHAT.config_json() | {"interval": "1d"}, at("11:30"), at("13:00"), "v2")
    assert other.slot_store.change([Change("s", WHAT, edited, ())], at("13:00")) == {"s": edited}


def test_what_is_accounted_for_grows_at_both_ends_and_has_no_hole() -> None:
    known = Accounted("v", at("12:00"), at("12:10"))
    for after, last, since, until in (
        ("12:10", "12:15", "12:00", "12:15"),
        ("12:05", "12:07", "12:00", "12:10"),
        ("11:50", "12:00", "11:50", "12:10"),
        ("11:50", "11:55", "12:00", "12:10"),
        ("12:12", "12:15", "12:12", "12:15"),
    ):
        assert known.joined("v", at(after), at(last)) == ("v", at(since), at(until))
    assert known.joined("w", at("12:05"), at("12:07")) == ("w", at("12:05"), at("12:07"))
    assert Accounted("v", None, at("12:10")).joined("v", at("11:50"), at("12:15")) == ("v", None, at("12:15"))
    assert [known.covers("v", at(after)) for after in ("11:59", "12:00", "12:09", "12:10")] == [
        False,
        True,
        True,
        False,
    ]
    assert not known.covers("w", at("12:00"))
