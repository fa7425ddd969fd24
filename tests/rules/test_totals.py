"""No rule depends on where a running total begins: its first candle is another one at each run."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcp_server.domain.indicators.parse import parse_specs
from mcp_server.domain.rules.beginnings import unsound_conditions
from mcp_server.domain.rules.compiled import compile_rules, read_condition
from mcp_server.domain.strategy.format import Rules
from tests.domain.test_indicator_values import made_candles
from tests.rigs.sampled import sampled
from tests.tools.conftest import Ask, ask, client, settings

__all__ = ["ask", "client", "settings"]

SPECS = (
    *("obv", "ad", "nvi", "ema(20) of obv", "ema(10) of nvi", "macd of obv", "rsi(14) of obv", "bbands(20) of obv"),
    *("roc(10) of obv", "roc(10) of nvi", "sum(5) of obv", "cumsum of obv", "aobv", "rsi(14)", "floor of obv"),
    *("cumsum of volume", "linearreg_slope(5) of obv", "sub of obv, ema(20) of obv", "maxindex(9) of obv", "ln of nvi"),
)
PARSED = parse_specs(SPECS)

SOUND = [
    "obv > prev(obv, 20)",
    "obv > ema_20_of_obv",
    "obv >= highest(obv, 50)",
    "prev(obv > prev(obv, 1), 3)",
    "crosses_above(obv, ema_20_of_obv)",
    "obv - prev(obv, 10) > 5000",
    "2 * (obv - lowest(obv, 10)) > prev(obv, 3) - prev(obv, 4)",
    "(obv - prev(obv, 10)) / volume > 3",
    "obv * 2 - obv > prev(obv, 1)",
    "-obv < -prev(obv, 5)",
    "obv BETWEEN lowest(obv, 9) AND highest(obv, 9)",
    "abs(obv - prev(obv, 1)) > 10",
    "greatest(obv, prev(obv, 1)) > ema_20_of_obv",
    "obv > bbands_20_of_obv_upper",
    "macd_of_obv > 0 AND macd_of_obv > macd_of_obv_signal",
    "rsi_14_of_obv < 30",
    "linearreg_slope_5_of_obv > 0",
    "sub_of_obv_ema_20_of_obv > 0",
    "maxindex_9_of_obv < 2",
    "sum_5_of_obv > 5 * obv",
    "sum_5_of_obv / 5 < ema_20_of_obv",
    "obv IS NOT NULL AND prev(obv, 1) IS NULL",
    "nvi > prev(nvi, 20)",
    "nvi > ema_10_of_nvi",
    "nvi / prev(nvi, 1) > 1.01",
    "nvi - ema_10_of_nvi > 0",
    "nvi > 1.02 * ema_10_of_nvi",
    "abs(nvi - prev(nvi, 1)) < 0.01 * nvi",
    "nvi > 0",
    "roc_10_of_nvi > 1",
    "aobv_fast > aobv_slow AND aobv_long > 0",
    "cumsum_of_volume > prev(cumsum_of_volume, 5) + 100",
    "rsi_14 < 30 OR close > 5",
]
UNSOUND = [
    "obv > 0",
    "0 < obv",
    "obv > ad",
    "obv - ad > 0",
    "obv > 1.01 * prev(obv, 1)",
    "obv / prev(obv, 1) > 1.01",
    "abs(obv) > abs(prev(obv, 1))",
    "obv BETWEEN 0 AND 1000",
    "obv IN (1, 2)",
    "crosses_above(obv, 0)",
    "prev(obv > 0, 2)",
    "NOT obv > 0",
    "obv + prev(obv, 1) > 0",
    "obv * volume > prev(obv, 1) * volume",
    "greatest(obv, 0) > prev(obv, 1)",
    "ln(obv) > ln(prev(obv, 1))",
    "obv % 2 = 0",
    "sqrt(obv) IS NULL",
    "ema_20_of_obv > 100",
    "roc_10_of_obv > 0",
    "floor_of_obv > prev(floor_of_obv, 1)",
    "sum_5_of_obv > obv",
    "cumsum_of_obv > prev(cumsum_of_obv, 1)",
    "bbands_20_of_obv_upper > 0",
    "aobv_fast > 0",
    "nvi > 1000",
    "nvi - prev(nvi, 1) > 5",
    "nvi + 5 > prev(nvi, 1) + 5",
    "nvi * nvi > prev(nvi, 1)",
    "ln_of_nvi > prev(ln_of_nvi, 1)",
    "obv > nvi",
    "cumsum_of_volume > 1000000",
]


@pytest.mark.parametrize("text", SOUND)
def test_a_condition_that_no_beginning_changes_passes(text: str) -> None:
    assert unsound_conditions(read_condition("buy", text, PARSED), PARSED) == []


@pytest.mark.parametrize("text", UNSOUND)
def test_a_condition_that_a_beginning_could_change_is_named(text: str) -> None:
    (named,) = unsound_conditions(read_condition("buy", text, PARSED), PARSED)
    assert named in text


@pytest.mark.parametrize("text", sampled(SOUND, 3))
def test_what_passes_decides_alike_wherever_the_candles_begin(text: str) -> None:
    rules = compile_rules(Rules(indicators=SPECS, buy=text), "1h")
    candles = made_candles(900, seed=3)
    for begin in (0, 1, 57, 300):
        part, whole = rules.series(candles.slice(begin)), rules.series(candles)
        assert np.array_equal(part.buy[-100:], whole.buy[-100:])


def test_only_the_conditions_that_depend_on_it_are_named() -> None:
    specs = parse_specs(["obv", "rsi(14)"])
    rule = read_condition("buy", "rsi_14 < 30 AND (obv > 0 OR obv > prev(obv, 1) OR obv < -7)", specs)
    assert unsound_conditions(rule, specs) == ["obv > 0", "obv < -7"]


def config(**rules: Any) -> dict[str, Any]:
    return {"name": "totals", "trading_pair": "BTC/USDT", "exchange": "simulated", "interval": "1h", "rules": rules}


async def test_the_check_of_a_strategy_refuses_the_level_of_a_total(ask: Ask) -> None:
    wrong = config(indicators=["obv", "rsi(14)"], buy="obv > 0", sell="rsi_14 > 70 AND obv < prev(obv, 5)")
    answer = await ask("write_strategy", strategy_name="totals", config=wrong, dry_run=True)
    (finding,) = (finding for finding in answer["findings"] if finding[0] == "error")
    assert finding[1] == "config.json rules.buy"
    assert "'obv > 0' depends on where a running total begins" in finding[2]
    assert not answer["valid"]
    right = config(indicators=["obv", "rsi(14)"], buy="obv > prev(obv, 20)", sell="rsi_14 > 70")
    assert (await ask("write_strategy", strategy_name="totals", config=right, dry_run=True))["valid"]


async def test_a_stored_strategy_that_looks_at_the_level_of_a_total_abstains_with_the_reason(
    ask: Ask, home: Path
) -> None:
    """It was written before the check knew of this."""
    folder = home / "strategies" / "totals"
    folder.mkdir(parents=True)
    stored = config(indicators=["obv"], buy="close > 0", sell="obv > 99") | {"wake": "obv > 99"}
    (folder / "config.json").write_text(json.dumps(stored))
    (folder / "agents.json").write_text("{}")
    answer = await ask("evaluate_strategy", strategy_name="totals")
    assert answer["signal"] is None
    assert answer["reasoning"].startswith("Cannot decide: 'obv > 99' depends on where a running total begins")
    woken = await ask("evaluate_strategy", strategy_name="totals", rule="wake")
    assert woken.get("wakes") is None
    assert "depends on where a running total begins" in woken["reasoning"]


def test_such_a_rule_has_no_value_at_any_candle_and_the_other_rule_keeps_its_own() -> None:
    rules = compile_rules(Rules(indicators=("obv",), buy="obv > 0", sell="close > 0"), "1h")
    series = rules.series(made_candles(300))
    assert (set(series.buy.tolist()), set(series.sell.tolist())) == ({-1}, {1})
