"""The figures of a backtest, on hand-made series whose answers are known, and where a figure is undefined."""

import math
from dataclasses import asdict

import numpy as np
import pytest

from mcp_server.domain.backtest.assumptions import Assumptions
from mcp_server.domain.backtest.drawdowns import drawdowns_of
from mcp_server.domain.backtest.figures import Figures, figures
from mcp_server.domain.backtest.returns import grid_returns, sharpe_of
from mcp_server.domain.candles import Candles
from mcp_server.domain.rules.series import BUY, SELL
from tests.backtest.made_backtests import FREE, candles_at, candles_of, traded

TRADE_FIGURES = ["win_rate_pct", "best_pct", "worst_pct", "average_pct", "profit_factor", "expectancy_pct", "sqn"]
ANNUAL_FIGURES = ["cagr_pct", "volatility_pct", "sharpe", "buy_and_hold_sharpe", "sortino", "calmar"]


def figures_of(
    candles: Candles, orders: dict[int, int], timeframe: str = "1d", assumptions: Assumptions = FREE
) -> Figures:
    return figures(traded(candles, orders, timeframe, assumptions), candles, timeframe, assumptions)


def wave(days: int) -> Candles:
    """Daily closes that go up by 10 % and down by 5 % in turn."""
    return candles_of(100 * np.cumprod(np.where(np.arange(days) % 2, 1.10, 0.95)))


def test_annual_figures_follow_from_the_returns_of_each_candle() -> None:
    candles = wave(101)
    result = figures_of(candles, {0: BUY})
    returns = np.array([0.0] + [0.10, -0.05] * 50)

    mean, spread = returns.mean(), returns.std(ddof=1)
    assert result.return_pct == pytest.approx((1.10**50 * 0.95**50 - 1) * 100)
    assert result.sharpe_per_period == pytest.approx(mean / spread)
    assert result.sharpe == pytest.approx(mean / spread * math.sqrt(365))
    assert result.volatility_pct == pytest.approx(spread * math.sqrt(365) * 100)
    assert result.sortino == pytest.approx(mean / math.sqrt(50 * 0.05**2 / 101) * math.sqrt(365))
    growth = (1.10**50 * 0.95**50) ** (365 / 101) - 1
    assert result.cagr_pct == pytest.approx(growth * 100)
    assert result.calmar == pytest.approx(growth / 0.05)
    deeper = candles_of(np.concatenate([candles.close, candles.close[-1] * np.array([0.8, 0.9, 1.1])]))
    assert figures_of(deeper, {0: BUY}).calmar == pytest.approx(((1.10**51 * 0.95**50) ** (365 / 104) - 1) / 0.24)
    assert result.exposure_pct == pytest.approx(100 * 100 / 101)


@pytest.mark.parametrize(("timeframe", "a_year"), [("1h", 8760), ("4h", 2190), ("1w", 365 / 7), ("1m", 525_600)])
def test_the_year_has_as_many_candles_as_the_timeframe_says(timeframe: str, a_year: float) -> None:
    count = {"1h": 2160, "4h": 540, "1w": 20, "1m": 129_600}[timeframe]
    candles = candles_of(np.where(np.arange(count) % 2, 101.0, 100.0), timeframe)
    result = figures_of(candles, {0: BUY}, timeframe)

    assert result.sharpe is not None
    assert result.sharpe_per_period is not None
    assert result.sharpe == pytest.approx(result.sharpe_per_period * math.sqrt(a_year))
    assert result.volatility_pct == pytest.approx(math.sqrt(a_year), rel=0.05)


def test_under_90_days_there_is_no_annual_figure() -> None:
    short, long = (asdict(figures_of(wave(days), {0: BUY})) for days in (89, 90))

    assert {name for name, value in short.items() if value is None} == {*ANNUAL_FIGURES, *TRADE_FIGURES}
    assert all(long[name] is not None for name in ANNUAL_FIGURES)


def test_without_a_trade_the_return_is_nought_and_what_needs_a_trade_or_a_movement_is_undefined() -> None:
    result = asdict(figures_of(wave(120), {}))

    undefined = {"volatility_pct", "sharpe_per_period", "sharpe", "sortino", "calmar", "average_drawdown_pct"}
    assert {name for name, value in result.items() if value is None} == undefined | set(TRADE_FIGURES)
    for name in ("return_pct", "cagr_pct", "exposure_pct", "max_drawdown_pct", "max_drawdown_days", "turnover"):
        assert result[name] == 0, name
    assert result["trades"] == result["fees_paid"] == 0


def test_flat_prices_give_no_figure_that_divides_by_their_movement() -> None:
    result = figures_of(candles_of(np.full(120, 100.0)), {0: BUY, 50: SELL})

    assert (result.trades, result.win_rate_pct, result.return_pct, result.max_drawdown_pct) == (1, 0, 0, 0)
    assert (result.sharpe, result.volatility_pct, result.sortino, result.calmar) == (None, None, None, None)
    assert (result.profit_factor, result.sqn, result.buy_and_hold_pct) == (None, None, 0)


def test_equity_that_grows_evenly_has_no_sharpe_ratio_out_of_the_rounding_of_floats() -> None:
    assert sharpe_of(grid_returns(np.arange(400) * 86_400_000, np.exp(np.arange(1, 401) * 0.00137), "1d")) is None


def test_figures_of_trades_count_each_trade_by_its_profit_net_of_costs() -> None:
    candles = candles_of([100, 100, 110, 110, 88, 88, 88, 132, 132, 100])
    result = figures_of(candles, {1: BUY, 2: SELL, 3: BUY, 4: SELL, 6: BUY, 7: SELL, 8: BUY})

    profits = np.array([0.10, -0.22, 0.44])
    assert (result.trades, result.win_rate_pct) == pytest.approx((3, 200 / 3))
    assert (result.best_pct, result.worst_pct) == pytest.approx((50, -20))
    assert result.average_pct == pytest.approx(40 / 3)
    assert result.profit_factor == pytest.approx(0.54 / 0.22)
    assert result.expectancy_pct == pytest.approx(32 / 3)
    assert result.sqn == pytest.approx(math.sqrt(3) * profits.mean() / profits.std(ddof=1))
    assert result.return_pct == pytest.approx((1.32 * 100 / 132 - 1) * 100), "the open trade counts in the equity alone"


def test_turnover_and_fees_are_those_of_both_sides() -> None:
    candles = candles_of([100, 100, 200, 200])
    result = figures_of(candles, {0: BUY, 2: SELL}, assumptions=Assumptions(fee_bps=100, slippage_bps=0))

    put_in = 1 / 1.01
    assert result.fees_paid == pytest.approx(0.01 * put_in + 0.01 * 2 * put_in)
    equity = [1, put_in, 2 * put_in, 2 * put_in * 0.99]
    assert result.turnover == pytest.approx(3 * put_in / np.mean(equity))


def test_one_trade_has_no_spread_and_only_winners_no_profit_factor() -> None:
    one = figures_of(candles_of([100, 100, 110, 110]), {0: BUY, 2: SELL})
    assert (one.trades, one.win_rate_pct, one.profit_factor, one.sqn) == (1, 100, None, None)
    assert one.best_pct == one.worst_pct == one.average_pct == one.expectancy_pct == pytest.approx(10)


def test_only_losses_give_a_profit_factor_of_nought() -> None:
    falling = candles_of(100 * 0.99 ** np.arange(120))
    result = figures_of(falling, {day: (BUY if day % 4 == 0 else SELL) for day in range(0, 119, 2)})

    assert (result.win_rate_pct, result.profit_factor) == (0, 0)
    assert result.sqn is not None
    assert result.sortino is not None
    assert result.sqn < 0 > result.sortino
    assert result.max_drawdown_pct == pytest.approx(-result.return_pct)


def test_drawdowns_are_measured_from_the_last_close_at_the_peak_until_the_equity_is_back() -> None:
    #                          peak                 back  peak             not back
    candles = candles_of([100, 120, 120, 90, 108, 120, 130, 117, 123.5])
    result = figures_of(candles, {0: BUY})

    assert result.max_drawdown_pct == pytest.approx(25)
    assert result.average_drawdown_pct == pytest.approx((25 + 10) / 2)
    assert result.max_drawdown_days == 3, "from the third close to the sixth, and from the seventh to the last"
    assert result.buy_and_hold_drawdown_pct == pytest.approx(25)


def test_a_fall_right_away_is_measured_from_the_equity_at_the_start() -> None:
    result = figures_of(candles_of([100, 80, 90]), {0: BUY})
    assert (result.max_drawdown_pct, result.max_drawdown_days) == pytest.approx((20, 2))
    at_once = drawdowns_of(np.arange(2) * 86_400_000, np.array([0.8, 0.9]), "1d")
    assert (at_once.deepest, at_once.longest_days) == pytest.approx((0.2, 2))


def test_a_ruined_short_loses_all_and_the_periods_after_it_have_no_return() -> None:
    prices = np.concatenate([np.full(20, 100.0), np.linspace(100, 250, 20), np.full(80, 250.0)])
    result = figures_of(candles_of(prices), {0: SELL}, assumptions=Assumptions("both", 0, 0))

    assert (result.return_pct, result.cagr_pct, result.max_drawdown_pct) == (-100, -100, 100)
    assert (result.trades, result.worst_pct, result.calmar) == pytest.approx((1, -100, -1))
    assert result.sharpe is not None
    assert [month.return_pct for month in result.months] == [pytest.approx(-150 * 10 / 19), -100, None, None]
    assert result.years[0].return_pct == -100


def test_months_and_years_go_from_close_to_close_in_utc_and_their_product_is_the_whole() -> None:
    candles = candles_of(100 * 1.01 ** np.arange(24 * 70), "1h", first_ms=1_703_970_000_000)  # 2023-12-30T21:00Z
    result = figures_of(candles, {0: BUY}, "1h")

    assert [month.period for month in result.months] == ["2023-12", "2024-01", "2024-02", "2024-03"]
    assert [year.period for year in result.years] == ["2023", "2024"]
    hours_of_2023 = 27
    assert result.years[0].buy_and_hold_pct == pytest.approx((1.01 ** (hours_of_2023 - 1) - 1) * 100)
    assert result.months[1].return_pct == pytest.approx((1.01 ** (31 * 24) - 1) * 100)
    for periods in (result.months, result.years):
        product = math.prod(1 + (period.return_pct or 0) / 100 for period in periods)
        assert product == pytest.approx(1 + result.return_pct / 100)


def test_candles_that_are_missing_change_neither_the_length_of_the_record_nor_its_yearly_scale() -> None:
    days, closes = np.arange(200), 100 * np.cumprod(np.where(np.arange(200) % 2, 1.02, 0.99))
    there = (days < 60) | (days >= 160)
    whole = candles_of(np.where(there, closes, closes[59]))
    times = whole.open_time_ms[there]
    gappy = candles_at(whole.open[there], whole.close[there], times)
    with_gap, without = figures_of(gappy, {0: BUY}), figures_of(whole, {0: BUY})

    assert with_gap.days == without.days == 200
    for name in ("sharpe_per_period", "sharpe", "sortino", "volatility_pct", "cagr_pct", "calmar", "max_drawdown_days"):
        assert getattr(with_gap, name) == pytest.approx(getattr(without, name)), name
    assert "2024-04" not in [month.period for month in with_gap.months]


def test_holding_goes_from_the_first_close_at_which_a_rule_could_have_decided_to_the_last() -> None:
    candles = candles_at([90, 100, 110], [100, 110, 150], np.arange(3) * 86_400_000)
    result = figures_of(candles, {})
    assert result.buy_and_hold_pct == result.months[0].buy_and_hold_pct == pytest.approx(50)


def test_no_figure_is_infinite_or_nan_whatever_the_prices() -> None:
    generator = np.random.default_rng(5)
    for spread in (1e-9, 0.01, 0.5, 3.0):
        candles = candles_of(np.exp(np.cumsum(generator.standard_normal(150) * spread)))
        orders = {int(day): int(generator.choice([BUY, SELL])) for day in generator.integers(0, 149, 40)}
        for assumptions in (Assumptions("long"), Assumptions("both")):
            result = asdict(figures_of(candles, orders, assumptions=assumptions))
            numbers = [value for value in result.values() if isinstance(value, float)]
            assert all(math.isfinite(value) for value in numbers), result


def test_a_year_of_growth_too_large_for_a_number_is_undefined() -> None:
    candles = candles_of(np.geomspace(1e-100, 1e100, 120))
    assert figures_of(candles, {0: BUY}).cagr_pct is None
