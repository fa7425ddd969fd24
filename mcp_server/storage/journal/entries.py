"""What the journal tells of runs: the latest of them, what they cost, and what happened on the way of one."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from mcp_server.domain.run_status import Status
from mcp_server.domain.scoring.known_outcome import KnownOutcome, SignalVerdict, verdict
from mcp_server.domain.timeframes import KNOWN_AFTER_MS, TIMEFRAMES, from_ms, naive, to_ms
from mcp_server.storage.journal.by_then import AT_ITS_TIME, RAN, answered_by, there_by

if TYPE_CHECKING:
    from mcp_server.domain.outcome import RunEngine, Trigger
    from mcp_server.domain.strategy.checks.budget import Costs
    from mcp_server.storage.sql import SqlConnection

_OWN = 23
"""So many columns of `_ENTRIES` are of the run and its signal; the others are of its outcome."""

RECENT_RUNS = 100
"""What runs cost is estimated from so many of the latest."""

OF_ONE = "(CAST($1 AS VARCHAR) IS NULL OR e.strategy_id = (SELECT id FROM strategies WHERE name = $1))"

BY_THEN = {
    "signals": f"e.status = 'success' AND (CAST($2 AS TIMESTAMP) IS NULL OR {answered_by('$2')})",
    "all": f"(CAST($2 AS TIMESTAMP) IS NULL OR {there_by('$2')})",
}
"""Which rows there were at a moment."""

_LATEST = {
    outcomes: f"SELECT e.id FROM executions e WHERE {OF_ONE} AND {by_then} "  # noqa: S608
    f"AND (CAST($3 AS BIGINT) IS NULL OR e.id < $3) "
    f"AND (NOT $5 OR {AT_ITS_TIME}) AND (e.replay_id IS NOT NULL) = $6 ORDER BY e.id DESC LIMIT $4"
    for outcomes, by_then in BY_THEN.items()
}
"""The ids of the latest runs: of one strategy or of all, up to a moment, before another one."""

_ENTRIES = (
    f"SELECT e.id, s.name, e.engine, e.trigger, e.status, e.as_of, e.started_at, e.completed_at, a.signal, "  # noqa: S608
    "a.confidence, a.price, a.reasoning, e.error_message, e.cost_usd, e.scheduled_at, e.slots, e.scheduled_until, "
    "e.timeframe, e.horizon_s, e.replay_id, e.contaminated, e.knowledge_cutoff, e.recorded_usd, "
    "o.state, o.r, o.cost_bps, o.funding_bps, o.entry_time, o.entry_price, o.exit_time, o.exit_price, "
    f"CAST($4 AS TIMESTAMP) IS NULL OR {answered_by('$4')} "
    "FROM executions e JOIN strategies s ON s.id = e.strategy_id "
    "LEFT JOIN (SELECT * FROM analysis_results WHERE execution_id BETWEEN $2 AND $3) a ON a.execution_id = e.id "
    "LEFT JOIN (SELECT * FROM outcomes WHERE execution_id BETWEEN $2 AND $3 "
    "AND (CAST($5 AS TIMESTAMP) IS NULL OR exit_time <= $5)) o "
    "ON o.execution_id = e.id WHERE e.id BETWEEN $2 AND $3 AND e.id = ANY(CAST($1 AS BIGINT[])) ORDER BY e.id DESC"
)
"""The bounds are there for speed alone: by them, years of other rows need not be read."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One run, as the journal tells it. Times are aware UTC; what is unknown is None.

    `status` is a `Status`, or what a newer program wrote in its place. `scheduled_until` is the last of its `slots`.
    By `timeframe` and `horizon_s` its signal is judged; `outcome` is what the market did, as far as that was known.
    `contaminated`: a model that knows the world up to `knowledge_cutoff` may know what came after its as-of.
    `recorded_usd` is what its replies once cost, where they are on a cassette.
    """

    execution_id: int
    strategy: str
    engine: RunEngine
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
    scheduled_until: datetime | None = None
    timeframe: str | None = None
    horizon_s: int | None = None
    replay_id: str | None = None
    contaminated: bool | None = None
    knowledge_cutoff: str | None = None
    recorded_usd: Decimal | None = None
    outcome: KnownOutcome | None = None

    @property
    def answered_at(self) -> datetime:
        """When its answer was there: by hand and in a replay, its as-of and as long as it took."""
        ended = self.completed_at or self.started_at
        return ended if self.trigger == "schedule" else self.as_of + (ended - self.started_at)

    @property
    def verdict(self) -> SignalVerdict | None:
        """What became of its BUY or SELL; None for a HOLD, and where there is no signal."""
        return verdict(self.signal, self.outcome)

    @property
    def net_pct(self) -> float | None:
        """What its BUY or SELL brought after costs, in per cent; None where that is not known."""
        return None if self.outcome is None else self.outcome.net_pct(self.signal)

    @property
    def exit_time(self) -> datetime | None:
        """When its signal was left or, while it is pending, will be; None elsewhere, or where its terms are unknown."""
        if self.outcome is not None:
            return self.outcome.exit_time
        if self.verdict != "pending" or not self.horizon_s or self.timeframe not in TIMEFRAMES:
            return None
        import numpy as np

        from mcp_server.domain.scoring.outcomes import entry_open_ms, exit_close_ms

        moments = (self.answered_at if self.engine == "host" else self.as_of, self.answered_at)  # as in `DECIDED`
        decided, answered = (np.array([to_ms(moment)]) for moment in moments)
        opened = entry_open_ms(decided, answered, self.timeframe)
        return from_ms(int(exit_close_ms(opened, self.timeframe, self.horizon_s * 1000)[0]))

    @property
    def why(self) -> str | None:
        """Its reasoning, or why it ended without one."""
        return self.reasoning or self.error


def latest(
    connection: SqlConnection,
    strategy: str | None,
    limit: int,
    outcomes: Literal["signals", "all"],
    until: datetime | None,
    before: int | None = None,
    *,
    at_their_time: bool = False,
    replayed: bool = False,
) -> list[Entry]:
    """Return the latest runs, newest first: those with a signal, or all of them; only those with ids below `before`.

    They are told as they stood at `until`: a run that had not answered by then was running, and had no signal. With
    `at_their_time`, only those that were made at their moment: see `AT_ITS_TIME`. With `replayed` those of replays,
    else all others: one replay may have more of them than a strategy has of its own in a year.
    """
    by = None if until is None else naive(until)
    ids = [
        row[0]
        for row in connection.execute(
            _LATEST[outcomes], [strategy, by, before, limit, at_their_time, replayed]
        ).fetchall()
    ]
    return read(connection, ids, until)


def read(connection: SqlConnection, ids: Sequence[int], until: datetime | None) -> list[Entry]:
    """Return runs by their ids, newest first, as they stood at `until`; they are known to have begun by then."""
    if not ids:
        return []
    moments = [None, None] if until is None else [naive(until), naive(until - timedelta(milliseconds=KNOWN_AFTER_MS))]
    return [_entry(row) for row in connection.execute(_ENTRIES, [ids, min(ids), max(ids), *moments]).fetchall()]


def costs(connection: SqlConnection, strategy: str) -> Costs:
    """Return what the latest runs of a strategy by claude have cost, up to `RECENT_RUNS` that asked a model.

    Replies that a cassette gave for nothing count as what they once cost. Runs of replays are left out.
    """
    from mcp_server.domain.strategy.checks.budget import Costs

    row = connection.execute(
        "SELECT count(*), count(usd), CAST(avg(usd) AS DECIMAL(18, 6)) FROM ("
        "SELECT coalesce(e.recorded_usd, e.cost_usd) AS usd FROM executions e JOIN strategies s "
        "ON s.id = e.strategy_id WHERE s.name = $1 AND e.engine = 'claude' AND e.\"trigger\" <> 'replay' "
        "AND e.status = ANY(CAST($2 AS VARCHAR[])) AND coalesce(e.tokens_used, 1) > 0 "
        "ORDER BY e.id DESC LIMIT $3) AS latest",
        [strategy, [*RAN], RECENT_RUNS],
    ).fetchone()
    assert row is not None  # noqa: S101 (an aggregate always gives a row)
    return Costs(*row)


def traces_of_payers(connection: SqlConnection, keys: Collection[str]) -> list[Mapping[str, Any]]:
    """Return what happened in the runs of these keys that kept it, the last three."""
    rows = connection.execute(
        "SELECT trace FROM executions WHERE trace IS NOT NULL "
        "AND coalesce(payer, run_key) = ANY(CAST($1 AS VARCHAR[])) ORDER BY id DESC LIMIT 3",
        [[*keys]],
    ).fetchall()
    return [json.loads(row[0]) for row in rows]


def trace(connection: SqlConnection, execution_id: int) -> Mapping[str, Any] | None:
    """Return what happened on the way of one run; None where there is no such run or nothing was kept."""
    row = connection.execute("SELECT trace FROM executions WHERE id = ?", [execution_id]).fetchone()
    kept: Mapping[str, Any] | None = json.loads(row[0]) if row and row[0] else None
    return kept


def _entry(row: tuple[Any, ...]) -> Entry:
    """Read one row of `_ENTRIES`."""
    values: list[Any] = [value.replace(tzinfo=UTC) if isinstance(value, datetime) else value for value in row]
    answered = values.pop()
    known = None if values[_OWN] is None else KnownOutcome(*values[_OWN:])
    entry = Entry(*[*values[:_OWN], known])
    if answered:
        return entry
    entry = replace(entry, status=Status.RUNNING, completed_at=None, cost_usd=None, recorded_usd=None, error=None)
    entry = replace(entry, contaminated=None, knowledge_cutoff=None)
    return replace(entry, signal=None, confidence=None, price=None, reasoning=None)
