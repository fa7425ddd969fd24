"""Real schedulers on one home, whose clock a test moves by hand; a stand-in for the engines notes what would run."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

import anyio
import anyio.lowlevel

from mcp_server.domain.outcome import NOTHING_SPENT, Outcome, Status
from mcp_server.storage.heartbeat import Heartbeat
from mcp_server.storage.journal.rows import Claimed
from mcp_server.storage.journal.slots import SlotStore
from runner.scheduler.after_run import AfterRun
from runner.scheduler.concurrency import Concurrency
from runner.scheduler.recorder import Recorder
from runner.scheduler.scheduler import Scheduler
from runner.scheduler.schedules import Schedules
from runner.scheduler.share import Share
from runner.scheduler.slot_run import SlotRun
from runner.scheduler.strategy_watch import StrategyWatch
from runner.scheduler.troubles import Troubles
from tests.rigs.hand_clock import HandClock
from tests.scheduler.slot_homes import Machine

Beside = Callable[[], Coroutine[Any, Any, None]]

DECIDED = Outcome(Status.ABSTAINED, error="It did run.", **NOTHING_SPENT)


@dataclass
class Engine:
    """Stands in for the engines: each run ends at once, as an abstention unless told otherwise."""

    ran: list[datetime] = field(default_factory=list)
    outcome: Outcome = DECIDED

    async def __call__(self, claimed: Claimed) -> Outcome:
        self.ran.append(claimed.run.as_of)
        return self.outcome


@dataclass
class Driven:
    """Schedulers under way on one home, moved on by hand."""

    clock: HandClock
    schedulers: list[Scheduler]
    engine: Engine

    async def settled(self) -> None:
        """Wait until all that can happen now has happened."""
        with anyio.fail_after(30):
            await self.clock.until_asleep(2 * len(self.schedulers))
            while any(scheduler._tasks for scheduler in self.schedulers):  # noqa: ASYNC110 (nothing tells of the last row)
                await anyio.sleep(0.002)

    async def set(self, now: datetime) -> None:
        """Set the clock; it is looked at within a second."""
        self.clock.set(now)
        await self.on(1)

    async def on(self, seconds: float) -> None:
        """Let time pass at once, up to some seconds: nothing looks at the clock in between."""
        self.clock.pass_by(seconds)
        await self.settled()


@asynccontextmanager
async def driven(
    machine: Machine, now: datetime, runners: int = 1, beside: Beside = anyio.sleep_forever
) -> AsyncIterator[Driven]:
    """Give schedulers that are up; they are told to stop at the end. What is `beside` must not sleep by their clock."""
    clock, engine = HandClock(now), Engine()
    schedulers = [make_scheduler(machine, clock, engine, beside) for _ in range(runners)]
    stop = anyio.Event()
    async with anyio.create_task_group() as tasks:
        for scheduler in schedulers:
            tasks.start_soon(scheduler.serve, stop)
        everything = Driven(clock, schedulers, engine)
        try:
            await everything.settled()
            yield everything
        finally:
            stop.set()


def make_scheduler(
    machine: Machine, clock: HandClock, engine: Engine, beside: Beside = anyio.sleep_forever
) -> Scheduler:
    """Give a scheduler of a home that is not up yet."""
    slot_store, troubles = SlotStore(machine.database, machine.home), Troubles()
    concurrency = Concurrency("simulated", 1)
    share = Share(concurrency, alone=machine.database.path is not None)
    watch = StrategyWatch(machine.home, machine.folders)
    return Scheduler(
        clock=clock,
        slot_store=slot_store,
        schedules=Schedules(slot_store, machine.folders, watch, share),
        run=cast(SlotRun, engine),
        recorder=Recorder(machine.journal, clock),
        concurrency=concurrency,
        after_run=AfterRun(
            machine.database, machine.folders, "simulated", troubles, lambda _: None, no_report, lambda *_: None
        ),
        heartbeat=Heartbeat(machine.home.heartbeat),
        troubles=troubles,
        more_problems=list,
        ready=anyio.lowlevel.checkpoint,
        beside=beside,
        grace_s=0.0,
    )


async def no_report(*_: object) -> None:
    """Write no report."""
