"""The accounts of a home: every slot that was due against the rows of its journal, by the enumeration alone."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from mcp_server.domain.outcome import Status
from mcp_server.domain.schedule.slots import slots
from mcp_server.domain.strategy.format import Config

ENDED = frozenset(str(status) for status in Status if status not in (Status.RUNNING, Status.DRIFT))

ROWS = """
SELECT e.id, s.name, e.status, e.scheduled_at, e.scheduled_until, e.slots, e.error_message, e.completed_at, e.run_key,
       (SELECT count(*) FROM analysis_results a WHERE a.execution_id = e.id)
FROM executions e JOIN strategies s ON s.id = e.strategy_id
WHERE e."trigger" = 'schedule' ORDER BY e.scheduled_at, e.id
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of slots. Times are aware UTC."""

    id: int
    strategy: str
    status: str
    first: datetime
    last: datetime
    slots: int
    why: str | None
    completed_at: datetime | None
    run_key: str
    signals: int


@dataclass(slots=True)
class Accounts:
    """What came of slots: how many were due, those without a row, with two, and the rows that say no whole truth."""

    due: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> list[str]:
        """All that is not as it must be."""
        return [
            *(f"lost: {slot}" for slot in self.lost),
            *(f"doubled: {slot}" for slot in self.doubled),
            *(f"torn: {slot}" for slot in self.torn),
        ]


Ask = Callable[[str], list[tuple[Any, ...]]]
"""Asks a journal, and returns the rows of the answer."""


def of_file(file: Path) -> Ask:
    """Return what asks the database of a home; the file must be nobody else's at the time."""

    def ask(sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(file, read_only=True) as connection:
            return connection.execute(sql).fetchall()

    return ask


def rows(ask: Ask) -> list[Row]:
    """Read every row of slots."""
    return [Row(*map(_aware, row)) for row in ask(ROWS)]


def _aware(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value


def account(ask: Ask, name: str, config: Config, until: datetime, since: datetime | None = None) -> Accounts:
    """Compare the rows of a strategy with its slots from when it was first scheduled.

    Args:
        ask: asks the journal of a home that nothing runs on.
        name: the strategy's.
        config: its config, which was the same from the beginning.
        until: each slot up to then must have its row, and so must those of later ones that have been claimed.
        since: from when its slots count; None: as the journal says.
    """
    mine = [row for row in rows(ask) if row.strategy == name]
    stored_since, accounted_until = _standing(ask, name)
    end = max(until, accounted_until)
    due = list(_until(slots(config, since or stored_since), end))
    covered = Counter(slot for row in mine for slot in due if row.first <= slot <= row.last)
    accounts = Accounts(due=len(due))
    for row in mine:
        accounts.outcomes[row.status] += row.slots
        accounts.torn += [f"{name} row {row.id}: {why}" for why in torn(row)]
        if row.slots != sum(row.first <= slot <= row.last for slot in due) or not {row.first, row.last} <= set(due):
            accounts.torn.append(f"{name} row {row.id} stands for {row.slots} slots from {row.first} to {row.last}")
    accounts.lost = [f"{name} {slot}" for slot in due if not covered[slot]]
    accounts.doubled = [f"{name} {slot}" for slot, times in covered.items() if times > 1]
    return accounts


def torn(row: Row) -> Iterator[str]:
    """Say what of an ended row is not whole."""
    if row.status not in ENDED:
        yield f"its status is {row.status!r}"
    if row.completed_at is None:
        yield "it has no end"
    if (row.signals == 1) != (row.status == Status.SUCCESS):
        yield f"{row.signals} signals with {row.status}"
    if row.status != Status.SUCCESS and not row.why:
        yield f"{row.status} without a reason"


def _standing(ask: Ask, name: str) -> tuple[datetime, datetime]:
    stored = {row[0]: row[1:] for row in ask("SELECT name, scheduled_since, accounted_until FROM strategies")}
    since, until = (moment.replace(tzinfo=UTC) for moment in stored[name])
    return since, until


def _until(moments: Iterator[datetime], end: datetime) -> Iterator[datetime]:
    for moment in moments:
        if moment > end:
            return
        yield moment


def midway(file: Path, alive: frozenset[str]) -> Iterator[str]:
    """Say what is wrong with a journal whose runner was killed a moment ago; slots may be missing, and may run.

    Args:
        file: a copy of the database, as it lay there.
        alive: the runners whose end nobody has noticed yet; only they may have rows that run.
    """
    last: dict[str, Row] = {}
    for row in rows(of_file(file)):
        before = last.get(row.strategy)
        if before is not None and row.first <= before.last:
            yield f"doubled: {row.strategy} row {row.id} begins at {row.first}, row {before.id} ends at {before.last}"
        last[row.strategy] = row
        if row.status in ENDED:
            yield from (f"torn: {row.strategy} row {row.id}: {why}" for why in torn(row))
        elif row.run_key.partition(".")[0] not in alive:
            yield f"torn: {row.strategy} row {row.id} still runs, and its runner is forgotten"
