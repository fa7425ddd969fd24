"""The SQL that ends the rows of runs: of one, or of many that ended together."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from mcp_server.domain.outcome import SignalName
from mcp_server.domain.timeframes import naive
from mcp_server.storage.journal.rows import has_run, open_ended
from mcp_server.storage.sql import SqlConnection, unnested

End = Mapping[str, Any]
"""How a run ended, as `ended_run` writes it."""

Waited = Literal["no row", "entered", "late"]
"""What came of an end that waited; `late`: somebody had ended the run before, as interrupted."""

_ENDS = {
    "id": "BIGINT", "run_key": "VARCHAR", "started_at": "TIMESTAMP", "completed_at": "TIMESTAMP", "status": "VARCHAR",
    "error": "VARCHAR", "model": "VARCHAR", "tokens_used": "BIGINT", "cost_usd": "DECIMAL(18, 6)",
    "recorded_usd": "DECIMAL(18, 6)", "knowledge_cutoff": "VARCHAR", "contaminated": "BOOLEAN", "trace": "JSON",
    "own_failure": "BOOLEAN", "open_ended": "BOOLEAN",
}  # fmt: skip

_SIGNALS = {
    "execution_id": "BIGINT", "strategy_id": "INTEGER", "timestamp": "TIMESTAMP", "signal": "VARCHAR",
    "confidence": "DECIMAL(5, 2)", "reasoning": "VARCHAR", "price": "DOUBLE PRECISION", "data": "JSON",
    "execution_time_ms": "BIGINT",
}  # fmt: skip


_END = (
    "UPDATE executions SET status = done.status, error_message = done.error, completed_at = done.completed_at, "  # noqa: S608 - ours
    "model = done.model, tokens_used = done.tokens_used, "
    "cost_usd = CASE WHEN payer <> executions.run_key AND done.open_ended THEN NULL "
    "ELSE done.cost_usd + coalesce(earlier_usd, 0) END, recorded_usd = done.recorded_usd, "
    "knowledge_cutoff = done.knowledge_cutoff, contaminated = done.contaminated, trace = done.trace, "
    "own_failure = done.own_failure, started_at = coalesce(done.started_at, executions.started_at) "
    f"FROM (SELECT {unnested(_ENDS)}) AS done WHERE executions.id = done.id AND executions.run_key = done.run_key "
    "AND executions.status = 'running' RETURNING executions.id, executions.strategy_id"
)

_SIGNAL = f"INSERT INTO analysis_results ({', '.join(_SIGNALS)}) SELECT {unnested(_SIGNALS)}"

_BEFORE = (
    "SELECT latest.id, a.signal FROM (SELECT own.id AS id, (SELECT max(e.id) FROM executions e "  # noqa: S608 - ours
    "WHERE e.strategy_id = own.strategy_id AND e.\"trigger\" = 'schedule' AND e.status = 'success' AND e.id < own.id) "
    f"AS before FROM (SELECT {unnested({'id': 'BIGINT', 'strategy_id': 'INTEGER'})}) AS own) AS latest "
    "JOIN analysis_results a ON a.execution_id = latest.before"
)
"""Postgres finds each maximum at the end of an index, however long the history of a strategy is."""


def enter(connection: SqlConnection, end: End) -> SignalName | None:
    """End the row of one run, as `enter_all` does, and return the signal before it."""
    return enter_all(connection, [end])[0]


def enter_all(connection: SqlConnection, ends: Sequence[End]) -> list[SignalName | None]:
    """End the rows of different runs, each once: a second entering of the same end changes nothing.

    The row of a replay that was taken up again has cost what all attempts did. Where one was killed that is unknown
    until an attempt comes to its end: only that has met all of the replies that were paid.

    Return, for each run that has a signal, that of the strategy's last slot before it that had one; None: none had.
    """
    rows = [_row(end) for end in ends]
    columns = [[row[name] for row in rows] for name in _ENDS]
    strategies: dict[int, int] = dict(connection.execute(_END, columns).fetchall())
    signals = [
        _signal(end, strategies[end["execution_id"]])
        for end in ends
        if end["signal"] is not None and end["execution_id"] in strategies
    ]
    if not signals:
        return [None for _ in ends]
    connection.execute(_SIGNAL, [[signal[name] for signal in signals] for name in _SIGNALS])
    asked = [[signal[name] for signal in signals] for name in ("execution_id", "strategy_id")]
    before: dict[int, SignalName] = dict(connection.execute(_BEFORE, asked).fetchall())
    return [before.get(end["execution_id"]) for end in ends]


def late(connection: SqlConnection, ends: Sequence[End]) -> frozenset[str]:
    """Return the keys of the runs whose row has another end than this: somebody ended it before, as interrupted.

    A run without a row is none of them.
    """
    ended: dict[str, datetime | None] = dict(
        connection.execute(
            "SELECT run_key, completed_at FROM executions WHERE run_key = ANY(CAST(? AS VARCHAR[]))",
            [[end["run_key"] for end in ends]],
        ).fetchall()
    )
    return frozenset(
        end["run_key"] for end in ends if ended.get(end["run_key"]) not in (None, _time(end["completed_at"]))
    )


def enter_waiting(end: End, connection: SqlConnection) -> Waited:
    """Enter an end that waited, unless this is not the database that has its row: then it goes on waiting."""
    if not has_run(connection, end["run_key"]):
        return "no row"
    enter(connection, end)
    return "late" if late(connection, [end]) else "entered"


def _row(end: End) -> dict[str, Any]:
    """Return the values of `_ENDS`; an outbox of an older version lacks some of them."""
    values: dict[str, Any] = {name: end.get(name) for name in _ENDS}
    return values | {
        "id": end["execution_id"],
        "status": str(end["status"]),
        "completed_at": _time(end["completed_at"]),
        "started_at": None if end.get("started_at") is None else _time(end["started_at"]),
        "cost_usd": _text(end["cost_usd"]),
        "recorded_usd": _text(end.get("recorded_usd")),
        "open_ended": open_ended(end["status"], end.get("own_failure")),
    }


def _signal(end: End, strategy_id: int) -> dict[str, Any]:
    return {
        **end["signal"],
        "execution_id": end["execution_id"],
        "strategy_id": strategy_id,
        "timestamp": _time(end["as_of"]),
        "confidence": _text(end["signal"]["confidence"]),
        "execution_time_ms": end["execution_time_ms"],
    }


def _time(value: str | datetime) -> datetime:
    return naive(datetime.fromisoformat(value) if isinstance(value, str) else value)


def _text(number: Any) -> str | None:
    return None if number is None else str(number)
