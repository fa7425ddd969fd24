"""A home whose journal has many runs, entered by one statement each table: by the real door, each takes 40 ms."""

import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_server.domain.candles import Candles
from mcp_server.domain.scoring.terms import Terms, terms_of
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.domain.timeframes import from_ms, naive, timeframe_ms
from mcp_server.storage.candles.store import CandleStore, Series
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal.outcomes import Outcomes
from mcp_server.storage.journal.replays import Replays, ReplayTerms
from mcp_server.storage.journal.rows import TERMS, mirror
from mcp_server.storage.strategies.folders import StrategyFolders
from tests.rigs.journal_databases import journal_database

if TYPE_CHECKING:
    import duckdb

CONFIG = {
    "trading_pair": "BTC/USD",
    "exchange": "coinbase",
    "interval": "1h",
    "horizon": "4h",
    "rules": {"timeframe": "1h", "indicators": ["rsi(14)"], "buy": "rsi_14 < 30", "sell": "rsi_14 > 70"},
}
MANUAL_TOOK_MS = 2_000


@dataclass(frozen=True)
class MadeRun:
    """A run as it stands in the journal. Without a `signal` its status is `status`, else success.

    `number` is its id; None: the next one. It began `after_ms` after its as-of.
    """

    decided_ms: int
    signal: str | None = None
    confidence: float | None = None
    trigger: str = "schedule"
    status: str = "abstained"
    cost_usd: float | None = 0.0
    engine: str = "rules"
    late_ms: int = MANUAL_TOOK_MS
    data: Any = None
    terms: Terms | None = None
    number: int | None = None
    after_ms: int = 0
    replay: str | None = None
    contaminated: bool | None = None
    cutoff: str | None = None


def database_of(home: Path) -> Database:
    """Return what keeps the journal of a home: its file, unless `kept_in` says otherwise."""
    database: Database = journal_database(home)
    return database


def write_strategy(
    home: Path, name: str = "mine", config: dict[str, Any] | None = None, agents: dict[str, Any] | None = None
) -> Strategy:
    folder = home / "strategies" / name
    folder.mkdir(parents=True, exist_ok=True)
    config = {**CONFIG, **(config or {})}
    folder.joinpath("config.json").write_text(json.dumps(config))
    if agents:
        folder.joinpath("agents.json").write_text(json.dumps(agents))
    return parse_strategy(name, config, agents)


def store_candles(home: Path, candles: Candles, symbol: str = "BTC/USD", exchange: str = "coinbase") -> None:
    """Put hourly candles into the store, as all that there are until their last."""
    end = int(candles.open_time_ms[-1]) + timeframe_ms("1h")
    series = Series(exchange, symbol, "1h")
    file = Database(Home(home).database, prepare=Home(home).prepare)
    CandleStore(file).save(series, candles, (int(candles.open_time_ms[0]), end), begins=True)


def enter_runs(home: Path, strategy: Strategy, runs: Sequence[MadeRun]) -> list[int]:
    """Enter runs, and return their ids."""
    return enter_all(home, [(strategy, runs)])[0]


def enter_all(home: Path, all_runs: Sequence[tuple[Strategy, Sequence[MadeRun]]]) -> list[list[int]]:
    """Enter the runs of several strategies in one transaction, and return the ids of each one's."""
    return database_of(home).write(lambda connection: [_enter(connection, *of_one) for of_one in all_runs])


def _enter(connection: "duckdb.DuckDBPyConnection", strategy: Strategy, runs: Sequence[MadeRun]) -> list[int]:
    frozen = terms_of(strategy, strategy.engine, "simulated")
    strategy_id = mirror(connection, strategy, from_ms(runs[0].decided_ms))
    last = connection.execute("SELECT coalesce(max(id), 0) FROM executions").fetchone()
    ids = [run.number or (last or (0,))[0] + 1 + place for place, run in enumerate(runs)]
    pairs = list(zip(ids, runs, strict=True))
    _insert(connection, "executions", [_execution(*pair, strategy, strategy_id, frozen) for pair in pairs])
    if said := [_signal(id_, run, strategy_id) for id_, run in pairs if run.signal]:
        _insert(connection, "analysis_results", said)
    return ids


def open_replay(home: Path, strategy: Strategy, begin_ms: int, end_ms: int, **terms: Any) -> str:
    """Begin a replay of a time, and return its id."""
    version = strategy.decision_version("simulated")
    defined = ReplayTerms(strategy.name, version, from_ms(begin_ms), from_ms(end_ms), **terms)
    with Replays(database_of(home), Home(home)).open(defined, strategy, Decimal(1), from_ms(end_ms)) as replay:
        return replay.id


def outcomes_of(home: Path) -> Outcomes:
    """Open a home's outcomes, as a new process would."""
    return Outcomes(database_of(home), StrategyFolders(Home(home), home / "no examples"), "simulated")


def outcome_rows(home: Path) -> dict[int, tuple[Any, ...]]:
    """Read every outcome, by the id of its run; each has one row."""
    rows = database_of(home).read(lambda connection: connection.execute("SELECT * FROM outcomes").fetchall())
    assert len({row[0] for row in rows}) == len(rows), "a run has more than one outcome"
    return {row[0]: row for row in rows}


def _execution(id_: int, run: MadeRun, strategy: Strategy, strategy_id: int, frozen: Terms) -> dict[str, Any]:
    as_of, started_at = naive(from_ms(run.decided_ms)), naive(from_ms(run.decided_ms + run.after_ms))
    ended = started_at + timedelta(milliseconds=run.late_ms)
    return {
        "id": id_,
        "strategy_id": strategy_id,
        "strategy_version": strategy.version,
        "trigger": run.trigger,
        "scheduled_at": as_of if run.trigger == "schedule" else None,
        "slots": 1,
        "as_of": as_of,
        "engine": run.engine,
        "started_at": started_at,
        "completed_at": ended,
        "status": "success" if run.signal else run.status,
        "cost_usd": run.cost_usd,
        "run_key": f"key-{id_}",
        "replay_id": run.replay,
        "contaminated": run.contaminated,
        "knowledge_cutoff": run.cutoff,
        **dict(zip(TERMS, astuple(run.terms or frozen), strict=True)),
    }


def _signal(id_: int, run: MadeRun, strategy_id: int) -> dict[str, Any]:
    return {
        "execution_id": id_,
        "strategy_id": strategy_id,
        "timestamp": naive(from_ms(run.decided_ms)),
        "signal": run.signal,
        "confidence": run.confidence,
        "reasoning": "It is so.",
        "data": json.dumps(run.data or {}),
        "execution_time_ms": run.late_ms,
    }


def _insert(connection: "duckdb.DuckDBPyConnection", table: str, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows as a list for each column: DuckDB takes longer to read thousands of single values."""
    columns = ", ".join(f'"{name}"' for name in rows[0])
    kinds = "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = ?"
    types = dict(connection.execute(kinds, [table]).fetchall())
    lists = ", ".join(f"unnest(CAST(? AS {types[name]}[]))" for name in rows[0])
    values = [[row[name] for row in rows] for name in rows[0]]
    connection.execute(f"INSERT INTO {table} ({columns}) SELECT {lists}", values)
