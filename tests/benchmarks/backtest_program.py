"""A process that backtests one rule over candles from a file: once at its start, then once for each line that it reads.

Each pass is one line of JSON: `ms`, `trades`, `final_equity`, and the most memory so far, `peak_mb`. `vectorbt_program`
does the same work in the peers' environment.
"""

import json
import sys
import time
from itertools import chain

import numpy as np

from mcp_server.domain.backtest.assumptions import Assumptions
from mcp_server.domain.backtest.figures import figures
from mcp_server.domain.backtest.run import BacktestTask, run_simulation
from mcp_server.domain.candles import Candles
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.domain.timeframes import timeframe_ms
from tests.parity.memory import peak_mb

RULES = {
    "indicators": ["ema(20)", "ema(50)", "rsi(14)"],
    "buy": "crosses_above(ema_20, ema_50) AND rsi_14 < 70",
    "sell": "crosses_below(ema_20, ema_50)",
}


def task_of(candles: Candles) -> BacktestTask:
    config = {"name": "ema-cross", "trading_pair": "BTC/USD", "interval": "1h", "engine": "rules", "rules": RULES}
    return BacktestTask(
        strategy=parse_strategy("ema-cross", config, None),
        exchange="coinbase",
        symbol="BTC/USD",
        candles=candles,
        start_ms=int(candles.open_time_ms[0]),
        end_ms=int(candles.open_time_ms[-1]) + timeframe_ms("1h"),
        assumptions=Assumptions(),
    )


def main() -> None:
    task = task_of(Candles(np.load(sys.argv[1]), *np.load(sys.argv[2])))
    for _ in chain([""], sys.stdin):
        began = time.perf_counter()
        simulated = run_simulation(task)
        result = figures(simulated.simulation, simulated.candles, "1h", task.assumptions)
        took = (time.perf_counter() - began) * 1000
        peak = peak_mb()
        answer = {"ms": took, "trades": result.trades, "final_equity": 1 + result.return_pct / 100, "peak_mb": peak}
        print(json.dumps(answer), flush=True)  # noqa: T201 - a program


if __name__ == "__main__":
    main()
