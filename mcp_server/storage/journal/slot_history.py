"""What the journal knows of slots that have ended: the latest of each strategy, its failures in a row.

Each function raises `Retryable` or `Misconfigured` as `Database.read` does.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from mcp_server.domain.timeframes import naive
from mcp_server.storage.database import Database

PATIENCE_S = 1.0
"""How long what is asked beside the slots waits for another process: it can be asked again later."""


@dataclass(frozen=True, slots=True)
class LastSlot:
    """How the latest slots of a strategy ended. `slot` (aware) is the last of `slots`."""

    slot: datetime
    slots: int
    status: str
    signal: str | None
    error: str | None


def failures(database: Database, name: str, most: int) -> int:
    """Count how often a strategy has failed in a row since it was last made active, up to `most`.

    Slots that did not run, and failures that are not the strategy's own, neither count nor end the series.
    """
    rows = database.read(
        lambda connection: connection.execute(
            "SELECT e.own_failure FROM executions e JOIN strategies s ON s.id = e.strategy_id "
            "WHERE s.name = ? AND e.\"trigger\" = 'schedule' AND e.scheduled_at > s.scheduled_since "
            "AND e.own_failure IS NOT NULL ORDER BY e.id DESC LIMIT ?",
            [name, most],
        ).fetchall()
    )
    return next((count for count, (own,) in enumerate(rows) if not own), len(rows))


def next_horizon(database: Database, after: datetime) -> datetime | None:
    """Return when the next horizon of a slot's signal is over, after a moment; None: there is none yet."""
    (first,) = database.read(
        lambda connection: connection.execute(
            "SELECT min(as_of + horizon_s * INTERVAL '1' SECOND) FROM executions WHERE status = 'success' "
            "AND \"trigger\" = 'schedule' AND as_of + horizon_s * INTERVAL '1' SECOND > ?",
            [naive(after)],
        ).fetchall(),
        patience_s=PATIENCE_S,
    )[0]
    return None if first is None else first.replace(tzinfo=UTC)


def overdue(database: Database, until: datetime) -> int:
    """Count the signals whose horizon was over by a moment, and which are neither judged nor void."""
    rows = database.read(
        lambda connection: connection.execute(
            "SELECT count(*) FROM executions e LEFT JOIN outcomes o ON o.execution_id = e.id "
            "WHERE e.status = 'success' AND o.execution_id IS NULL "
            "AND e.as_of + e.horizon_s * INTERVAL '1' SECOND <= ?",
            [naive(until)],
        ).fetchall(),
        patience_s=PATIENCE_S,
    )
    return int(rows[0][0])


def last_decided_by(database: Database) -> dict[str, str]:
    """Return the decision_version of each strategy's latest run on schedule, by name, where it is noted."""
    rows = database.read(
        lambda connection: connection.execute(
            "SELECT s.name, e.decision_version FROM executions e JOIN strategies s ON s.id = e.strategy_id "
            "WHERE e.decision_version IS NOT NULL AND e.id IN (SELECT max(id) FROM executions WHERE status IN "
            "('success', 'abstained', 'error', 'timeout') AND \"trigger\" = 'schedule' GROUP BY strategy_id)"
        ).fetchall(),
        patience_s=PATIENCE_S,
    )
    return dict(rows)


def made_active(database: Database, name: str) -> datetime | None:
    """Return when a strategy was last made active; None: it never was."""
    rows = database.read(
        lambda connection: connection.execute(
            "SELECT scheduled_since FROM strategies WHERE name = ?", [name]
        ).fetchall(),
        patience_s=PATIENCE_S,
    )
    return rows[0][0].replace(tzinfo=UTC) if rows and rows[0][0] is not None else None


def last_slots(database: Database) -> dict[str, LastSlot]:
    """Return the latest row of each strategy's slots, by name."""
    rows = database.read(
        lambda connection: connection.execute(
            "SELECT s.name, e.scheduled_until, e.slots, e.status, r.signal, e.error_message FROM ("
            "SELECT arg_max(id, scheduled_until) AS id FROM executions WHERE \"trigger\" = 'schedule' "
            "GROUP BY strategy_id) latest "
            "JOIN executions e ON e.id = latest.id JOIN strategies s ON s.id = e.strategy_id "
            "LEFT JOIN analysis_results r ON r.execution_id = e.id"
        ).fetchall()
    )
    return {name: LastSlot(slot.replace(tzinfo=UTC), *rest) for name, slot, *rest in rows}
