"""What is scheduled, and up to when each strategy's slots are accounted for.

Threads look at the folders and write the database; only the scheduler's task changes what is scheduled.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

import anyio.to_thread

from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.errors import Misconfigured, Retryable
from mcp_server.storage.journal.rows import Claimed
from mcp_server.storage.journal.slot_rows import StoredSchedule
from mcp_server.storage.journal.slots import ASTRAY, Change, SlotStore
from mcp_server.storage.strategies.folders import StrategyFolders
from runner.scheduler.changes import change_of
from runner.scheduler.due import Schedule, plan_claims
from runner.scheduler.last_good import LastGood
from runner.scheduler.one_by_one import one_by_one
from runner.scheduler.share import AT_ONCE as CLAIMED_AT_ONCE
from runner.scheduler.share import Share
from runner.scheduler.strategy_watch import StrategyWatch

logger = logging.getLogger(__name__)

RETRY_EVERY = timedelta(minutes=1)
"""How often a strategy that could not be scheduled is tried again."""

AT_ONCE = 100
"""How many strategies one transaction adopts: neither a stop nor another program waits for thousands of them."""


class BrokenEdit(NamedTuple):
    """An edit that broke a strategy's folder. `runs_on`: its last good version is scheduled."""

    name: str
    problem: str
    runs_on: bool


class Schedules:
    """Adopts changes of the strategy folders, and claims what has come due."""

    def __init__(
        self, slot_store: SlotStore, folders: StrategyFolders, strategy_watch: StrategyWatch, share: Share
    ) -> None:
        self.share = share
        self._slot_store = slot_store
        self._strategy_watch = strategy_watch
        self.last_good = LastGood(folders)
        self._to_adopt: set[str] = set()
        """Strategies that came, changed or went. Each stays here until what it says is scheduled, whatever fails."""
        self._stored: dict[str, StoredSchedule] | None = None
        self._failed: dict[str, str] = {}
        """Strategies that cannot be scheduled, and why: one of them is no reason to leave out the others."""
        self._started = False
        self._looked_at: datetime | None = None
        """When the folders were last looked at, and all changes adopted."""
        self._retried_at: datetime | None = None
        self.by_name: dict[str, Schedule] = {}
        self.withheld: frozenset[str] = frozenset()
        """Strategies that are due and whose run cannot begin soon: another runner may claim them."""

    async def refresh(self, now: datetime) -> Sequence[BrokenEdit]:
        """Look at the folders and adopt what came, changed or went; return the edits that broke a strategy.

        After it, each active strategy is scheduled as its folder says, or `problems` says why not.

        Raises:
            Retryable, Misconfigured: as `Database.write`; what was not adopted is looked at again next time.
        """
        watch, first, stored = self._strategy_watch, not self._started, await self._read_stored()
        remembered: Mapping[str, Strategy] = {}
        if not watch.folder_states:
            remembered = await anyio.to_thread.run_sync(self.last_good.read, stored)
        self._to_adopt.update(await anyio.to_thread.run_sync(watch.look, remembered))
        self._to_adopt |= self._astray() | (self._gone() if first else set()) | self._to_retry(now)
        adopted = sorted(self._to_adopt)
        if adopted or first:
            await self._adopt(adopted, now)
            if first:
                logger.info("%s", self._beginning(now))
        self._looked_at = now
        broken = []
        for name in adopted:
            folder = watch.folder_states.get(name)
            if folder is not None and folder.problem is not None:
                broken.append(BrokenEdit(name, folder.problem, name in self.by_name))
            elif not first and name not in self._failed:
                logger.info("strategy %s: %s", name, "gone" if folder is None else "read")
        return broken

    def _astray(self) -> set[str]:
        """Return the strategies that are not scheduled as their folder says: whatever the reason, they are adopted."""
        active = {
            name: folder.strategy
            for name, folder in self._strategy_watch.folder_states.items()
            if folder.strategy is not None and folder.strategy.config.status == "active" and name not in self._failed
        }
        scheduled = {name: schedule.strategy for name, schedule in self.by_name.items()}
        return {name for name in active.keys() | scheduled.keys() if active.get(name) is not scheduled.get(name)}

    def _to_retry(self, now: datetime) -> set[str]:
        """Return the strategies that failed, once in `RETRY_EVERY`: what kept them out may be over."""
        if self._retried_at is not None and timedelta(0) <= now - self._retried_at < RETRY_EVERY:
            return set()
        self._retried_at = now
        return {*self._failed}

    async def _adopt(self, names: Sequence[str], now: datetime) -> None:
        """Adopt strategies that came, changed or went. After an error those that were not are still to be adopted."""
        stored = await self._read_stored()
        if not self._started and any(schedule.accounted_until - now > ASTRAY for schedule in stored.values()):
            await anyio.to_thread.run_sync(self._slot_store.take_back, now)
            self._stored = stored = await anyio.to_thread.run_sync(self._slot_store.stored_schedules)
        changes, failed = await anyio.to_thread.run_sync(self._changes, names, now)
        for name, error in failed.items():
            self._fail(name, error)
        for name in {*names} - changes.keys() - failed.keys():  # there is nothing to note
            self._place(name, None)
        for first in range(0, len(changes), AT_ONCE):
            await self._store([*changes.values()][first : first + AT_ONCE], stored, now)
        self._started = True

    async def _store(self, changes: Sequence[Change], stored: dict[str, StoredSchedule], now: datetime) -> None:
        news = {
            change.name: change for change in changes if change.schedule != stored.get(change.name) or change.passed
        }
        done, failed = list[Mapping[str, StoredSchedule]](), dict[str, Exception]()
        if news:
            done, failed = await one_by_one(news, partial(self._slot_store.change, now=now))
        noted = {name: schedule for part in done for name, schedule in part.items()}
        for change in changes:
            if (error := failed.get(change.name)) is not None:
                self._fail(change.name, error)
                continue
            schedule = noted.get(change.name, change.schedule)
            if schedule is None:
                stored.pop(change.name, None)
            else:
                stored[change.name] = schedule
            self._place(change.name, replace(change, schedule=schedule))

    async def _read_stored(self) -> dict[str, StoredSchedule]:
        if self._stored is None:
            self._stored = await anyio.to_thread.run_sync(self._slot_store.stored_schedules)
        return self._stored

    def _changes(self, names: Sequence[str], now: datetime) -> tuple[dict[str, Change], dict[str, Exception]]:
        """Compute what to note, in a thread: to count the slots of a cron that was missed for years takes a while."""
        stored, changes, failed = self._stored or {}, dict[str, Change](), dict[str, Exception]()
        for name in names:
            folder, scheduled = self._strategy_watch.folder_states.get(name), self.by_name.get(name)
            until = scheduled.accounted_until if scheduled else None
            try:
                change = change_of(name, folder, stored.get(name), until, self._looked_at, now)
            except Exception as error:
                failed[name] = error
                continue
            if change is not None:
                changes[name] = change
        return changes, failed

    def _gone(self) -> set[str]:
        """Return the strategies that were scheduled, and have no folder any more."""
        stored = self._stored or {}
        return {name for name in stored.keys() - self._strategy_watch.folder_states if stored[name].config is not None}

    def _place(self, name: str, change: Change | None) -> None:
        """Schedule a strategy as it was noted, or take it off the schedule."""
        self._failed.pop(name, None)
        if change is None or change.strategy is None or change.schedule is None or change.schedule.config is None:
            self.by_name.pop(name, None)
            self.last_good.note(name, None)
            self._to_adopt.discard(name)
            return
        self.last_good.note(name, change.strategy)
        try:
            self.by_name[name] = Schedule(change.strategy, change.schedule.accounted_until, self.share.place(name))
            self._to_adopt.discard(name)
        except Exception as error:
            self._fail(name, error)

    def _beginning(self, now: datetime) -> str:
        """Say what is scheduled, to whoever has just started it."""
        schedules = sorted(self.by_name.values(), key=lambda schedule: schedule.due)
        if not schedules:
            return "no active strategy yet: `claude-trader strategies add NAME` copies an example; it is picked up here"
        first = schedules[0]
        strategies = "1 strategy is" if len(schedules) == 1 else f"{len(schedules)} strategies are"
        when = "now" if first.due <= now else f"at {first.due:%Y-%m-%d %H:%M:%S} UTC"
        return f"{strategies} scheduled; next: {first.strategy.name} {when}"

    def adopted(self) -> dict[str, tuple[str, str]] | None:
        """Return the version of each strategy that was adopted, and `active` or why it is not scheduled.

        None: the folders were not looked at yet.
        """
        if not self._started:
            return None
        states = dict.fromkeys(self._strategy_watch.folder_states, ("", "broken"))
        for name, folder in self._strategy_watch.folder_states.items():
            if (strategy := folder.strategy) is not None:
                status = strategy.config.status
                states[name] = strategy.version, "not scheduled" if status == "active" else status
        return states | {name: (on.strategy.version, "active") for name, on in self.by_name.items()}

    def problems(self) -> list[str]:
        """Return what is wrong with strategies, in sentences for people."""
        folders = self._strategy_watch.folder_states.items()
        broken = [f"{name} is broken: {folder.problem}" for name, folder in folders if folder.problem]
        return [*self.last_good.problems(), *broken, *[*self._failed.values()]]

    def _account(self, name: str, until: datetime) -> None:
        try:
            self.by_name[name].account(until)
        except Exception as error:
            self._fail(name, error)

    def _fail(self, name: str, error: Exception) -> None:
        """Leave a strategy out until it is changed, or tried again."""
        if isinstance(error, Retryable | Misconfigured):  # the database cannot be used; it is still to be done
            return
        self.by_name.pop(name, None)
        self._to_adopt.discard(name)
        cause = f"{type(error).__name__}: {error}"
        self._failed[name] = f"{name} is not scheduled ({cause}). It is tried again every minute; the log says more."
        logger.error("%s", self._failed[name], exc_info=error)

    def next_due(self) -> datetime | None:
        """Return the moment at which the next slot is to be claimed; None: nothing is scheduled."""
        return min((schedule.due for name, schedule in self.by_name.items() if name not in self.withheld), default=None)

    async def claim(self, now: datetime, missed_because: str) -> list[Claimed]:
        """Claim what has come due, and return what is to be run, in the order in which it came due.

        Where other runners share the slots, it may be a part of it: more is to be claimed where `next_due` is over, or
        later where strategies are `withheld`.

        Args:
            now: the present.
            missed_because: why slots were not run when they came due.

        Raises:
            Retryable, Misconfigured: as `Database.write`; no slot was claimed, and each is still due.
        """
        await self._set_right(now)
        takes, withheld = self.share.taker(), self.withheld
        self.withheld, due = frozenset(), self._due(now)
        if due and not self.share.alone and (withheld or len(due) > CLAIMED_AT_ONCE):
            await self._learn(min(schedule.accounted_until for schedule in due), now)
            due = self._due(now)
        if not due:
            return []
        most = None if self.share.alone else CLAIMED_AT_ONCE
        planned = await anyio.to_thread.run_sync(plan_claims, due, now, missed_because, takes, most)
        claims, self.withheld = planned.claims, frozenset(planned.withheld)
        for name, error in planned.failed.items():
            self._fail(name, error)
        if not claims:
            return []
        by_name = {claim.strategy.name: claim for claim in claims}
        done, failed = await one_by_one(by_name, partial(self._slot_store.claim, now=now))
        for name, error in failed.items():
            self._fail(name, error)
        behind = {name: until for part in done for name, until in part.behind.items()}
        for name in by_name.keys() - failed.keys():
            self._account(name, behind.get(name, by_name[name].last))
        started = [claimed for part in done for claimed in part.started]
        return sorted(started, key=lambda claimed: (claimed.run.as_of, claimed.execution_id))

    def _due(self, now: datetime) -> list[Schedule]:
        return [schedule for schedule in self.by_name.values() if schedule.due <= now]

    async def _learn(self, after: datetime, now: datetime) -> None:
        """Note what other runners have claimed of the same versions."""
        accounted = await anyio.to_thread.run_sync(self._slot_store.accounted, after, now)
        for name, known in accounted.items():
            schedule = self.by_name.get(name)
            if schedule and known.covers(schedule.strategy.version, schedule.accounted_until):
                self._account(name, known.until)

    async def _set_right(self, now: datetime) -> None:
        """Go on from the present after a clock that was far ahead: what it called missed is still to come."""
        astray = {name for name, schedule in self.by_name.items() if schedule.accounted_until - now > ASTRAY}
        if not astray:
            return
        until = await anyio.to_thread.run_sync(self._slot_store.take_back, now)
        for name in astray:
            self._account(name, until.get(name, now))
        logger.warning("the clock was far ahead; the schedule goes on from %s", now)
