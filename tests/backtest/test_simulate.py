"""The simulation: against a plain loop on random input, and on series whose outcome can be worked out by hand."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from mcp_server.domain.backtest.assumptions import Assumptions, Side
from mcp_server.domain.backtest.decisions import Decisions, decide_slots
from mcp_server.domain.backtest.simulate import Simulation, simulate
from mcp_server.domain.candles import Candles, Floats
from mcp_server.domain.exchange import Funding
from mcp_server.domain.rules.series import BUY, HOLD, SELL, UNDECIDED
from mcp_server.domain.strategy.format import Config
from mcp_server.domain.timeframes import first_open_ms, timeframe_ms
from tests.backtest.made_backtests import FREE, candles_at, candles_of, traded
from tests.backtest.plain_loop import PlainLoop
from tests.rigs.sampled import sampled

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
COSTLY = Assumptions(fee_bps=100, slippage_bps=200)


def wild_candles(random: np.random.Generator, timeframe: str, length: int, volatility: float) -> Candles:
    """Return candles with jumps between close and open, of which some are missing."""
    moves = random.normal(0, volatility, (4, length))
    close = 100 * np.exp(np.cumsum(moves[0]))
    opened = close * np.exp(moves[1])
    high = np.maximum(opened, close) * np.exp(np.abs(moves[2]))
    low = np.minimum(opened, close) * np.exp(-np.abs(moves[3]))
    times = first_open_ms(1_600_000_000_000, timeframe) + np.arange(length) * timeframe_ms(timeframe)
    kept = random.random(length) > random.choice([0.0, 0.2])
    columns = (column[kept] for column in (opened, high, low, close, np.ones(length)))
    return Candles(times[kept], *columns)


def decisions_at(candles: Candles, timeframe: str, slots: list[int], signals: list[int]) -> Decisions:
    """Return decisions whose fills are looked up one by one."""
    position = {int(at): i for i, at in enumerate(candles.open_time_ms)}
    fills = [position.get(first_open_ms(slot, timeframe), -1) for slot in slots]
    return Decisions(np.array(slots, dtype=np.int64), np.array(signals, dtype=np.int8), np.array(fills, dtype=np.int64))


def assert_same(simulation: Simulation, plain: PlainLoop) -> None:
    def assert_close(values: Floats, wanted: Sequence[float]) -> None:
        np.testing.assert_allclose(values, wanted, rtol=1e-12, atol=1e-12)

    assert_close(simulation.equity, plain.equity)
    assert simulation.position.tolist() == plain.position
    assert (simulation.unfilled, simulation.ruined_ms) == (plain.unfilled, plain.ruined_ms)
    trades = simulation.trades
    for name in ("side", "decided_at_ms", "entry", "exit", "open"):
        assert getattr(trades, name).tolist() == [getattr(trade, name) for trade in plain.trades]
    for name in ("entry_price", "exit_price", "stake", "profit", "fees", "funding"):
        assert_close(getattr(trades, name), [getattr(trade, name) for trade in plain.trades])
    assert_close(trades.return_ratio, [trade.profit / trade.stake for trade in plain.trades])


@pytest.mark.parametrize("side", ["long", "both"])
@pytest.mark.parametrize("stake_pct", sampled([150.0, None, 25.0], 3))
@pytest.mark.parametrize("funded", [False, True])
def test_it_agrees_with_a_plain_loop_on_random_decisions(side: Side, stake_pct: float | None, funded: bool) -> None:
    seen = {"ruined": 0, "unfilled": 0, "open": 0, "trades": 0}
    for seed in range(60):
        random = np.random.default_rng(seed)
        timeframe = str(random.choice(["15m", "1h", "4h", "1d", "3d", "1w"]))
        length = timeframe_ms(timeframe)
        candles = wild_candles(random, timeframe, int(random.integers(1, 90)), float(random.choice([0.01, 0.1, 0.3])))
        if not len(candles):
            continue
        first, last = int(candles.open_time_ms[0]) - 3 * length, int(candles.open_time_ms[-1]) + 2 * length
        step = int(random.choice([length, length // 3, 2 * length, 7 * 60_000 + length]))
        slots = list(range(first + int(random.integers(0, length)) // 60_000 * 60_000, last, step))
        slots = [slot // length * length for slot in slots] if random.random() < 0.3 else slots
        slots = sorted(set(slots))
        signals = random.choice([BUY, SELL, HOLD, UNDECIDED], len(slots), p=[0.2, 0.2, 0.5, 0.1]).tolist()
        costs = random.choice([0, 10, 300], 2)
        assumptions = Assumptions(side, float(costs[0]), float(costs[1]), stake_pct)
        times = sorted({int(at) for at in random.integers(first, last, 40) // (length // 4) * (length // 4)})
        rates = random.normal(0, random.choice([0.0001, 0.3]), len(times))
        fundings = [Funding(at, float(rate)) for at, rate in zip(times, rates, strict=True) if funded]

        decisions = decisions_at(candles, timeframe, slots, signals)
        simulation = simulate(candles, timeframe, decisions, assumptions, fundings)
        plain = PlainLoop(candles, timeframe, list(zip(slots, signals, strict=True)), assumptions, fundings).run()

        assert_same(simulation, plain)
        counts = {name: signals.count(code) for name, code in zip(simulation.signals, (1, -1, 0, 2), strict=True)}
        assert simulation.signals == counts
        seen["ruined"] += simulation.ruined_ms is not None
        seen["unfilled"] += simulation.unfilled
        seen["open"] += int(simulation.trades.open.sum())
        seen["trades"] += len(simulation.trades)
    assert seen["trades"] > 250
    assert seen["unfilled"] > 10
    assert seen["open"] > 10
    assert seen["ruined"] > 0 or (side == "long" and not funded) or stake_pct == 25.0


def test_without_an_order_nothing_is_traded_and_the_equity_stays_one() -> None:
    simulation = traded(candles_of([10, 20, 5, 40]), {})

    assert simulation.equity.tolist() == [1.0] * 4
    assert simulation.position.tolist() == [0] * 4
    assert len(simulation.trades) == 0
    assert simulation.signals == {"buy": 0, "sell": 0, "hold": 3, "undecided": 0}


def test_no_candles_at_all_are_no_trades() -> None:
    none = np.empty(0, dtype=np.int64)
    simulation = simulate(Candles.empty(), "1h", Decisions(none, none.astype(np.int8), none), FREE)

    assert (len(simulation.equity), len(simulation.trades), simulation.missing) == (0, 0, 0)


def test_one_trade_is_filled_at_the_next_open_with_slippage_and_fees_on_both_sides() -> None:
    candles = candles_at([100, 110, 120, 150], [100, 130, 140, 160], np.arange(4) * DAY_MS)
    simulation = traded(candles, {0: BUY, 2: SELL}, assumptions=COSTLY)
    trades = simulation.trades

    assert (trades.entry.tolist(), trades.exit.tolist(), trades.open.tolist()) == ([1], [3], [False])
    assert trades.decided_at_ms.tolist() == [DAY_MS]
    np.testing.assert_allclose([trades.entry_price[0], trades.exit_price[0]], [110 * 1.02, 150 * 0.98])
    units = 1 / (112.2 * 1.01)
    final = units * 147 * 0.99
    np.testing.assert_allclose(simulation.equity, [1, units * 130, units * 140, final])
    np.testing.assert_allclose([trades.profit[0], trades.return_ratio[0]], final - 1)
    np.testing.assert_allclose(trades.fees, units * 0.01 * (112.2 + 147))


def test_every_trade_can_lose_and_the_losses_multiply() -> None:
    candles = candles_at([100, 100, 90, 100, 90, 50], [100, 90, 100, 90, 50, 50], np.arange(6) * DAY_MS)
    simulation = traded(candles, {0: BUY, 1: SELL, 2: BUY, 3: SELL})

    np.testing.assert_allclose(simulation.trades.return_ratio, [-0.1, -0.1])
    np.testing.assert_allclose(simulation.equity, [1, 0.9, 0.9, 0.81, 0.81, 0.81])


def test_flat_prices_without_costs_leave_the_equity_flat() -> None:
    assert traded(candles_of([7.0] * 5), {0: BUY, 2: SELL}).equity.tolist() == [1.0] * 5


def test_a_trade_that_is_open_at_the_end_is_marked_and_not_closed() -> None:
    simulation = traded(candles_of([100, 100, 150]), {0: BUY}, assumptions=Assumptions(fee_bps=100, slippage_bps=0))
    trades = simulation.trades

    assert (trades.open.tolist(), trades.exit.tolist(), trades.exit_price.tolist()) == ([True], [2], [150])
    np.testing.assert_allclose(simulation.equity[-1], 1.5 / 1.01)
    np.testing.assert_allclose(trades.fees, 0.01 / 1.01)


def test_a_signal_that_repeats_neither_adds_nor_trades_again() -> None:
    repeated = traded(candles_of([1, 2, 3, 4, 5, 6]), {0: BUY, 1: BUY, 2: BUY, 3: SELL, 4: SELL}, assumptions=COSTLY)
    once = traded(candles_of([1, 2, 3, 4, 5, 6]), {0: BUY, 3: SELL}, assumptions=COSTLY)

    assert repeated.equity.tolist() == once.equity.tolist()
    assert len(repeated.trades) == 1


def test_undecided_keeps_what_is_held_and_is_counted() -> None:
    simulation = traded(candles_of([1, 2, 3, 4]), {0: BUY, 1: UNDECIDED, 2: UNDECIDED})

    assert simulation.position.tolist() == [0, 1, 1, 1]
    assert simulation.signals == {"buy": 1, "sell": 0, "hold": 0, "undecided": 2}


def test_an_order_whose_candle_is_missing_lapses_and_is_counted() -> None:
    times = np.array([0, 1, 3, 4, 5]) * DAY_MS
    candles = candles_at([10, 10, 20, 20, 40], [10, 10, 20, 20, 40], times)
    lapsed = traded(candles, {1: BUY})
    later = traded(candles, {1: BUY, 2: BUY})

    assert (lapsed.missing, lapsed.unfilled, len(lapsed.trades)) == (1, 1, 0)
    assert (later.missing, later.unfilled, later.trades.entry.tolist()) == (1, 1, [3])
    assert later.equity.tolist() == [1, 1, 1, 1, 2]


def test_an_order_that_would_change_nothing_is_not_unfilled() -> None:
    times = np.array([0, 1, 3, 4]) * DAY_MS
    candles = candles_at([10] * 4, [10] * 4, times)

    assert traded(candles, {1: SELL}).unfilled == 0
    assert traded(candles, {0: BUY, 1: BUY}).unfilled == 0
    assert traded(candles, {1: SELL}, assumptions=Assumptions(side="both")).unfilled == 1


def test_an_order_after_the_last_candle_neither_fills_nor_lapses() -> None:
    candles = candles_of([1, 2, 3])
    slots = candles.open_time_ms + DAY_MS
    signals = np.array([HOLD, HOLD, BUY], dtype=np.int8)
    simulation = simulate(candles, "1d", Decisions(slots, signals, np.array([1, 2, -1])), FREE)

    assert (simulation.unfilled, len(simulation.trades)) == (0, 0)


def test_of_orders_that_wait_for_the_same_open_the_last_one_is_filled() -> None:
    candles = candles_of([10, 10, 20, 20])
    first, second = candles.open_time_ms[1] - HOUR_MS, candles.open_time_ms[1]
    slots = np.array([first, second])
    out = Decisions(slots, np.array([BUY, SELL], dtype=np.int8), np.array([1, 1]))
    kept = Decisions(slots, np.array([BUY, HOLD], dtype=np.int8), np.array([1, 1]))

    assert len(simulate(candles, "1d", out, FREE).trades) == 0
    assert simulate(candles, "1d", kept, FREE).trades.decided_at_ms.tolist() == [first]


def test_with_both_sides_a_sell_turns_at_the_same_open_and_a_short_gains_what_the_price_falls() -> None:
    candles = candles_at([100, 100, 120, 90], [100, 120, 90, 90], np.arange(4) * DAY_MS)
    simulation = traded(candles, {0: BUY, 1: SELL, 2: BUY}, assumptions=Assumptions("both", 0, 0))
    trades = simulation.trades

    assert trades.side.tolist() == [1, -1, 1]
    assert trades.entry.tolist() == [1, 2, 3]
    assert trades.exit.tolist() == [2, 3, 3]
    np.testing.assert_allclose(simulation.equity, [1, 1.2, 1.5, 1.5])
    assert simulation.position.tolist() == [0, 1, -1, 1]


def test_a_short_is_ruined_where_the_high_takes_the_equity_to_nothing_and_stays_so() -> None:
    candles = candles_at([100, 100, 150, 120], [100, 150, 120, 10], np.arange(4) * DAY_MS)
    candles.high[2] = 230
    simulation = traded(candles, {0: SELL, 2: BUY}, assumptions=Assumptions("both", 0, 0))

    assert simulation.ruined_ms == 2 * DAY_MS
    np.testing.assert_allclose(simulation.equity, [1, 0.5, 0, 0])
    assert simulation.position.tolist() == [0, -1, 0, 0]
    assert (simulation.trades.exit.tolist(), simulation.trades.open.tolist()) == ([2], [False])
    np.testing.assert_allclose([simulation.trades.exit_price[0], simulation.trades.return_ratio[0]], [200, -1])


def test_a_short_whose_buying_back_costs_more_than_there_is_is_ruined_at_that_open() -> None:
    candles = candles_at([100, 100, 300, 10], [100, 150, 300, 10], np.arange(4) * DAY_MS)
    simulation = traded(candles, {0: SELL, 1: BUY}, assumptions=Assumptions("both", 0, 0))

    assert simulation.ruined_ms == 2 * DAY_MS
    assert simulation.equity.tolist() == [1, 0.5, 0, 0]
    assert len(simulation.trades) == 1


def test_costs_may_eat_up_all_that_a_number_can_hold() -> None:
    orders = {position: BUY if position % 2 else SELL for position in range(7_999)}
    dear = Assumptions("both", fee_bps=2_000, slippage_bps=2_000)
    simulation = traded(candles_of([100.0] * 8_000), orders, assumptions=dear)

    assert simulation.equity[-1] == 0
    assert len(simulation.trades) == 7_999
    assert np.isfinite(simulation.equity).all()


def test_a_fixed_stake_is_of_the_equity_at_the_start_and_at_most_what_there_is() -> None:
    candles = candles_at([100, 100, 200, 100, 50, 50], [100, 200, 100, 50, 50, 50], np.arange(6) * DAY_MS)
    half = traded(candles, {0: BUY, 1: SELL, 2: BUY, 3: SELL}, assumptions=Assumptions("long", 0, 0, 50))
    most = traded(candles, {2: BUY, 3: SELL, 4: BUY}, assumptions=Assumptions("long", 0, 0, 150))

    np.testing.assert_allclose(half.trades.stake, [0.5, 0.5])
    np.testing.assert_allclose(half.trades.profit, [0.5, -0.25])
    np.testing.assert_allclose(half.equity, [1, 1.5, 1.5, 1.25, 1.25, 1.25])
    np.testing.assert_allclose(most.trades.stake, [1, 0.5])


@pytest.mark.parametrize(("code", "side"), [(BUY, 1), (SELL, -1)])
def test_longs_pay_a_positive_funding_and_shorts_receive_it_after_the_entry_up_to_the_exit(
    code: int, side: int
) -> None:
    candles = candles_of([100, 100, 100, 100])
    at_entry, within, at_exit, after = (DAY_MS * 2 // 2, DAY_MS + HOUR_MS, 3 * DAY_MS, 3 * DAY_MS + HOUR_MS)
    first = int(candles.open_time_ms[0])
    fundings = [Funding(first + at, rate) for at, rate in ((at_entry, 1), (within, 0.01), (at_exit, 0.02), (after, 1))]
    signals = np.array([code, HOLD, -code], dtype=np.int8)
    decisions = Decisions(candles.open_time_ms[1:], signals, np.array([1, 2, 3]))
    simulation = simulate(candles, "1d", decisions, Assumptions("both", 0, 0), fundings[:3])
    later = simulate(candles, "1d", decisions, Assumptions("long", 0, 0), fundings)

    np.testing.assert_allclose(simulation.trades.funding[0], side * 0.03)
    np.testing.assert_allclose(simulation.equity, [1, 1 - side * 0.01, 1 - side * 0.01, 1 - side * 0.03])
    if code == BUY:
        assert later.equity.tolist() == simulation.equity.tolist()


def test_a_short_without_fundings_has_paid_nothing_and_not_minus_nothing() -> None:
    candles = candles_of([100, 100, 100])
    decisions = Decisions(candles.open_time_ms[1:2], np.array([SELL], dtype=np.int8), np.array([1]))
    funding = simulate(candles, "1d", decisions, Assumptions("both")).trades.funding
    assert str(funding.tolist()) == "[0.0]"


def test_fills_among_other_candles_are_refused() -> None:
    candles = candles_of([1, 2, 3, 4])
    config: dict[str, Any] = {"trading_pair": "BTC/USDT", "interval": "1d"}
    start, end = int(candles.open_time_ms[1]), int(candles.open_time_ms[3]) + DAY_MS
    signals = np.full(4, BUY, dtype=np.int8)
    decisions = decide_slots(Config(**config), "1d", candles, signals, start, end)

    with pytest.raises(ValueError, match="positions among other candles"):
        simulate(candles, "1d", decisions, FREE)
    assert len(simulate(candles.slice(1), "1d", decisions, FREE).trades) == 1
