"""The controls beside a backtest: random entries, a candle later, twice the cost, the earlier and the later part."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace

import numpy as np
import pytest

from mcp_server.domain.backtest import random_entries
from mcp_server.domain.backtest.assumptions import Assumptions
from mcp_server.domain.backtest.controls import Controls, controls, percentile
from mcp_server.domain.backtest.random_entries import SETS, holding_times, random_equities, random_places, sets_of
from mcp_server.domain.backtest.returns import grid_returns
from mcp_server.domain.backtest.simulate import simulate
from mcp_server.domain.backtest.worth import Trial, worth
from mcp_server.domain.candles import Candles
from mcp_server.domain.exchange import Funding
from mcp_server.domain.rules.series import BUY, SELL
from tests.backtest.made_backtests import FIRST_MS, FREE, candles_of, decided, traded
from tests.rigs.sampled import sampled

HOUR_MS = 3_600_000
COSTS = Assumptions(fee_bps=20, slippage_bps=10)


def noise(count: int, spread: float = 0.01, seed: int = 3) -> Candles:
    return candles_of(100 * np.exp(np.cumsum(np.random.default_rng(seed).standard_normal(count) * spread)), "1h")


def controls_of(candles: Candles, orders: dict[int, int], assumptions: Assumptions = FREE) -> Controls:
    made = decided(candles, "1h", orders)
    return controls(simulate(candles, "1h", made, assumptions), candles, "1h", made, assumptions)


def every(step: int, count: int) -> dict[int, int]:
    return {at: (BUY if at // step % 2 else SELL) for at in range(step, count - 1, step)}


def test_random_trades_last_as_long_as_the_rules_own_and_never_overlap() -> None:
    held = np.array([1, 2, 30, 4, 9])
    for order, entry, end in random_places(held, 1, 60):
        assert (np.sort(order, axis=1) == np.arange(5)).all()
        assert (end - entry == held[order]).all()
        assert (entry[:, 1:] >= end[:, :-1]).all()
        assert (entry.min(), end.max()) == (1, 60), "the first candle cannot fill, the last one can"


def test_random_trades_may_lie_anywhere_and_in_any_order() -> None:
    ((order, entry, _),) = random_places(np.array([10, 20, 30]), 1, 461)

    free_before = (
        entry - np.cumsum(np.array([0, 10, 20, 30])[np.c_[np.zeros(SETS, int), order[:, :2] + 1]], axis=1)
    ) - 1
    assert np.mean(free_before / 400, axis=0) == pytest.approx([0.25, 0.5, 0.75], abs=0.03)
    assert np.bincount(order[:, 0]) / SETS == pytest.approx([1 / 3] * 3, abs=0.05)


RATES = {hour: 0.002 if hour % 16 else -0.001 for hour in range(0, 400, 8)}


def plainly(
    candles: Candles, assumptions: Assumptions, rates: Mapping[int, float], trades: Iterable[tuple[int, int, int, bool]]
) -> float:
    """Trade (side, entry, end, stays open) one by one, candle by candle; `rates` are by the candle they settle at."""
    fee, slip = assumptions.fee_bps / 10_000, assumptions.slippage_bps / 10_000
    equity = 1.0
    for side, entry, end, is_open in trades:
        stake = equity if assumptions.stake_pct is None else min(equity, assumptions.stake_pct / 100)
        price = candles.open[entry] * (1 + side * slip)
        units = stake / (price * (1 + fee))
        cash = equity - side * units * price - units * price * fee
        for at in range(entry, end):
            if at > entry:
                cash -= side * units * candles.open[at] * rates.get(at, 0.0)
            if side < 0 and cash + side * units * candles.high[at] <= 0:
                return 0.0
        if is_open:
            last = candles.open[end] if end < len(candles) else candles.close[-1]
            fee_out = 0.0
        else:
            last = (candles.open[end] if end < len(candles) else candles.close[-1]) * (1 - side * slip)
            fee_out = units * last * fee
        if end < len(candles):
            cash -= side * units * candles.open[end] * rates.get(end, 0.0)
        equity = cash + side * units * last - fee_out
        if equity <= 0:
            return 0.0
    return float(equity)


@pytest.mark.parametrize("side", ["long", "both"])
@pytest.mark.parametrize("stake_pct", sampled([30.0, None, 90.0], 3))
@pytest.mark.parametrize(("spread", "rates"), [(0.01, {}), (0.1, {}), (0.01, RATES)])
def test_a_random_set_ends_where_a_plain_loop_over_its_candles_ends(
    side: str, stake_pct: float | None, spread: float, rates: Mapping[int, float]
) -> None:
    candles = noise(400, spread, seed=11)
    assumptions = Assumptions("both" if side == "both" else "long", 20, 10, stake_pct)
    fundings = [Funding(time_ms=FIRST_MS + at * HOUR_MS, rate=rate) for at, rate in rates.items()]
    made = decided(candles, "1h", {20: BUY, 60: SELL, 200: BUY, 207: SELL, 300: BUY})
    rule = simulate(candles, "1h", made, assumptions, fundings)
    own, held = rule.trades, holding_times(rule)
    end = own.entry + held
    as_made = zip(own.side.tolist(), own.entry.tolist(), end.tolist(), own.open.tolist(), strict=True)
    assert plainly(candles, assumptions, rates, as_made) == pytest.approx(rule.equity[-1], rel=1e-12, abs=1e-15)

    equities = random_equities(rule, candles, "1h", assumptions, fundings)
    ((order, entries, ends),) = random_places(held, 1, len(candles))
    for row in range(0, SETS, 20):
        which = order[row]
        placed = zip(own.side[which], entries[row], ends[row], own.open[which], strict=True)
        expected = plainly(candles, assumptions, rates, [(int(a), int(b), int(c), bool(d)) for a, b, c, d in placed])
        assert equities[row] == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_the_percentile_counts_equal_ones_half() -> None:
    assert percentile(np.array([1.0, 2.0, 2.0 + 1e-15, 3.0]), 2.0) == 50
    assert percentile(np.array([1.0, 2.0]), 5.0) == 100
    assert percentile(np.array([1.0, 2.0]), 0.5) == 0


def test_a_rule_that_holds_all_the_time_is_neither_better_nor_worse_than_chance() -> None:
    assert controls_of(noise(300), {0: BUY}).random_percentile == 50


def test_a_rule_that_knows_each_move_beats_chance_and_one_that_knows_none_is_anywhere() -> None:
    candles = noise(2000)
    rises = candles.close[10::10] > candles.close[:-10:10]
    seeing = {at * 10: (BUY if rise else SELL) for at, rise in enumerate(rises)}
    assert controls_of(candles, seeing).random_percentile == 100

    blind = [controls_of(noise(1000, seed=seed), every(20, 1000)).random_percentile for seed in range(40)]
    assert np.mean([value or 0 for value in blind]) == pytest.approx(50, abs=15)
    assert min(value or 0 for value in blind) < 25
    assert max(value or 0 for value in blind) > 75


def test_random_entries_pay_the_costs_that_the_rule_pays() -> None:
    candles = candles_of(np.full(500, 100.0), "1h")
    for side in ("long", "both"):
        assumptions = Assumptions("both" if side == "both" else "long", 20, 10)
        assert controls_of(candles, every(20, 500), assumptions).random_percentile == 50, side


def test_above_ten_thousand_trades_there_are_fewer_random_sets_and_never_fewer_than_twenty() -> None:
    trades = (1, 10_000, 10_001, 50_000, 500_000, 5_000_000)
    assert [sets_of(count) for count in trades] == [1000, 1000, 999, 200, 20, 20]


@pytest.mark.parametrize("stake_pct", [None, 100.0])
def test_how_many_random_sets_there_were_is_said(monkeypatch: pytest.MonkeyPatch, stake_pct: float | None) -> None:
    monkeypatch.setattr(random_entries, "MOST_TRADES", 1_500)
    candles, orders = noise(300), every(9, 300)
    assumptions = Assumptions("both", 20, 10, stake_pct)
    trades = len(traded(candles, orders, "1h", assumptions).trades)
    assert controls_of(candles, orders, assumptions).random_sets == 1_500 // trades < SETS


def test_the_random_sets_of_many_trades_draw_no_more_places_than_is_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random_entries, "MOST_TRADES", 20_000)
    monkeypatch.setattr(random_entries, "_NUMBERS_AT_ONCE", 3_000)
    drawn = [order.shape for order, _, _ in random_places(np.ones(400, np.int64), 1, 900)]
    assert (sum(sets for sets, _ in drawn), {trades for _, trades in drawn}) == (50, {400})


def test_the_same_backtest_has_the_same_percentile_again() -> None:
    candles = noise(1000)
    assert controls_of(candles, every(7, 1000), COSTS) == controls_of(candles, every(7, 1000), COSTS)


def test_without_a_trade_there_is_no_percentile_and_the_other_controls_are_nought() -> None:
    result = controls_of(noise(200), {})
    assert (result.random_percentile, result.random_sets) == (None, None)
    assert (result.bar_later_return_pct, result.double_cost_return_pct) == (0, 0)
    assert (result.first_70_return_pct, result.last_30_return_pct) == (0, 0)


def test_one_candle_later_each_order_fills_in_the_next_open() -> None:
    candles = noise(300)
    orders = every(9, 290)
    later = traded(candles, {at + 1: code for at, code in orders.items()}, "1h", COSTS)
    assert controls_of(candles, orders, COSTS).bar_later_return_pct == pytest.approx((later.equity[-1] - 1) * 100)


def test_an_order_in_the_last_candle_has_no_candle_after_it() -> None:
    candles = candles_of([100, 100, 100, 50], "1h")
    assert controls_of(candles, {2: BUY}).bar_later_return_pct == 0


def test_twice_the_cost_is_twice_the_fee_and_twice_the_slippage() -> None:
    candles = noise(300)
    dear = traded(candles, every(9, 300), "1h", Assumptions(fee_bps=40, slippage_bps=20))
    result = controls_of(candles, every(9, 300), COSTS)
    assert result.double_cost_return_pct == pytest.approx((dear.equity[-1] - 1) * 100)


def test_the_first_70_and_the_last_30_per_cent_make_up_the_whole_for_the_rule_and_for_holding() -> None:
    candles = candles_of([100, 100, 110, 110, 110, 110, 121, 121, 60.5, 60.5], "1h")
    result = controls_of(candles, {1: BUY, 7: SELL})

    assert result.first_70_return_pct == result.first_70_buy_and_hold_pct == pytest.approx(21)
    assert (result.last_30_return_pct, result.last_30_buy_and_hold_pct) == pytest.approx((0, -50))


def test_after_ruin_the_last_part_has_no_return() -> None:
    candles = candles_of([100, 100, 300, 300, 300, 300, 300, 300, 300, 300], "1h")
    result = controls_of(candles, {0: SELL}, Assumptions("both", 0, 0))
    assert (result.first_70_return_pct, result.last_30_return_pct) == (-100, None)
    assert result.random_percentile is not None


def test_a_rule_that_trades_in_the_first_candle_is_compared_with_sets_that_may_too() -> None:
    candles = noise(50)
    made = decided(candles, "1h", {0: BUY})
    early = replace(made, slot_ms=made.slot_ms - HOUR_MS, fill=made.fill - 1)
    result = controls(simulate(candles, "1h", early, FREE), candles, "1h", early, FREE)
    assert result.random_percentile == 50


def test_no_control_and_no_worth_is_infinite_or_nan_whatever_the_prices_and_costs() -> None:
    generator = np.random.default_rng(6)
    for count in (2, 3, 13, 31, 130):
        for spread in (0.0, 1e-9, 0.3, 2.0):
            closes = np.exp(np.clip(np.cumsum(generator.standard_normal(count) * spread), -600, 600))
            candles = candles_of(closes, "1w")
            orders = {int(at): int(generator.choice([BUY, SELL])) for at in generator.integers(0, count - 1, 20)}
            assumptions = Assumptions("both", 100.0, 3000.0, 50.0 if count % 2 else None)
            made = decided(candles, "1w", orders)
            simulation = simulate(candles, "1w", made, assumptions)
            returns = grid_returns(simulation.open_time_ms, simulation.equity, "1w")
            for part in (
                controls(simulation, candles, "1w", made, assumptions),
                worth(returns, "1w", [Trial(0.1, "1d"), Trial(None, "1h")]),
            ):
                numbers = np.hstack([value for value in asdict(part).values() if value is not None])
                assert np.isfinite(numbers).all(), part
