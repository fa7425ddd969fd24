"""The journal's rows: what is known of a run before and after, and the SQL that writes and reads it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from mcp_server.domain.outcome import Engine, Outcome, Status, Trigger
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.storage.journal.liveness import Liveness

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True)
class Run:
    """What is known of a run before it starts. `as_of` and `started_at` are aware."""

    strategy: Strategy
    trigger: Trigger
    as_of: datetime
    engine: Engine
    started_at: datetime


@dataclass(frozen=True, slots=True)
class Claimed:
    """A run that has its row, named by `key`.

    `presence` shows other processes that it is still alive, and is closed after its end; None where it is that of all
    slots of a runner.
    """

    execution_id: int
    run: Run
    key: str
    presence: Liveness | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One run, as the journal tells it. Times are aware UTC; what is unknown is None."""

    execution_id: int
    strategy: str
    engine: Engine
    trigger: Trigger
    status: Status
    as_of: datetime
    started_at: datetime
    completed_at: datetime | None
    signal: Literal["BUY", "SELL", "HOLD"] | None
    confidence: Decimal | None
    price: float | None
    reasoning: str | None
    error: str | None
    cost_usd: Decimal | None
    scheduled_at: datetime | None = None
    slots: int = 1

    @property
    def said(self) -> str | None:
        """Its reasoning, or why it ended without one."""
        return self.reasoning or self.error


def insert_run(connection: "duckdb.DuckDBPyConnection", run: Run, key: str) -> int:
    """Give a run its row, and its strategy the row that mirrors its folder; give the id of the former."""
    row = connection.execute(
        'INSERT INTO executions (strategy_id, strategy_version, "trigger", as_of, engine, started_at, status, run_key) '
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        [
            mirror(connection, run.strategy, run.started_at),
            run.strategy.version,
            run.trigger,
            naive(run.as_of),
            run.engine,
            naive(run.started_at),
            Status.RUNNING,
            key,
        ],
    ).fetchone()
    assert row is not None  # noqa: S101 (RETURNING gives the row that was inserted)
    return int(row[0])


def mirror(connection: "duckdb.DuckDBPyConnection", strategy: Strategy, now: datetime) -> int:
    """Bring the row that mirrors a strategy's folder up to date, and give its id."""
    said = [
        strategy.config.description,
        strategy.config.status,
        strategy.schedule,
        _json(strategy.config_json()),
        _json(strategy.agents_json()),
        strategy.version,
    ]
    row = connection.execute("SELECT id, version, status FROM strategies WHERE name = ?", [strategy.name]).fetchone()
    if row is None:
        row = connection.execute(
            "INSERT INTO strategies (description, status, interval, config, agents, version, name, created_at, "
            "updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
            [*said, strategy.name, naive(now), naive(now)],
        ).fetchone()
        assert row is not None  # noqa: S101 (RETURNING gives the row that was inserted)
    elif row[1:] != (strategy.version, strategy.config.status):  # its folder may have gone, and come back
        connection.execute(
            "UPDATE strategies SET description = ?, status = ?, interval = ?, config = ?, agents = ?, version = ?, "
            "updated_at = ? WHERE id = ?",
            [*said, naive(now), row[0]],
        )
    return int(row[0])


def ended_run(claimed: Claimed, outcome: Outcome, completed_at: datetime) -> dict[str, Any]:
    """Everything that ends a run, as JSON values: the same whether it goes to the database or to the outbox."""
    signal = None
    if outcome.signal is not None:
        signal = {**asdict(outcome.signal), "data": _json(outcome.signal.data)}
        signal["confidence"] = None if signal["confidence"] is None else str(signal["confidence"])
    took = completed_at - claimed.run.started_at
    return {
        "execution_id": claimed.execution_id,
        "run_key": claimed.key,
        "started_at": claimed.run.started_at.astimezone(UTC).isoformat(),
        "completed_at": completed_at.astimezone(UTC).isoformat(),
        "status": str(outcome.status),
        "error": outcome.error,
        "model": outcome.model,
        "tokens_used": outcome.tokens_used,
        "cost_usd": None if outcome.cost_usd is None else str(outcome.cost_usd),
        "trace": None if outcome.trace is None else _json(outcome.trace),
        "own_failure": outcome.own_failure,
        "as_of": claimed.run.as_of.astimezone(UTC).isoformat(),
        "execution_time_ms": round(took.total_seconds() * 1000),
        "signal": signal,
    }


def has_run(connection: "duckdb.DuckDBPyConnection", key: str) -> bool:
    """True when the run of this key has its row here."""
    return connection.execute("SELECT 1 FROM executions WHERE run_key = ?", [key]).fetchone() is not None


def enter(connection: "duckdb.DuckDBPyConnection", ended: Mapping[str, Any]) -> None:
    """End the run's row, once: a second entering of the same end changes nothing."""
    row = connection.execute(
        "UPDATE executions SET status = ?, error_message = ?, completed_at = ?, model = ?, tokens_used = ?, "
        "cost_usd = ?, trace = ?, own_failure = ?, started_at = coalesce(?, started_at) "
        "WHERE id = ? AND run_key = ? AND status = ? RETURNING strategy_id",
        [
            ended["status"],
            ended["error"],
            naive(datetime.fromisoformat(ended["completed_at"])),
            ended["model"],
            ended["tokens_used"],
            ended["cost_usd"],
            ended["trace"],
            ended.get("own_failure"),  # an older outbox says neither
            naive(datetime.fromisoformat(ended["started_at"])) if "started_at" in ended else None,
            ended["execution_id"],
            ended["run_key"],
            Status.RUNNING,
        ],
    ).fetchone()
    if row is None or ended["signal"] is None:
        return
    signal = ended["signal"]
    connection.execute(
        "INSERT INTO analysis_results (execution_id, strategy_id, timestamp, signal, confidence, reasoning, price, "
        "data, execution_time_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            ended["execution_id"],
            row[0],
            naive(datetime.fromisoformat(ended["as_of"])),
            signal["signal"],
            signal["confidence"],
            signal["reasoning"],
            signal["price"],
            signal["data"],
            ended["execution_time_ms"],
        ],
    )


def entry(row: tuple[Any, ...]) -> Entry:
    """Read one row of the query of `Journal.entries`."""
    times = {5, 6, 7, 14}
    values = [value.replace(tzinfo=UTC) if i in times and value is not None else value for i, value in enumerate(row)]
    values[4] = Status(values[4])
    return Entry(*values)


def naive(moment: datetime) -> datetime:
    """Give a moment as the database keeps it: UTC, without saying so."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False, default=str)
