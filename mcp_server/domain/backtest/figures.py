"""The figures of a backtest: what it gained, at what risk, by which trades, and what holding did meanwhile."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mcp_server.domain.backtest.assumptions import Assumptions
from mcp_server.domain.backtest.drawdowns import drawdowns_of
from mcp_server.domain.backtest.periods import PeriodReturn, returns_by
from mcp_server.domain.backtest.returns import (
    FEWEST_DAYS,
    YEAR_DAYS,
    candles_per_year,
    days_of,
    grid_returns,
    sharpe_of,
    spread_of,
)
from mcp_server.domain.backtest.simulate import Simulation
from mcp_server.domain.backtest.trades import Trades
from mcp_server.domain.candles import Candles, Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """All figures of one simulation, under the names and in the units of a backtest's answer. None is undefined.

    Annual figures take a year of 365 days and the timeframe of the candles, never a number of days a year by default,
    and are None for a record under 90 days. The rule and holding begin with an equity of 1 at the first close, before
    which nothing can be filled; equity is looked at on closes only. No interest is deducted or earned.

    Attributes:
        days: from the first open to the last close.
        buy_and_hold_pct: last close ÷ first close, without costs.
        cagr_pct: the yearly growth that leads to the final equity.
        exposure_pct: how many of the candles held a position at their close.
        volatility_pct: standard deviation (ddof 1) of the returns of each candle, annual.
        sharpe_per_period: mean ÷ standard deviation (ddof 1) of the returns of each candle, not annual.
        sharpe: the same, annual: x √(candles a year). (backtesting.py divides the compound return by the volatility.)
        buy_and_hold_sharpe: that of holding: what rises is no skill.
        sortino: mean ÷ root of the mean square of the losses, over all candles, annual (Sortino and Price, 1994).
            Some take the standard deviation of the losing candles alone, which is another figure. None without a loss.
        calmar: CAGR ÷ deepest drawdown, over the whole record (Young, 1991, took the last 36 months).
        max_drawdown_pct: the deepest fall below the highest equity before it; 0: never below.
        average_drawdown_pct: the mean depth of all falls, each from a peak until the equity is back at it.
        max_drawdown_days: the longest of them, from the peak until it is back, or until the end.
        trades: how many were closed; only those count in the figures of trades, each net of all its costs.
        win_rate_pct: how many of them gained; one that ends even has not.
        best_pct, worst_pct, average_pct: of their returns on what was put into each; the average is the mean.
        profit_factor: all that the winners gained ÷ all that the losers lost, in money. None without a loser.
        expectancy_pct: the mean profit of a trade in per cent of the equity at the start. (vectorbt's, in money;
            backtesting.py takes the mean return, which is `average_pct` here.)
        sqn: system quality number, √trades x mean ÷ standard deviation (ddof 1) of the profits, in money, as vectorbt
            and backtesting.py do. (Van Tharp, 2008, first divides each profit by what was risked, which is not known of
            a rule without a stop, and counts at most 100 trades.)
        turnover: value of all that was bought and sold ÷ mean equity: all in and out again once is about 2.
        fees_paid: as a part of the equity at the start: 0.05 is 5 %.
        months, years: of the UTC calendar.
    """

    days: float
    return_pct: float
    buy_and_hold_pct: float | None
    buy_and_hold_drawdown_pct: float | None
    cagr_pct: float | None
    exposure_pct: float | None
    volatility_pct: float | None
    sharpe_per_period: float | None
    sharpe: float | None
    buy_and_hold_sharpe: float | None
    sortino: float | None
    calmar: float | None
    max_drawdown_pct: float
    average_drawdown_pct: float | None
    max_drawdown_days: float
    trades: int
    win_rate_pct: float | None
    best_pct: float | None
    worst_pct: float | None
    average_pct: float | None
    profit_factor: float | None
    expectancy_pct: float | None
    sqn: float | None
    turnover: float
    fees_paid: float
    months: tuple[PeriodReturn, ...]
    years: tuple[PeriodReturn, ...]


def figures(simulation: Simulation, candles: Candles, timeframe: str, assumptions: Assumptions) -> Figures:
    """Return all figures of a simulation.

    Args:
        simulation: what came of the rule.
        candles: those that it traded on.
        timeframe: of the candles.
        assumptions: those of the simulation.
    """
    returns = grid_returns(simulation.open_time_ms, simulation.equity, timeframe)
    days, final = days_of(returns, timeframe), float(simulation.equity[-1]) if len(candles) else 1.0
    falls = drawdowns_of(simulation.open_time_ms, simulation.equity, timeframe)
    holding = candles.close / candles.close[:1]
    cagr = _annual_growth(final, days)
    spread, per_period, sortino = spread_of(returns), sharpe_of(returns), _sortino(returns)
    root = candles_per_year(timeframe) ** 0.5 if days >= FEWEST_DAYS else None
    held = None if root is None else sharpe_of(grid_returns(candles.open_time_ms, holding, timeframe))
    return Figures(
        days=days,
        return_pct=(final - 1) * 100,
        buy_and_hold_pct=float(holding[-1] - 1) * 100 if len(candles) else None,
        buy_and_hold_drawdown_pct=(
            drawdowns_of(candles.open_time_ms, holding, timeframe).deepest * 100 if len(candles) else None
        ),
        cagr_pct=None if cagr is None else cagr * 100,
        exposure_pct=float(np.count_nonzero(simulation.position)) / len(candles) * 100 if len(candles) else None,
        volatility_pct=None if root is None or spread is None else spread * root * 100,
        sharpe_per_period=per_period,
        sharpe=None if root is None or per_period is None else per_period * root,
        buy_and_hold_sharpe=None if root is None or held is None else held * root,
        sortino=None if root is None or sortino is None else sortino * root,
        calmar=cagr / falls.deepest if cagr is not None and falls.deepest else None,
        max_drawdown_pct=falls.deepest * 100,
        average_drawdown_pct=None if falls.average is None else falls.average * 100,
        max_drawdown_days=falls.longest_days,
        turnover=_turnover(simulation, assumptions),
        fees_paid=float(simulation.trades.fees.sum()),
        months=returns_by("M", simulation, candles),
        years=returns_by("Y", simulation, candles),
        **_of_trades(simulation.trades),
    )


def _of_trades(trades: Trades) -> dict[str, Any]:
    """Return the figures of those trades that were closed."""
    closed = ~trades.open
    returns, profits = trades.return_ratio[closed], trades.profit[closed]
    count = len(returns)
    if not count:
        names = "win_rate_pct best_pct worst_pct average_pct profit_factor expectancy_pct sqn"
        return {"trades": 0, **dict.fromkeys(names.split())}
    lost, spread = -float(profits[profits < 0].sum()), spread_of(profits)
    return {
        "trades": count,
        "win_rate_pct": float(np.count_nonzero(returns > 0)) / count * 100,
        "best_pct": float(returns.max()) * 100,
        "worst_pct": float(returns.min()) * 100,
        "average_pct": float(returns.mean()) * 100,
        "profit_factor": float(profits[profits > 0].sum()) / lost if lost else None,
        "expectancy_pct": float(profits.mean()) * 100,
        "sqn": None if spread is None else count**0.5 * float(profits.mean()) / spread,
    }


def _annual_growth(final: float, days: float) -> float | None:
    """Return the yearly growth as a ratio; None under 90 days, and where it is too large for a number."""
    if days < FEWEST_DAYS:
        return None
    try:
        return float(max(final, 0.0) ** (YEAR_DAYS / days)) - 1
    except OverflowError:
        return None


def _sortino(returns: Floats) -> float | None:
    """Return mean ÷ downside deviation below 0, per candle; None where nothing was lost.

    `lost @ lost` would be added up by as many threads as there are cores, and differ in its last bits with them.
    """
    lost = np.minimum(returns, 0.0)
    downside = float(np.sum(lost * lost)) / max(len(returns), 1)
    return float(np.mean(returns)) / downside**0.5 if downside else None


def _turnover(simulation: Simulation, assumptions: Assumptions) -> float:
    trades = simulation.trades
    bought = trades.stake / (1 + assumptions.fee_ratio)
    sold = np.where(trades.open, 0.0, bought * trades.exit_price / trades.entry_price)
    mean = float(np.mean(simulation.equity)) if len(trades) else 1.0
    return float(bought.sum() + sold.sum()) / mean
