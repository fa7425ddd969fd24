"""Variations of a sweep: what they write into the rules, and what is refused before anything is computed."""

import time

import pytest

from mcp_server.domain.backtest.variation import MOST_VARIANTS
from mcp_server.domain.backtest.vary import Variant, variants
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.errors import BadInput


def strategy(*indicators: str, buy: str = "close > 0", sell: str | None = None, wake: str | None = None) -> Strategy:
    rules = {"indicators": list(indicators), "buy": buy, "confidence": 60} | ({"sell": sell} if sell else {})
    config = {"trading_pair": "BTC/USD", "interval": "1h", "rules": rules} | ({"wake": wake} if wake else {})
    return parse_strategy("idea", config, None)


IDEA = strategy("rsi(14)", buy="crosses_above(RSI_14, 30)", sell="rsi_14 > 70 OR close > 130", wake="rsi_14 < 30.0")


def written(variant: Variant) -> tuple[tuple[str, ...], str | None, str | None]:
    rules = variant.strategy.config.rules
    assert rules is not None
    return rules.indicators, rules.buy, rules.sell


def only(idea: Strategy, text: str) -> tuple[tuple[str, ...], str | None, str | None]:
    own, variant = variants(idea, [text])
    assert own.strategy is idea
    return written(variant)


def test_the_grid_has_every_combination_and_the_strategys_own_values_first() -> None:
    made = variants(IDEA, ["rsi(14)=rsi(7),rsi(21)", "30=25"])

    assert [variant.label for variant in made] == [
        "as it is",
        "30 → 25",
        "rsi(14) → rsi(7)",
        "rsi(14) → rsi(7), 30 → 25",
        "rsi(14) → rsi(21)",
        "rsi(14) → rsi(21), 30 → 25",
    ]
    assert made[0].strategy is IDEA
    assert written(made[3]) == (("rsi(7)",), "crosses_above(rsi_7, 25)", "rsi_7 > 70 OR close > 130")
    assert made[3].strategy.config.wake == "rsi_7 < 25"
    assert len({variant.strategy.version for variant in made}) == 6


def test_what_is_not_varied_stays_as_it_was() -> None:
    _, variant = variants(IDEA, ["30=25"])
    before, after = IDEA.config_json(), variant.strategy.config_json()
    for config in (before, after):
        del config["rules"]["buy"], config["wake"]

    assert after == before


@pytest.mark.parametrize(
    ("indicators", "buy", "text", "expected"),
    [
        (["macd(12,26,9)"], "macd_12_26_9_hist > 0", "macd(12,26,9)=macd(5,35,5)", "macd_5_35_5_hist > 0"),
        (["macd(12,26,9).hist"], "macd_12_26_9_hist > 0", "macd(12,26,9)=macd(5,35,5)", "macd_5_35_5_hist > 0"),
        (["macd(12,26,9)"], "macd_12_26_9 > 1", "macd(12,26,9)=ema(9)", "ema_9 > 1"),
        (["ema(50) of rsi(14)"], "ema_50_of_rsi_14 > 5", "rsi(14)=mfi(7)", "ema_50_of_mfi_7 > 5"),
        (["correl(20) of close, rsi(9)"], "correl_20_of_close_rsi_9 > 0", "rsi(9)=adx", "correl_20_of_close_adx > 0"),
        (["correl(20) of close, volume"], "correl_20_of_close_volume > 0",
         "correl(20) of close, volume=correl(9) of close, volume", "correl_9_of_close_volume > 0"),
        (["ema(20) of volume", "ema(20)"], "ema_20_of_volume > ema_20", "ema(20)=ema(9)", "ema_20_of_volume > ema_9"),
        (["bbands(20, nbdevup=2.5)"], "close < bbands_20_2p5_lower", "bbands(20,nbdevup=2.5)=bbands(10)",
         "close < bbands_10_lower"),
        ([], "close > 30 AND close > 130 AND close > 30.5", "30=25", "close > 25 AND close > 130 AND close > 30.5"),
        ([], "close > 3e1 AND high > .5", "30.0=2e1", "close > 2e1 AND high > .5"),
        ([], "close -30 > 0", "30=-5", "close -(-5) > 0"),
        ([], "prev(close, 3) > 0", "3=9", "prev(close, 9) > 0"),
    ],
)  # fmt: skip
def test_an_indicator_changes_with_its_columns_and_a_number_where_it_stands_by_itself(
    indicators: list[str], buy: str, text: str, expected: str
) -> None:
    assert only(strategy(*indicators, buy=buy), text)[1] == expected


def test_changes_are_made_at_once_so_that_two_can_be_swapped() -> None:
    idea = strategy("rsi(14)", "ema(9) of rsi(14)", buy="rsi_14 > 30 AND ema_9_of_rsi_14 < 70")
    made = variants(idea, ["30=70", "70=30", "rsi(14)=rsi(7)", "ema(9) of rsi(14)=ema(5) of rsi(14)"])

    assert written(made[-1])[:2] == (("rsi(7)", "ema(5) of rsi(7)"), "rsi_7 > 70 AND ema_5_of_rsi_7 < 30")


def test_its_own_value_among_the_values_is_tried_once() -> None:
    assert [v.label for v in variants(IDEA, ["30=25,30.0,35"])] == ["as it is", "30 → 25", "30 → 35"]
    assert len(variants(IDEA, ["rsi(14)=rsi( 14 ),rsi(7)"])) == 2


@pytest.mark.parametrize(
    ("texts", "problem", "remedy"),
    [
        (["rsi(14)"], "what to vary", "30=25,35"),
        (["=7"], "what to vary", "30=25,35"),
        (["30="], "empty value", "30=25,35"),
        (["30=25,,35"], "empty value", "30=25,35"),
        (["30=25,25.0"], "twice", "Leave one out"),
        (["30=30.0"], "nothing but what is there", "another value"),
        (["rsi(14)=rsi(7),rsi(timeperiod=7)"], "twice", "Leave one out"),
        (["30=25", "30.0=35"], "varied twice", "one variation"),
        (["30=rsi(7)"], "no number", "30=25,35"),
        (["-30=25"], "sign", "'30='"),
        (["rsi(14)=7"], "'7'", "rsi(14)"),
        (["rsi(14)=rsi(0)"], "rsi(0)", "from 2"),
        (["rsi(14)=rsii(7)"], "rsii", "rsi"),
        (["foo=rsi(7)"], "foo", ""),
        (["rsi(14)=rs(14)"], "Unknown indicator 'rs'", "rsi"),
        (["crosses_above(rsi_14, 30)=crosses_above(rsi_14, 25)"], "'crosses_above(rsi_14, 30)' is neither", "30=25,35"),
        (["rsi(14)=PREV(rsi_14, 1)"], "'PREV(rsi_14, 1)' is neither an indicator nor a number", "rsi(14)=rsi(7)"),
        (["rsi_14=rsi_21"], "'rsi_14' is neither", "rsi(14)=rsi(7)"),
        (["rsi_14 > 70=rsi_14 > 60"], "'rsi_14 > 70' is neither", "30=25,35"),
        (["14=7"], "'14' is not in the rules", "30, 70, 130"),
        (["rsi(9)=rsi(7)"], "'rsi(9)' is not in the rules", "rsi(14)"),
        (["rsi(14)=obv"], "depends on where a running total begins", "prev(obv, 20)"),
        (["rsi(14)=aroon(14)"], "'aroon(14)' in place of 'rsi(14)'", ""),
    ],
)  # fmt: skip
def test_a_variation_that_cannot_be_is_refused_with_its_remedy(texts: list[str], problem: str, remedy: str) -> None:
    with pytest.raises(BadInput) as refused:
        variants(IDEA, texts)
    assert problem in refused.value.problem
    assert remedy in refused.value.remedy


def test_an_indicator_that_buy_and_sell_do_not_look_at_cannot_be_varied() -> None:
    with pytest.raises(BadInput, match="not in the rules"):
        variants(strategy("rsi(14)", wake="rsi_14 < 30"), ["rsi(14)=rsi(7)"])


def test_a_number_that_only_wakes_cannot_be_varied() -> None:
    with pytest.raises(BadInput, match="not in the rules"):
        variants(strategy(wake="close > 7"), ["7=8"])


def test_a_grid_of_a_million_is_refused_at_once_and_before_its_values_are_read() -> None:
    values = ",".join(f"rsi({period})" for period in range(1001, 2001))
    began = time.monotonic()
    with pytest.raises(BadInput, match="1,002,001") as refused:
        variants(IDEA, [f"rsi(14)={values}", f"30={','.join(map(str, range(100, 1100)))}"])

    assert time.monotonic() - began < 1
    assert f"{MOST_VARIANTS:,}" in str(refused.value)


def test_a_strategy_without_rules_has_nothing_to_vary() -> None:
    config = {"trading_pair": "BTC/USD", "interval": "1h"}
    agents = {"price": {"description": "Looks", "prompt": "Look", "tools": ["get_price"]}}
    with pytest.raises(BadInput, match="no rules"):
        variants(parse_strategy("idea", config, agents), ["30=25"])
