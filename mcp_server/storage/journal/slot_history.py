"""What the journal knows of slots that have ended: the latest of each strategy, its failures in a row.

Each function raises `Retryable` or `Misconfigured` as `Database.read` does.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from mcp_server.storage.database import Database


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
