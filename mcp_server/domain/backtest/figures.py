"""The figures of a backtest: what it gained, at what risk, by which trades, and what holding did meanwhile."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PeriodReturn:
    """What the rule and holding returned in one month (`2024-03`) or year (`2024`) of the UTC calendar.

    `return_pct` is None once the rule is ruined.
    """

    period: str
    return_pct: float | None
    buy_and_hold_pct: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """All figures of one simulation, under the names and in the units of a backtest's answer. None is undefined."""

    days: float
    return_pct: float
    buy_and_hold_pct: float | None
    buy_and_hold_drawdown_pct: float | None
    cagr_pct: float | None
    exposure_pct: float | None
    volatility_pct: float | None
    sharpe_per_period: float | None
    sharpe: float | None
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
