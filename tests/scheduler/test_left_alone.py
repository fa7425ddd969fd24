"""What a year may bring to a scheduler that nobody looks at: none of it leaves a slot open, or holds up the others."""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import anyio
import pytest

from mcp_server.domain.outcome import NOTHING_SPENT, Ended, Outcome, Signal, Status
from mcp_server.errors import Retryable
from mcp_server.storage.database import Database
from mcp_server.storage.journal.rows import RunEnd
from mcp_server.storage.journal.runs import Journal
from mcp_server.storage.journal.slots import Claims
from mcp_server.storage.transactions import T, Work
from runner.backup import back_up
from runner.cli.context import Context
from runner.restore import unpack
from runner.scheduler.strategy_watch import StrategyWatch
from runner.settings import RunnerSettings
from runner.tool_server.supervisor import WatchedServer
from tests.rigs.journal_databases import ON_A_FILE, away
from tests.scheduler.hand_driven import DECIDED, driven
from tests.scheduler.slot_homes import Machine, at, claim, hourly, strategy, write

pytestmark = pytest.mark.usefixtures("kept_in")

NOON = at("12:00:10")


@ON_A_FILE
async def test_what_ran_when_a_backup_was_made_has_ended_when_it_is_restored(home: Path, tmp_path: Path) -> None:
    machine = Machine(home)
    write(home, hourly(), at("10:30"))
    machine.slot_store.open()
    machine.adopt(hourly(), at("10:30"))
    assert len(machine.slot_store.claim([claim(hourly(), "10:30", "11:00")], at("11:00:05")).started) == 1
    back_up(Context(), tmp_path / "archive.tar.gz")
    unpack(tmp_path / "archive.tar.gz", tmp_path / "restored")
    restored = Machine(tmp_path / "restored")
    async with driven(restored, NOON) as up:
        assert up.engine.ran == [at("12:00")]
    assert restored.slots() == [("error", "11:00", "11:00", 1), ("abstained", "12:00", "12:00", 1)]
    assert "restored" in (restored.reasons()[0] or "")
    assert machine.slots() == [("running", "11:00", "11:00", 1)]  # where it does run it goes on


async def test_a_grace_longer_than_time_can_be_counted_is_as_good_as_for_ever(home: Path) -> None:
    machine = Machine(home)
    endless = {**hourly("endless").config_json(), "misfire": {"grace_s": 10**15}}
    write(home, hourly("endless"), at("10:30"))
    (home / "strategies" / "endless" / "config.json").write_text(json.dumps(endless))
    async with driven(machine, at("11:30")) as up:
        await up.set(NOON)
    assert machine.slots("endless") == [("abstained", "12:00", "12:00", 1)]


async def test_a_strategy_whose_slots_cannot_be_told_holds_up_no_other_and_is_named(home: Path) -> None:
    machine = Machine(home)
    write(home, hourly(), at("10:30"))
    write(home, hourly("odd"), at("10:30"))
    async with driven(machine, at("11:30")) as up:
        (scheduler,) = up.schedulers
        (schedule, folders) = scheduler.schedules.by_name["odd"], scheduler.schedules._strategy_watch.folder_states
        config = schedule.strategy.config.model_copy(update={"misfire": None})  # a slip of ours would do so, say
        schedule.strategy = schedule.strategy.model_copy(update={"config": config})
        folders["odd"] = replace(folders["odd"], strategy=schedule.strategy)
        await up.set(NOON)
        (problem,) = scheduler.problems()
        assert problem.startswith("odd is not scheduled")
        assert "AttributeError" in problem
        write(home, hourly("odd", description="mended"), NOON)
        await up.set(at("13:00:10"))
        assert scheduler.problems() == []
    assert machine.slots() == [("abstained", "12:00", "12:00", 1), ("abstained", "13:00", "13:00", 1)]
    assert machine.slots("odd")[-1] == ("abstained", "13:00", "13:00", 1)


async def test_a_strategy_is_found_in_no_more_time_where_there_are_thousands(home: Path) -> None:
    machine = Machine(home)
    for number in range(400):
        write(home, hourly(f"s{number}"), at("10:30"))
    began = time.process_time()
    for number in range(400):
        machine.folders.read(f"s{number}")
    assert time.process_time() - began < 1  # it took 3 s, and with 2,000 strategies a minute


async def test_a_start_writes_nothing_of_strategies_that_have_not_changed(home: Path) -> None:
    machine = Machine(home)
    write(home, hourly(), at("10:30"))
    async with driven(machine, at("11:30")):
        pass
    before = machine.ask("SELECT * FROM strategies")
    machine.database.write(lambda c: c.execute("UPDATE strategies SET description = 'as it was'"))
    async with driven(machine, at("11:40")):
        pass
    assert machine.ask("SELECT description FROM strategies") == [("as it was",)]
    assert len(before) == 1


async def test_the_roster_may_be_told_of_while_it_is_read(home: Path) -> None:
    machine = Machine(home)
    write(home, hourly(), at("10:30"))
    watch = StrategyWatch(machine.home, machine.folders)
    watch.look({})
    telling = iter(watch.folder_states.items())  # a heartbeat does so, while a thread reads the folders
    write(home, hourly("t"), at("10:40"))
    watch.look({})
    assert [name for name, _ in telling] == ["s"]
    assert [*watch.folder_states] == ["s", "t"]


async def test_a_folder_from_the_far_future_holds_up_no_other(home: Path) -> None:
    machine = Machine(home)
    write(home, hourly(), at("10:30"))
    write(home, hourly("t"), at("10:30"))
    file = home / "strategies" / "t" / "config.json"
    os.utime(file, (10**12, 10**12))  # the year 33658; many file systems make an earlier one of it, some keep it
    async with driven(machine, at("11:30")) as up:
        await up.set(NOON)
    assert machine.slots() == [("abstained", "12:00", "12:00", 1)]


async def test_an_outcome_with_a_cost_that_is_no_number_is_an_error_and_ends_nothing(home: Path) -> None:
    machine = Machine(home)
    write(home, hourly(), at("10:30"))
    async with driven(machine, at("11:30")) as up:
        up.engine.outcome = Outcome(Status.ABSTAINED, error="It says so.", cost_usd=Decimal("NaN"))
        await up.set(NOON)
        up.engine.outcome = DECIDED
        await up.set(at("13:00:10"))
    assert machine.slots() == [("error", "12:00", "12:00", 1), ("abstained", "13:00", "13:00", 1)]
    assert machine.ask("SELECT cost_usd FROM executions ORDER BY id") == [(None,), (Decimal(0),)]


class LosingJournal(Journal):
    """Fails at entering in a way that nobody foresaw, as when memory runs out, as often as it is told."""

    failures = 0

    def finish_all(self, ends: Sequence[RunEnd]) -> list[Ended]:
        if self.failures:
            self.failures -= 1
            raise MemoryError
        return super().finish_all(ends)


async def test_an_outcome_that_could_not_be_entered_for_whatever_reason_is_entered_later(home: Path) -> None:
    machine = Machine(home)
    machine.journal = journal = LosingJournal(machine.database, machine.home)
    write(home, hourly(), at("10:30"))
    async with driven(machine, at("11:30")) as up:
        journal.failures = 2
        await up.set(NOON)
        await up.on(3)
        await up.on(3)
        await up.set(at("13:00:10"))
    assert machine.slots() == [("abstained", "12:00", "12:00", 1), ("abstained", "13:00", "13:00", 1)]


async def test_a_run_does_not_wait_for_ever_for_a_tool_server_that_does_not_come_back(home: Path) -> None:
    server = WatchedServer(RunnerSettings(home=home), wait_s=0.05)
    with anyio.fail_after(5), pytest.raises(Retryable, match=r"There was no tool server for 0 s.*not started yet"):
        async with server.serving():
            pass


async def test_a_schedule_that_an_older_version_noted_and_this_one_refuses_goes_on_by_the_present_one(
    home: Path,
) -> None:
    machine = Machine(home)
    write(home, hourly(), at("10:30"))
    machine.adopt(hourly(), at("10:30"))
    said = json.dumps({**hourly().config_json(), "interval": "45m", "retired": True})
    machine.database.write(lambda c: c.execute("UPDATE strategies SET scheduled_config = ?", [said]))
    async with driven(machine, NOON) as up:
        assert up.schedulers[0].problems() == []
    assert machine.slots() == [("missed", "11:00", "11:00", 1), ("abstained", "12:00", "12:00", 1)]


@pytest.mark.parametrize("days", [3, pytest.param(60, marks=pytest.mark.long)])
async def test_long_stretches_of_a_cron_that_were_missed_are_counted_while_all_else_goes_on(
    home: Path, days: int
) -> None:
    machine = Machine(home)
    write(home, strategy(cron="* * * * *"), at("10:30"))
    machine.adopt(strategy(cron="* * * * *"), at("10:30") - timedelta(days=days))
    longest, before = 0.0, time.monotonic()
    async with anyio.create_task_group() as tasks:

        async def tick() -> None:
            nonlocal longest, before
            while True:
                longest, before = max(longest, time.monotonic() - before), time.monotonic()
                await anyio.sleep(0.05)

        tasks.start_soon(tick)
        async with driven(machine, NOON):
            pass
        tasks.cancel_scope.cancel()
    assert longest < 1
    assert machine.slots()[0][3] == days * 1440 + 90 - 19 - 1


class FailingAfterwards(Database):
    """Fails once a transaction is on the disk, as often as it is told: so does a checkpoint on a full disk."""

    failures = 0

    def write(self, work: Work[T], *, anyway: bool = False) -> T:
        done = super().write(work, anyway=anyway)
        if self.failures and isinstance(done, Claims):
            self.failures -= 1
            raise Retryable("The database could not be used.")
        return done


async def test_a_claim_that_failed_and_yet_was_written_leaves_no_slot_running(home: Path) -> None:
    machine = Machine(home)
    database = FailingAfterwards(machine.home.database, prepare=machine.home.prepare)
    machine.database = database
    machine.journal = Journal(database, machine.home)
    write(home, hourly(), at("10:30"))
    async with driven(machine, at("11:30")) as up:
        database.failures = 1
        await up.set(NOON)
        await up.on(3)
        await up.set(at("13:00:10"))
    assert machine.slots() == [("missed", "12:00", "12:00", 1), ("abstained", "13:00", "13:00", 1)]
    assert "did not run" in (machine.reasons()[0] or "")


async def test_what_waits_and_cannot_be_kept_as_it_is_holds_up_no_slot(home: Path) -> None:
    machine = Machine(home, patience_s=0.05)
    write(home, hourly(), at("10:30"))
    machine.slot_store.open()
    machine.adopt(hourly(), at("10:30"))
    (claimed,) = machine.slot_store.claim([claim(hourly(), "10:30", "11:00")], at("11:00:05")).started
    odd = Outcome(Status.SUCCESS, Signal("BUY", Decimal(60), "half a character: \ud83d"), **NOTHING_SPENT)
    with away(home):
        assert machine.journal.finish(claimed, odd, at("11:00:06")).waiting is not None
    machine.slot_store.close(forget=True)
    async with driven(machine, NOON) as up:
        assert up.schedulers[0].problems() == []
    assert machine.slots() == [("error", "11:00", "11:00", 1), ("abstained", "12:00", "12:00", 1)]
    assert "cannot be kept" in (machine.reasons()[0] or "")
