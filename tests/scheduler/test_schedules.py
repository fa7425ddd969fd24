"""Changes of strategies, while the scheduler runs and while it does not: what was due has its row, and nothing else."""

import shutil
from datetime import datetime
from pathlib import Path

import pytest

from mcp_server.domain.strategy.strategy import Strategy
from runner.scheduler.concurrency import Concurrency
from runner.scheduler.schedules import Schedules
from runner.scheduler.share import Share
from runner.scheduler.strategy_watch import StrategyWatch
from tests.rigs.journal_databases import away
from tests.scheduler.hand_driven import driven
from tests.scheduler.slot_homes import Machine, at, hourly, strategy, write

pytestmark = pytest.mark.usefixtures("kept_in")

EDITED = "It had not run when the schedule was changed."


async def up_until(machine: Machine, start: datetime, seconds: float) -> list[datetime]:
    """Let a scheduler run for a while; give the slots that it ran."""
    async with driven(machine, start) as up:
        await up.on(seconds)
        return up.engine.ran


async def test_a_new_strategy_begins_with_the_first_slot_after_it_came(home: Path) -> None:
    machine = Machine(home)
    async with driven(machine, at("09:30:00")) as up:
        write(home, hourly(), at("01:00"))
        await up.on(2)
        await up.set(at("10:00:05"))
    assert machine.slots() == [("abstained", "10:00", "10:00", 1)]


async def test_slots_while_nothing_ran_are_missed_with_the_reason_and_the_latest_runs(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    machine = Machine(home)
    write(home, hourly())
    with caplog.at_level("INFO", logger="runner.scheduler.schedules"):
        assert await up_until(machine, at("08:59:59"), 6) == [at("09:00")]
        assert await up_until(machine, at("12:20:00"), 1) == [at("12:00")]
    begun = [text for text in caplog.messages if "scheduled; next" in text]
    assert [text.partition("next: ")[2].partition(" ")[2] for text in begun] == ["at 2026-01-05 09:00:05 UTC", "now"]
    assert machine.slots() == [
        ("abstained", "09:00", "09:00", 1),
        ("missed", "10:00", "10:00", 1),
        ("missed", "11:00", "11:00", 1),
        ("abstained", "12:00", "12:00", 1),
    ]
    assert machine.reasons()[1] == "Nothing ran at the time: the runner was started at 2026-01-05 12:20:00 UTC."


async def test_a_strategy_that_is_paused_has_no_slots_until_it_is_resumed(home: Path) -> None:
    machine = Machine(home)
    write(home, hourly())
    async with driven(machine, at("08:59:59")) as up:
        await up.on(6)
        write(home, hourly(status="paused"))
        await up.on(2)
        await up.set(at("11:30:00"))
        assert machine.slot_store.stored_schedules()["s"].config is None
        write(home, hourly())
        await up.on(2)
        await up.set(at("12:00:06"))
    assert machine.slots() == [("abstained", "09:00", "09:00", 1), ("abstained", "12:00", "12:00", 1)]
    assert machine.ask("SELECT status FROM strategies") == [("active",)]


async def test_what_was_due_before_a_pause_that_nothing_saw_is_missed_and_nothing_after_it(home: Path) -> None:
    machine = Machine(home)
    write(home, hourly())
    await up_until(machine, at("08:59:59"), 6)
    write(home, hourly(status="paused"), at("11:30"))
    assert await up_until(machine, at("15:20:00"), 1) == []
    write(home, hourly(), at("17:30"))
    assert await up_until(machine, at("18:20:00"), 1) == [at("18:00")]
    assert machine.slots() == [
        ("abstained", "09:00", "09:00", 1),
        ("missed", "10:00", "10:00", 1),
        ("missed", "11:00", "11:00", 1),
        ("abstained", "18:00", "18:00", 1),
    ]
    assert machine.reasons()[1:3] == [EDITED, EDITED]


async def test_a_schedule_that_was_edited_while_nothing_ran_is_the_older_one_up_to_the_edit(home: Path) -> None:
    machine = Machine(home)
    write(home, hourly())
    await up_until(machine, at("08:59:59"), 6)
    write(home, strategy(interval="30m"), at("11:10"))
    assert await up_until(machine, at("12:20:00"), 1) == [at("12:00")]
    assert machine.slots() == [
        ("abstained", "09:00", "09:00", 1),
        ("missed", "10:00", "10:00", 1),
        ("missed", "11:00", "11:00", 1),
        ("missed", "11:30", "11:30", 1),
        ("abstained", "12:00", "12:00", 1),
    ]


async def test_an_edit_of_the_schedule_while_it_runs_holds_from_then_on(home: Path) -> None:
    machine = Machine(home)
    write(home, hourly())
    async with driven(machine, at("08:59:59")) as up:
        await up.on(6)
        write(home, strategy(interval="30m"))
        await up.on(2)
        await up.set(at("09:30:05"))
    assert up.engine.ran == [at("09:00"), at("09:30")]
    assert machine.slots() == [("abstained", "09:00", "09:00", 1), ("abstained", "09:30", "09:30", 1)]


@pytest.mark.parametrize("edited", [strategy(interval="4h", offset_s=600), hourly(status="paused", offset_s=600)])
async def test_a_slot_whose_offset_is_not_over_at_an_edit_of_the_schedule_is_not_lost(
    home: Path, edited: Strategy
) -> None:
    machine = Machine(home)
    write(home, hourly(offset_s=600))
    async with driven(machine, at("08:59:30")) as up:
        await up.set(at("09:05:00"))
        assert machine.slots() == []
        write(home, edited)
        await up.on(2)
        await up.set(at("09:10:30"))
    assert machine.slots() == [("missed", "09:00", "09:00", 1)]
    assert machine.reasons() == [EDITED]


async def test_an_edit_of_what_a_strategy_says_changes_nothing_of_when_it_is_due(home: Path) -> None:
    machine = Machine(home)
    write(home, hourly())
    await up_until(machine, at("08:59:59"), 6)
    write(home, hourly(description="better"), at("10:30"))
    assert await up_until(machine, at("11:20:00"), 1) == [at("11:00")]
    assert [row[:2] for row in machine.slots()] == [("abstained", "09:00"), ("missed", "10:00"), ("abstained", "11:00")]


async def test_a_strategy_whose_folder_is_gone_has_no_slots_and_one_that_comes_back_begins_anew(home: Path) -> None:
    machine = Machine(home)
    write(home, hourly())
    async with driven(machine, at("08:59:59")) as up:
        await up.on(6)
        (home / "strategies" / "s").rename(home / "elsewhere")
        await up.on(2)
        assert machine.ask("SELECT status, scheduled_config FROM strategies") == [("stopped", None)]
        await up.set(at("11:30:00"))
        (home / "elsewhere").rename(home / "strategies" / "s")
        await up.on(2)
        await up.set(at("12:00:06"))
    assert machine.slots() == [("abstained", "09:00", "09:00", 1), ("abstained", "12:00", "12:00", 1)]
    assert machine.ask("SELECT status FROM strategies") == [("active",)], "what the journal says of it is so again"


async def test_a_folder_that_went_while_nothing_ran_is_not_scheduled(home: Path) -> None:
    machine = Machine(home)
    write(home, hourly())
    await up_until(machine, at("08:59:59"), 6)
    shutil.rmtree(home / "strategies" / "s")
    assert await up_until(machine, at("12:20:00"), 1) == []
    assert machine.slots() == [("abstained", "09:00", "09:00", 1)]
    assert machine.slot_store.stored_schedules()["s"].config is None


async def test_a_broken_edit_leaves_the_last_good_version_running_also_after_a_start(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    machine = Machine(home)
    write(home, hourly())
    async with driven(machine, at("08:59:59")) as up:
        await up.on(6)
        write(home, "s")
        with caplog.at_level("INFO", "runner"):
            await up.on(2)
        assert "s is broken" in up.schedulers[0].problems()[0]
        assert [record.levelname for record in caplog.records if "broken" in record.getMessage()] == ["ERROR"]
        await up.set(at("10:00:05"))
    assert await up_until(machine, at("11:00:10"), 1) == [at("11:00")]
    assert [row[:2] for row in machine.slots()] == [
        ("abstained", "09:00"),
        ("abstained", "10:00"),
        ("abstained", "11:00"),
    ]


async def test_a_folder_that_is_broken_from_the_beginning_is_not_scheduled_until_it_is_mended(home: Path) -> None:
    machine = Machine(home)
    write(home, "s")
    async with driven(machine, at("08:59:59")) as up:
        await up.on(6)
        write(home, hourly())
        await up.on(2)
        await up.set(at("10:00:05"))
    assert machine.slots() == [("abstained", "10:00", "10:00", 1)]


async def test_a_folder_that_goes_while_the_database_is_held_is_not_scheduled_after_it(home: Path) -> None:
    machine = Machine(home, patience_s=0.05)
    write(home, hourly())
    async with driven(machine, at("08:59:59")) as up:
        await up.on(6)
        with away(home):
            shutil.rmtree(home / "strategies" / "s")
            await up.on(2)
        await up.on(2)
        await up.set(at("10:00:05"))
        assert up.schedulers[0].problems() == []
    assert machine.slots() == [("abstained", "09:00", "09:00", 1)]
    assert machine.slot_store.stored_schedules()["s"].config is None


async def test_an_edit_while_the_database_is_held_is_taken_over_after_it(home: Path) -> None:
    machine = Machine(home, patience_s=0.05)
    write(home, hourly())
    async with driven(machine, at("08:59:59")) as up:
        await up.on(6)
        with away(home):
            write(home, strategy(interval="30m"))
            await up.on(2)
        await up.on(2)
        await up.set(at("09:30:05"))
    assert up.engine.ran == [at("09:00"), at("09:30")]


async def test_a_version_that_cannot_be_kept_is_told_and_runs(home: Path) -> None:
    machine = Machine(home)
    write(home, hourly())
    versions = home / "strategies" / ".versions"
    versions.write_text("in the way")
    async with driven(machine, at("08:59:50")) as up:
        assert "cannot be written" in up.schedulers[0].problems()[0]
        await up.on(15)
        versions.unlink()
        await up.on(2)
        assert up.schedulers[0].problems() == []
    assert up.engine.ran == [at("09:00")]
    assert (versions / "s" / hourly().version / "config.json").is_file()


async def test_two_runners_that_both_see_an_edit_account_for_each_slot_once(home: Path) -> None:
    machine = Machine(home)
    write(home, hourly(offset_s=600))
    async with driven(machine, at("08:59:59"), runners=2) as up:
        await up.set(at("09:05:00"))
        write(home, strategy(interval="5m"))
        await up.on(5)
        for _ in range(3):
            await up.on(300)
    assert machine.slots() == [
        ("missed", "09:00", "09:00", 1),
        ("abstained", "09:10", "09:10", 1),
        ("abstained", "09:15", "09:15", 1),
        ("abstained", "09:20", "09:20", 1),
    ]


async def test_a_folder_that_comes_back_with_its_old_dates_has_missed_nothing_while_it_was_away(home: Path) -> None:
    machine = Machine(home)
    write(home, hourly(), at("08:00"))
    async with driven(machine, at("08:59:59")) as up:
        await up.on(6)
        (home / "strategies" / "s").rename(home / "elsewhere")
        await up.on(2)
    async with driven(machine, at("10:30:00")) as up:
        await up.set(at("12:30:00"))
        (home / "elsewhere").rename(home / "strategies" / "s")
        await up.on(2)
        await up.set(at("13:00:05"))
    assert [row[:2] for row in machine.slots()] == [("abstained", "09:00"), ("abstained", "13:00")]


async def test_a_paused_strategy_whose_older_file_is_put_back_has_missed_nothing(home: Path) -> None:
    machine = Machine(home)
    write(home, hourly(), at("08:00"))
    async with driven(machine, at("08:59:59")) as up:
        await up.on(6)
        write(home, hourly(status="paused"))
        await up.on(2)
        await up.set(at("12:30:00"))
        write(home, hourly(), at("08:00"))
        await up.on(2)
        await up.set(at("13:00:05"))
    assert [row[:2] for row in machine.slots()] == [("abstained", "09:00"), ("abstained", "13:00")]


async def test_an_edit_of_the_time_zone_alone_is_an_edit_of_the_schedule(home: Path) -> None:
    machine, nine = Machine(home), "0 9 * * *"
    write(home, strategy(cron=nine, timezone="Europe/Berlin"))
    assert await up_until(machine, at("07:30:00"), 1) == []
    write(home, strategy(cron=nine, timezone="America/New_York"), at("10:00"))
    assert await up_until(machine, at("14:00:01"), 6) == [at("14:00")]
    assert machine.slots() == [("missed", "08:00", "08:00", 1), ("abstained", "14:00", "14:00", 1)]
    assert machine.reasons()[0] == EDITED


async def test_a_strategy_that_two_runners_see_one_after_the_other_is_due_from_the_first_on(home: Path) -> None:
    early, late = Machine(home), Machine(home)
    share = Share(Concurrency("simulated", 1), alone=True)
    schedules = [Schedules(m.slot_store, m.folders, StrategyWatch(m.home, m.folders), share) for m in (early, late)]
    for machine in (early, late):
        machine.slot_store.open()
    await schedules[1].refresh(at("11:00"))
    write(home, hourly(offset_s=120), at("11:30"))
    for runner, moment in zip(schedules, (at("11:30"), at("12:01")), strict=True):
        await runner.refresh(moment)
    assert [runner.by_name["s"].due for runner in schedules] == [at("12:02"), at("12:02")]
