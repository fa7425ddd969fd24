"""What the journal knows of slots that have ended: the latest of each strategy, its failures in a row.

Each function raises `Retryable` or `Misconfigured` as `Database.read` does.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from mcp_server.domain.run_status import Status
from mcp_server.domain.timeframes import naive
from mcp_server.storage.journal.host_runs import UNANSWERED
from mcp_server.storage.sql import JournalDatabase, SqlConnection

if TYPE_CHECKING:
    from mcp_server.storage.strategies.versions import Kept

PATIENCE_S = 1.0
"""How long what is asked beside the slots waits for another process: it can be asked again later."""


@dataclass(frozen=True, slots=True)
class LastSlot:
    """How the latest slots of a strategy ended, or a run by hand. `slot` (aware): the last of `slots`, or its as-of."""

    slot: datetime
    slots: int
    status: str
    signal: str | None
    error: str | None


def failures(database: JournalDatabase, name: str, most: int) -> int:
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


def next_horizon(database: JournalDatabase, after: datetime) -> datetime | None:
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


def overdue(database: JournalDatabase, until: datetime) -> int:
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


def last_decided_by(database: JournalDatabase) -> dict[str, str]:
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


def made_active(database: JournalDatabase, name: str) -> datetime | None:
    """Return when a strategy was last made active; None: it never was."""
    rows = database.read(
        lambda connection: connection.execute(
            "SELECT scheduled_since FROM strategies WHERE name = ?", [name]
        ).fetchall(),
        patience_s=PATIENCE_S,
    )
    return rows[0][0].replace(tzinfo=UTC) if rows and rows[0][0] is not None else None


class LastRuns(NamedTuple):
    """The latest slot of a strategy, and its latest run on schedule or by hand, or slot; None where there is none."""

    slot: LastSlot | None
    run: LastSlot


_LAST = (
    "SELECT s.name, m.scheduled, m.at, e.slots, "
    "CASE WHEN e.status = 'running' AND e.answer_by <= $2 THEN 'timeout' ELSE e.status END, r.signal, "
    "CASE WHEN e.status = 'running' AND e.answer_by <= $2 THEN $3 ELSE e.error_message END, "
    "coalesce(e.completed_at, CASE WHEN e.answer_by <= $2 THEN e.answer_by END) "
    "FROM (SELECT strategy_id, \"trigger\" = 'schedule' AS scheduled, max(coalesce(scheduled_until, as_of)) AS at "
    "FROM executions WHERE \"trigger\" <> 'replay' "
    "AND (CAST($1 AS TIMESTAMP) IS NULL OR (started_at <= $1 AND as_of <= $1)) "
    "GROUP BY 1, 2) m JOIN executions e ON e.strategy_id = m.strategy_id AND e.\"trigger\" <> 'replay' "
    "AND (e.\"trigger\" = 'schedule') = m.scheduled "
    "AND coalesce(e.scheduled_until, e.as_of) = m.at AND ($1 IS NULL OR e.started_at <= $1) "
    "JOIN strategies s ON s.id = e.strategy_id LEFT JOIN analysis_results r ON r.execution_id = e.id "
    "ORDER BY m.at, e.id"
)


def last_runs(
    connection: SqlConnection, until: datetime | None = None, now: datetime | None = None
) -> dict[str, LastRuns]:
    """Return the latest rows of each strategy, by name. With `until`: as the journal was at that moment.

    A run that no host has answered by `now` in time is over, whether or not anybody has entered that.
    """
    then = None if until is None else naive(until)
    asked = [then, then if now is None else naive(now), UNANSWERED]
    last: dict[str, LastRuns] = {}
    for name, scheduled, at, slots, *ended, completed_at in connection.execute(_LAST, asked).fetchall():
        running = then is not None and (completed_at is None or completed_at > then)
        row = LastSlot(at.replace(tzinfo=UTC), slots, *((Status.RUNNING, None, None) if running else ended))
        slot = row if scheduled else (last[name].slot if name in last else None)
        last[name] = LastRuns(slot, row)
    return last


def first_run(connection: SqlConnection) -> datetime | None:
    """Return when the first run of the home began: nothing was known before. None: there is none yet."""
    rows = connection.execute("SELECT min(started_at) FROM executions").fetchall()
    return None if rows[0][0] is None else rows[0][0].replace(tzinfo=UTC)


def run_marks(connection: SqlConnection) -> dict[str, Hashable]:
    """Return for each strategy a mark that changes whenever a run of it begins, ends, or is judged, but for replays."""
    rows = connection.execute(
        "SELECT s.name, max(e.id), count(e.id), count(e.completed_at), count(o.execution_id) FROM executions e "
        "JOIN strategies s ON s.id = e.strategy_id LEFT JOIN outcomes o ON o.execution_id = e.id "
        "WHERE e.\"trigger\" <> 'replay' GROUP BY s.name"
    ).fetchall()
    return {name: tuple(mark) for name, *mark in rows}


def ran_versions(connection: SqlConnection, until: datetime) -> dict[str, "Kept"]:
    """Return the version of each strategy's last run or slot that had begun by a moment, and when, by name.

    Not of a replay: it may have run without some of the sub-agents, in a version that no folder ever had.
    """
    rows = connection.execute(
        "SELECT s.name, e.strategy_version, e.started_at FROM executions e JOIN (SELECT max(id) AS id FROM executions "
        "WHERE started_at <= ? AND \"trigger\" <> 'replay' GROUP BY strategy_id) m ON m.id = e.id "
        "JOIN strategies s ON s.id = e.strategy_id",
        [naive(until)],
    ).fetchall()
    from mcp_server.storage.strategies.versions import Kept

    return {name: Kept(version, at.replace(tzinfo=UTC)) for name, version, at in rows}
