"""What becomes of the slots that have come due: at most one of them runs, each of the others has its row and reason.

Pure: the moments are arguments.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mcp_server.domain.outcome import SlotRow, Status
from mcp_server.domain.schedule.slots import due_at, next_slot, overdue
from mcp_server.domain.strategy.format import Config
from mcp_server.domain.text import duration

MOST_ROWS = 20
"""How many missed slots, the latest ones, have a row each; those before them share one row with their count."""

SKIP_GRACE_S = 60
"""How late a slot may be with the policy `skip`, unless its strategy says: the runner was busy, not stopped."""

LEAST_GRACE_S = 5
"""No strategy can ask for less: a claim takes a moment, and then none of its slots would ever run."""

LONGEST_GRACE_S = 10 * 365 * 86_400
"""A longer grace is as good as for ever, and could not be added to a date."""

MOST_GRACE = timedelta(days=1)
"""How late one may be with the policy `run_latest` at most, unless its strategy says; else until the next slot."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of slots: `run` is the one to run, if any; `passed`, oldest first, are the others.

    `start_deadline` is when the run must have begun.
    """

    run: datetime | None
    passed: Sequence[SlotRow]
    start_deadline: datetime | None = None


def plan(config: Config, after: datetime, now: datetime, missed_because: str) -> Plan | None:
    """Decide what becomes of the slots of an active strategy that are due and not accounted for; None: there are none.

    Args:
        config: its config.
        after: up to this moment, every slot has its row.
        now: the present.
        missed_because: why slots were not run when they came due.
    """
    due = overdue(config, after, now, keep=MOST_ROWS + 1)
    if due is None:
        return None
    *older, latest = due.last
    late = now - due_at(config, latest)
    grace = grace_of(config, latest)
    passed = _missed(due.count - 1, due.first, older, missed_because)
    if late <= grace:
        return Plan(latest, passed, due_at(config, latest) + grace)
    if config.misfire.policy == "skip":
        return Plan(None, [*passed, SlotRow(Status.MISSED, latest, latest, 1, missed_because)])
    limit = f"may begin up to {duration(grace)} late (misfire.grace_s)"
    why = f"It would have begun {duration(late)} late, and {limit}. {missed_because}"
    return Plan(None, [*passed, SlotRow(Status.SKIPPED_STALE, latest, latest, 1, why)])


def missed(config: Config, after: datetime, until: datetime, missed_because: str) -> Sequence[SlotRow]:
    """Return the rows of all slots later than `after` up to `until`, also of one whose run was to begin after it."""
    due = overdue(config, after, due_at(config, until), keep=MOST_ROWS)
    return [] if due is None else _missed(due.count, due.first, due.last, missed_because)


def grace_of(config: Config, slot: datetime) -> timedelta:
    """Return how late the run of a slot may begin."""
    if config.misfire.grace_s is not None:
        return timedelta(seconds=min(max(config.misfire.grace_s, LEAST_GRACE_S), LONGEST_GRACE_S))
    if config.misfire.policy == "skip":
        return timedelta(seconds=SKIP_GRACE_S)
    return min(next_slot(config, slot) - slot, MOST_GRACE)


def _missed(count: int, first: datetime, last: Sequence[datetime], missed_because: str) -> list[SlotRow]:
    """Return one row for each of the last slots, and one before them for the rest of all `count`."""
    single = last[-MOST_ROWS:] if count <= MOST_ROWS else last[-(MOST_ROWS - 1) :]
    rows = [SlotRow(Status.MISSED, slot, slot, 1, missed_because) for slot in single]
    if rest := count - len(single):
        before = [slot for slot in last if slot < single[0]]
        why = f"{rest} slots in a row. {missed_because}"
        rows.insert(0, SlotRow(Status.MISSED, first, before[-1], rest, why))
    return rows
