"""A sweep in a program of its own, as the command runs it.

It writes a line whenever a variant is done: how many are, of how many, and the processes.
"""

import multiprocessing
import os
import signal
import sys
from multiprocessing.connection import Connection

import numpy as np

from mcp_server.domain.backtest.assumptions import Assumptions
from mcp_server.domain.backtest.run import BacktestTask
from mcp_server.domain.backtest.vary import variants
from mcp_server.domain.candles import CANDLE_COLUMNS, Candles
from mcp_server.domain.indicators.history import made_up_candles
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.domain.strategy.strategy import Strategy
from runner.backtest import executors
from runner.backtest.executors import processes
from runner.backtest.sweep import sweep
from tests.rigs.warm import FORKING, forking_context

HOUR_MS = 3_600_000


def strategy() -> Strategy:
    rules = {"indicators": ["rsi(14)"], "buy": "rsi_14 < 40", "sell": "rsi_14 > 60"}
    return parse_strategy("idea", {"trading_pair": "BTC/USD", "interval": "1h", "rules": rules}, None)


def task(candles: int = 100) -> BacktestTask:
    """Return a backtest of so many candles that its proof takes little time."""
    columns = made_up_candles()
    times = np.arange(candles) * HOUR_MS
    series = Candles(times, *(columns[name][:candles] for name in CANDLE_COLUMNS))
    return BacktestTask(strategy(), "kraken", "BTC/USD", series, 0, len(series) * HOUR_MS, Assumptions())


def main() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what starts the tests may ignore it
    grid = variants(strategy(), ["rsi(14)=" + ",".join(f"rsi({period})" for period in range(20, 60))])

    def told(done: int, of: int) -> None:
        pids = [process.pid for process in multiprocessing.active_children()]
        sys.stdout.write(f"{done} {of} {' '.join(map(str, pids))}\n")
        sys.stdout.flush()

    with processes(2) as executor:
        sweep(task(2_200), grid, executor, every=False, told=told)


def forked(pids: Connection, forking: str | None) -> None:
    """Sweep in processes that are forked; send their numbers whenever a variant is done.

    Args:
        pids: where to.
        forking: the address of the process that forks.
    """
    if forking is not None:
        os.environ[FORKING] = forking
    vars(executors)["get_context"] = lambda _: forking_context()

    def told(_done: int, _of: int) -> None:
        pids.send([process.pid for process in multiprocessing.active_children()])

    with processes(2) as executor:
        sweep(
            task(2_200),
            variants(strategy(), ["40=" + ",".join(map(str, range(20, 60)))]),
            executor,
            every=False,
            told=told,
        )


if __name__ == "__main__":
    main()
