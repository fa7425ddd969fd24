"""The decision version changes with what decides, and with nothing else."""

from typing import Any

import pytest

from mcp_server.domain.strategy.parse import InvalidStrategy, parse_strategy
from mcp_server.domain.strategy.strategy import Strategy

RULES = {"indicators": ["rsi(14)"], "buy": "rsi_14 < 100", "sell": "rsi_14 > 100", "confidence": 60}
CONFIG: dict[str, Any] = {"trading_pair": "BTC/USDT", "interval": "1h", "rules": RULES}
AGENT = {"description": "Watches", "prompt": "Use get_price.", "tools": ["mcp__market__get_price"]}


def strategy(name: str = "mine", agent: dict[str, Any] | None = None, **keys: Any) -> Strategy:
    return parse_strategy(name, {**CONFIG, **keys}, {"watcher": {**AGENT, **(agent or {})}})


def decides(strategy: Strategy, default_exchange: str = "kraken") -> str:
    return strategy.decision_version(default_exchange)


SAME: dict[str, dict[str, Any]] = {
    "a pause": {"status": "paused"},
    "another description": {"description": "Another"},
    "a budget": {"budget": {"usd_per_run": 0.25, "usd_per_day": 2}},
    "missed slots": {"misfire": {"grace_s": 600, "policy": "skip"}},
    "a later start": {"offset_s": 60},
    "more patience with failures": {"max_failures": 50},
    "another horizon": {"horizon": "12h"},
    "other costs": {"costs": {"fee_bps": 40}},
    "when it is to stop": {"stop": {"no_skill": 0.01, "minimum_edge_pct": 0.5}},
    "that its runs are recorded": {"record": True},
    "the zone of no cron": {"timezone": "Europe/Berlin"},
    "the default exchange": {"exchange": "kraken"},
    "the default engine": {"engine": "claude"},
    "the default model": {"model": "default"},
    "the default limits": {"max_turns": 20, "timeout_s": 300},
    "the default timeframe": {"rules": {**RULES, "timeframe": "1h"}},
    "the same confidence": {"rules": {**RULES, "confidence": 60.0}},
    "the default of a sub-agent": {"agent": {"model": "inherit", "markets": []}},
}

OTHER: dict[str, dict[str, Any]] = {
    "a rule": {"rules": {**RULES, "buy": "rsi_14 < 30"}},
    "an indicator": {"rules": {**RULES, "indicators": ["rsi(14)", "ema(50)"]}},
    "the timeframe": {"rules": {**RULES, "timeframe": "4h"}},
    "the confidence": {"rules": {**RULES, "confidence": 61}},
    "the market": {"trading_pair": "ETH/USDT"},
    "the exchange": {"exchange": "coinbase"},
    "the interval": {"interval": "4h"},
    "the engine": {"engine": "rules"},
    "the model": {"model": "opus"},
    "the turns": {"max_turns": 30},
    "the synthesis": {"synthesis_logic": "The majority decides."},
    "the condition of asking": {"wake": "rsi_14 < 30"},
    "a prompt": {"agent": {"prompt": "Use get_price twice."}},
    "the model of a sub-agent": {"agent": {"model": "opus"}},
    "the markets of a sub-agent": {"agent": {"markets": ["ETH/USDT"]}},
}


@pytest.mark.parametrize("change", SAME)
def test_what_decides_nothing_keeps_the_decision_version(change: str) -> None:
    assert decides(strategy(**SAME[change])) == decides(strategy())


def test_another_name_keeps_the_decision_version() -> None:
    assert decides(strategy("other")) == decides(strategy())


@pytest.mark.parametrize("change", OTHER)
def test_what_decides_changes_the_decision_version(change: str) -> None:
    assert decides(strategy(**OTHER[change])) != decides(strategy())


def test_the_engine_that_really_ran_is_what_decides() -> None:
    assert strategy().decision_version("kraken", "claude") == decides(strategy())
    assert strategy().decision_version("kraken", "rules") == decides(strategy(engine="rules"))


def test_the_zone_of_a_cron_changes_the_decision_version() -> None:
    cron: dict[str, Any] = {"interval": None, "cron": "0 9 * * *", "rules": {**RULES, "timeframe": "1h"}}
    assert decides(strategy(**cron, timezone="Europe/Berlin")) != decides(strategy(**cron))
    assert decides(strategy(**cron, timezone="UTC")) == decides(strategy(**cron))


def test_a_strategy_without_an_exchange_decides_on_the_default_one() -> None:
    assert decides(strategy(), "kraken") != decides(strategy(), "coinbase")
    named = strategy(exchange="binance")
    assert decides(named, "kraken") == decides(named, "coinbase")


def test_the_version_of_a_strategy_from_before_there_were_costs_stays() -> None:
    before = strategy(budget={"usd_per_run": 0.25}, horizon="24h")
    assert before.version == "8a7b258a45c6", "executions and kept versions name it"


def test_costs_are_ten_and_five_basis_points_unless_they_are_given() -> None:
    costs = strategy().config.costs
    assert (costs.fee_bps, costs.slippage_bps) == (10, 5)
    costs = strategy(costs={"fee_bps": 7.5}).config.costs
    assert (costs.fee_bps, costs.slippage_bps) == (7.5, 5)
    assert strategy(costs={"fee_bps": 0}).config_json()["costs"] == {"fee_bps": 0}


@pytest.mark.parametrize("value", [-0.1, 1000.5, "10", True, None, float("nan"), float("inf"), [10]])
@pytest.mark.parametrize("key", ["fee_bps", "slippage_bps"])
def test_costs_that_are_no_numbers_or_cannot_be_are_refused(key: str, value: Any) -> None:
    with pytest.raises(InvalidStrategy, match=rf"config\.json costs\.{key}: "):
        strategy(costs={key: value})


def test_an_unknown_cost_names_the_nearest() -> None:
    with pytest.raises(InvalidStrategy, match=r"costs\.fee_bp: not a known key\. Did you mean 'fee_bps'"):
        strategy(costs={"fee_bp": 10})
