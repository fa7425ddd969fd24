"""What a year may bring to a scheduler that nobody looks at: none of it leaves a slot open, or holds up the others."""

import json
import tarfile
from pathlib import Path

from runner.backup import back_up
from runner.parts import Parts
from tests.scheduler.hand_driven import driven
from tests.scheduler.slot_homes import Machine, at, claim, hourly, write

NOON = at("12:00:10")


async def test_what_ran_when_a_backup_was_made_has_ended_when_it_is_restored(home: Path, tmp_path: Path) -> None:
    machine = Machine(home)
    write(home, hourly(), at("10:30"))
    machine.book.open()
    machine.adopt(hourly(), at("10:30"))
    assert len(machine.book.claim([claim(hourly(), "10:30", "11:00")], at("11:00:05")).started) == 1
    back_up(Parts(), tmp_path / "archive.tar.gz")
    with tarfile.open(tmp_path / "archive.tar.gz") as archive:
        archive.extractall(tmp_path / "restored", filter="data")
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
        what = scheduler.slate.slated["odd"].strategy
        odd = what.config.model_copy(update={"misfire": None})  # nothing that is known does so: a slip of ours would
        scheduler.slate.slated["odd"].strategy = what.model_copy(update={"config": odd})
        await up.set(NOON)
        (problem,) = scheduler.problems()
        assert problem.startswith("odd is not scheduled: its slots cannot be told (AttributeError")
        write(home, hourly("odd", description="mended"), NOON)
        await up.set(at("13:00:10"))
        assert scheduler.problems() == []
    assert machine.slots() == [("abstained", "12:00", "12:00", 1), ("abstained", "13:00", "13:00", 1)]
    assert machine.slots("odd")[-1] == ("abstained", "13:00", "13:00", 1)
