"""Rules over what news gives with the candles: `news_per_hour(24)` and `fear_greed`."""

from dataclasses import replace

import numpy as np
import pytest

from mcp_server.domain.backtest.futures import another_future
from mcp_server.domain.backtest.look_ahead import prove
from mcp_server.domain.candles import Candles, GivenColumn
from mcp_server.domain.indicators.compute import compute
from mcp_server.domain.indicators.from_news import GivenNews
from mcp_server.domain.indicators.parse import parse_spec, parse_specs
from mcp_server.domain.rules.compiled import compile_rules
from mcp_server.domain.rules.series import BUY, HOLD, UNDECIDED
from mcp_server.domain.strategy.format import Rules
from mcp_server.errors import BadInput
from tests.backtest.leaks import Computed
from tests.domain.test_indicator_values import made_candles

WHY = "News has been collected since 2026-11-01T00:00Z."


def with_rate(candles: Candles, values: list[float], why: str = WHY, key: str = "news_per_hour_24") -> Candles:
    whole = np.full(len(candles), 1.0)
    whole[len(candles) - len(values) :] = values
    return replace(candles, given={**candles.given, key: GivenColumn(whole, why)})


def rules(buy: str, *indicators: str) -> Rules:
    return Rules(indicators=indicators or ("news_per_hour(24)",), buy=buy)


def test_a_spec_of_news_names_its_column_and_wants_one_candle() -> None:
    specs = parse_specs(["news_per_hour(24)", "news_per_hour(6)", "fear_greed"])
    assert [spec.columns for spec in specs] == [("news_per_hour_24",), ("news_per_hour_6",), ("fear_greed",)]
    assert [(spec.warm_up, spec.history, spec.running) for spec in specs] == [(0, 1, False)] * 3
    assert parse_spec("news_per_hour").parameters == {"hours": 24}


@pytest.mark.parametrize("text", ["news_per_hour(0)", "news_per_hour(721)", "news_per_hour(1.5)", "fear_greed(1)"])
def test_what_is_no_number_of_hours_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parse_spec(text)


def test_rules_say_which_news_they_want_only_those_that_they_use_and_each_once() -> None:
    specs = ("news_per_hour", "news_per_hour(24)", "sma(3) of news_per_hour(6)", "fear_greed", "news_per_hour(7)")
    used = "news_per_hour > news_per_hour_24 + sma_3_of_news_per_hour_6 AND fear_greed < 20"
    wanted = (GivenNews("fear_greed", None), GivenNews("news_per_hour", 6), GivenNews("news_per_hour", 24))
    assert compile_rules(rules(used, *specs), "1h").news == wanted
    assert compile_rules(rules("close > 0", *specs), "1h").news == ()


def test_rules_decide_by_what_is_given_at_each_candle() -> None:
    compiled = compile_rules(rules("news_per_hour_24 > 3"), "1h")
    candles = with_rate(made_candles(300), [2, 4, float("nan"), 5])
    assert compiled.series(candles).signals()[-5:].tolist() == [HOLD, HOLD, BUY, UNDECIDED, BUY]
    verdict = compiled.decide(candles)
    assert (verdict.signal, verdict.lacking) == ("BUY", ())
    assert compiled.decide(with_rate(candles, [2])).signal == "HOLD", "the same candles with other news"


def test_what_is_computed_of_news_begins_anew_after_a_gap() -> None:
    candles = with_rate(made_candles(300), [1, 2, 3, float("nan"), 4, 5])
    (averages,) = compute(parse_specs(["sma(2) of news_per_hour(24)"]), candles).values()
    np.testing.assert_allclose(averages[-6:], [1, 1.5, 2.5, np.nan, np.nan, 4.5])


@pytest.mark.parametrize(
    ("buy", "last", "tells"),
    [
        ("news_per_hour_24 > 3", [float("nan")], True),
        ("prev(news_per_hour_24, 2) > 3", [float("nan"), 1, 1], True),
        ("close > 0 AND NOT sma_2_of_news_per_hour_24 > 3", [float("nan"), 1], True),
        ("news_per_hour_24 > 3", [float("nan"), 1], False),
        ("news_per_hour_24 > 3 OR close > 0", [float("nan")], False),
        ("close / (news_per_hour_24 - 1) > 3", [1], False),
        ("close / (news_per_hour_24 - 1) > 3", [float("nan"), 1], False),
    ],
)
def test_who_cannot_decide_for_lack_of_news_says_why_there_are_none(buy: str, last: list[float], tells: bool) -> None:
    compiled = compile_rules(rules(buy, "news_per_hour(24)", "sma(2) of news_per_hour(24)"), "1h")
    verdict = compiled.decide(with_rate(made_candles(400), last))
    assert verdict.lacking == ((WHY,) if tells else ())
    assert verdict.reasoning.endswith(f". {WHY}") is tells


def test_candles_without_news_are_no_candles_to_decide_on() -> None:
    with pytest.raises(BadInput, match="news_per_hour_24"):
        compile_rules(rules("news_per_hour_24 > 3"), "1h").series(made_candles(300))


def test_parts_of_candles_keep_their_part_of_what_is_given() -> None:
    candles = with_rate(made_candles(50), [7, 8, 9])
    part = candles.slice(-2, None)
    assert part.given["news_per_hour_24"].values.tolist() == [8, 9]
    assert part.given["news_per_hour_24"].why == WHY
    assert candles.between(int(candles.open_time_ms[-2]), 10**15).given["news_per_hour_24"].values.tolist() == [8, 9]
    assert with_rate(candles, [8]).digest() != candles.digest()
    assert with_rate(candles, [9], why="").digest() != candles.digest()
    with pytest.raises(BadInput, match="differ in length"):
        replace(candles, given={"fear_greed": GivenColumn(np.ones(49))})


def test_a_proof_gives_other_news_after_each_cut_and_finds_who_looked_at_them() -> None:
    candles = with_rate(made_candles(300), list(np.arange(50.0)))
    other = another_future(candles, 280).given["news_per_hour_24"].values
    before, after = np.split(candles.given["news_per_hour_24"].values, [281])
    assert other[:281].tolist() == before.tolist()
    assert not set(other[281:]) & set(after)

    def columns(candles: Candles) -> dict[str, np.ndarray]:
        values = candles.given_column("news_per_hour_24")
        return {"honest": values, "early": np.append(values[1:], np.nan)}

    assert {leak.column for leak in prove(Computed(columns), candles, []).changed} == {"early"}
    proof = prove(compile_rules(rules("prev(news_per_hour_24, 1) > 3"), "1h"), candles, [])
    assert (proof.changed, proof.checked) == ((), 299)
