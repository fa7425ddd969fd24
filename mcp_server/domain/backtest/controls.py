"""What a result is held against: chance, a later fill, higher costs, and the earlier and later part of its time."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """Figures that stand beside each backtest. None is undefined.

    Attributes:
        random_percentile: 0 to 100, how many of 1,000 sets of random entries ended below the rule; an equal one counts
            half. None without a trade.
        bar_later_return_pct: the return with each order filled one candle later.
        double_cost_return_pct: the return at twice the fee and twice the slippage.
        first_70_return_pct: the return over the first 70 % of the candles; `first_70_buy_and_hold_pct` is that of
            holding.
        last_30_return_pct: the return over the rest. None where the rule was ruined before.
    """

    random_percentile: float | None
    bar_later_return_pct: float
    double_cost_return_pct: float
    first_70_return_pct: float | None
    last_30_return_pct: float | None
    first_70_buy_and_hold_pct: float | None
    last_30_buy_and_hold_pct: float | None
