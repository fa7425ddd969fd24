"""Rules: what they decide, what they make of missing values, how they explain it, and that they never look ahead."""

from collections.abc import Sequence
from threading import Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_server.domain.candles import Candles, Floats
from mcp_server.domain.indicators import catalog
from mcp_server.domain.indicators.compute import compute
from mcp_server.domain.indicators.parse import parse_spec
from mcp_server.domain.indicators.spec import Spec
from mcp_server.domain.rules import compiled as rules_module
from mcp_server.domain.rules.compiled import CompiledRules, compile_rules
from mcp_server.domain.rules.series import SIGNALS
from mcp_server.domain.rules.verdict import Verdict, decide
from mcp_server.domain.strategy.format import Rules
from mcp_server.errors import BadInput
from tests.backtest.leaks import steps_of
from tests.domain.test_indicator_values import made_candles
from tests.rigs.hourly_candles import hourly_candles
from tests.rigs.sampled import sampled

HOUR_MS = 3_600_000
T, F, N = True, False, None
OUT_OF_REACH = ("acos", "asin")
"""They have no value at the height of prices."""


def candles_of(*closes: float) -> Candles:
    return Candles.from_rows([(i * HOUR_MS, c, c + 1, max(c - 1, c / 2), c, 10.0) for i, c in enumerate(closes)])


def compiled(buy: str | None = None, sell: str | None = None, indicators: Sequence[str] = ()) -> CompiledRules:
    return compile_rules(Rules(buy=buy, sell=sell, indicators=tuple(indicators)), "1h")


def decided(verdict: Verdict) -> tuple[int, int]:
    """Return what a verdict says of buy and sell, as a series does."""
    code = {True: 1, False: 0, None: -1}
    return code[verdict.buy], code[verdict.sell]


def holds(condition: str, *closes: float) -> list[bool | None]:
    """Return the condition's value at each candle."""
    return [
        {1: True, 0: False, -1: None}[code] for code in compiled(condition).series(candles_of(*closes)).buy.tolist()
    ]


@pytest.mark.parametrize(
    ("buy", "sell", "signal"),
    [
        (T, F, "BUY"),
        (F, T, "SELL"),
        (F, F, "HOLD"),
        (T, T, None),
        (N, F, None),
        (N, T, None),
        (F, N, None),
        (T, N, None),
        (N, N, None),
    ],
)
def test_both_or_an_undefined_rule_is_no_signal_and_neither_is_hold(
    buy: bool | None, sell: bool | None, signal: str | None
) -> None:
    text = {T: "close > 0", F: "close < 0", N: "prev(close, 5) > 0"}

    verdict = compiled(text[buy], text[sell]).evaluate(candles_of(1, 2))

    assert (verdict.buy, verdict.sell, verdict.signal) == (buy, sell, signal)
    assert decide(buy, sell) == signal
    series = compiled(text[buy], text[sell]).series(candles_of(1, 2))
    assert SIGNALS[int(series.signals()[-1])] == signal


@pytest.mark.parametrize(("buy", "sell", "signal"), [("close > 5", None, "BUY"), (None, "close > 5", "SELL")])
def test_a_rule_that_is_not_given_never_holds(buy: str | None, sell: str | None, signal: str) -> None:
    assert compiled(buy, sell).evaluate(candles_of(9)).signal == signal
    assert compiled(buy, sell).evaluate(candles_of(1)).signal == "HOLD"


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("prev(close, 1) = 1", [N, T, F, F]),
        ("prev(close, 3) = 1", [N, N, N, T]),
        ("highest(close, 2) = 4", [N, F, T, T]),
        ("lowest(close, 3) = 1", [N, N, T, F]),
        ("highest(close, 1) = close", [T, T, T, T]),
        ("prev(highest(close, 2), 1) = 2", [N, N, T, F]),
        ("highest(prev(close, 1), 2) = 4", [N, N, F, T]),
        ("highest(highest(close, 2), 2) = 4", [N, N, T, T]),
        ("prev(close > 1, 1)", [N, F, T, T]),
        ("crosses_above(close, 3)", [F, F, T, F]),
        ("crosses_below(close, 3.5)", [N, F, F, T]),
        ("crosses_above(close, prev(highest(close, 2), 1))", [N, N, N, F]),
        ("prev(crosses_above(close, 3), 1)", [N, F, F, T]),
        ("close - prev(close, 1) > 0", [N, T, T, F]),
    ],
)
def test_the_past_is_reached_and_is_undefined_before_it_begins(condition: str, expected: list[bool | None]) -> None:
    assert holds(condition, 1, 2, 4, 3) == expected


def test_a_crossing_needs_the_other_side_or_the_line_itself_one_candle_before() -> None:
    assert holds("crosses_above(close, 3)", 2, 4, 5, 3, 4, 3, 2, 3) == [F, T, F, F, T, F, F, F]
    assert holds("crosses_below(close, 3)", 4, 2, 3, 2) == [F, T, F, T]


def test_a_breakout_above_the_highest_of_the_candles_before_is_found() -> None:
    assert holds("crosses_above(close, prev(highest(high, 2), 1))", 5, 5, 5, 9, 9, 12)[3:] == [T, F, T]


@pytest.mark.parametrize(
    ("condition", "value"),
    [
        ("close > 0 AND prev(close, 9) > 0", N),
        ("close < 0 AND prev(close, 9) > 0", F),
        ("close > 0 OR prev(close, 9) > 0", T),
        ("close < 0 OR prev(close, 9) > 0", N),
        ("NOT prev(close, 9) > 0", N),
        ("prev(close, 9) IS NULL", T),
        ("prev(close, 9) IS NOT NULL", F),
        ("prev(close, 9) IN (1, 2)", N),
        ("close IN (1, 2)", T),
        ("close NOT IN (1, 3)", T),
        ("close BETWEEN 2 AND 3", T),
        ("close NOT BETWEEN 2 AND 3", F),
        ("close != 2", F),
        ("close <> 3", T),
        ("close == 2", T),
        ("greatest(close, prev(close, 9)) > 0", N),
        ("least(close, open, 1) = 1", T),
        ("highest(prev(close, 1), 2) > 0", N),
        ("close / (close - 2) > 0", N),
        ("1 / (1 / (close - 2)) = 0", N),
        ("close % (close - 2) > 0", N),
        ("ln(close - 2) < 0", N),
        ("sqrt(close - 3) >= 0", N),
        ("greatest(sqrt(close - 3), 1) = 1", N),
        ("prev(1 / (close - 1), 1) > 0", N),
        ("close * 1e308 * 10 > 0", N),
        ("close / (close - 2) IS NULL", T),
        ("sqrt(close + 2) = 2", T),
        ("abs(1 - close) = 1", T),
        ("-close = -2", T),
        ("+close = 2", T),
        ("round(close / 3, 2) = 0.67", T),
        ("round(close / 3) = 1", T),
        ("floor(close / 3) = 0 AND ceil(close / 3) = 1", T),
        ("7 % close = 1", T),
        ("close + close * 3 = 8", T),
        ("(close + close) * 3 = 12", T),
        ("5 / close = 2.5", T),
        ("0.1 + 0.2 = 0.3", F),
        ("9007199254740993 * 4000000000 > 0", T),
        ("TRUE", T),
        ("false", F),
        ("CLOSE > 1 and High > 1", T),
    ],
)
def test_a_condition_follows_three_valued_logic_over_floating_point(condition: str, value: bool | None) -> None:
    assert holds(condition, 1, 2)[-1] is value


def test_indicators_are_columns_of_a_rule() -> None:
    candles = candles_of(*range(1, 40), 5)
    verdict = compiled("rsi_14 < 90 AND close < ema_10", indicators=["rsi(14)", "ema(10)"]).evaluate(candles)

    assert verdict.signal == "BUY"
    assert [set(condition.values) for condition in verdict.conditions] == [{"rsi_14"}, {"close", "ema_10"}]


@pytest.mark.parametrize(
    ("condition", "history"),
    [
        ("close > 0", 1),
        ("prev(close, 7) > 0", 8),
        ("highest(close, 7) > 0", 7),
        ("prev(highest(close, 20), 3) > 0", 23),
        ("crosses_above(close, prev(lowest(low, 10), 5))", 16),
        ("close > 0 AND (prev(close, 2) > 0 OR prev(open, 30) > 0)", 31),
    ],
)
def test_the_history_wanted_adds_up_how_far_nested_functions_reach(condition: str, history: int) -> None:
    assert compiled(condition).history == history


def test_the_history_wanted_counts_on_top_of_the_indicators_own() -> None:
    own = compiled("sma_20 > 0", indicators=["sma(20)"]).history

    assert own == 250
    assert compiled("prev(highest(sma_20, 10), 5) > 0", indicators=["sma(20)"]).history == 250 + 5 + 9


@pytest.mark.parametrize("condition", ["prev(highest(close, 20), 3) > 0", "crosses_above(close, prev(low, 4))"])
def test_the_candles_wanted_are_just_enough_and_one_fewer_is_not(condition: str) -> None:
    rules = compiled(condition)
    closes = np.linspace(5, 9, rules.history)

    assert rules.evaluate(candles_of(*closes)).buy is not None
    if "highest" in condition:
        assert rules.evaluate(candles_of(*closes[1:])).buy is None


def test_the_reason_of_a_signal_names_the_conditions_that_decided_with_what_they_saw() -> None:
    verdict = compiled("(close > 3 AND open < 2) OR volume >= 10 OR close > 100").evaluate(candles_of(4))

    assert verdict.reasoning == "BUY because volume >= 10 (volume = 10)."
    assert [(c.rule, c.text, c.value, dict(c.values)) for c in verdict.conditions] == [
        ("buy", "close > 3", True, {"close": 4}),
        ("buy", "open < 2", False, {"open": 4}),
        ("buy", "volume >= 10", True, {"volume": 10}),
        ("buy", "close > 100", False, {"close": 4}),
    ]


def test_the_reason_of_a_hold_names_the_conditions_that_were_not_met() -> None:
    verdict = compiled("close > 3 AND close > 5", "close < 2").evaluate(candles_of(4))

    assert verdict.reasoning == (
        "HOLD because buy does not hold: close > 5 is false (close = 4); "
        "sell does not hold: close < 2 is false (close = 4)."
    )


def test_the_reason_of_an_abstention_names_what_is_missing_and_how_many_candles_are_wanted() -> None:
    verdict = compiled("rsi_14 < 30 AND close > 0", indicators=["rsi(14)"]).evaluate(candles_of(1, 2, 3))

    assert verdict.signal is None
    assert verdict.reasoning.startswith("Cannot decide: buy has no value, because rsi_14 is missing at this candle")
    assert "3 candles are too few, " in verdict.reasoning


def test_the_reason_of_a_contradiction_names_both_sides() -> None:
    verdict = compiled("close > 1", "close > 2").evaluate(candles_of(3))

    assert verdict.signal is None
    assert "buy and sell both hold" in verdict.reasoning
    assert "buy: close > 1 (close = 3); sell: close > 2 (close = 3)" in verdict.reasoning


def test_a_division_by_zero_is_no_decision_and_says_so() -> None:
    verdict = compiled("1 / (close - 3) > 0").evaluate(candles_of(3))

    assert verdict.signal is None
    assert "'1 / (close - 3) > 0' is undefined here" in verdict.reasoning


def test_what_a_condition_saw_includes_the_past_it_asked_for() -> None:
    (condition,) = compiled("close > prev(highest(high, 2), 1) + open").evaluate(candles_of(5, 6, 7)).conditions

    assert dict(condition.values) == {"close": 7, "prev(highest(high, 2), 1)": 7, "open": 7}


def test_what_a_crossing_saw_are_both_lines_now_and_one_candle_before() -> None:
    (condition,) = (
        compiled("crosses_above(close, sma_2)", indicators=["sma(2)"]).evaluate(candles_of(5, 4, 8)).conditions
    )

    assert condition.value is True
    assert dict(condition.values) == {"prev(close, 1)": 4, "close": 8, "prev(sma_2, 1)": 4.5, "sma_2": 6}


@pytest.mark.parametrize(
    ("condition", "parts"),
    [
        ("close>1 and (open>2 or  high>3)", ["close>1", "open>2", "high>3"]),
        ("((close > 1)) AND (((open) > (2)))", ["close > 1", "((open) > (2))"]),
        ("NOT (close > 1 AND open > 2)", ["NOT (close > 1 AND open > 2)"]),
        ("close in (1, 2) and close is not null", ["close in (1, 2)", "close is not null"]),
        ("close not between (1) and (2 + 3)", ["close not between (1) and (2 + 3)"]),
        ("(close + open) * 2 > (3)", ["(close + open) * 2 > (3)"]),
        ("close > 1\n  AND\topen\n> 2", ["close > 1", "open > 2"]),
        ("prev( close , 1 )/open < 1 or true", ["prev( close , 1 )/open < 1", "true"]),
    ],
)
def test_a_condition_is_quoted_as_its_author_wrote_it(condition: str, parts: list[str]) -> None:
    def bare(text: str) -> str:
        return text.strip("() ")

    texts = [c.text for c in compiled(condition).evaluate(candles_of(1, 2)).conditions]

    assert [bare(text) for text in texts] == [bare(part) for part in parts]
    assert all(text.count("(") == text.count(")") for text in texts)


def test_a_verdict_says_which_candle_it_decided_on() -> None:
    verdict = compiled("close > 1").evaluate(candles_of(1, 2, 0.0000081))

    assert (verdict.open_time_ms, verdict.close) == (2 * HOUR_MS, 0.0000081)
    assert verdict.reasoning == "HOLD because buy does not hold: close > 1 is false (close = 0.0000081)."


def test_no_candles_at_all_are_refused() -> None:
    with pytest.raises(BadInput, match="no candles to decide on"):
        compiled("close > 1").evaluate(Candles.empty())
    assert len(compiled("close > 1").series(Candles.empty())) == 0


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ("close", "'close' is a number, not a condition"),
        ("close > 1 AND open", "'open' is a number where a condition is needed"),
        ("(close > 1) + 1 > 0", "is a condition where a number is needed"),
        ("highest(close > 1, 3) > 0", "is a condition where a number is needed"),
        ("rsi_14 < 'abc'", "there is no text to compare with"),
        ("close / 0 > 1", "'close / 0' divides by zero"),
        ("close % 0 > 1", "divides by zero"),
        ("close = NULL", "IS NULL"),
        ("rsi_15 < 30", "unknown column 'rsi_15'. Did you mean 'rsi_14'?"),
        ("highst(close, 2) > 1", "unknown function 'highst'. Did you mean 'highest'?"),
        ("abs(close, 2) > 1", "Write abs(x)"),
        ("prev(close) > 1", "Write prev(x, n)"),
        ("1 < close < 3", "use AND to combine comparisons"),
        ("close >", "can't be read as an expression"),
        ("close > 1e999", "too large a number"),
    ],
)
def test_a_mistake_is_refused_when_the_rules_are_compiled(condition: str, says: str) -> None:
    with pytest.raises(BadInput) as refused:
        compiled(sell=condition, indicators=["rsi(14)"])

    assert str(refused.value).startswith("sell: ")
    assert says in str(refused.value)


def test_mistakes_in_both_rules_are_named_together() -> None:
    with pytest.raises(BadInput, match=r"buy: unknown column 'x'.* sell: unknown column 'y'"):
        compiled("x > 1", "y > 1")


SOME_RULES = (
    "rsi_14 < 45 AND close > prev(close, 1)",
    "crosses_above(close, prev(highest(high, 5), 1)) OR crosses_below(macd_12_26_9, macd_12_26_9_signal)",
    "lowest(prev(low, 2), 3) > 100 OR close / (close - prev(close, 1)) > 5",
    "prev(rsi_14 IS NULL, 3) OR NOT highest(rsi_14, 10) > 60",
    "volume > 1.5 * ema_5_of_volume AND greatest(open, prev(close, 1)) < close",
)
INDICATORS = ("rsi(14)", "macd(12,26,9)", "ema(5) of volume")


def walk_of(length: int, seed: int) -> Candles:
    random = np.random.default_rng(seed)
    close = 100 + np.cumsum(random.integers(-2, 3, length)).astype(float)
    high = close + random.integers(0, 3, length).astype(float)
    low = close - random.integers(0, 3, length).astype(float)
    return Candles(np.arange(length) * HOUR_MS, close, high, low, close, random.uniform(1, 9, length))


@settings(max_examples=25, deadline=None)
@given(
    buy=st.sampled_from(SOME_RULES),
    sell=st.sampled_from(SOME_RULES),
    length=st.integers(1, 120),
    seed=st.integers(0, 2**32),
    data=st.data(),
)
def test_later_candles_change_nothing_and_the_verdict_is_the_series_last_row(
    buy: str, sell: str, length: int, seed: int, data: st.DataObject
) -> None:
    rules, candles = compiled(buy, sell, INDICATORS), walk_of(length, seed)
    end = data.draw(st.integers(1, length))

    series = rules.series(candles)
    verdict = rules.evaluate(candles.slice(0, end))

    assert len(series) == length
    assert decided(verdict) == series.at(end - 1)
    assert SIGNALS[int(series.signals()[end - 1])] == verdict.signal
    assert rules.decide(candles.slice(0, end)) == verdict
    rules.check_prefixes(candles, [1, end, length])


@pytest.mark.parametrize("at_once", sampled([64, 7, 1], 3))
def test_candles_that_are_decided_in_several_queries_are_decided_as_in_one(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules, candles = compiled(SOME_RULES[1], SOME_RULES[3], INDICATORS), walk_of(150, 5)
    whole, steps = rules.series(candles), steps_of(rules, candles)

    monkeypatch.setattr(rules_module, "MOST_AT_ONCE", at_once)
    series = rules.series(candles)

    assert np.array_equal([series.buy, series.sell], [whole.buy, whole.sell])
    assert set(whole.buy.tolist()) == {-1, 0, 1}
    for name, column in steps_of(rules, candles).items():
        assert np.array_equal(column, steps[name], equal_nan=True)


@pytest.mark.parametrize("buy", ["close > prev(2, 5)", "close > highest(2, 4)", "prev(prev(2, 3) < close, 4)"])
def test_a_literal_that_is_looked_back_to_is_there_however_many_candles_one_query_sees(
    buy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules, candles = compiled(buy, "rsi_14 < 45", INDICATORS), walk_of(60, 5)
    assert rules.decide(candles) == rules.evaluate(candles)
    assert rules.decide(candles).buy is True
    whole = rules.series(candles)
    monkeypatch.setattr(rules_module, "MOST_AT_ONCE", 16)
    assert np.array_equal(rules.series(candles).buy, whole.buy)


def test_rules_ask_for_all_candles_that_they_look_back_to() -> None:
    assert compiled("close > prev(2, 400)").history == 401


def test_an_indicator_that_repaints_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def knows_the_end(specs: Sequence[Spec], candles: Candles) -> dict[str, Floats]:
        return {specs[0].columns[0]: np.full(len(candles), candles.close[-1] if len(candles) else 0.0)}

    rules = compiled("sma_2 > 3", indicators=["sma(2)"])
    monkeypatch.setattr(rules_module, "compute", knows_the_end)

    with pytest.raises(BadInput, match=r"look ahead: .*1970-01-01T01:00Z"):
        rules.check_prefixes(candles_of(1, 2, 3, 4), [2])
    with pytest.raises(BadInput, match=r"look ahead: .*1970-01-01T02:00Z"):
        rules.decide(candles_of(1, 2, 3, 4))


def test_the_same_rules_over_the_same_candles_are_evaluated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[int] = []

    def counted(specs: Sequence[Spec], candles: Candles) -> dict[str, Floats]:
        computed.append(len(candles))
        return compute(specs, candles)

    rules, candles = compiled("sma_2 > 3", indicators=["sma(2)"]), candles_of(1, 2, 3, 4)
    monkeypatch.setattr(rules_module, "compute", counted)
    first = rules.decide(candles)
    assert rules.decide(candles_of(1, 2, 3, 4)) is first
    assert computed == [4, 3], "with the last candle and without it"
    assert rules.decide(candles_of(1, 2, 3, 5)) != first
    assert rules.decide(candles_of(1, 2, 3)) != first


def test_prefixes_outside_of_the_series_are_passed_over() -> None:
    compiled("close > 1").check_prefixes(candles_of(1), [-1, 0, 1, 2])


def test_rules_may_be_evaluated_by_several_threads_at_once() -> None:
    rules = compiled(SOME_RULES[0], SOME_RULES[1], INDICATORS)
    inputs = [walk_of(80, seed) for seed in range(6)]
    alone = [rules.series(candles) for candles in inputs]
    wrong: list[int] = []

    def work(position: int) -> None:
        for _ in range(10):
            series = rules.series(inputs[position])
            if not np.array_equal([series.buy, series.sell], [alone[position].buy, alone[position].sell]):
                wrong.append(position)

    threads = [Thread(target=work, args=(position,)) for position in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


def test_on_real_candles_the_history_wanted_decides_as_the_whole_past_does() -> None:
    candles = hourly_candles()
    rules = compiled("rsi_14 < 30 AND close > prev(lowest(low, 20), 1)", "macd_12_26_9_hist < 0", INDICATORS)
    whole = rules.series(candles)

    for end in range(len(candles), len(candles) - 4_000, -211):
        verdict = rules.evaluate(candles.slice(end - rules.history, end))
        assert decided(verdict) == whole.at(end - 1)
    rules.check_prefixes(candles, [500, 5_000, 17_000])


@pytest.mark.parametrize("start", sampled([*range(0, len(catalog.names()), 15)], 6))
def test_any_indicator_of_the_catalogue_can_stand_in_a_rule(start: int) -> None:
    usable = [name for name in catalog.names()[start : start + 15] if name not in OUT_OF_REACH]
    columns = [parse_spec(name).columns[0] for name in usable]
    always = [f"({column} > prev({column}, 1) OR {column} <= prev({column}, 1))" for column in columns]

    rules = Rules(buy=" AND ".join(always), sell=None, indicators=tuple(usable))
    verdict = compile_rules(rules, "1h").evaluate(made_candles(200))

    assert verdict.buy is True
