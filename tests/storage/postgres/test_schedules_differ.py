"""Two machines with one journal whose copies of a strategy have other schedules: no slot is lost, none has two rows."""

import json
import shutil
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from random import Random

import pytest

from mcp_server.domain.outcome import NOTHING_SPENT, Outcome, Status
from mcp_server.domain.schedule.slots import due_at, next_slot
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.storage.journal.slots import SlotStore
from runner.scheduler.concurrency import Concurrency
from runner.scheduler.schedules import Schedules
from runner.scheduler.share import Share
from runner.scheduler.strategy_watch import StrategyWatch
from tests.rigs.journal_databases import IN_POSTGRES, URLS, postgres_url
from tests.scheduler.slot_homes import Machine, at, strategy, write

pytestmark = IN_POSTGRES

DECIDED = Outcome(Status.ABSTAINED, error="It did run.", **NOTHING_SPENT)
KINDS: list[dict[str, object]] = [
    {"interval": "1m"},
    {"interval": "5m", "offset_s": 180},
    {"cron": "2-59/5 * * * *"},
    {"cron": "*/3 * * * *", "offset_s": 90},
    {"interval": "15m"},
]


class Alone:
    """One machine: its home, its schedule, and what was its own to come due."""

    def __init__(self, root: Path, kind: dict[str, object], now: datetime) -> None:
        self.machine = Machine(root)
        self.due = set[datetime]()
        self._change(kind, now)
        self.start()

    def start(self) -> None:
        """Go on as another process does."""
        machine = self.machine
        self.store = SlotStore(machine.database, machine.home)
        self.store.open()
        watching, share = StrategyWatch(machine.home, machine.folders), Share(Concurrency("simulated", 1), alone=False)
        self.schedules = Schedules(self.store, machine.folders, watching, share)

    def restart(self, now: datetime) -> None:
        """End, and go on as another process, which knows of no slots but those that the journal has scheduled."""
        self.store.close(forget=True)
        self.start()
        self.since = now

    def _change(self, kind: dict[str, object], now: datetime) -> None:
        self.what: Strategy = strategy("s", **kind)
        self.since = now
        write(self.machine.root, self.what, now)

    async def change(self, kind: dict[str, object], now: datetime) -> None:
        self._change(kind, now)
        await self.schedules.refresh(now)

    async def step(self, now: datetime) -> None:
        """Look at the folders, and run what has come due."""
        await self.schedules.refresh(now)
        for claimed in await self.schedules.claim(now, "Nothing ran."):
            self.machine.journal.finish(claimed, DECIDED, now)
        slot = next_slot(self.what.config, self.since)
        while due_at(self.what.config, slot) <= now:
            self.due.add(slot)
            slot = next_slot(self.what.config, slot)


@pytest.fixture
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    roots = tmp_path / "a", tmp_path / "b"
    url = postgres_url()
    monkeypatch.setenv(URLS, json.dumps({str(root): url for root in roots}))
    return roots


LONG = pytest.mark.long


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=LONG) for seed in range(2, 60))])
@pytest.mark.parametrize("shared", [False, pytest.param(True, marks=LONG)], ids=["own", "shared"])
async def test_whatever_each_machine_has_scheduled_gets_one_row(
    roots: tuple[Path, Path], seed: int, *, shared: bool
) -> None:
    random, now = Random(seed), at("12:00")  # noqa: S311 (who does what when)
    numbers = count()

    def kind() -> dict[str, object]:
        what = random.choice(KINDS)
        return {**what, "description": f"version {random.randrange(2) if shared else next(numbers)}"}

    both = [Alone(root, kind(), now) for root in roots]
    for one in both:
        await one.schedules.refresh(now)
    for _ in range(40):
        now += timedelta(seconds=random.randrange(10, 90))
        for one in random.sample(both, random.choice((1, 2, 2))):
            if random.random() < 0.1:
                await one.step(now)
                await one.change(kind(), now)
            if random.random() < 0.1:
                one.restart(now)
            await one.step(now)
    for one in both:
        await one.step(now)
        one.store.close(forget=True)
    rows = both[0].machine.ask(
        "SELECT scheduled_at, scheduled_until FROM executions WHERE \"trigger\" = 'schedule' ORDER BY 1"
    )
    assert both[0].machine.doubled() == 0
    for one in both:
        wanted = {slot.replace(tzinfo=None) for slot in one.due}
        assert [slot for slot in sorted(wanted) if not any(first <= slot <= last for first, last in rows)] == []
        one.machine.database.close()


async def test_a_slot_within_its_offset_is_run_though_another_machine_adopts_its_version_meanwhile(
    roots: tuple[Path, Path],
) -> None:
    other: dict[str, object] = {"cron": "4-59/10 * * * *"}
    wanted: dict[str, object] = {"interval": "5m", "offset_s": 180}
    first, second = Alone(roots[0], other, at("12:01")), Alone(roots[1], wanted, at("12:01"))
    for one in (first, second):
        await one.step(at("12:03"))
    await first.step(at("12:04:10"))
    await first.change(wanted, at("12:06"))
    await second.step(at("12:08:10"))
    assert [row[:2] for row in first.machine.slots()] == [("abstained", "12:04"), ("abstained", "12:05")]
    await first.step(at("12:08:20"))
    for moment in ("12:13:10", "12:18:10"):
        for one in (first, second):
            await one.step(at(moment))
    assert [row[1] for row in first.machine.slots()] == ["12:04", "12:05", "12:10", "12:15"]
    for one in (first, second):
        one.store.close(forget=True)
        one.machine.database.close()


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_slot_that_comes_due_while_machines_are_made_equal_is_run(
    roots: tuple[Path, Path], *, restarted: bool
) -> None:
    before, after = {"cron": "7 * * * *", "offset_s": 30}, {"interval": "5m", "offset_s": 30}
    first, second = (Alone(root, before, at("12:10")) for root in roots)
    for one in (first, second):
        await one.step(at("12:13:50"))
    await first.change(after, at("12:13:55"))
    if restarted:
        second.restart(at("12:14:00"))
        await second.step(at("12:14:00"))
    await first.step(at("12:15:31"))
    await second.change(after, at("12:20:03"))
    for one in (first, second):
        await one.step(at("12:20:31"))
    rows = first.machine.ask("SELECT scheduled_at, status FROM executions ORDER BY 1")
    assert rows == [(at(slot).replace(tzinfo=None), "abstained") for slot in ("12:15", "12:20")]
    for one in (first, second):
        one.store.close(forget=True)
        one.machine.database.close()


async def test_a_strategy_that_a_machine_loses_goes_on_for_the_others_until_the_last_one_has_lost_it(
    roots: tuple[Path, Path],
) -> None:
    both = [Alone(root, {"interval": "5m"}, at("12:01")) for root in roots]

    def state() -> tuple[object, ...]:
        (row,) = both[0].machine.ask("SELECT status, scheduled_config IS NOT NULL FROM strategies")
        return row

    async def tell(one: Alone, now: datetime) -> None:
        await one.schedules.refresh(now)
        one.store.exchange_notes(one.machine.root.name, "1.0", one.schedules.adopted() or {})

    for one in both:
        await tell(one, at("12:02"))
    first, second = both
    shutil.rmtree(first.machine.root / "strategies" / "s")
    await first.schedules.refresh(at("12:03"))
    assert first.schedules.by_name == {}
    assert state() == ("active", True)
    notes = second.store.exchange_notes("b", "1.0", second.schedules.adopted() or {})
    assert [[*note.strategies] for note in notes] == [["s"], []], "the others see at once which machine lacks it"
    await second.step(at("12:05:10"))
    assert first.machine.slots() == [("abstained", "12:05", "12:05", 1)]
    write(first.machine.root, first.what, at("12:06"))
    await tell(first, at("12:06"))
    for one in both:
        shutil.rmtree(one.machine.root / "strategies" / "s")
    await first.schedules.refresh(at("12:07"))
    assert state() == ("active", True), "the other has not looked yet"
    await second.schedules.refresh(at("12:07"))
    assert state() == ("stopped", False)
    for one in both:
        one.store.close(forget=True)
        one.machine.database.close()
