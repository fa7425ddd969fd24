"""Look-ahead is disproved by another future: which leaks are found, that nothing honest is accused, and the work."""

import numpy as np

from mcp_server.domain.backtest.look_ahead import CUTS, Columns, another_future, cuts, prove
from mcp_server.domain.candles import CANDLE_COLUMNS, Candles
from mcp_server.domain.rules.compiled import CompiledRules, compile_rules
from mcp_server.domain.strategy.format import Rules
from tests.domain.test_indicator_values import made_candles


def test_another_future_keeps_all_up_to_the_cut_and_the_times_and_changes_all_else() -> None:
    candles = made_candles(1200)
    other = another_future(candles, 300)

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


def test_a_leak_is_named_with_its_column_and_the_candle_whose_value_changed() -> None:
    def compute(candles: Candles) -> Columns:
        return {"honest": np.cumsum(candles.close), "leaks": np.append(candles.close[1:], np.nan)}

    proof = prove(compute, made_candles(300), [7, 9])

    assert (proof.checked, proof.wanted, proof.decisions, proof.decisions_wanted) == (299, 299, 2, 2)
    assert [(change.column, change.at_ms, change.cut_ms) for change in proof.changed] == [("leaks", 0, 0)]


def crossing() -> CompiledRules:
    indicators = ("ema(9)", "ema(21)", "rsi(14)")
    buy = "crosses_above(ema_9, ema_21) AND close > prev(highest(high, 5), 1)"
    return compile_rules(Rules(indicators=indicators, buy=buy, sell="rsi_14 > prev(rsi_14, 3) + 20"), "1h")


def test_of_rules_each_column_and_each_part_and_the_signal_is_compared() -> None:
    candles, rules = made_candles(2_000), crossing()
    steps = rules.steps(candles)

    assert {"close", "ema_9", "ema_21", "rsi_14", "high"} < set(steps)
    assert {"crosses_above(ema_9, ema_21)", "prev(highest(high, 5), 1)", "highest(high, 5)"} < set(steps)
    np.testing.assert_array_equal(steps["signal"], rules.series(candles).signals())
    np.testing.assert_array_equal(steps["highest(high, 5)"][4:8], [max(candles.high[at : at + 5]) for at in range(4)])
    assert prove(rules.steps, candles, np.flatnonzero(steps["signal"] != 0), lately=rules.steps).changed == ()


def test_parts_of_the_last_candles_alone_have_the_values_that_they_have_in_the_whole() -> None:
    candles, rules = made_candles(2_000), crossing()
    whole = rules.steps(candles)

    for name, values in rules.steps(candles, 300).items():
        assert len(values) == (2_000 if name in ("close", "high", "ema_9", "ema_21", "rsi_14") else 300)
        np.testing.assert_array_equal(values, whole[name][-len(values) :], name)
