"""What is scheduled, and up to when each strategy's slots are accounted for.

Threads look at the folders and write the database; only the scheduler's task changes what is scheduled.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple

import anyio.to_thread

from mcp_server.domain.schedule.plan import plan
from mcp_server.domain.schedule.slots import due_at, next_slot
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.errors import TraderError
from mcp_server.storage.journal.rows import Claimed
from mcp_server.storage.journal.slot_rows import StoredSchedule
from mcp_server.storage.journal.slots import ASTRAY, Change, Claim, SlotStore
from mcp_server.storage.strategies.folders import StrategyFolders
from runner.scheduler.changes import change_of
from runner.scheduler.strategy_watch import FolderState, StrategyWatch

logger = logging.getLogger(__name__)

AT_ONCE = 100
"""How many strategies one transaction adopts: neither a stop nor another program waits for thousands of them."""


class BrokenEdit(NamedTuple):
    """An edit that broke a strategy's folder. `runs_on`: its last good version is scheduled."""

    name: str
    problem: str
    runs_on: bool


class Schedule:
    """A strategy that is scheduled: up to when each of its slots has a row, and when the next one comes due."""

    def __init__(self, strategy: Strategy, accounted_until: datetime) -> None:
        self.strategy = strategy
        self.account(accounted_until)

    def account(self, until: datetime) -> None:
        """Note that every slot up to a moment has a row."""
        config = self.strategy.config
        self.accounted_until = until
        self.due = due_at(config, next_slot(config, until))


class Schedules:
    """Adopts changes of the strategy folders, and claims what has come due."""

    def __init__(self, slot_store: SlotStore, folders: StrategyFolders, strategy_watch: StrategyWatch) -> None:
        self._slot_store = slot_store
        self._strategy_watch = strategy_watch
        self._folders = folders
        self._to_keep: dict[str, Strategy] = {}
        self._unkept: str | None = None
        self._stored: dict[str, StoredSchedule] | None = None
        self._failed: dict[str, str] = {}
        """Strategies whose slots cannot be computed, and why: one of them is no reason to leave out the others."""
        self._started = False
        self._looked_at: datetime | None = None
        """When the folders were last looked at, and all changes adopted."""
        self.by_name: dict[str, Schedule] = {}

    async def refresh(self, now: datetime) -> Sequence[BrokenEdit]:
        """Look at the folders and adopt what came, changed or went; return the edits that broke a strategy.

        Raises:
            Retryable, Misconfigured: as `Database.write`; what was not adopted is looked at again next time.
        """
        watch, first = self._strategy_watch, not self._started
        remembered: Mapping[str, Strategy] = {}
        if not watch.folder_states:
            remembered = await anyio.to_thread.run_sync(self._last_versions, await self._read_stored())
        changed = await anyio.to_thread.run_sync(watch.look, remembered)
        try:
            if changed or first:
                gone = self._gone() if first else []
                await self._adopt([(name, watch.folder_states.get(name)) for name in [*changed, *gone]], now)
                if first:
                    logger.info("%s", self._beginning())
                    changed = [name for name in changed if watch.folder_states[name].problem]
        except TraderError:
            # After any other error the watch does not report these changes again: what they say is then not scheduled
            # until the folders change once more.
            for name in changed:
                watch.forget(name)
            raise
        self._looked_at = now
        broken = []
        for name in changed:
            folder = watch.folder_states.get(name)
            if folder is not None and folder.problem is not None:
                broken.append(BrokenEdit(name, folder.problem, name in self.by_name))
            else:
                logger.info("strategy %s: %s", name, "gone" if folder is None else "read")
        return broken

    def _last_versions(self, stored: Mapping[str, StoredSchedule]) -> dict[str, Strategy]:
        """Return the strategies as they last ran before this program started, if they were kept."""
        kept = {}
        for name, schedule in stored.items():
            if schedule.config is not None and schedule.version:
                try:
                    kept[name] = self._folders.read_version(name, schedule.version)
                except Exception:  # it is gone or broken too: then there is nothing to go on with
                    logger.debug("no kept version of %s", name)
        return kept

    async def _adopt(self, changed: Iterable[tuple[str, FolderState | None]], now: datetime) -> None:
        """Adopt strategies that came, changed or went. After an error not all were adopted: it may be tried again."""
        stored = await self._read_stored()
        if not self._started and any(schedule.accounted_until - now > ASTRAY for schedule in stored.values()):
            await anyio.to_thread.run_sync(self._slot_store.take_back, now)
            self._stored = stored = await anyio.to_thread.run_sync(self._slot_store.stored_schedules)
        changes = await anyio.to_thread.run_sync(self._changes, [*changed], now)
        for first in range(0, len(changes), AT_ONCE):
            part = changes[first : first + AT_ONCE]
            news = [change for change in part if change.schedule != stored.get(change.name) or change.passed]
            if news:
                await anyio.to_thread.run_sync(self._slot_store.change, news, now)
            for change in part:
                if change.schedule is None:
                    stored.pop(change.name, None)
                else:
                    stored[change.name] = change.schedule
                self._place(change)
        self._started = True

    async def _read_stored(self) -> dict[str, StoredSchedule]:
        if self._stored is None:
            self._stored = await anyio.to_thread.run_sync(self._slot_store.stored_schedules)
        return self._stored

    def _changes(self, changed: Sequence[tuple[str, FolderState | None]], now: datetime) -> list[Change]:
        """Compute what to note, in a thread: to count the slots of a cron that was missed for years takes a while."""
        stored, changes = self._stored or {}, []
        for name, folder in changed:
            scheduled = self.by_name.get(name)
            until = scheduled.accounted_until if scheduled else None
            change = change_of(name, folder, stored.get(name), until, self._looked_at, now)
            if change is not None:
                changes.append(change)
        return changes

    def _gone(self) -> list[str]:
        """Return the strategies that were scheduled, and have no folder any more."""
        stored = self._stored or {}
        return [name for name in stored.keys() - self._strategy_watch.folder_states if stored[name].config is not None]

    def _place(self, change: Change) -> None:
        self._failed.pop(change.name, None)
        if change.strategy is None or change.schedule is None or change.schedule.config is None:
            self.by_name.pop(change.name, None)
            self._to_keep.pop(change.name, None)
            return
        self._to_keep[change.name] = change.strategy
        try:
            self.by_name[change.name] = Schedule(change.strategy, change.schedule.accounted_until)
        except Exception as error:
            self._fail(change.name, error)

    def _beginning(self) -> str:
        """Say what is scheduled, to whoever has just started it."""
        schedules = sorted(self.by_name.values(), key=lambda schedule: schedule.due)
        if not schedules:
            return "no active strategy yet: `claude-trader strategies add NAME` copies an example; it is picked up here"
        first = schedules[0]
        strategies = "1 strategy is" if len(schedules) == 1 else f"{len(schedules)} strategies are"
        return f"{strategies} scheduled; next: {first.strategy.name} at {first.due:%Y-%m-%d %H:%M:%S} UTC"

    async def keep_versions(self) -> None:
        """Keep the versions that may run from now on: a broken edit goes back to them."""
        self._unkept = None
        while self._to_keep and self._unkept is None:
            await anyio.to_thread.run_sync(self._keep_some)

    def _keep_some(self) -> None:
        for name in [*self._to_keep][:AT_ONCE]:
            try:
                self._folders.versions.copy(self._to_keep[name])
            except TraderError as error:  # the folder may only be read, say
                self._unkept = f"Strategies run as they were last read, but an edit ends what is running: {error}"
                return
            del self._to_keep[name]

    def problems(self) -> list[str]:
        """Return what is wrong with strategies, in sentences for people."""
        folders = self._strategy_watch.folder_states.items()
        broken = [f"{name} is broken: {folder.problem}" for name, folder in folders if folder.problem]
        return [*filter(None, [self._unkept]), *broken, *self._failed.values()]

    def _account(self, name: str, until: datetime) -> None:
        try:
            self.by_name[name].account(until)
        except Exception as error:
            self._fail(name, error)

    def _fail(self, name: str, error: Exception) -> None:
        """Leave a strategy out until it is changed."""
        self.by_name.pop(name, None)
        cause = f"{type(error).__name__}: {error}"
        self._failed[name] = f"{name} is not scheduled: its slots cannot be computed ({cause}). Change its config.json."
        logger.error("%s", self._failed[name], exc_info=error)

    def next_due(self) -> datetime | None:
        """Return the moment at which the next slot comes due; None: nothing is scheduled."""
        return min((schedule.due for schedule in self.by_name.values()), default=None)

    async def claim(self, now: datetime, missed_because: str) -> list[Claimed]:
        """Claim what has come due, and return what is to be run, in the order in which it came due.

        Args:
            now: the present.
            missed_because: why slots were not run when they came due.

        Raises:
            Retryable, Misconfigured: as `Database.write`; no slot was claimed, and each is still due.
        """
        await self._set_right(now)
        if not any(schedule.due <= now for schedule in self.by_name.values()):
            return []
        claims, failed = await anyio.to_thread.run_sync(self._claims, now, missed_because)
        for name, error in failed.items():
            self._fail(name, error)
        if not claims:
            return []
        done = await anyio.to_thread.run_sync(partial(self._slot_store.claim, claims, now))
        for claim in claims:
            name = claim.strategy.name
            self._account(name, done.behind.get(name, claim.last))
        return sorted(done.started, key=lambda claimed: (claimed.run.as_of, claimed.execution_id))

    def _claims(self, now: datetime, missed_because: str) -> tuple[list[Claim], dict[str, Exception]]:
        """Plan what is due, in a thread; return the claims, and what kept a strategy's slots from being computed."""
        due = sorted((schedule.due, name) for name, schedule in self.by_name.items() if schedule.due <= now)
        claims, failed = list[Claim](), dict[str, Exception]()
        for _, name in due:
            schedule = self.by_name[name]
            strategy, after = schedule.strategy, schedule.accounted_until
            try:
                planned = plan(strategy.config, after, now, missed_because)
            except Exception as error:
                failed[name] = error
                continue
            if planned is not None:
                claims.append(Claim(strategy, after, planned.run, planned.passed, planned.start_deadline))
        return claims, failed

    async def _set_right(self, now: datetime) -> None:
        """Go on from the present after a clock that was far ahead: what it called missed is still to come."""
        astray = {name for name, schedule in self.by_name.items() if schedule.accounted_until - now > ASTRAY}
        if not astray:
            return
        until = await anyio.to_thread.run_sync(self._slot_store.take_back, now)
        for name in astray:
            self._account(name, until.get(name, now))
        logger.warning("the clock was far ahead; the schedule goes on from %s", now)
