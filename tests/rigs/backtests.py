"""Backtests made by hand: candles, decisions at every candle, and what a backtest's answer says of them."""

from typing import Any

import numpy as np

from mcp_server.domain.backtest.assumptions import Assumptions
from mcp_server.domain.backtest.decisions import Decisions
from mcp_server.domain.backtest.run import BacktestTask, Simulated
from mcp_server.domain.backtest.simulate import simulate
from mcp_server.domain.candles import Candles
from mcp_server.domain.rules.series import Codes
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.domain.timeframes import iso, timeframe_ms
from tests.rigs.random_walk import random_walk

CONFIG: dict[str, Any] = {
    "trading_pair": "BTC/USD",
    "interval": "1h",
    "rules": {"indicators": ["rsi(14)"], "buy": "crosses_above(rsi_14, 30)", "sell": "close < 3 AND 'a' = 'a'"},
}


def backtest_of(candles: Candles, signals: Codes, assumptions: Assumptions | None = None, **task: Any) -> Simulated:
    """Trade a signal at the close of each candle, filled at the open of the one behind it."""
    count = len(candles)
    closes = candles.open_time_ms + timeframe_ms("1h")
    fill = np.append(np.arange(1, count), -1)
    fill[:-1][closes[:-1] != candles.open_time_ms[1:]] = -1
    decisions, assumed = Decisions(closes, signals, fill), assumptions or Assumptions()
    start_ms, end_ms = int(candles.open_time_ms[0]), int(closes[-1])
    asked = BacktestTask(
        strategy=parse_strategy("sample", task.pop("config", CONFIG), None),
        **{"exchange": "kraken", "symbol": "BTC/USD", **task},
        candles=candles, start_ms=start_ms, end_ms=end_ms, assumptions=assumed,
    )  # fmt: skip
    return Simulated(asked, candles, start_ms, end_ms, decisions, simulate(candles, "1h", decisions, assumed))


def alternating(count: int, every: int) -> Codes:
    """Return signals that buy and sell in turn, `every` candles apart."""
    signals = np.zeros(count, dtype=np.int8)
    signals[::every][::2], signals[::every][1::2] = 1, -1
    return signals


def sample_backtest(count: int = 2_000, every: int = 20, price: float = 100.0) -> Simulated:
    """Return a backtest over a random walk."""
    return backtest_of(random_walk(count, price=price), alternating(count, every))


def answer_of(made: Simulated, **others: Any) -> dict[str, Any]:
    """Return an answer with all names of the design; figures that no test looks at are invented."""
    simulation, times = made.simulation, made.candles.open_time_ms
    times_held = made.candles.close[-1] / made.candles.close[0]
    facts = {
        "strategy_name": "sample", "version": "0123456789ab", "exchange": "kraken", "symbol": "BTC/USD",
        "timeframe": "1h", "start": iso(int(times[0])), "end": iso(int(times[-1]) + timeframe_ms("1h")),
        "candles": len(times), "missing": simulation.missing, "unfilled": simulation.unfilled, "side": "long",
        "fee_bps": 10.0, "slippage_bps": 5.0, "stake_pct": None, "signals": dict(simulation.signals),
        "return_pct": float(simulation.equity[-1] - 1) * 100, "buy_and_hold_pct": float(times_held - 1) * 100,
        "cagr_pct": None, "exposure_pct": 51.3, "volatility_pct": 44.2, "sharpe": 0.81, "sharpe_ci95": [-0.32, 1.71],
        "sharpe_probabilistic": 0.91, "sharpe_deflated": 0.42, "trials": 7, "min_track_record_days": 1210.4,
        "sortino": 1.2, "calmar": 0.4, "max_drawdown_pct": 22.1, "average_drawdown_pct": 3.4,
        "max_drawdown_days": 31.25, "trades": int((~simulation.trades.open).sum()), "win_rate_pct": 48.0,
        "best_pct": 9.1, "worst_pct": -7.7, "average_pct": 0.1, "profit_factor": 1.1, "expectancy_pct": 0.1,
        "sqn": 0.7, "turnover": 81.3, "fees_paid": 0.0812, "open_trade": bool(simulation.trades.open.any()),
        "months": [{"period": "2026-03", "return_pct": -1.25, "buy_and_hold_pct": 2.0}],
        "years": [{"period": "2026", "return_pct": 4.5, "buy_and_hold_pct": -3.0}],
        "controls": {
            "random_percentile": 71.0, "random_sets": 1000,
            "bar_later_return_pct": -2.2, "double_cost_return_pct": -9.3,
            "first_70_return_pct": 4.0, "last_30_return_pct": -1.0,
            "first_70_buy_and_hold_pct": 2.0, "last_30_buy_and_hold_pct": -5.0,
        },
        "look_ahead": {"checked": 200, "decisions": 40, "changed": 0},
        "summary": ["After fees and slippage it lost, as holding did."],
    }  # fmt: skip
    return {**facts, **others}
