"""The scheduler through sleep, clocks that are set, a second runner and a held database: a table of expected rows."""

from datetime import timedelta
from pathlib import Path

import pytest

from mcp_server.storage.heartbeat import Beat, Heartbeat
from mcp_server.storage.home import Home
from tests.rigs.journal_databases import away
from tests.scheduler.hand_driven import driven
from tests.scheduler.slot_homes import Machine, at, hourly, strategy, write

pytestmark = pytest.mark.usefixtures("kept_in")


async def test_a_laptop_that_slept_over_a_thousand_slots_has_one_row_for_most_and_runs_the_latest(home: Path) -> None:
    machine = Machine(home)
    write(home, strategy(interval="1m"))
    async with driven(machine, at("00:00:30")) as up:
        await up.on(35)
        await up.set(at("16:41:10"))
        await up.on(1)
    assert up.engine.ran == [at("00:01"), at("16:41")]
    singles = [("missed", f"16:{minute}", f"16:{minute}", 1) for minute in range(22, 41)]
    assert machine.slots() == [
        ("abstained", "00:01", "00:01", 1),
        ("missed", "00:02", "16:21", 980),
        *singles,
        ("abstained", "16:41", "16:41", 1),
    ]
    assert sum(slots for _, _, _, slots in machine.slots()) == 1001
    assert "Nothing ran from 2026-01-05 00:01:05 to 2026-01-05 16:41:11 UTC: the machine slept" in str(
        machine.reasons()[2]
    )


async def test_a_clock_that_is_set_back_and_forward_again_runs_each_slot_once(home: Path) -> None:
    machine = Machine(home)
    write(home, hourly())
    async with driven(machine, at("11:59:30")) as up:
        await up.on(36)
        await up.set(at("10:59:30"))
        await up.on(36)
        await up.set(at("11:59:30"))
        await up.on(36)
        assert up.engine.ran == [at("12:00")], "11:00 to 12:00 came twice, and each has its row"
        await up.set(at("12:59:55"))
        await up.on(11)
        await up.set(at("15:30:00"))
    assert up.engine.ran == [at("12:00"), at("13:00"), at("15:00")]
    assert machine.slots() == [
        ("abstained", "12:00", "12:00", 1),
        ("abstained", "13:00", "13:00", 1),
        ("missed", "14:00", "14:00", 1),
        ("abstained", "15:00", "15:00", 1),
    ]


async def test_a_clock_that_was_weeks_behind_at_start_loses_and_doubles_nothing(home: Path) -> None:
    machine = Machine(home)
    write(home, strategy(cron="*/10 * * * *"))
    async with driven(machine, at("08:59:30")) as up:
        await up.on(36)
    async with driven(machine, at("09:00") - timedelta(days=20)) as up:
        await up.set(at("14:00:10"))
        for _ in range(3):
            await up.on(1)
    late = [row for row in machine.slots() if row[1] >= "09:00" and "T" not in row[1]]
    assert late[:3] == [
        ("abstained", "09:00", "09:00", 1),
        ("missed", "09:10", "10:40", 10),
        ("missed", "10:50", "10:50", 1),
    ]
    assert late[-1] == ("abstained", "14:00", "14:00", 1)
    assert sum(slots for _, _, _, slots in late) == 31


EARLIER = [("missed", f"{hour}:00", f"{hour}:00", 1) for hour in range(13, 20)]


async def test_after_a_clock_that_was_days_ahead_the_slots_of_these_days_run(home: Path) -> None:
    machine = Machine(home)
    write(home, hourly())
    async with driven(machine, at("11:59:30")) as up:
        await up.on(36)
        await up.set(at("08T12:00:10"))
        assert machine.slots()[1] == ("missed", "13:00", "07T16:00", 52)
        await up.set(at("20:30:00"))
        await up.on(1)
        assert up.engine.ran == [at("12:00"), at("08T12:00"), at("20:00")]
        for hour in ("21:00", "22:00"):
            await up.set(at(f"{hour}:10"))
        await up.set(at("08T16:00:10"))
        for _ in range(3):
            await up.on(1)
    rows = machine.slots()
    ran = [("abstained", f"{hour}:00", f"{hour}:00", 1) for hour in (20, 21, 22)]
    assert rows[: 1 + 7 + 3] == [("abstained", "12:00", "12:00", 1), *EARLIER, *ran]
    assert up.engine.ran.count(at("08T12:00")) == 1, "what did run has its row, and is not run again"
    assert (machine.doubled(), sum(slots for _, _, _, slots in rows)) == (0, 77), "each slot once"


async def test_a_start_after_a_clock_that_was_days_ahead_goes_on_from_the_present(home: Path) -> None:
    machine = Machine(home)
    write(home, hourly())
    async with driven(machine, at("11:59:30")) as up:
        await up.on(36)
        await up.set(at("08T12:00:10"))
    async with driven(machine, at("20:30:00")) as up:
        await up.on(1)
        assert up.engine.ran == [at("20:00")]
        assert up.schedulers[0].schedules.next_due() == at("21:00:05")
    assert machine.slots() == [
        ("abstained", "12:00", "12:00", 1),
        *EARLIER,
        ("abstained", "20:00", "20:00", 1),
        ("abstained", "08T12:00", "08T12:00", 1),
    ]


async def test_a_clock_before_a_strategy_was_made_is_wrong_and_takes_nothing_back(home: Path) -> None:
    machine = Machine(home)
    write(home, hourly())
    async with driven(machine, at("08:59:30")) as up:
        await up.on(36)
        await up.set(at("12:30:00"))
        before = machine.slots()
        await up.set(at("12:30:00") - timedelta(days=9000))
        assert machine.slots() == before
        await up.set(at("12:40:00"))
    assert [row[:2] for row in machine.slots()][-4:] == [
        ("abstained", "09:00"),
        ("missed", "10:00"),
        ("missed", "11:00"),
        ("abstained", "12:00"),
    ]


@pytest.mark.long
async def test_two_runners_on_one_home_run_each_slot_once(home: Path) -> None:
    """In `make test`, `test_slots.py` has two processes that claim, `test_schedules.py` two runners and an edit."""
    machine = Machine(home)
    write(home, strategy(interval="1m"))
    write(home, strategy("t", interval="1m"))
    async with driven(machine, at("12:00:30"), runners=2) as up:
        for _ in range(5):
            await up.on(60)
        await up.set(at("12:59:50"))
        await up.on(20)
    for name in ("s", "t"):
        rows = machine.slots(name)
        assert machine.doubled(name) == 0
        assert sum(slots for _, _, _, slots in rows) == 60
        assert [row[0] for row in rows].count("abstained") == 7
    assert len(up.engine.ran) == 14
    assert set(up.engine.ran[-2:]) == {at("13:00")}


def heartbeat(home: Path) -> Beat:
    beat = Heartbeat(Home(home).heartbeat).read()
    assert beat is not None
    return beat


async def test_while_another_program_holds_the_database_slots_are_missed_for_that_reason(home: Path) -> None:
    machine = Machine(home, patience_s=0.05)
    write(home, strategy(interval="1m"))
    async with driven(machine, at("12:00:30")) as up:
        await up.on(35.5)
        with away(home):
            await up.on(25)
            for _ in range(4):
                await up.on(29)
            assert up.engine.ran == [at("12:01")]
            assert "No slot is claimed since" in up.schedulers[0].problems()[0]
            assert heartbeat(home).journal_away
        await up.on(1)
        assert up.schedulers[0].problems() == []
        await up.on(29)
        assert not heartbeat(home).journal_away
    assert machine.slots() == [
        ("abstained", "12:01", "12:01", 1),
        ("missed", "12:02", "12:02", 1),
        ("abstained", "12:03", "12:03", 1),
    ]
    assert "The journal could not be written from 2026-01-05 12:0" in str(machine.reasons()[1])


async def test_a_start_while_the_database_is_held_schedules_once_it_is_free(home: Path) -> None:
    machine = Machine(home, patience_s=0.05)
    write(home, hourly())
    async with driven(machine, at("08:59:30")) as up:
        await up.on(36)
    with away(home):
        async with driven(machine, at("11:00:30")) as up:
            assert up.engine.ran == []
            assert "No slot is claimed since 11:00:30 UTC" in up.schedulers[0].problems()[0]
    async with driven(machine, at("11:01:30")) as up:
        assert up.engine.ran == [at("11:00")]
    assert [row[:2] for row in machine.slots()] == [("abstained", "09:00"), ("missed", "10:00"), ("abstained", "11:00")]
