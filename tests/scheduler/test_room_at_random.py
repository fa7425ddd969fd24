"""Two runners with little room, long and short runs, and edits that one sees before the other: no slot is lost."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from mcp_server.domain.schedule.slots import next_slot
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.storage.journal.rows import Claimed
from runner.scheduler import concurrency as bounds
from runner.scheduler import schedules
from runner.scheduler.scheduler import Scheduler
from tests.rigs.hand_clock import HandClock
from tests.rigs.journal_databases import IN_POSTGRES, kept_in
from tests.scheduler.hand_driven import Engine, make_scheduler
from tests.scheduler.slot_homes import HELD, Machine, at, strategy, write

__all__ = ["kept_in"]
pytestmark = IN_POSTGRES
NAMES = "abcdefgh"
KINDS: list[dict[str, object]] = [{"interval": "1m"}, {"interval": "5m"}, {"cron": "*/3 * * * *"}]
MISFIRES = [{"policy": "skip"}, {"policy": "run_latest"}, {"policy": "run_latest", "grace_s": 20}]


@dataclass
class Side:
    """One of the runners, and what it has claimed and not ended."""

    machine: Machine
    runner: Scheduler
    under_way: list[Claimed] = field(default_factory=list)

    async def claim(self, now: datetime) -> list[tuple[str, datetime]]:
        claimed = await self.runner.schedules.claim(now, "It was busy.")
        for one in claimed:
            self.runner.schedules.share.begin(one.run.strategy)
        self.under_way += claimed
        return [(one.run.strategy.name, one.run.as_of) for one in claimed]

    def end(self, at_most: int, now: datetime) -> None:
        for one in self.under_way[:at_most]:
            self.runner.schedules.share.end(one.run.strategy)
            self.machine.journal.finish(one, HELD, now)
        del self.under_way[:at_most]

    async def goes_on(self, now: datetime, ran: Counter[tuple[str, datetime]]) -> bool:
        """End all, and claim once more; return whether anything is left to be done."""
        self.end(len(self.under_way), now)
        ran.update(await self.claim(now))
        due = self.runner.schedules.next_due()
        return bool(self.under_way or self.runner.schedules.withheld or (due is not None and due <= now))


def wanted(versions: list[tuple[datetime, Strategy]], until: datetime) -> list[datetime]:
    """Return the slots of what was active, each version until the next."""
    ends = [since for since, _ in versions[1:]] + [until]
    found = []
    for (since, what), end in zip(versions, ends, strict=True):
        slot = next_slot(what.config, since)
        while what.config.status == "active" and slot + timedelta(seconds=what.config.offset_s) <= end:
            found.append(slot.replace(tzinfo=None))
            slot = next_slot(what.config, slot)
    return found


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 20))])
async def test_each_slot_gets_one_row_whoever_has_room(home: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(bounds, "RULES_AT_ONCE", 2)
    monkeypatch.setattr(bounds, "RULES_AHEAD", 0)
    monkeypatch.setattr(schedules, "CLAIMED_AT_ONCE", 3)
    random, now, ran = Random(seed), at("10:00:30"), Counter[tuple[str, datetime]]()  # noqa: S311 (who does what when)
    versions: dict[str, list[tuple[datetime, Strategy]]] = {name: [] for name in NAMES}

    def edit(name: str) -> None:
        status = random.choice(["active"] * 4 + ["paused"])
        kind = {**random.choice(KINDS), "description": str(random.random())}
        what = strategy(name, **kind, status=status, misfire=random.choice(MISFIRES))
        write(home, what, now)
        versions[name].append((now, what))

    for name in NAMES:
        edit(name)
    machines = [Machine(home), Machine(home)]
    sides = [Side(machine, make_scheduler(machine, HandClock(now), Engine())) for machine in machines]
    for side in sides:
        side.runner.slot_store.open()
        await side.runner.schedules.refresh(now)
    for _ in range(40):
        now += timedelta(seconds=random.choice([1, 3, 10, 25, 70]))
        for side in random.sample(sides, random.choice([0, 1, 2])):
            ran.update(await side.claim(now))
            side.end(random.choice([0, 0, 1, 2]), now)
        if random.random() < 0.2:
            first, second = random.sample(sides, 2)
            edit(random.choice(NAMES))
            await first.runner.schedules.refresh(now)
            now += timedelta(seconds=1)
            ran.update(await second.claim(now))  # which has not seen it yet
            await second.runner.schedules.refresh(now)
    while any([await side.goes_on(now, ran) for side in sides]):
        pass
    assert not [slot for slot, times in ran.items() if times > 1]
    assert machines[0].ask("SELECT 1 FROM executions WHERE status = 'running'") == []
    for name in NAMES:
        assert machines[0].doubled(name) == 0
        rows = machines[0].ask(
            "SELECT scheduled_at, scheduled_until FROM executions e JOIN strategies s ON s.id = e.strategy_id "
            "WHERE s.name = ?",
            name,
        )
        slots = wanted(versions[name], now)
        assert [slot for slot in slots if not any(first <= slot <= last for first, last in rows)] == []
