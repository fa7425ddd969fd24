"""The scheduler: claims what comes due, runs it, records every end, and can be left alone.

One task looks at the clock and claims; each claimed slot is a task of its own; nothing that a run does can delay the
others' claims. Whatever fails, the slots are accounted for: by this process, or by the next one.
"""

import logging
import os
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from mcp_server.domain.outcome import Outcome
from mcp_server.domain.text import counted
from mcp_server.errors import Misconfigured, Retryable, TraderError
from mcp_server.storage.heartbeat import Beat, Heartbeat
from mcp_server.storage.journal.carry_out import Begin, carry_out
from mcp_server.storage.journal.rows import Claimed
from mcp_server.storage.journal.slots import SlotStore
from runner.clock import Clock
from runner.scheduler.after_run import AfterRun
from runner.scheduler.concurrency import Concurrency
from runner.scheduler.missed_because import MissedBecause
from runner.scheduler.recorder import Recorder
from runner.scheduler.schedules import Schedules
from runner.scheduler.slot_run import SlotRun
from runner.scheduler.troubles import CLAIMS, Troubles

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0
"""How often the strategy folders are looked at."""

TICK_S = 1.0
"""The clock is looked at so often at least: it may be set, and the machine may have slept."""

SOON = timedelta(seconds=10)
"""What is not urgent does not begin so shortly before a slot."""

BEAT_EVERY_S = 5.0
RETRY_S = 1.0
"""How long it waits after the database could not be used."""

AFTER_S = 30.0
"""How long a report and notices may take after a run."""

CLOSING_S = 8.0
"""How long recording may take after the grace is over."""


@dataclass(slots=True)
class _Task:
    """A claimed slot under way."""

    scope: anyio.CancelScope
    begun: bool = False


@dataclass(slots=True)
class Scheduler:
    """Runs the strategies of one home until it is told to stop.

    `more_problems` returns what is wrong elsewhere, in sentences for people. `ready` is awaited before slots are
    claimed. `beside` goes on beside the claims until the stop. `page` tells a person where the page is, if
    anywhere. After a stop, runs may go on for `grace_s`.
    """

    clock: Clock
    slot_store: SlotStore
    schedules: Schedules
    run: SlotRun
    recorder: Recorder
    concurrency: Concurrency
    after_run: AfterRun
    heartbeat: Heartbeat
    troubles: Troubles
    more_problems: Callable[[], list[str]]
    ready: Callable[[], Awaitable[None]]
    beside: Callable[[], Coroutine[Any, Any, None]] = anyio.sleep_forever
    page: Callable[[], str] = str
    grace_s: float = 30.0
    _parts: dict[str, str | None] = field(default_factory=dict)
    """The parts of a look, and why each failed last time."""
    _tasks: dict[int, _Task] = field(default_factory=dict)
    _idle: anyio.Event = field(default_factory=anyio.Event)

    async def serve(self, stop: anyio.Event) -> None:
        """Run what comes due until `stop` is set, then let runs end within the grace.

        Raises:
            Misconfigured: the home cannot be written.
        """
        self.slot_store.open()
        forget = False
        try:
            async with anyio.create_task_group() as runs:
                async with anyio.create_task_group() as watching:
                    watching.start_soon(self._claim_for_ever, runs)
                    watching.start_soon(self._beat_for_ever)
                    watching.start_soon(self.beside)
                    watching.start_soon(self._watch_others)
                    await stop.wait()
                    self.concurrency.closed = True  # what is being claimed at this moment begins no more
                    self.slot_store.database.hurry()
                    watching.cancel_scope.cancel()
                await self._end(runs)
            forget = not self.recorder.unwritten
        finally:
            self.slot_store.close(forget=forget)
            self.heartbeat.remove()

    def hurry(self) -> None:
        """End the runs that go on in their grace."""
        for task in self._tasks.values():
            task.scope.cancel()

    async def _claim_for_ever(self, runs: TaskGroup) -> None:
        await self.ready()
        await self._learn_time()
        missed_because = MissedBecause(self.clock.now())
        next_look = self.clock.now()
        while True:
            now = self.clock.now()
            missed_because.look(now)
            try:
                if now >= next_look or next_look - now > timedelta(seconds=10 * LOOK_EVERY_S):
                    await self._look(now)
                    next_look = now + timedelta(seconds=LOOK_EVERY_S)
                with anyio.CancelScope(shield=True):  # what is claimed must be started, or nobody ends it
                    reason = missed_because.reason(self.troubles.of(CLAIMS))
                    for claimed in await self.schedules.claim(now, reason):
                        self._start(runs, claimed)
                if (due := self.schedules.next_due()) is None or due > now:
                    missed_because.accounted()
                if self.troubles.note(CLAIMS, None, now):
                    logger.warning("slots are claimed again")
            except TraderError as error:
                self._blocked(str(error), now, journal=True)
                await self.clock.sleep(RETRY_S)
            except Exception as error:  # nobody is there to start it again: it goes on, and says so
                logger.exception("claiming slots")
                self._blocked(f"unexpected {type(error).__name__}; the log says more", now)
                await self.clock.sleep(10 * RETRY_S)
            else:
                await self._until_next(next_look)

    async def _learn_time(self) -> None:
        """Wait, where machines share the journal, until its clock is known: this machine's may be wrong."""
        while self.slot_store.database.path is None:
            try:
                await anyio.to_thread.run_sync(self.slot_store.database.read, lambda _: None)
                return
            except TraderError as error:
                self._blocked(str(error), self.clock.now(), journal=True)
                await self.clock.sleep(RETRY_S)

    async def _look(self, now: datetime) -> None:
        """Do what is due every few seconds. A part that fails unexpectedly holds up neither the others nor any slot.

        Raises:
            Retryable, Misconfigured: as `Database.write`; all of it is done again next time.
        """
        for about, part in (
            ("Outcomes that wait cannot be recorded", self.recorder.catch_up),
            ("The strategy folders cannot be looked at", partial(self._refresh, now)),
            ("Versions of strategies cannot be kept", self.schedules.last_good.keep),
        ):
            why = None
            try:
                await part()
            except (Retryable, Misconfigured):  # the database cannot be used
                raise
            except Exception as error:
                why = f"{about} (unexpected {type(error).__name__}; the log says more)."
                logger.log(logging.DEBUG if self._parts.get(about) else logging.ERROR, "%s", why, exc_info=error)
            self._parts[about] = why

    async def _refresh(self, now: datetime) -> None:
        for edit in await self.schedules.refresh(now):
            try:
                self.after_run.broken(edit)
            except Exception:  # the others are told all the same
                logger.exception("telling that %s is broken", edit.name)

    def _blocked(self, why: str, now: datetime, *, journal: bool = False) -> None:
        if self.troubles.note(CLAIMS, why, now, journal=journal):
            logger.error("no slot can be claimed: %s", why)

    async def _until_next(self, next_look: datetime) -> None:
        moments = [moment for moment in (self.schedules.next_due(), next_look) if moment is not None]
        wait_s = min(max((min(moments) - self.clock.now()).total_seconds(), 0.001), TICK_S)
        if self.schedules.withheld:
            await self.schedules.share.until_more(self.clock, wait_s)
        else:
            await self.clock.sleep(wait_s)

    def _start(self, runs: TaskGroup, claimed: Claimed) -> None:
        self._tasks[claimed.execution_id] = _Task(anyio.CancelScope())
        self.schedules.share.begin(claimed.run.strategy)
        runs.start_soon(self._one, claimed)

    async def _one(self, claimed: Claimed) -> None:
        decide, record = partial(self._decide, claimed), partial(self.recorder.record, claimed)
        ended = await carry_out(claimed, decide, record, self.clock.now)
        try:
            with anyio.move_on_after(AFTER_S):
                await self.after_run.follow(claimed.run.strategy, ended)
        except Exception:  # the run has its row; what follows it must not end the scheduler
            logger.exception("after a run of %s", claimed.run.strategy.name)
        finally:
            self._tasks.pop(claimed.execution_id, None)
            if self.concurrency.closed and not self._tasks:
                self._idle.set()

    async def _decide(self, claimed: Claimed, begin: Begin) -> Outcome | None:
        """Wait for the slot's turn, then let it run; None where it was stopped."""
        task = self._tasks[claimed.execution_id]
        try:
            with task.scope:
                async with self.concurrency.turn(claimed.run):
                    begin()
                    task.begun = True
                    return self.concurrency.refusal(claimed, self.clock.now()) or await self.run(claimed)
            return None
        finally:
            self.schedules.share.end(claimed.run.strategy)

    async def _watch_others(self) -> None:
        """Look, where machines share the journal, whether one of their programs was killed: soon after it was."""
        while (every_s := self.recorder.journal.look_every_s) is not None:
            try:
                await anyio.to_thread.run_sync(self.recorder.journal.end_dead)
            except TraderError as error:
                logger.debug("%s", error)  # who claims tells of it
            except Exception:  # that nobody looks must not end it
                logger.exception("looking for killed programs")
                await anyio.sleep(10 * RETRY_S)
            await anyio.sleep(every_s)

    async def _beat_for_ever(self) -> None:
        started_at = self.clock.now()
        while True:
            try:
                due = {name: schedule.due for name, schedule in [*self.schedules.by_name.items()]}
                now, problems = self.clock.now(), tuple(self.problems())
                away = (held := self.troubles.of(CLAIMS)) is not None and held.journal
                beat = Beat(os.getpid(), started_at, now, len(self._tasks), problems, due, self.page(), away)
                await anyio.to_thread.run_sync(self.heartbeat.write, beat)
                self.concurrency.adjust()
            except TraderError as error:
                logger.error("%s", error)
            except Exception:  # that others do not see how it is must not end it
                logger.exception("the heartbeat")
            await self.clock.sleep(BEAT_EVERY_S)

    @property
    def running(self) -> int:
        """How many slots are under way."""
        return len(self._tasks)

    @property
    def busy(self) -> bool:
        """Whether slots are under way, or one comes due in a moment."""
        due = self.schedules.next_due()
        return bool(self._tasks) or (due is not None and due - self.clock.now() < SOON)

    def problems(self) -> list[str]:
        """Return everything that is wrong now, in sentences for people."""
        held, unwritten = self.troubles.of(CLAIMS), self.recorder.unwritten
        return [
            *([f"No slot is claimed since {held.since:%H:%M:%S} UTC: {held.why}"] if held else []),
            *([f"{unwritten} outcomes could not be written."] if unwritten else []),
            *filter(None, [self.recorder.problem, *self._parts.values()]),
            *self.more_problems(),
            *self.schedules.problems(),
        ]

    async def _end(self, runs: TaskGroup) -> None:
        """Let runs that have begun end within the grace; what has not begun, or does not end, is recorded as that."""
        self._idle = anyio.Event()
        for task in self._tasks.values():
            if not task.begun:
                task.scope.cancel()
        begun = sum(task.begun for task in self._tasks.values())
        logger.info("stopping: %s may go on for %.0f s", counted(begun, "run"), self.grace_s)
        if self._tasks:
            with anyio.move_on_after(self.grace_s):
                await self._idle.wait()
        self.hurry()
        if self._tasks:
            with anyio.move_on_after(CLOSING_S):
                await self._idle.wait()
        runs.cancel_scope.cancel()
        await self.recorder.catch_up_at_the_end()
