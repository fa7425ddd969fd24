"""Look-ahead is disproved by another future: which leaks are found, that nothing honest is accused, and the work."""

from dataclasses import replace
from itertools import count
from typing import Literal

import numpy as np
import pytest

from mcp_server.domain.backtest.assumptions import Assumptions
from mcp_server.domain.backtest.futures import TAIL, Columns, another_future
from mcp_server.domain.backtest.look_ahead import CUTS, cuts, prove
from mcp_server.domain.backtest.run import BacktestTask, run_simulation
from mcp_server.domain.candles import CANDLE_COLUMNS, Candles, merge
from mcp_server.domain.rules.compiled import CompiledRules, compile_rules
from mcp_server.domain.strategy.format import Rules
from mcp_server.domain.strategy.parse import parse_strategy
from tests.backtest.leaks import Computed, columns_of, steps_of
from tests.domain.test_indicator_values import HOUR_MS, made_candles


def test_another_future_keeps_all_up_to_the_cut_and_the_times_and_changes_all_else() -> None:
    candles = made_candles(1200)
    other = another_future(candles, 300)

    assert len(other) == 301 + TAIL
    np.testing.assert_array_equal(other.open_time_ms, candles.open_time_ms[: len(other)])
    for name in CANDLE_COLUMNS:
        before, after = getattr(candles, name)[: len(other)], getattr(other, name)
        np.testing.assert_array_equal(after[:301], before[:301])
        assert (after[301:] != before[301:]).all()


def test_the_cuts_have_every_remainder_of_every_divisor_up_to_200() -> None:
    for length in (60, 300, 402, 3_000, 39_000, 100_000):
        positions = np.array(cuts(made_candles(length)))
        assert len(positions) >= min(CUTS, length - 1)
        for divisor in range(1, CUTS + 1):
            assert len(set(positions % divisor)) == min(divisor, length - 1), (length, divisor)


def test_the_first_200_cuts_of_a_long_series_are_those_between_which_no_leak_on_each_kth_candle_passes() -> None:
    positions = np.array(cuts(made_candles(60_000))[:CUTS])

    assert np.ptp(positions) > 50_000
    assert np.ptp(positions[:20]) > 30_000
    assert all(len(set(positions % divisor)) == divisor for divisor in range(1, CUTS + 1))


def test_a_leak_is_named_with_its_column_and_the_candle_whose_value_changed() -> None:
    def compute(candles: Candles) -> Columns:
        return {"honest": np.cumsum(candles.close), "leaks": np.append(candles.close[1:], np.nan)}

    proof = prove(Computed(compute), made_candles(300), [7, 9])

    assert (proof.checked, proof.wanted, proof.decisions, proof.decisions_wanted) == (299, 299, 2, 2)
    assert [(change.column, change.at_ms, change.cut_ms) for change in proof.changed] == [("leaks", 0, 0)]


def crossing() -> CompiledRules:
    indicators = ("ema(9)", "ema(21)", "rsi(14)")
    buy = "crosses_above(ema_9, ema_21) AND close > prev(highest(high, 5), 1)"
    return compile_rules(Rules(indicators=indicators, buy=buy, sell="rsi_14 > prev(rsi_14, 3) + 20"), "1h")


@pytest.mark.parametrize("side", ["long", "both"])
@pytest.mark.parametrize(
    "schedule", [{"interval": "1h"}, {"interval": "4h"}, {"interval": "15m"}, {"cron": "7 */3 * * *"}]
)
def test_what_a_backtest_decided_traded_and_owned_until_then_stays_with_another_future(
    side: Literal["long", "both"], schedule: dict[str, str]
) -> None:
    whole = made_candles(500)
    candles = whole.slice(0, 200)
    candles = merge([candles, whole.slice(203, 500)])
    rules = {"timeframe": "1h", "indicators": ["rsi(5)"], "buy": "rsi_5 < 35", "sell": "rsi_5 > 65"}
    strategy = parse_strategy("idea", {"trading_pair": "BTC/USD", "rules": rules, **schedule}, None)
    end_ms = int(candles.open_time_ms[-1]) + HOUR_MS
    task = BacktestTask(strategy, "kraken", "BTC/USD", candles, 20 * HOUR_MS, end_ms, Assumptions(side=side))
    before = run_simulation(task)
    assert len(before.simulation.trades) > 5

    for cut in (25, 100, 198, 199, 200, 310, 400):
        closed_ms = int(candles.open_time_ms[cut]) + HOUR_MS
        after = run_simulation(replace(task, candles=another_future(candles, cut)))
        slots = np.searchsorted(before.decisions.slot_ms, closed_ms, side="right")
        held = int(np.searchsorted(before.candles.open_time_ms, closed_ms))
        trades = before.simulation.trades.exit < held
        assert slots > 0
        for name in ("slot_ms", "signal"):
            np.testing.assert_array_equal(
                getattr(after.decisions, name)[:slots], getattr(before.decisions, name)[:slots]
            )
        for name in ("equity", "position"):
            np.testing.assert_array_equal(
                getattr(after.simulation, name)[:held], getattr(before.simulation, name)[:held], name
            )
        for name in ("entry", "entry_price", "exit", "exit_price", "return_ratio"):
            column = getattr(before.simulation.trades, name)[trades]
            np.testing.assert_array_equal(getattr(after.simulation.trades, name)[: len(column)], column, name)


def test_of_rules_each_column_and_each_part_and_the_signal_is_compared() -> None:
    candles, rules = made_candles(2_000), crossing()
    steps = steps_of(rules, candles)

    assert {"close", "ema_9", "ema_21", "rsi_14", "high"} < set(steps)
    assert {"crosses_above(ema_9, ema_21)", "prev(highest(high, 5), 1)", "highest(high, 5)"} < set(steps)
    np.testing.assert_array_equal(steps["signal"], rules.series(candles).signals())
    np.testing.assert_array_equal(steps["highest(high, 5)"][4:8], [max(candles.high[at : at + 5]) for at in range(4)])
    proof = prove(rules, candles, [], clock=count().__next__, limit_s=61)
    assert (proof.checked, proof.changed) == (60, ())


def test_parts_of_several_stretches_of_candles_have_the_values_that_they_have_in_the_whole() -> None:
    candles, rules = made_candles(2_000), crossing()
    columns, whole = columns_of(rules, candles), steps_of(rules, candles)
    places = [(1_000, 1_300), (0, 40), (1_700, 2_000), (990, 1_010)]
    joined = {name: np.concatenate([own[start:stop] for start, stop in places]) for name, own in columns.items()}
    parts = rules.parts(joined, np.repeat(np.arange(4), [stop - start for start, stop in places]))

    for name, values in parts.items():
        ends = np.cumsum([stop - start for start, stop in places])
        for (start, stop), end in zip(places, ends, strict=True):
            seen = 0 if start == 0 else rules.reach
            own = values[end - stop + start + seen : end]
            np.testing.assert_array_equal(own, whole[name][start + seen : stop], name)


def test_the_most_unusual_candles_of_a_long_series_are_cut_after() -> None:
    candles = made_candles(60_000)
    volume = candles.volume.copy()
    volume[30_001] = 1e6

    assert {30_001, int(np.argmax(candles.high / candles.low)), int(np.argmax(np.diff(np.log(candles.close))) + 1)} < {
        *cuts(replace(candles, volume=volume))
    }


def test_it_ends_when_its_time_is_over_and_says_how_far_it_came() -> None:
    proof = prove(
        Computed(lambda c: {"close": c.close}), made_candles(1_000), range(999), clock=count().__next__, limit_s=26
    )

    assert (proof.checked, proof.wanted, proof.decisions_wanted) == (25, 999, 999)
    assert proof.decisions == 25


def test_every_candle_is_proved_however_long_it_takes() -> None:
    told: list[tuple[int, int]] = []
    proof = prove(
        Computed(lambda c: {"close": c.close}),
        made_candles(1_000),
        [5, 999],
        every=True,
        clock=count().__next__,
        limit_s=26,
        progress=lambda done, wanted: told.append((done, wanted)),
    )

    assert (proof.checked, proof.wanted, proof.decisions) == (999, 999, 1)
    assert told == [(done, 999) for done in range(999)]


def test_series_of_no_or_one_candle_have_nothing_to_cut_after() -> None:
    for length in (0, 1):
        assert prove(Computed(lambda c: {"close": c.close}), made_candles(length), [0]).wanted == 0


@pytest.mark.parametrize("price", [1e-9, 1.0, 1e9])
def test_candles_that_never_move_and_have_no_volume_are_proved_as_any_others(price: float) -> None:
    flat, unknown = np.full(900, price), np.full(900, np.nan)
    candles = Candles(np.arange(900) * HOUR_MS, flat, flat, flat, flat, unknown)
    proof = prove(Computed(lambda c: {"close": c.close, "leaks": np.append(c.volume[1:], 0.0)}), candles, [])

    assert {leak.column for leak in proof.changed} == {"leaks"}
