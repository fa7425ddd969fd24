"""The journal: one row for each run, one more for its signal, and nothing lost when the database is held by others."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from mcp_server.domain.outcome import Engine, Outcome, Status, Trigger
from mcp_server.domain.strategy import Strategy
from mcp_server.errors import Retryable
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.outbox import Outbox
from mcp_server.storage.presence import Presence, is_alive

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
    """A run that has its row. `presence` shows other processes that it is still alive; close it after the end."""

    execution_id: int
    run: Run
    presence: Presence


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

    @property
    def said(self) -> str | None:
        """Its reasoning, or why it ended without one."""
        return self.reasoning or self.error


class Journal:
    """The record of runs in one home."""

    def __init__(self, database: Database, home: Home) -> None:
        self._database = database
        self._home = home
        self._outbox = Outbox(home.outbox)

    def claim(self, run: Run) -> Claimed:
        """Give a run its row, with the status `running`, and its strategy a row that mirrors its folder.

        Raises:
            Retryable, Misconfigured: as `Database.write`; then the run has no row and must not start.
        """
        self._home.prepare()
        self.settle()
        key = uuid4().hex
        presence = Presence(self._home.running / key)

        def work(connection: "duckdb.DuckDBPyConnection") -> int:
            strategy_id = _mirror(connection, run.strategy, run.started_at)
            row = connection.execute(
                'INSERT INTO executions (strategy_id, strategy_version, "trigger", as_of, engine, started_at, status, '
                "run_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
                [
                    strategy_id,
                    run.strategy.version,
                    run.trigger,
                    _naive(run.as_of),
                    run.engine,
                    _naive(run.started_at),
                    Status.RUNNING,
                    key,
                ],
            ).fetchone()
            assert row is not None  # noqa: S101 (RETURNING gives the row that was inserted)
            return int(row[0])

        try:
            return Claimed(self._database.write(work), run, presence)
        except BaseException:
            presence.close()
            raise

    def finish(self, claimed: Claimed, outcome: Outcome, completed_at: datetime) -> str | None:
        """Enter how a run ended; give None, or why it could only be left in the outbox, to be entered later.

        Raises:
            Misconfigured: neither the database nor the outbox can be written.
        """
        ended = _ended(claimed, outcome, completed_at)
        try:
            self._database.write(lambda connection: _enter(connection, ended))
        except Retryable as error:
            self._outbox.put(str(claimed.execution_id), ended)
            return str(error)
        finally:
            claimed.presence.close()
        return None

    def settle(self) -> None:
        """Enter what waits in the outbox, and end the rows of runs that were killed.

        Raises:
            Retryable, Misconfigured: as `Database.write`; then everything is still there to be settled later.
        """
        waiting = list(self._outbox)
        for name, ended in waiting:
            self._database.write(lambda connection, ended=ended: _enter(connection, ended))  # type: ignore[misc]
            self._outbox.remove(name)
        if any(True for _ in self._dead()):
            self._database.write(self._end_the_dead)

    def entries(
        self,
        strategy: str | None = None,
        *,
        limit: int = 20,
        outcomes: Literal["signals", "all"] = "signals",
        until: datetime | None = None,
    ) -> list[Entry]:
        """Give the latest runs, newest first: those with a signal, or all of them; none with an as-of after `until`.

        Raises:
            Retryable, Misconfigured: as `Database.read`.
        """

        def work(connection: "duckdb.DuckDBPyConnection") -> list[Entry]:
            rows = connection.execute(
                "SELECT e.id, s.name, e.engine, e.trigger, e.status, e.as_of, e.started_at, e.completed_at, a.signal, "
                "a.confidence, a.price, a.reasoning, e.error_message, e.cost_usd "
                "FROM executions e JOIN strategies s ON s.id = e.strategy_id "
                "LEFT JOIN analysis_results a ON a.execution_id = e.id "
                "WHERE ($1 IS NULL OR s.name = $1) AND ($2 = 'all' OR a.id IS NOT NULL) "
                "AND ($4 IS NULL OR e.as_of <= $4) ORDER BY e.id DESC LIMIT $3",
                [strategy, outcomes, limit, None if until is None else _naive(until)],
            ).fetchall()
            return [_entry(row) for row in rows]

        return self._database.read(work)

    def trace(self, execution_id: int) -> Mapping[str, Any] | None:
        """Give what happened on the way of one run, or None where there is no such run or nothing was kept.

        Raises:
            Retryable, Misconfigured: as `Database.read`.
        """

        def work(connection: "duckdb.DuckDBPyConnection") -> Any:
            row = connection.execute("SELECT trace FROM executions WHERE id = ?", [execution_id]).fetchone()
            return json.loads(row[0]) if row and row[0] else None

        kept: Mapping[str, Any] | None = self._database.read(work)
        return kept

    def _dead(self) -> Iterator[str]:
        """Keys of runs whose process ended without entering an outcome."""
        try:
            files = list(self._home.running.iterdir())
        except OSError:
            return
        for file in files:
            # The outbox is looked at after the lock: a run leaves its outcome there before it lets go.
            if not is_alive(file) and file.name not in {ended["run_key"] for _, ended in self._outbox}:
                yield file.name

    def _end_the_dead(self, connection: "duckdb.DuckDBPyConnection") -> None:
        for key in self._dead():
            connection.execute(
                "UPDATE executions SET status = ?, error_message = ?, completed_at = ? "
                "WHERE run_key = ? AND status = ?",
                [
                    Status.ERROR,
                    "interrupted: the process that ran it was killed or lost power before it could end",
                    _naive(datetime.now(UTC)),
                    key,
                    Status.RUNNING,
                ],
            )
            (self._home.running / key).unlink(missing_ok=True)


def _mirror(connection: "duckdb.DuckDBPyConnection", strategy: Strategy, now: datetime) -> int:
    said = [
        strategy.config.description,
        strategy.config.status,
        strategy.schedule,
        _json(strategy.config_json()),
        _json(strategy.agents_json()),
        strategy.version,
    ]
    row = connection.execute("SELECT id, version FROM strategies WHERE name = ?", [strategy.name]).fetchone()
    if row is None:
        row = connection.execute(
            "INSERT INTO strategies (description, status, interval, config, agents, version, name, created_at, "
            "updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
            [*said, strategy.name, _naive(now), _naive(now)],
        ).fetchone()
        assert row is not None  # noqa: S101 (RETURNING gives the row that was inserted)
    elif row[1] != strategy.version:
        connection.execute(
            "UPDATE strategies SET description = ?, status = ?, interval = ?, config = ?, agents = ?, version = ?, "
            "updated_at = ? WHERE id = ?",
            [*said, _naive(now), row[0]],
        )
    return int(row[0])


def _ended(claimed: Claimed, outcome: Outcome, completed_at: datetime) -> dict[str, Any]:
    """Everything that ends a run, as JSON values: the same whether it goes to the database or to the outbox."""
    signal = None
    if outcome.signal is not None:
        signal = {**asdict(outcome.signal), "data": _json(outcome.signal.data)}
        signal["confidence"] = None if signal["confidence"] is None else str(signal["confidence"])
    took = completed_at - claimed.run.started_at
    return {
        "execution_id": claimed.execution_id,
        "run_key": claimed.presence.path.name,
        "completed_at": completed_at.astimezone(UTC).isoformat(),
        "status": str(outcome.status),
        "error": outcome.error,
        "model": outcome.model,
        "tokens_used": outcome.tokens_used,
        "cost_usd": None if outcome.cost_usd is None else str(outcome.cost_usd),
        "trace": None if outcome.trace is None else _json(outcome.trace),
        "as_of": claimed.run.as_of.astimezone(UTC).isoformat(),
        "execution_time_ms": round(took.total_seconds() * 1000),
        "signal": signal,
    }


def _enter(connection: "duckdb.DuckDBPyConnection", ended: Mapping[str, Any]) -> None:
    """End the run's row, once: a second entering of the same end changes nothing."""
    row = connection.execute(
        "UPDATE executions SET status = ?, error_message = ?, completed_at = ?, model = ?, tokens_used = ?, "
        "cost_usd = ?, trace = ? WHERE id = ? AND status = ? RETURNING strategy_id",
        [
            ended["status"],
            ended["error"],
            _naive(datetime.fromisoformat(ended["completed_at"])),
            ended["model"],
            ended["tokens_used"],
            ended["cost_usd"],
            ended["trace"],
            ended["execution_id"],
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
            _naive(datetime.fromisoformat(ended["as_of"])),
            signal["signal"],
            signal["confidence"],
            signal["reasoning"],
            signal["price"],
            signal["data"],
            ended["execution_time_ms"],
        ],
    )


def _entry(row: tuple[Any, ...]) -> Entry:
    times = {5, 6, 7}
    values = [value.replace(tzinfo=UTC) if i in times and value is not None else value for i, value in enumerate(row)]
    values[4] = Status(values[4])
    return Entry(*values)


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=str)
