"""The process that computes one backtest for the tool: what takes long in it takes nothing from the server.

It reads one line of JSON from standard input, and after it the candles, with what is given with them, as the bytes of
their arrays. It writes one JSON object to standard output.
"""

import json
import sys
import time
from dataclasses import asdict
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from mcp_server.domain.backtest.assumptions import Assumptions
from mcp_server.domain.backtest.run import BacktestTask, run_backtest
from mcp_server.domain.candles import CANDLE_COLUMNS, Candles, GivenColumn
from mcp_server.domain.exchange import Funding
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.errors import TraderError
from mcp_server.process_bounds import bound

if TYPE_CHECKING:
    from mcp_server.domain.backtest.answer import Backtest

MOST_MEMORY_BYTES = 2_500_000_000
MOST_PROCESSOR_S = 30


def as_bytes(task: BacktestTask, proof_limit_s: float) -> bytes:
    """Return a task as the process reads it."""
    candles, strategy = task.candles, task.strategy
    head = {
        "strategy": {"name": strategy.name, "config": strategy.config_json(), "agents": strategy.agents_json()},
        "exchange": task.exchange,
        "symbol": task.symbol,
        "start_ms": task.start_ms,
        "end_ms": task.end_ms,
        "assumptions": asdict(task.assumptions),
        "fundings": [[funding.time_ms, funding.rate] for funding in task.fundings],
        "candles": len(candles),
        "given": [[name, column.why] for name, column in candles.given.items()],
        "proof_limit_s": proof_limit_s,
    }
    columns = [candles.open_time_ms, *(getattr(candles, name) for name in CANDLE_COLUMNS)]
    columns += [column.values for column in candles.given.values()]
    return b"".join([json.dumps(head).encode(), b"\n", *(column.tobytes() for column in columns)])


def read(source: IO[bytes]) -> tuple[BacktestTask, float]:
    """Read back what `as_bytes` made: the task, and the limit of the proof in seconds."""
    head = json.loads(source.readline())
    count = head["candles"]
    times = np.frombuffer(source.read(8 * count), np.int64)
    values = [np.frombuffer(source.read(8 * count), np.float64) for _ in CANDLE_COLUMNS]
    given = {name: GivenColumn(np.frombuffer(source.read(8 * count), np.float64), why) for name, why in head["given"]}
    task = BacktestTask(
        strategy=Strategy.model_validate(head["strategy"]),
        exchange=head["exchange"],
        symbol=head["symbol"],
        candles=Candles(times, *values, given=given),
        start_ms=head["start_ms"],
        end_ms=head["end_ms"],
        assumptions=Assumptions(**head["assumptions"]),
        fundings=[Funding(*funding) for funding in head["fundings"]],
    )
    return task, head["proof_limit_s"]


def result(backtest: "Backtest") -> dict[str, Any]:
    """Return what the server makes its answer and its row of."""
    return {
        "answer": backtest.answer(),
        "facts": backtest.facts(),
        "moments": asdict(moments) if (moments := backtest.moments()) else None,
        "months": backtest.months(),
        "folds": backtest.folds(),
        "trades": backtest.trades(),
        "sharpe_per_period": backtest.figures.sharpe_per_period,
        "start_ms": backtest.simulated.start_ms,
        "end_ms": backtest.simulated.end_ms,
    }


def answer(source: IO[bytes]) -> dict[str, Any]:
    """Compute the task that a stream holds; return its result, or its error in parts."""
    try:
        task, limit_s = read(source)
        return result(run_backtest(task, clock=time.monotonic, proof_limit_s=limit_s))
    except TraderError as error:
        return {"error": type(error).__name__, "problem": error.problem, "remedy": error.remedy}


def main() -> None:
    """Compute the backtest on standard input."""
    bound(memory_bytes=MOST_MEMORY_BYTES, processor_s=MOST_PROCESSOR_S)
    sys.stdout.write(json.dumps(answer(sys.stdin.buffer), allow_nan=False))


if __name__ == "__main__":
    main()
