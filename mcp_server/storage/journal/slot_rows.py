"""The SQL of slots: what the scheduler knows of each strategy, and the rows that account for its slots."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from mcp_server.domain.outcome import SlotRow, Status
from mcp_server.domain.scoring.terms import Terms
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.domain.timeframes import naive
from mcp_server.storage.journal.rows import TERMS
from mcp_server.storage.sql import SqlConnection, unnested


@dataclass(frozen=True, slots=True)
class StoredSchedule:
    """What the scheduler last knew of a strategy. Times are aware UTC.

    `config` is the content of the config.json by which it comes due, or None where it is not scheduled; up to
    `accounted_until` each of its slots has a row. For a runner that has had this version for longer that is so from
    `accounted_from` on; None: from the beginning.
    """

    config: Mapping[str, object] | None
    since: datetime
    accounted_until: datetime
    version: str
    accounted_from: datetime | None = None


class Accounted(NamedTuple):
    """Each slot of a version of a strategy has a row, from a moment on (None: the beginning) up to another."""

    version: str
    since: datetime | None
    until: datetime

    def covers(self, version: str, after: datetime) -> bool:
        """Return whether a runner of a version, which knows of all slots up to `after`, learns of later ones here."""
        return version == self.version and after < self.until and (self.since is None or self.since <= after)

    def joined(self, version: str, after: datetime, last: datetime) -> "Accounted":
        """Return what is accounted for once a runner of a version has written all rows after a moment up to a last."""
        if version != self.version or after > self.until:
            return Accounted(version, after, last)
        if self.since is None or self.since <= after:
            return Accounted(version, self.since, max(self.until, last))
        return Accounted(version, after, max(self.until, last)) if last >= self.since else self


def stored_schedules(connection: SqlConnection) -> dict[str, StoredSchedule]:
    """Return what is known of every strategy that was ever scheduled, by name."""
    rows = connection.execute(
        "SELECT name, scheduled_config, scheduled_since, accounted_until, version, accounted_from "
        "FROM strategies WHERE accounted_until IS NOT NULL"
    ).fetchall()
    return {name: _stored(*row) for name, *row in rows}


def _stored(
    config: str | None, since: datetime, until: datetime, version: str, start: datetime | None
) -> StoredSchedule:
    content = None if config is None else json.loads(config)
    return StoredSchedule(content, _aware(since), _aware(until), version, start and _aware(start))


def store_schedule(connection: SqlConnection, strategy_id: int, schedule: StoredSchedule) -> None:
    """Note what the scheduler knows of a strategy."""
    connection.execute(
        "UPDATE strategies SET scheduled_config = ?, scheduled_since = ?, accounted_until = ?, accounted_from = ? "
        "WHERE id = ?",
        [
            None if schedule.config is None else json.dumps(schedule.config),
            naive(schedule.since),
            naive(schedule.accounted_until),
            schedule.accounted_from and naive(schedule.accounted_from),
            strategy_id,
        ],
    )


def forget_schedule(connection: SqlConnection, name: str) -> None:
    """Note that a strategy whose folder is gone is not scheduled any more."""
    connection.execute("UPDATE strategies SET scheduled_config = NULL, status = 'stopped' WHERE name = ?", [name])


class TakenSlots(NamedTuple):
    """The slots from `first` to `last` have a row already, whatever it says."""

    first: datetime
    last: datetime


def taken(
    connection: SqlConnection, strategies: Sequence[int], first: datetime, last: datetime
) -> dict[int, list[TakenSlots]]:
    """Return which slots of strategies, from `first` to `last`, have a row already, by strategy id."""
    rows = connection.execute(
        "SELECT strategy_id, scheduled_at, scheduled_until FROM executions "  # noqa: S608 - ours
        "WHERE scheduled_until >= ? AND scheduled_at <= ? AND \"trigger\" = 'schedule' "
        f"AND strategy_id IN (SELECT {unnested({'id': 'INTEGER'})})",
        [naive(first), naive(last), [*strategies]],
    ).fetchall()
    rows_of: dict[int, list[TakenSlots]] = {}
    for strategy_id, at, until in rows:
        rows_of.setdefault(strategy_id, []).append(TakenSlots(_aware(at), _aware(until)))
    return rows_of


def running(connection: SqlConnection) -> frozenset[int]:
    """Return the ids of the strategies of which a slot is running."""
    rows = connection.execute(
        "SELECT DISTINCT strategy_id FROM executions WHERE status = 'running' AND \"trigger\" = 'schedule'"
    ).fetchall()
    return frozenset(row[0] for row in rows)


def take_back(connection: SqlConnection, now: datetime, astray: datetime) -> dict[str, datetime]:
    """Remove what a clock beyond `astray` said of slots later than `now`: that they had not run.

    Runs stay. So does everything of a strategy that was made after `now`: then it is the present clock that is wrong.
    Return the strategies that were accounted for so far ahead, by name, and up to when they are now.
    """
    rows = connection.execute(
        "SELECT id, name FROM strategies WHERE accounted_until > ? AND created_at <= ?", [naive(astray), naive(now)]
    ).fetchall()
    gone = connection.execute(
        "DELETE FROM executions WHERE \"trigger\" = 'schedule' AND status = ANY(CAST(? AS VARCHAR[])) "
        "AND scheduled_until > ? AND completed_at > ? "
        "AND strategy_id = ANY(CAST(? AS INTEGER[])) RETURNING strategy_id, scheduled_at",
        [[*_NOT_RUN], naive(now), naive(astray), [strategy_id for strategy_id, _ in rows]],
    ).fetchall()
    until = {strategy_id: now for strategy_id, _ in rows}
    for strategy_id, first in gone:
        until[strategy_id] = min(until[strategy_id], _aware(first) - timedelta(microseconds=1))
    if until:
        set_accounted(connection, {strategy_id: (None, moment) for strategy_id, moment in until.items()})
    return {name: until[strategy_id] for strategy_id, name in rows}


_NOT_RUN = (Status.MISSED, Status.SKIPPED_STALE, Status.SKIPPED_OVERLAP)


@dataclass(frozen=True, slots=True)
class NewRow:
    """A row to insert: whose it is, by what its signal is judged, what it says, and the key to find it again."""

    strategy_id: int
    strategy: Strategy
    terms: Terms
    row: SlotRow
    key: str


def insert_slots(connection: SqlConnection, new: Sequence[NewRow], now: datetime) -> dict[str, int]:
    """Write the rows of slots in one statement; return the id of each row by its key.

    One that runs is left open; each other has ended, and cost nothing.
    """
    if not new:
        return {}
    open_ended = [slot.row.status is Status.RUNNING for slot in new]
    columns: dict[str, list[Any]] = {
        "strategy_id": [slot.strategy_id for slot in new],
        "strategy_version": [slot.strategy.version for slot in new],
        "scheduled_at": [naive(slot.row.first) for slot in new],
        "scheduled_until": [naive(slot.row.last) for slot in new],
        "slots": [slot.row.slots for slot in new],
        "as_of": [naive(slot.row.last) for slot in new],
        "engine": [slot.strategy.engine for slot in new],
        "completed_at": [None if runs else naive(now) for runs in open_ended],
        "status": [str(slot.row.status) for slot in new],
        "error_message": [slot.row.why for slot in new],
        "tokens_used": [None if runs else 0 for runs in open_ended],
        "cost_usd": [None if runs else Decimal(0) for runs in open_ended],
        "run_key": [slot.key for slot in new],
        **{name: [getattr(slot.terms, name) for slot in new] for name in TERMS},
    }
    rows = connection.execute(_INSERT, [*(columns[name] for name in _COLUMNS), naive(now)]).fetchall()
    return dict(rows)


def end_unclaimed(connection: SqlConnection, keys: Sequence[str], now: datetime) -> None:
    """End the rows of a claim that was written and yet failed: they never ran."""
    connection.execute(
        "UPDATE executions SET status = ?, error_message = ?, completed_at = ?, tokens_used = 0, cost_usd = 0 "
        "WHERE run_key = ANY(CAST(? AS VARCHAR[])) AND status = ?",
        [Status.MISSED, UNCLAIMED, naive(now), [*keys], Status.RUNNING],
    )


UNCLAIMED = "The journal failed as this slot was claimed, and it did not run. Look whether the disk is full."

_COLUMNS = {
    "strategy_id": "INTEGER", "strategy_version": "VARCHAR", "scheduled_at": "TIMESTAMP",
    "scheduled_until": "TIMESTAMP", "slots": "INTEGER", "as_of": "TIMESTAMP", "engine": "VARCHAR",
    "completed_at": "TIMESTAMP", "status": "VARCHAR", "error_message": "VARCHAR", "tokens_used": "BIGINT",
    "cost_usd": "DECIMAL(18, 6)", "run_key": "VARCHAR",
    **dict.fromkeys(TERMS, "VARCHAR"), "horizon_s": "BIGINT", "cost_bps": "DOUBLE PRECISION",
}  # fmt: skip

_INSERT = (
    f'INSERT INTO executions ({", ".join(_COLUMNS)}, "trigger", started_at) '
    f"SELECT {unnested(_COLUMNS)}, 'schedule', CAST(? AS TIMESTAMP) RETURNING run_key, id"
)


def set_accounted(connection: SqlConnection, by_id: Mapping[int, tuple[datetime | None, datetime]]) -> None:
    """Note from when on, and up to when, each of these strategies, by id, has a row for every slot."""
    columns = unnested({"id": "INTEGER", "start": "TIMESTAMP", "until": "TIMESTAMP"})
    starts = [start and naive(start) for start, _ in by_id.values()]
    connection.execute(
        "UPDATE strategies SET accounted_until = done.until, accounted_from = done.start "  # noqa: S608 - ours
        f"FROM (SELECT {columns}) AS done WHERE strategies.id = done.id",
        [[*by_id], starts, [naive(until) for _, until in by_id.values()]],
    )


def known_strategies(connection: SqlConnection, names: Sequence[str]) -> dict[str, tuple[int, Accounted | None]]:
    """Return the id of strategies in the journal, and what is accounted for, by name."""
    rows = connection.execute(
        "SELECT name, id, version, accounted_from, accounted_until FROM strategies "  # noqa: S608 - ours
        f"WHERE name IN (SELECT {unnested({'name': 'VARCHAR'})})",
        [[*names]],
    ).fetchall()
    return {name: (strategy_id, _accounted(*more)) for name, strategy_id, *more in rows}


def accounted(connection: SqlConnection, after: datetime, until: datetime) -> dict[str, Accounted]:
    """Return what is accounted for of strategies of which that is beyond `after`, and not beyond `until`, by name."""
    rows = connection.execute(
        "SELECT name, version, accounted_from, accounted_until FROM strategies "
        "WHERE accounted_until > ? AND accounted_until <= ?",
        [naive(after), naive(until)],
    ).fetchall()
    return {name: known for name, *more in rows if (known := _accounted(*more)) is not None}


def _accounted(version: str, since: datetime | None, until: datetime | None) -> Accounted | None:
    return None if until is None else Accounted(version, since and _aware(since), _aware(until))


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)
