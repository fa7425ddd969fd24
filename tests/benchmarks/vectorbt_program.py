"""`backtest_program` in vectorbt, for the peers' environment: the same rule, costs and figures, the same lines."""

import json
import sys
import time
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import talib
import vectorbt

from tests.parity.memory import peak_mb

FEE, SLIPPAGE, CASH = 0.001, 0.0005, 1e9
YEARLY = {"year_freq": "365 days"}


def simulated(opened: npt.NDArray[np.float64], close: npt.NDArray[np.float64]) -> Any:
    """Decide by TA-Lib and numpy, which is the quickest way there is, and fill in the next open."""
    fast, slow, rsi = talib.EMA(close, 20), talib.EMA(close, 50), talib.RSI(close, 14)
    above, was_above = fast[1:] > slow[1:], fast[:-1] > slow[:-1]
    buy = np.append([False, False], (above & ~was_above & (rsi[1:] < 70))[:-1])
    sell = np.append([False, False], (~above & was_above)[:-1])
    return vectorbt.Portfolio.from_signals(
        close, buy, sell, price=opened, size=np.inf, fees=FEE, slippage=SLIPPAGE, init_cash=CASH, freq="1h"
    )


def figures(portfolio: Any) -> list[Any]:
    """Compute those of our figures that vectorbt has."""
    closed = portfolio.trades.closed
    return [
        portfolio.total_return(),
        portfolio.annualized_return(**YEARLY),
        portfolio.annualized_volatility(**YEARLY),
        portfolio.sharpe_ratio(**YEARLY),
        portfolio.sortino_ratio(**YEARLY),
        portfolio.calmar_ratio(**YEARLY),
        portfolio.max_drawdown(),
        portfolio.drawdowns.avg_drawdown(),
        portfolio.drawdowns.max_duration(),
        closed.win_rate(),
        closed.returns.max(),
        closed.returns.min(),
        closed.returns.mean(),
        closed.profit_factor(),
        closed.expectancy(),
        closed.sqn(),
        portfolio.orders.records["fees"].sum(),
    ]


def main() -> None:
    assert vectorbt._engine.is_rust_available(), "its default engine is Rust only where that is installed"
    opened, _, _, close, _ = np.load(sys.argv[2])
    for _ in chain([""], sys.stdin):
        began = time.perf_counter()
        portfolio = simulated(opened, close)
        figures(portfolio)
        took = (time.perf_counter() - began) * 1000
        peak = peak_mb()
        answer = {
            "ms": took,
            "trades": len(portfolio.trades.closed.records),
            "final_equity": portfolio.final_value() / CASH,
            "peak_mb": peak,
        }
        print(json.dumps(answer), flush=True)  # noqa: T201 - a program


if __name__ == "__main__":
    main()
