"""`claude-trader`, whose backtests cut after few candles to prove that nothing looks ahead, and start no process.

For tests of the other figures, which stay the same.
"""

from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

from mcp_server.domain.backtest import look_ahead, run
from runner.__main__ import main
from runner.backtest import grid

FEW = 5


def hurry() -> None:
    spread, prove = look_ahead.cuts, look_ahead.prove
    quick: dict[ModuleType, dict[str, Any]] = {
        look_ahead: {"cuts": lambda candles: spread(candles)[:FEW]},
        run: {"prove_no_look_ahead": lambda compute, candles, _decided, **how: prove(compute, candles, (), **how)},
        grid: {"processes": lambda _workers: ThreadPoolExecutor(1)},
    }
    for module, functions in quick.items():
        vars(module).update(functions)


if __name__ == "__main__":
    hurry()
    main()
