"""What the journal tells of runs: the latest of them, what they cost, and what happened on the way of one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from mcp_server.domain.outcome import Engine, Status, Trigger
from mcp_server.domain.strategy.checks.budget import Costs
from mcp_server.domain.timeframes import naive

if TYPE_CHECKING:
    import duckdb

RECENT_RUNS = 100
"""What runs cost is estimated from so many of the latest."""

_LATEST = {
    "signals": "SELECT execution_id FROM analysis_results "
    "WHERE ($1 IS NULL OR strategy_id = (SELECT id FROM strategies WHERE name = $1)) "
    "AND ($2 IS NULL OR timestamp <= $2) ORDER BY execution_id DESC LIMIT $3",
    "all": "SELECT id FROM executions WHERE ($1 IS NULL OR strategy_id = (SELECT id FROM strategies WHERE name = $1)) "
    "AND ($2 IS NULL OR as_of <= $2) ORDER BY id DESC LIMIT $3",
}
"""The ids of the latest runs: of one strategy or of all, up to a moment."""

_ASKED_A_MODEL = (Status.SUCCESS, Status.ABSTAINED, Status.ERROR, Status.TIMEOUT)


@dataclass(frozen=True, slots=True)
class Entry:
    """One run, as the journal tells it. Times are aware UTC; what is unknown is None.

    `status` is a `Status`, or what a newer program wrote in its place.
    """

    execution_id: int
    strategy: str
    engine: Engine
    trigger: Trigger
    status: str
    as_of: datetime
    started_at: datetime
    completed_at: datetime | None
    signal: str | None
    confidence: Decimal | None
    price: float | None
    reasoning: str | None
    error: str | None
    cost_usd: Decimal | None
    scheduled_at: datetime | None = None
    slots: int = 1

    @property
    def why(self) -> str | None:
        """Its reasoning, or why it ended without one."""
        return self.reasoning or self.error


def latest(
    connection: "duckdb.DuckDBPyConnection",
    strategy: str | None,
    limit: int,
    outcomes: Literal["signals", "all"],
    until: datetime | None,
) -> list[Entry]:
    """Return the latest runs, newest first: those with a signal, or all of them; none with an as-of after `until`."""
    latest_ids = [strategy, None if until is None else naive(until), limit]
    ids = [row[0] for row in connection.execute(_LATEST[outcomes], latest_ids).fetchall()]
    if not ids:
        return []
    # The bounds are there for speed alone: by them, years of other rows need not be read.
    rows = connection.execute(
        "SELECT e.id, s.name, e.engine, e.trigger, e.status, e.as_of, e.started_at, e.completed_at, a.signal, "
        "a.confidence, a.price, a.reasoning, e.error_message, e.cost_usd, e.scheduled_at, e.slots "
        "FROM executions e JOIN strategies s ON s.id = e.strategy_id LEFT JOIN (SELECT * FROM analysis_results "
        "WHERE execution_id BETWEEN $2 AND $3) a ON a.execution_id = e.id "
        "WHERE e.id BETWEEN $2 AND $3 AND list_contains($1, e.id) ORDER BY e.id DESC",
        [ids, min(ids), max(ids)],
    ).fetchall()
    return [_entry(row) for row in rows]


def costs(connection: "duckdb.DuckDBPyConnection", strategy: str) -> Costs:
    """Return what the latest runs of a strategy by claude have cost, up to `RECENT_RUNS` that asked a model."""
    row = connection.execute(
        "SELECT count(*), count(cost_usd), CAST(avg(cost_usd) AS DECIMAL(18, 6)) FROM (SELECT e.cost_usd "
        "FROM executions e JOIN strategies s ON s.id = e.strategy_id WHERE s.name = $1 AND e.engine = 'claude' "
        "AND list_contains($2, e.status) AND coalesce(e.tokens_used, 1) > 0 ORDER BY e.id DESC LIMIT $3)",
        [strategy, [*_ASKED_A_MODEL], RECENT_RUNS],
    ).fetchone()
    assert row is not None  # noqa: S101 (an aggregate always gives a row)
    return Costs(*row)


def trace(connection: "duckdb.DuckDBPyConnection", execution_id: int) -> Mapping[str, Any] | None:
    """Return what happened on the way of one run; None where there is no such run or nothing was kept."""
    row = connection.execute("SELECT trace FROM executions WHERE id = ?", [execution_id]).fetchone()
    kept: Mapping[str, Any] | None = json.loads(row[0]) if row and row[0] else None
    return kept


def _entry(row: tuple[Any, ...]) -> Entry:
    """Read one row of the query of `latest`."""
    values: list[Any] = [value.replace(tzinfo=UTC) if isinstance(value, datetime) else value for value in row]
    return Entry(*values)
