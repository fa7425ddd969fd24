"""A home with 100,000 judged signals of 50 strategies on five markets, written by few statements."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mcp_server.domain.candles import Candles
from mcp_server.domain.scoring.terms import terms_of
from mcp_server.domain.timeframes import from_ms, naive
from mcp_server.storage.journal.rows import TERMS, mirror
from tests.scoring.journal import database_of, store_candles, write_strategy

if TYPE_CHECKING:
    import duckdb

STRATEGIES, SIGNALS, CANDLES = 50, 2_000, 6_000
SYMBOLS = [f"{name}/USD" for name in ("BTC", "ETH", "SOL", "ADA", "XRP")]
HOUR_MS = 3_600_000
HORIZON_MS = 4 * HOUR_MS


def walk(seed: int, end_ms: int) -> Candles:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.006, CANDLES)))
    opened = np.concatenate([[100.0], close[:-1]])
    times = end_ms - HOUR_MS * np.arange(CANDLES, 0, -1, dtype=np.int64)
    return Candles(times, opened, np.maximum(opened, close), np.minimum(opened, close), close, np.ones(CANDLES))


def fill(
    home: Path,
    now_ms: int,
    *,
    settled: bool = True,
    exchange: str = "coinbase",
    strategies: int = STRATEGIES,
    signals: int = SIGNALS,
) -> None:
    """Write strategies, candles, runs (one an hour, up to now), signals and outcomes; so many signals of each."""
    end_ms = now_ms // HOUR_MS * HOUR_MS
    for seed, symbol in enumerate(SYMBOLS):
        store_candles(home, walk(seed, end_ms), symbol, exchange)
    for number in range(strategies):
        _enter(home, number, end_ms, exchange, signals, settled=settled)


def _enter(home: Path, number: int, end_ms: int, exchange: str, signals: int, *, settled: bool) -> None:
    symbol = SYMBOLS[number % len(SYMBOLS)]
    strategy = write_strategy(home, f"strategy-{number:02}", {"trading_pair": symbol, "exchange": exchange})
    terms = terms_of(strategy, "rules", exchange)
    start, step = naive(from_ms(end_ms - (signals + 6) * HOUR_MS)), "INTERVAL 1 HOUR"
    first = number * signals + 1
    seed = f"hash(id * 7 + {number})"

    def work(connection: "duckdb.DuckDBPyConnection") -> None:
        strategy_id = mirror(connection, strategy, from_ms(end_ms))
        runs = f"(SELECT range + {first} AS id, ? + range * {step} AS decided FROM range({signals}))"
        columns = ", ".join(TERMS)
        connection.execute(
            'INSERT INTO executions (id, strategy_id, strategy_version, "trigger", scheduled_at, as_of, engine, '
            f"started_at, completed_at, status, cost_usd, run_key, {columns}) "
            f"SELECT id, {strategy_id}, '{strategy.version}', 'schedule', decided, decided, 'rules', decided, "
            f"decided + INTERVAL 2 SECOND, 'success', 0, 'key-' || id, ?, ?, ?, ?, ?, ?, ? FROM {runs}",
            [*(getattr(terms, name) for name in TERMS), start],
        )
        connection.execute(
            "INSERT INTO analysis_results (execution_id, strategy_id, timestamp, signal, confidence, reasoning, data, "
            f"execution_time_ms) SELECT id, {strategy_id}, decided, CASE {seed} % 3 WHEN 0 THEN 'BUY' WHEN 1 THEN "
            f"'SELL' ELSE 'HOLD' END, 30 + {seed} % 50, 'It is so.', '{{}}', 2000 FROM {runs}",
            [start],
        )
        if settled:
            connection.execute(
                "INSERT INTO outcomes SELECT e.id, e.as_of, o.open, e.as_of + INTERVAL 4 HOUR, c.close, "
                "c.close / o.open - 1, 30, 0, 14400, '1', 'judged', e.as_of + INTERVAL 5 HOUR "
                "FROM executions e JOIN series s ON s.symbol = e.symbol AND s.exchange = e.exchange "
                "JOIN candles o ON o.series_id = s.id AND o.open_time = e.as_of "
                "JOIN candles c ON c.series_id = s.id AND c.open_time = e.as_of + INTERVAL 3 HOUR "
                f"WHERE e.strategy_id = {strategy_id}"
            )

    database_of(home).write(work)
