"""The scheduler: claims what comes due, runs it, records every end, and can be left alone.

One task looks at the clock and claims; each claimed slot is a task of its own; nothing that a run does can delay the
others' claims. Whatever fails, the slots are accounted for: by this process, or by the next one.
"""

import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from mcp_server.domain.outcome import NOTHING_SPENT, Ended, Outcome, Status
from mcp_server.domain.schedule.plan import grace_of
from mcp_server.domain.schedule.slots import due_at
from mcp_server.errors import TraderError
from mcp_server.storage.heartbeat import Beat, Heartbeat
from mcp_server.storage.journal.rows import Claimed
from mcp_server.storage.journal.runs import Journal
from mcp_server.storage.journal.slots import SlotStore
from runner.clock import Clock
from runner.execute import NOT_BEGUN, Begin, carry_out
from runner.scheduler.after_run import AfterRun
from runner.scheduler.concurrency import Concurrency
from runner.scheduler.schedules import Schedules
from runner.scheduler.slot_run import SlotRun
from runner.scheduler.strategy_watch import StrategyWatch

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0
"""How often the strategy folders are looked at."""

TICK_S = 1.0
"""The clock is looked at so often at least: it may be set, and the machine may have slept."""

GAP_S = 30.0
"""Nothing looked at the clock for longer than this: the machine slept, or stood still."""

BEAT_EVERY_S = 5.0
RETRY_S = 1.0
"""How long is waited after the database could not be used."""

BUSY = "The runner was busy at the time."
AFTER_S = 30.0
"""How long a report and notices may take after a run."""

ENTER_S = 1.5
"""How long is tried, at the end, to enter what waits in the outbox; the next program that comes enters it, too."""

CLOSING_S = 8.0
"""How long recording may take after the grace is over."""


async def _at_once() -> None:
    """Wait for nothing."""


@dataclass(slots=True)
class _Task:
    """A claimed slot under way."""

    scope: anyio.CancelScope
    begun: bool = False


@dataclass(slots=True)
class Scheduler:
    """Runs the strategies of one home until it is told to stop.

    Args:
        clock: the only clock that slots go by.
        journal: where runs end.
        book: where slots are claimed.
        roster: the strategies as they lie on disk.
        slate: what is scheduled.
        run: runs one slot.
        rooms: how many runs go on at once.
        aftermath: what follows the end of a run: notices, reports, pauses.
        heartbeat: by which others see that this is alive.
        troubles: give what is wrong elsewhere, for people.
        ready: waited for before the first slot is claimed.
        grace_s: how long runs may go on after a stop.
    """

    clock: Clock
    journal: Journal
    book: SlotStore
    roster: StrategyWatch
    slate: Schedules
    run: SlotRun
    rooms: Concurrency
    aftermath: AfterRun
    heartbeat: Heartbeat
    troubles: Callable[[], list[str]] = list
    ready: Callable[[], Awaitable[None]] = _at_once
    grace_s: float = 30.0
    _tasks: dict[int, _Task] = field(default_factory=dict)
    _unkept: dict[int, Callable[[], Ended]] = field(default_factory=dict)
    _orphans_ended: bool = False
    _stopping: bool = False
    _idle: anyio.Event = field(default_factory=anyio.Event)
    _held: str | None = None
    _held_since: datetime | None = None
    _absent: str = ""
    _looked_at: datetime | None = None

    async def serve(self, stop: anyio.Event) -> None:
        """Run what comes due until `stop` is set, then let runs end within the grace.

        Raises:
            Misconfigured: the home cannot be written.
        """
        self.book.open()
        forget = False
        try:
            async with anyio.create_task_group() as runs:
                async with anyio.create_task_group() as watching:
                    watching.start_soon(self._claim_for_ever, runs)
                    watching.start_soon(self._beat_for_ever)
                    await stop.wait()
                    self.book.database.hurry()
                    watching.cancel_scope.cancel()
                await self._end(runs)
            forget = not self._unkept
        finally:
            self.book.close(forget=forget)
            self.heartbeat.remove()

    def hurry(self) -> None:
        """End the runs that go on in their grace."""
        for task in self._tasks.values():
            task.scope.cancel()

    async def _claim_for_ever(self, runs: TaskGroup) -> None:
        await self.ready()
        self._absent = f"Nothing ran at the time: the runner was started at {self.clock.now():%Y-%m-%d %H:%M:%S} UTC."
        self._looked_at = None
        next_look = self.clock.now()
        while True:
            now = self.clock.now()
            self._notice_gap(now)
            try:
                if now >= next_look or next_look - now > timedelta(seconds=10 * LOOK_EVERY_S):
                    await self._keep_up()
                    await self._adopt(now)
                    await self.slate.keep()
                    next_look = now + timedelta(seconds=LOOK_EVERY_S)
                with anyio.CancelScope(shield=True):  # what is claimed must be started, or nobody ends it
                    for claimed in await self.slate.claim(now, self._why_absent(now)):
                        self._start(runs, claimed)
                self._absent = BUSY  # what was missed before has its row
                self._free_again()
            except TraderError as error:
                self._blocked(str(error), now)
                await self.clock.sleep(RETRY_S)
            except Exception as error:  # nobody is there to start it again: it goes on, and says so
                logger.exception("claiming slots")
                self._blocked(f"unexpected {type(error).__name__}; the log says more", now)
                await self.clock.sleep(10 * RETRY_S)
            else:
                await self._until_next(next_look)

    async def _until_next(self, next_look: datetime) -> None:
        moments = [moment for moment in (self.slate.next_due(), next_look) if moment is not None]
        wait_s = (min(moments) - self.clock.now()).total_seconds()
        await self.clock.sleep(min(max(wait_s, 0.001), TICK_S))

    async def _keep_up(self) -> None:
        """Enter what waits, here and in the outbox, and end the rows of runs that were killed."""
        for execution_id, finish in list(self._unkept.items()):
            try:
                await anyio.to_thread.run_sync(finish)
            except TraderError:
                raise
            except Exception as error:  # it was told when it happened first; no other slot waits for this one
                logger.debug("execution %d: %s", execution_id, error)
                continue
            self._unkept.pop(execution_id, None)
        await anyio.to_thread.run_sync(self.journal.settle)
        if not self._orphans_ended:
            await anyio.to_thread.run_sync(self.journal.end_orphans)
            self._orphans_ended = True

    async def _adopt(self, now: datetime) -> None:
        remembered = await self.slate.remembered() if not self.roster.listed else {}
        changed = await anyio.to_thread.run_sync(self.roster.look, remembered)
        try:
            if changed or not self.slate.started:
                gone = [] if self.slate.started else self.slate.gone(self.roster.listed)
                first = not self.slate.started
                await self.slate.adopt([(name, self.roster.listed.get(name)) for name in [*changed, *gone]], now)
                if first:
                    logger.info("%s", self._beginning())
                    changed = [name for name in changed if self.roster.listed[name].problem]
        except TraderError:
            for name in changed:
                self.roster.forget(name)
            raise
        self.slate.looked_at = now
        for name in changed:
            listed = self.roster.listed.get(name)
            if listed is not None and listed.problem is not None:
                self.aftermath.broken(name, listed.problem, runs_on=name in self.slate.slated)
            logger.info("strategy %s: %s", name, "gone" if listed is None else "broken" if listed.problem else "read")

    def _beginning(self) -> str:
        """Say what is scheduled, to whoever has just started it."""
        slated = sorted(self.slate.slated.values(), key=lambda each: each.due)
        if not slated:
            return "no active strategy yet: `claude-trader strategies add NAME` copies an example; it is picked up here"
        first = slated[0]
        strategies = "1 strategy is" if len(slated) == 1 else f"{len(slated)} strategies are"
        return f"{strategies} scheduled; next: {first.strategy.name} at {first.due:%Y-%m-%d %H:%M:%S} UTC"

    def _start(self, runs: TaskGroup, claimed: Claimed) -> None:
        self._tasks[claimed.execution_id] = _Task(anyio.CancelScope())
        runs.start_soon(self._one, claimed)

    async def _one(self, claimed: Claimed) -> None:
        ended = await carry_out(claimed, partial(self._decide, claimed), partial(self._record, claimed), self.clock)
        try:
            with anyio.move_on_after(AFTER_S):
                await self.aftermath.follow(claimed.run.strategy, ended)
        except Exception:  # the run has its row; what follows it must not end the scheduler
            logger.exception("after a run of %s", claimed.run.strategy.name)
        finally:
            self._tasks.pop(claimed.execution_id, None)
            if self._stopping and not self._tasks:
                self._idle.set()

    async def _decide(self, claimed: Claimed, begin: Begin) -> Outcome | None:
        """Wait for room, then let the slot run; None where it was stopped."""
        task = self._tasks[claimed.execution_id]
        with task.scope:
            async with self.rooms.turn(claimed.run):
                begin()
                task.begun = True
                return self._may_not_begin(claimed) or await self.run(claimed, self._may_not_begin)
        return None

    def _may_not_begin(self, claimed: Claimed) -> Outcome | None:
        """Give the outcome of a slot that may not begin any more: it waited too long for its turn, or all ends."""
        if self._stopping:
            return Outcome(Status.MISSED, error=NOT_BEGUN, **NOTHING_SPENT)
        config, slot = claimed.run.strategy.config, claimed.run.as_of
        late = self.clock.now() - due_at(config, slot)
        if late <= grace_of(config, slot):
            return None
        why = f"Its turn came {late.total_seconds():.0f} s late: too many runs were due at once."
        return Outcome(Status.SKIPPED_STALE, error=why, **NOTHING_SPENT)

    async def _record(self, claimed: Claimed, outcome: Outcome, began_at: datetime | None) -> Ended:
        ended_at = self.clock.now()
        finish = partial(self.journal.finish, claimed, outcome, ended_at, began_at=began_at)
        try:
            return await anyio.to_thread.run_sync(finish)
        except TraderError as error:
            waiting = str(error)
        except Exception as error:  # memory ran out, say: the outcome is still here, and tried again
            logger.exception("the outcome of a slot of %s", claimed.run.strategy.name)
            waiting = f"unexpected {type(error).__name__}; the log says more"
        self._unkept[claimed.execution_id] = finish
        return claimed.ended(outcome, began_at, ended_at, waiting)

    def _notice_gap(self, now: datetime) -> None:
        """Remember why slots were not run, where nothing looked at the clock for a while, or it was set back."""
        before, self._looked_at = self._looked_at, now
        if before is None:
            return
        if (now - before).total_seconds() > GAP_S:
            self._absent = (
                f"Nothing ran from {before:%Y-%m-%d %H:%M:%S} to {now:%Y-%m-%d %H:%M:%S} UTC: the machine slept, stood "
                "still, or its clock was set."
            )
            logger.warning("%s", self._absent)
        elif now < before - timedelta(seconds=TICK_S):
            back_s = (before - now).total_seconds()
            logger.warning("the clock was set back by %.0f s; slots that have run are not run again", back_s)

    def _why_absent(self, now: datetime) -> str:
        if self._held is not None and self._held_since is not None:
            return f"The journal could not be written from {self._held_since:%Y-%m-%d %H:%M:%S} UTC on: {self._held}"
        return self._absent

    def blocked(self) -> tuple[str, datetime] | None:
        """Say why no slot can be claimed, and since when; None: they can be."""
        return None if self._held is None or self._held_since is None else (self._held, self._held_since)

    def _blocked(self, why: str, now: datetime) -> None:
        if self._held is None:
            self._held_since = now
            logger.error("no slot can be claimed: %s", why)
        self._held = why

    def _free_again(self) -> None:
        if self._held is not None:
            logger.warning("slots are claimed again")
        self._held = self._held_since = None

    async def _beat_for_ever(self) -> None:
        started_at = self.clock.now()
        while True:
            try:
                beat = Beat(os.getpid(), started_at, self.clock.now(), len(self._tasks), tuple(self.problems()))
                await anyio.to_thread.run_sync(self.heartbeat.write, beat)
                self.rooms.adjust()
            except TraderError as error:
                logger.error("%s", error)
            except Exception:  # that others do not see how it is must not end it
                logger.exception("the heartbeat")
            await self.clock.sleep(BEAT_EVERY_S)

    @property
    def running(self) -> int:
        """How many slots are under way."""
        return len(self._tasks)

    def problems(self) -> list[str]:
        """Say what is wrong now, in sentences for people."""
        broken = [f"{name} is broken: {each.problem}" for name, each in self.roster.listed.items() if each.problem]
        held = [f"No slot is claimed since {self._held_since:%H:%M:%S} UTC: {self._held}"] if self._held else []
        unkept = [f"{len(self._unkept)} outcomes could not be written."] if self._unkept else []
        versions = [self.slate.unkept] if self.slate.unkept else []
        return [*held, *unkept, *self.troubles(), *versions, *broken, *self.slate.failed.values()]

    async def _end(self, runs: TaskGroup) -> None:
        """Let runs that have begun end within the grace; what has not begun, or does not end, is recorded as that."""
        self._stopping = True
        for task in self._tasks.values():
            if not task.begun:
                task.scope.cancel()
        begun = sum(task.begun for task in self._tasks.values())
        logger.info("stopping: %d runs may go on for %.0f s", begun, self.grace_s)
        if self._tasks:
            with anyio.move_on_after(self.grace_s):
                await self._idle.wait()
        self.hurry()
        if self._tasks:
            with anyio.move_on_after(CLOSING_S):
                await self._idle.wait()
        runs.cancel_scope.cancel()
        with anyio.move_on_after(ENTER_S):
            while not await self._kept_up():  # noqa: ASYNC110 (nothing tells when a journal is let go)
                await anyio.sleep(RETRY_S / 4)

    async def _kept_up(self) -> bool:
        """Enter what waits; False where the journal is still in use."""
        try:
            await self._keep_up()
        except TraderError:
            return False
        return True
