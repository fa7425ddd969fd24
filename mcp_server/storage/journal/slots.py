"""The slots of a home: each is claimed before it runs, by a row that no two runners can both write.

Rows are the truth: a slot that has one never gets another, whoever asks and whatever the clock says. What the scheduler
notes of a strategy only says where to go on. Only one kind of row is ever taken back: the one by which a clock that was
days ahead called a slot missed that is still to come.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from uuid import uuid4

from mcp_server.domain.outcome import SlotRow, Status
from mcp_server.domain.scoring.terms import Terms, terms_of
from mcp_server.domain.strategy.limits import DEFAULT_EXCHANGE
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.errors import Retryable
from mcp_server.storage.home import Home
from mcp_server.storage.journal import slot_rows
from mcp_server.storage.journal.liveness import SignOfLife
from mcp_server.storage.journal.place import refuse_if_moved
from mcp_server.storage.journal.rows import Claimed, Run, mirror
from mcp_server.storage.journal.runner_note import RunnerNote
from mcp_server.storage.journal.slot_rows import NewRow, StoredSchedule, TakenSlots
from mcp_server.storage.sql import JournalDatabase, SqlConnection

OVERLAP = "The run of an earlier slot of this strategy was still going on."
OPENING_S = 1.0
"""How long a runner that starts waits to learn that the journal is elsewhere; it is told again at each claim."""

ASTRAY = timedelta(days=1)
"""If slots are accounted for further ahead than this, the clock was wrong."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What becomes of the slots of one strategy later than `after`: those of `passed` get rows, `run` is to run.

    `start_deadline` is when the run must have begun; it is handed on to who runs it.
    """

    strategy: Strategy
    after: datetime
    run: datetime | None
    passed: Sequence[SlotRow]
    start_deadline: datetime | None = None

    @property
    def first(self) -> datetime:
        """The earliest slot."""
        return min(slot for slot in (self.run, *(row.first for row in self.passed)) if slot is not None)

    @property
    def last(self) -> datetime:
        """The latest slot."""
        return max(slot for slot in (self.run, *(row.last for row in self.passed)) if slot is not None)


@dataclass(frozen=True, slots=True)
class Change:
    """What to note of a strategy, with rows for the slots of the schedule that it had.

    Without a strategy, its folder is gone.
    """

    name: str
    strategy: Strategy | None
    schedule: StoredSchedule | None
    passed: Sequence[SlotRow]


@dataclass(frozen=True, slots=True)
class Claims:
    """What came of claims: `started` are to be run.

    `behind` has the strategies whose slots are accounted for further than the claim knew, by another runner or before
    a clock went astray, and up to when: nothing was written for these, and the rest is to be claimed anew.
    """

    started: Sequence[Claimed]
    behind: Mapping[str, datetime]


@dataclass(slots=True)
class SlotStore:
    """Claims the slots of one home for one runner. Each call is given the present; times are aware.

    What reads or writes raises `Retryable` or `Misconfigured` as `Database` does; then nothing was written.
    """

    database: JournalDatabase
    home: Home
    default_exchange: str = DEFAULT_EXCHANGE
    _opened: bool = False
    _liveness: SignOfLife | None = None
    _numbers: "count[int]" = field(default_factory=lambda: count(1))
    _doubtful: list[str] = field(default_factory=list)
    """Keys of rows that a claim was to write. Where it failed they may be there all the same: a disk that is full at
    the end of a commit does that. Nobody would run or end them, and every later slot would be an overlap."""

    def open(self) -> None:
        """Show other processes that this runner is alive; where the database is away, before anything is claimed.

        Raises:
            Misconfigured: the home cannot be written.
            Moved: the journal is elsewhere.
        """
        self.home.prepare()
        refuse_if_moved(self.database, OPENING_S)
        self._opened = True
        with suppress(Retryable):
            self._show()

    def close(self, *, forget: bool) -> None:
        """Show that it has ended; without `forget`, whoever comes next ends what it left running as interrupted."""
        self._opened = False
        if self._liveness is not None:
            self._liveness.close(forget=forget)
            self._liveness = None

    def exchange_notes(self, place: str, program: str, strategies: Mapping[str, tuple[str, str]]) -> list[RunnerNote]:
        """Tell the other runners of the journal what this one has, as `RunnerNote`; return what each of them has.

        Nothing is told or returned before this store is opened, and after it was closed.
        """
        if not self._opened:
            return []
        self._show()
        assert self._liveness is not None  # noqa: S101 (it is shown)
        own = RunnerNote(self._liveness.key, place, program, strategies)
        return self.database.signs_of_life(self.home.running).exchange(own)

    def stored_schedules(self) -> dict[str, StoredSchedule]:
        """Return what the scheduler knows of each strategy, by name."""
        return self.database.read(slot_rows.stored_schedules)

    def change(self, changes: Sequence[Change], now: datetime) -> Mapping[str, StoredSchedule]:
        """Note anew what the scheduler knows of strategies, and account for slots of the schedules that they had.

        Return what is noted now. Where another runner has noted the same schedule, it stays accounted for as it is.
        """
        self._show()

        def work(connection: SqlConnection) -> Mapping[str, StoredSchedule]:
            before, after = slot_rows.stored_schedules(connection), dict[str, StoredSchedule]()
            for name in self._gone(connection, [change.name for change in changes if change.schedule is None]):
                slot_rows.forget_schedule(connection, name)
            for change in changes:
                if change.strategy is None or change.schedule is None:
                    continue
                strategy, passed = change.strategy, change.passed
                strategy_id = mirror(connection, strategy, now)
                if passed:
                    of = slot_rows.taken(connection, [strategy_id], passed[0].first, passed[-1].last)
                    known = of.get(strategy_id, [])
                    free = [row for row in passed if not _taken(row, known)]
                    new = self._new(strategy_id, strategy, self._terms(strategy), free)
                    slot_rows.insert_slots(connection, new, now)
                after[change.name] = _accounted(change.schedule, before.get(change.name), now)
                slot_rows.store_schedule(connection, strategy_id, after[change.name])
            return after

        return self.database.write(work)

    def _gone(self, connection: SqlConnection, lacking: Sequence[str]) -> list[str]:
        """Return which of the strategies whose folder is gone here no other runner of the journal has scheduled."""
        if not lacking:
            return []
        assert self._liveness is not None  # noqa: S101 (it is shown)
        signs = self.database.signs_of_life(self.home.running)
        elsewhere = signs.scheduled_elsewhere(self._liveness.key, lacking, connection)
        return [name for name in lacking if name not in elsewhere]

    def take_back(self, now: datetime) -> Mapping[str, datetime]:
        """Remove the rows by which a clock that was far ahead called slots missed that are still to come.

        Return the strategies that had such rows, by name, and up to when they are accounted for now.
        """
        return self.database.write(lambda connection: slot_rows.take_back(connection, now, now + ASTRAY))

    def accounted(self, after: datetime, now: datetime) -> dict[str, slot_rows.Accounted]:
        """Return what is accounted for of strategies of which that is beyond `after`, by name; none that is astray."""
        return self.database.read(lambda connection: slot_rows.accounted(connection, after, now + ASTRAY))

    def claim(self, claims: Sequence[Claim], now: datetime) -> Claims:
        """Write the rows of slots, all of them or none; return those that are this runner's to run.

        A slot that has a row already is left as it is. One whose strategy is still running ends as `skipped_overlap`.
        """
        self._show()
        terms = {claim.strategy.name: self._terms(claim.strategy) for claim in claims}  # others wait for what is below

        def work(connection: SqlConnection) -> Claims:
            assert self._liveness is not None  # noqa: S101 (it is shown)
            self._liveness.confirm(connection)
            if self._doubtful:
                slot_rows.end_unclaimed(connection, self._doubtful, now)
            return self._claim(connection, claims, terms, now)

        done = self.database.write(work)
        self._doubtful.clear()
        return done

    def _claim(
        self, connection: SqlConnection, claims: Sequence[Claim], terms: Mapping[str, Terms], now: datetime
    ) -> Claims:
        first, last = min(claim.first for claim in claims), max(claim.last for claim in claims)
        strategies = slot_rows.known_strategies(connection, [claim.strategy.name for claim in claims])
        ids = [strategy_id for strategy_id, _ in strategies.values()]
        taken, running = slot_rows.taken(connection, ids, first, last), slot_rows.running(connection)
        rows, runs = list[NewRow](), dict[str, tuple[Run, datetime | None]]()
        behind, accounted = dict[str, datetime](), dict[int, tuple[datetime | None, datetime]]()
        for claim in claims:
            strategy = claim.strategy
            strategy_id, before = strategies.get(strategy.name, (0, None))
            # A runner with another version may have another schedule: what that has accounted for says nothing here.
            if before and before.until > now + ASTRAY:
                before = None
            if before and before.covers(strategy.version, claim.after):
                behind[strategy.name] = before.until
                continue
            known = taken.get(strategy_id, [])
            if (reached := _reached(claim, known)) is not None:
                behind[strategy.name] = reached
                continue
            if before is None or before.version != strategy.version:
                strategy_id = mirror(connection, strategy, now)
            free = [row for row in _rows(claim, overlaps=strategy_id in running) if not _taken(row, known)]
            for new in self._new(strategy_id, strategy, terms[strategy.name], free):
                rows.append(new)
                if new.row.status is Status.RUNNING:
                    run = Run(strategy, "schedule", new.row.last, strategy.engine, now, self.default_exchange)
                    runs[new.key] = run, claim.start_deadline
            before = before or slot_rows.Accounted(strategy.version, claim.after, claim.after)
            accounted[strategy_id] = before.joined(strategy.version, claim.after, claim.last)[1:]
        id_of = slot_rows.insert_slots(connection, rows, now)
        if accounted:
            slot_rows.set_accounted(connection, accounted)
        started = [Claimed(id_of[key], run, key, None, deadline) for key, (run, deadline) in runs.items()]
        return Claims(started, behind)

    def _show(self) -> None:
        assert self._opened  # noqa: S101 (claims come between open and close)
        if self._liveness is None:
            self._liveness = self.database.signs_of_life(self.home.running).show(uuid4().hex)

    def _terms(self, strategy: Strategy) -> Terms:
        return terms_of(strategy, strategy.engine, self.default_exchange)

    def _new(self, strategy_id: int, strategy: Strategy, terms: Terms, rows: Sequence[SlotRow]) -> list[NewRow]:
        return [NewRow(strategy_id, strategy, terms, row, self._key()) for row in rows]

    def _key(self) -> str:
        assert self._liveness is not None  # noqa: S101 (whoever writes rows has called `_show`)
        key = f"{self._liveness.key}.{next(self._numbers)}"
        self._doubtful.append(key)
        return key


def _rows(claim: Claim, *, overlaps: bool) -> list[SlotRow]:
    if claim.run is None:
        return [*claim.passed]
    status, why = (Status.SKIPPED_OVERLAP, OVERLAP) if overlaps else (Status.RUNNING, None)
    return [*claim.passed, SlotRow(status, claim.run, claim.run, 1, why)]


def _accounted(schedule: StoredSchedule, before: StoredSchedule | None, now: datetime) -> StoredSchedule:
    """Return what is to be noted: what is due since `before` was noted of the same version stays due."""
    if before is None or before.config is None or before.accounted_until > now + ASTRAY:
        return schedule
    if before.version != schedule.version:
        return schedule
    return replace(
        schedule, since=before.since, accounted_until=before.accounted_until, accounted_from=before.accounted_from
    )


def _taken(row: SlotRow, known: Sequence[TakenSlots]) -> bool:
    """True where a slot of a row has one already: after a clock that went far astray, say."""
    return any(other.first <= row.last and other.last >= row.first for other in known)


def _reached(claim: Claim, known: Sequence[TakenSlots]) -> datetime | None:
    """Return the last slot that has a row already and lies within a new row for many slots; None: there is none.

    After a clock that went far astray, say: those beyond it have no row, and are to be counted anew.
    """
    many = [row for row in claim.passed if row.slots > 1]
    return max((other.last for row in many for other in known if row.first <= other.last < row.last), default=None)
