"""A journal with runs of our own making, entered at once."""

import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from mcp_server.domain.scoring.terms import Terms
from mcp_server.domain.timeframes import from_ms, naive
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal.outcomes import Outcomes
from mcp_server.storage.journal.rows import TERMS
from mcp_server.storage.strategies.folders import StrategyFolders


@dataclass(frozen=True, slots=True)
class MadeRun:
    """A run of the strategy `made`; `signal` None: it ended without one, as `status` says."""

    number: int
    decided_ms: int
    terms: Terms
    signal: str | None = "BUY"
    late_ms: int = 1_000
    trigger: str = "schedule"
    status: str = "success"

    @property
    def answered_ms(self) -> int:
        return self.decided_ms + self.late_ms


def outcomes_of(home: Path) -> Outcomes:
    """Open a home's outcomes, as a new process would."""
    place = Home(home)
    return Outcomes(Database(home / "claude_trader.duckdb"), StrategyFolders(place, home / "none"), "made")


def enter(home: Path, runs: Sequence[MadeRun]) -> None:
    """Enter runs and their signals, in one transaction."""
    facts = ("id", "strategy_id", "strategy_version", '"trigger"', "as_of", "engine", "started_at", "completed_at")
    columns = (*facts, "status", "run_key", *TERMS)
    rows, signals = list[tuple[Any, ...]](), list[tuple[Any, ...]]()
    for run in runs:
        decided, answered = naive(from_ms(run.decided_ms)), naive(from_ms(run.answered_ms))
        values = (run.number, 1, "v1", run.trigger, decided, "rules", decided, answered, run.status, str(run.number))
        rows.append((*values, *astuple(run.terms)))
        if run.signal is not None:
            signals.append((run.number, 1, decided, run.signal, "because", json.dumps({}), run.late_ms))

    def work(connection: Any) -> None:
        if not connection.execute("SELECT 1 FROM strategies").fetchone():
            connection.execute(
                "INSERT INTO strategies (id, name, description, status, interval, config, agents, version, created_at, "
                "updated_at) VALUES (1, 'made', '', 'active', '1h', '{}', '{}', 'v1', now(), now())"
            )
        places = ", ".join(["?"] * len(columns))
        if rows:
            connection.executemany(f"INSERT INTO executions ({', '.join(columns)}) VALUES ({places})", rows)
        if signals:
            connection.executemany(
                "INSERT INTO analysis_results (execution_id, strategy_id, timestamp, signal, reasoning, data, "
                "execution_time_ms) VALUES (?, ?, ?, ?, ?, ?, ?)",
                signals,
            )

    Database(home / "claude_trader.duckdb").write(work)


def rows_of(home: Path) -> dict[int, tuple[Any, ...]]:
    """Read every outcome, by execution_id; each has one row."""
    read = Database(home / "claude_trader.duckdb").read(
        lambda connection: connection.execute("SELECT * FROM outcomes ORDER BY execution_id").fetchall()
    )
    assert len({row[0] for row in read}) == len(read), "one row for each run"
    return {row[0]: row for row in read}
