"""The slate: what is scheduled, and up to when each strategy's slots are accounted for.

The database is written in threads; this object is changed by the scheduler's task alone.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial

import anyio.to_thread
from pydantic import ValidationError

from mcp_server.domain.outcome import SlotRow
from mcp_server.domain.schedule.plan import missed, plan
from mcp_server.domain.schedule.slots import due_at, next_slot
from mcp_server.domain.strategy.format import Config
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.errors import TraderError
from mcp_server.storage.journal.rows import Claimed
from mcp_server.storage.journal.slot_rows import StoredSchedule
from mcp_server.storage.journal.slots import ASTRAY, Change, Claim, SlotStore
from mcp_server.storage.strategies.folders import StrategyFolders
from runner.scheduler.strategy_watch import FolderState

logger = logging.getLogger(__name__)

AT_ONCE = 100
"""So many strategies are taken over in one transaction: neither a stop nor another program waits for thousands."""

EDITED = "It had not run when the schedule was changed."


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
    """Adopts changes of strategies, and claims what has come due."""

    def __init__(self, book: SlotStore, folders: StrategyFolders) -> None:
        self._book = book
        self._folders = folders
        self._standings: dict[str, StoredSchedule] | None = None
        self.slated: dict[str, Schedule] = {}
        self._to_keep: dict[str, Strategy] = {}
        self.unkept: str | None = None
        self.failed: dict[str, str] = {}
        """Strategies whose slots cannot be told, and why: one of these is no reason to leave out the others."""
        self.started = False
        self.looked_at: datetime | None = None
        """When the folders were last looked at, and all of what they said was taken over."""

    async def remembered(self) -> dict[str, Strategy]:
        """Give the strategies as they last ran before this program started, where that is kept.

        Raises:
            Retryable, Misconfigured: as `Database.read`.
        """
        if self._standings is None:
            self._standings = await anyio.to_thread.run_sync(self._book.stored_schedules)
        return await anyio.to_thread.run_sync(self._kept, [*self._standings])

    def _kept(self, names: Sequence[str]) -> dict[str, Strategy]:
        kept = {}
        for name in names:
            standing = (self._standings or {})[name]
            if standing.config is not None and standing.version:
                try:
                    kept[name] = self._folders.read_version(name, standing.version)
                except Exception:  # it is gone or broken too: then there is nothing to go on with
                    logger.debug("no kept version of %s", name)
        return kept

    async def adopt(self, changed: Iterable[tuple[str, FolderState | None]], now: datetime) -> None:
        """Take over strategies that came, changed or went; slots of the schedules that they had are accounted for.

        Raises:
            Retryable, Misconfigured: as `Database.write`; nothing was taken over, or not all: it may be given again.
        """
        if self._standings is None:
            self._standings = await anyio.to_thread.run_sync(self._book.stored_schedules)
        if not self.started and any(each.accounted_until - now > ASTRAY for each in self._standings.values()):
            await anyio.to_thread.run_sync(self._book.take_back, now)
            self._standings = await anyio.to_thread.run_sync(self._book.stored_schedules)
        changes = await anyio.to_thread.run_sync(self._changes, [*changed], now)
        for first in range(0, len(changes), AT_ONCE):
            part = changes[first : first + AT_ONCE]
            news = [change for change in part if change.schedule != self._standings.get(change.name) or change.passed]
            if news:
                await anyio.to_thread.run_sync(self._book.change, news, now)
            for change in part:
                if change.schedule is None:
                    self._standings.pop(change.name, None)
                else:
                    self._standings[change.name] = change.schedule
                self._place(change)
        self.started = True

    def gone(self, listed: Iterable[str]) -> list[str]:
        """Give the strategies that were scheduled, and have no folder any more."""
        known = self._standings or {}
        return [name for name in known.keys() - set(listed) if known[name].config is not None]

    async def keep(self) -> None:
        """Keep the versions that may run from now on; where that fails they run all the same, and `unkept` says why."""
        self.unkept = None
        while self._to_keep and self.unkept is None:
            await anyio.to_thread.run_sync(self._keep_some)

    def _keep_some(self) -> None:
        for name in [*self._to_keep][:AT_ONCE]:
            try:
                self._folders.versions.copy(self._to_keep[name])
            except TraderError as error:  # the folder may only be read, say
                self.unkept = f"Strategies run as they were last read, but an edit ends what is running: {error}"
                return
            del self._to_keep[name]

    def _changes(self, changed: Sequence[tuple[str, FolderState | None]], now: datetime) -> list[Change]:
        """Say what to note, in a thread: to count the slots of a cron that was missed for years takes a while."""
        return [change for name, listed in changed if (change := self._change(name, listed, now)) is not None]

    def _change(self, name: str, listed: FolderState | None, now: datetime) -> Change | None:
        """Say what to note of a strategy, or None where nothing is to be noted."""
        known = (self._standings or {}).get(name)
        slated = self.slated.get(name)
        if listed is None or listed.strategy is None:
            return Change(name, None, None, ()) if known and known.config is not None else None
        strategy = listed.strategy
        # A file may be put back with its old dates: at the last look it was not there.
        changed_at = min(max(listed.changed_at, self.looked_at or listed.changed_at), now)
        until = slated.accounted_until if slated else known.accounted_until if known else now
        if until - now > ASTRAY:
            until = now
        config = known.config if known else None
        before = None if config is None else _read(name, config)
        passed: Sequence[SlotRow] = []
        since = known.since if known else now
        active = strategy.config.status == "active"
        if before is not None and (not active or not _same_schedule(before, strategy.config)):
            passed = missed(before, until, max(until, changed_at), EDITED)
            until = max(until, changed_at)
        elif config is None:
            until = since = max(until, changed_at) if known else now
        if not active and config is None:
            return None
        standing = StoredSchedule(strategy.config_json() if active else None, since, until, strategy.version)
        return Change(name, strategy, standing, passed)

    def _place(self, change: Change) -> None:
        self.failed.pop(change.name, None)
        if change.strategy is None or change.schedule is None or change.schedule.config is None:
            self.slated.pop(change.name, None)
            self._to_keep.pop(change.name, None)
            return
        self._to_keep[change.name] = change.strategy
        try:
            self.slated[change.name] = Schedule(change.strategy, change.schedule.accounted_until)
        except Exception as error:
            self._fail(change.name, error)

    def _account(self, name: str, until: datetime) -> None:
        try:
            self.slated[name].account(until)
        except Exception as error:
            self._fail(name, error)

    def _fail(self, name: str, error: Exception) -> None:
        """Leave a strategy out until it is changed."""
        self.slated.pop(name, None)
        what = f"{type(error).__name__}: {error}"
        self.failed[name] = f"{name} is not scheduled: its slots cannot be told ({what}). Change its config.json."
        logger.error("%s", self.failed[name], exc_info=error)

    def next_due(self) -> datetime | None:
        """Give the moment at which the next slot comes due; None: nothing is scheduled."""
        return min((slated.due for slated in self.slated.values()), default=None)

    async def claim(self, now: datetime, absent: str) -> list[Claimed]:
        """Claim what has come due, and give what is to be run, in the order in which it came due.

        Args:
            now: the present.
            absent: why slots were not run when they came due.

        Raises:
            Retryable, Misconfigured: as `Database.write`; no slot was claimed, and each is still due.
        """
        await self._set_right(now)
        if not any(slated.due <= now for slated in self.slated.values()):
            return []
        claims, failed = await anyio.to_thread.run_sync(self._claims, now, absent)
        for name, error in failed.items():
            self._fail(name, error)
        if not claims:
            return []
        done = await anyio.to_thread.run_sync(partial(self._book.claim, claims, now))
        for claim in claims:
            name = claim.strategy.name
            self._account(name, done.behind.get(name, claim.last))
        return sorted(done.started, key=lambda each: (each.run.as_of, each.execution_id))

    def _claims(self, now: datetime, absent: str) -> tuple[list[Claim], dict[str, Exception]]:
        """Plan what is due, in a thread; give the claims, and what kept a strategy's slots from being told."""
        due = sorted((slated.due, name) for name, slated in self.slated.items() if slated.due <= now)
        claims, failed = list[Claim](), dict[str, Exception]()
        for _, name in due:
            slated = self.slated[name]
            try:
                found = plan(slated.strategy.config, slated.accounted_until, now, absent)
            except Exception as error:
                failed[name] = error
                continue
            if found is not None:
                claims.append(Claim(slated.strategy, slated.accounted_until, found.run, found.passed))
        return claims, failed

    async def _set_right(self, now: datetime) -> None:
        """Go on from the present after a clock that was far ahead: what it called missed is still to come."""
        astray = {name: each for name, each in self.slated.items() if each.accounted_until - now > ASTRAY}
        if not astray:
            return
        until = await anyio.to_thread.run_sync(self._book.take_back, now)
        for name in astray:
            self._account(name, until.get(name, now))
        logger.warning("the clock was far ahead; the schedule goes on from %s", now)


def _read(name: str, config: Mapping[str, object]) -> Config | None:
    """Read what was noted of a schedule; None where an older version noted what this one refuses."""
    try:
        return Config.model_validate(config)
    except ValidationError:
        logger.warning("the schedule that was noted of %s cannot be read: its slots go on by the present one", name)
        return None


def _same_schedule(one: Config, other: Config) -> bool:
    keys = ("interval", "cron", "timezone", "offset_s")
    return all(getattr(one, key) == getattr(other, key) for key in keys)
