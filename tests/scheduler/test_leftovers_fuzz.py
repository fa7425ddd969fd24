"""Sixty leftovers in a home, of kills, other versions, editors and abuse: `up` schedules, ends and loses nothing."""

import json
import os
import random
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from mcp_server.domain.outcome import Outcome, Signal, Status
from mcp_server.storage.heartbeat import Heartbeat
from mcp_server.storage.home import Home
from mcp_server.storage.journal.rows import Claimed, Run
from mcp_server.storage.journal.runs import Journal
from tests.rigs.fast_clock import START
from tests.rigs.journal_databases import away
from tests.rigs.running_up import RunningUp, write_strategy
from tests.scheduler.hand_driven import driven
from tests.scheduler.slot_homes import Machine, at, hourly, write

pytestmark = pytest.mark.usefixtures("kept_in")
BOUGHT = Outcome(Status.SUCCESS, Signal("BUY", None, "it rose"))
STATE = {"status": "moonshot", "kind": "x", "run_key": "y", "pid": "z", "problems": [[]], "signal": 5}


class Leftovers:
    """Puts files of all kinds where a home has files of its own, each with a content by which it is found again."""

    def __init__(self, home: Path, dice: random.Random) -> None:
        self.home = home
        self.dice = dice
        self.marks: list[bytes] = []

    def key(self) -> str:
        return f"{self.dice.getrandbits(128):032x}"

    def name(self) -> bytes:
        """Make the name of a file, as a program of ours would, or nearly."""
        names = [self.key(), f"{self.key()}.{self.dice.randrange(9)}", "x", "a b", "\u202egnp", "..json", "%s"]
        return self.dice.choice([*(name.encode() for name in names), b"\xff\xfe"])

    def content(self) -> bytes:
        """Make a content that no program of ours can use, with a mark."""
        mark = b"mark-%d-" % len(self.marks)
        self.marks.append(mark)
        text = json.dumps(STATE)
        plain = mark.decode()
        return self.dice.choice(
            [
                mark,
                b'{"a": "' + mark,
                json.dumps({**STATE, "mark": plain}).encode(),
                json.dumps([text, plain]).encode(),
                b'{"' + mark + b'": ' + b"[" * 100_000,
                b"\xff\xfe" + mark + b"\x00" * 50,
                b"{" + mark + b" " * 2_000_000,
            ]
        )

    def put(self, target: bytes) -> None:
        """Put something there: a file, or what is none."""
        if os.path.lexists(target):
            return
        os.makedirs(os.path.dirname(target), exist_ok=True)
        kind = self.dice.choice(["file", "file", "file", "pipe", "folder", "link", "dangling"])
        if kind == "pipe":
            os.mkfifo(target)
        elif kind == "folder":
            os.makedirs(target)
            _fill(os.path.join(target, b"inside"), self.content())
        elif kind == "link":
            elsewhere = os.fsencode(self.home.parent / f"elsewhere-{len(self.marks)}")
            _fill(elsewhere, self.content())
            os.symlink(elsewhere, target)
        elif kind == "dangling":
            os.symlink(b"/nowhere/at/all", target)
        else:
            _fill(target, b"" if b"/running/" in target else self.content())  # a lock has no content


def _fill(target: bytes, content: bytes) -> None:
    with open(target, "wb") as stream:
        stream.write(content)


def places(left: Leftovers) -> dict[str, Callable[[], bytes]]:
    """Return where leftovers lie, each by a function that makes the name of one."""
    dice = left.dice
    return {
        "outbox": lambda: b"outbox/" + left.name() + dice.choice([b".json", b".json", b"", b".new"]),
        "running": lambda: b"running/" + left.name() + dice.choice([b"", b"", b".lock"]),
        "notices": lambda: b"notices/" + left.name() + b".json",
        "lost": lambda: b"notices/lost/" + left.name() + b".json",
        "strategies": lambda: b"strategies/" + dice.choice([b"", b".writing-", b".replacing-"]) + left.name(),
        "a strategy": lambda: b"strategies/odd%d/config.json" % dice.randrange(9),
        "its agents": lambda: b"strategies/dip/" + dice.choice([b".notes", b"notes.md", b"x.json"]),
        "versions": lambda: b"strategies/.versions/" + dice.choice([b"dip/", b"odd/", b""]) + left.name(),
        "templates": lambda: b"templates/" + dice.choice([b"signal", b"failure", b"broken"]) + b".txt",
        "root": left.name,
        "analysis": lambda: b"analysis/" + left.name(),
    }


def found(folder: Path) -> bytes:
    """Return all that lies in a folder, in one."""
    contents = [b""]
    for parent, _, files in os.walk(os.fsencode(folder)):
        for name in files:
            file = os.path.join(parent, name)
            if os.path.isfile(file) and not os.path.islink(file):
                with open(file, "rb") as stream:
                    contents.append(stream.read(1_000))
    return b"\n".join(contents)


ENDED = (
    "SELECT e.id, e.status, a.signal FROM executions e LEFT JOIN analysis_results a ON a.execution_id = e.id "
    "WHERE e.\"trigger\" = 'manual' ORDER BY e.id"
)


def leave(home: Path, machine: Machine, seed: int, count: int) -> tuple[Leftovers, list[Path]]:
    """Put some into a home, and three outcomes into its outbox; return these too, of which the first alone is good."""
    journal = Journal(machine.database, Home(home))
    waiting = [_claimed(journal, START) for _ in range(3)]
    with away(home):
        for claimed in waiting:
            assert machine.journal.finish(claimed, BOUGHT, START).waiting is not None
    good, cut, other = (home / "outbox" / f"{claimed.key}.json" for claimed in waiting)
    cut.write_bytes(cut.read_bytes()[:-30])
    other.write_text(json.dumps({**json.loads(other.read_text()), "status": "moonshot"}))
    dice = random.Random(seed)  # noqa: S311 (the same homes every time)
    left = Leftovers(home, dice)
    kinds = [*places(left).values()]
    for number in range(count):
        left.put(os.fsencode(home) + b"/" + kinds[number % len(kinds)]())
    _fill(os.fsencode(home / "heartbeat.json"), b'{"problems": ' + b"[" * 100_000)
    return left, [good, cut, other]


async def test_leftovers_keep_a_scheduler_from_nothing_and_none_is_lost(home: Path) -> None:
    """Two of each place."""
    machine = Machine(home)
    for name in ("dip", "also"):
        write(home, hourly(name), at("11:30"))
    left, (good, *broken) = leave(home, machine, 1, 22)
    async with driven(machine, at("11:59:30")) as up:
        await up.on(36)
        problems = up.schedulers[0].problems()
        assert {"dip", "also"} <= {*up.schedulers[0].schedules.by_name}
    assert any("could not be read" in problem for problem in problems), problems
    assert [row[0] for row in machine.slots("dip") + machine.slots("also")] == ["abstained"] * 2
    assert [row[1:] for row in machine.ask(ENDED)] == [("success", "BUY"), ("error", None), ("error", None)]
    assert not good.exists()
    assert all((home / "outbox" / "broken" / file.name).is_file() for file in broken)
    remains = found(home.parent)
    assert [mark for mark in left.marks if mark not in remains] == [], "nothing is lost"


@pytest.mark.long
@pytest.mark.parametrize("seed", [1])
def test_sixty_leftovers_keep_up_from_nothing_and_none_is_lost(home: Path, seed: int) -> None:
    machine = Machine(home)
    for name in ("dip", "also"):
        write_strategy(home, name)
    left, (good, *broken) = leave(home, machine, seed, 60)
    with RunningUp(home, speed=20, environment={"TRADER_NOTIFY": "json://127.0.0.1:9/"}, warm_server=True) as up:
        up.until(lambda: {row["strategy"] for row in up.rows() if row["status"] == "success"} == {"dip", "also"})
        beat = up.beat()
        assert up.stop() == 0, up.log
    assert {"dip", "also"} <= {*beat["due"]}
    assert any("could not be read" in problem for problem in beat["problems"]), beat["problems"]
    assert [row[1:] for row in machine.ask(ENDED)] == [("success", "BUY"), ("error", None), ("error", None)]
    assert not good.exists()
    assert all((home / "outbox" / "broken" / file.name).is_file() for file in broken)
    remains = found(home.parent)
    assert [mark for mark in left.marks if mark not in remains] == [], "nothing is lost"
    assert "Traceback" not in up.log


async def test_a_folder_in_place_of_the_heartbeat_keeps_a_scheduler_from_nothing(home: Path) -> None:
    machine = Machine(home)
    write(home, hourly(), at("11:30"))
    (home / "heartbeat.json").mkdir()
    async with driven(machine, at("11:59:30")) as up:
        await up.on(36)
        beat = Heartbeat(machine.home.heartbeat).read()
    assert beat is not None
    assert (beat.due or {}).keys() == {"s"}
    assert machine.slots() == [("abstained", "12:00", "12:00", 1)]
    assert (home / "broken" / "heartbeat.json").is_dir()


@pytest.mark.long
def test_a_folder_in_place_of_the_heartbeat_and_a_file_in_place_of_the_reports_keep_up_from_nothing(home: Path) -> None:
    """In `make test`, `test_after_run.py` has a report that cannot be written."""
    machine = Machine(home)
    write_strategy(home, "dip")
    (home / "heartbeat.json").mkdir()
    (home / "analysis").write_text("my notes")
    with RunningUp(home, speed=20, warm_server=True) as up:
        up.says("no report of dip: The home cannot be written")
        assert list(up.beat()["due"]) == ["dip"]
        assert up.stop() == 0, up.log
    assert "Traceback" not in up.log
    assert machine.ask("SELECT DISTINCT status FROM executions") == [("success",)]
    assert (home / "broken" / "heartbeat.json").is_dir()
    assert (home / "analysis").read_text() == "my notes"


def _claimed(journal: Journal, now: datetime) -> Claimed:
    return journal.claim(Run(hourly("manual"), "manual", now, "rules", now))
