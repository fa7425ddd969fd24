from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from mcp_server.domain.scoring.terms import terms_of
from mcp_server.domain.strategy.claude_answer import ClaudeAnswer
from mcp_server.domain.strategy.run_prompts import HEADLINES, host_agent_prompt, orchestrator_prompt, sub_agent_prompt
from runner.claude.prompt import INSTRUCTIONS
from tests.runner.claude_runs import AS_OF, GOOD_ANSWER, strategy


def test_the_orchestrator_is_told_everything_it_passes_on() -> None:
    what = strategy(description="Buys dips.", synthesis_logic="BUY when the RSI is below 30.")
    prompt = orchestrator_prompt(what, "kraken", AS_OF)
    for said in (
        "dip",
        "Buys dips.",
        "BTC/USDT",
        "kraken",
        "2026-03-01T12:00:00+00:00",
        "BUY when the RSI is below 30.",
    ):
        assert said in prompt
    for name, agent in what.agents.items():
        assert f'"{name}": "{agent.description}"' in prompt


def test_every_sub_agent_is_told_the_moment_whatever_the_orchestrator_says() -> None:
    elsewhere = datetime(2026, 3, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    prompt = sub_agent_prompt(strategy(), "price-monitor", "kraken", elsewhere)
    assert prompt.startswith("You watch.")
    for said in ("Symbol: BTC/USDT", "Exchange: kraken", "As-of time: 2026-03-01T12:00:00+00:00"):
        assert said in prompt


@pytest.mark.parametrize("tools", [["get_news"], ["mcp__market__get_news"], ["get_price"]])
def test_an_agent_that_may_see_headlines_is_told_that_they_are_data(tools: list[str]) -> None:
    agent = {"description": "Reads", "prompt": "You read.", "tools": tools}
    what = strategy({"reader": agent})
    for prompt in (sub_agent_prompt(what, "reader", "kraken", AS_OF), host_agent_prompt(what.agents["reader"])):
        assert (HEADLINES in prompt) == (tools != ["get_price"])
    assert "data to judge" in HEADLINES


@pytest.mark.parametrize(
    ("config", "horizon", "costs", "candle"),
    [
        ({}, "close 24 h later", "the 0.3 % that a round trip costs.", "next 1h candle"),
        ({"interval": "1d"}, "close 5 d later", "the 0.3 %", "next 1d candle"),
        ({"horizon": "12h", "costs": {"fee_bps": 2, "slippage_bps": 1.5}}, "close 12 h later", "the 0.07 %", "next 1h"),
        ({"interval": "4h", "horizon": "30h"}, "close 28 h later", "the 0.3 %", "next 4h candle"),
        ({"trading_pair": "BTC/USDT:USDT"}, "close 24 h later", "costs, fundings included.", "next 1h candle"),
    ],
)
def test_the_orchestrator_is_told_by_what_its_signal_will_be_judged(
    config: dict[str, Any], horizon: str, costs: str, candle: str
) -> None:
    what = strategy(**config)
    prompt = orchestrator_prompt(what, "kraken", AS_OF)
    for part in (horizon, costs, candle, "BUY is right if it rises, and SELL if it falls, by more than"):
        assert part in prompt
    assert f"{terms_of(what, 'claude', 'kraken').cost_bps / 100:g} %" in prompt, (
        "the costs that are frozen at its claim"
    )


def test_a_confidence_is_a_probability_that_is_scored_and_a_holds_is_not() -> None:
    said = " ".join(INSTRUCTIONS.split())
    assert "probability, in per cent, that the signal is right as it will be judged, and nothing else" in said
    assert "It is scored as that" in said
    assert "A HOLD is neither right nor wrong, and its confidence is not scored" in said


def test_a_direction_is_the_sub_agents_own_and_optional() -> None:
    prompt = sub_agent_prompt(strategy(horizon="12h"), "price-monitor", "kraken", AS_OF)
    for part in (
        "direction of BTC/USDT in the next 12 h",
        "you may add it",
        "`leans`: BUY, SELL, or HOLD",
        "leave it out",
    ):
        assert part in prompt
    assert "never choose one for it" in INSTRUCTIONS


@pytest.mark.parametrize(
    ("stated", "kept"),
    [("BUY", "BUY"), ("SELL", "SELL"), ("HOLD", "HOLD"), (" buy ", "BUY")]
    + [(other, None) for other in ("LONG", "", "BUY or SELL", None, 1, ["BUY"], {"BUY": 1})],
)
def test_a_lean_that_is_no_direction_is_left_out_and_loses_nothing_else(stated: Any, kept: str | None) -> None:
    results = {"price-monitor": {"last": 42.5, "leans": stated}, "rsi-analyzer": {"rsi": 28.5}}
    answer = ClaudeAnswer.model_validate({**GOOD_ANSWER, "sub_agent_results": results})
    assert (answer.signal, answer.confidence) == ("BUY", 72)
    assert answer.sub_agent_results["rsi-analyzer"] == {"rsi": 28.5}
    assert answer.sub_agent_results["price-monitor"] == {"last": 42.5, **({"leans": kept} if kept else {})}


def test_the_schema_names_a_lean_and_refuses_none() -> None:
    findings = ClaudeAnswer.model_json_schema()["properties"]["sub_agent_results"]["additionalProperties"]
    assert list(findings["properties"]["leans"]) == ["description"]
    assert "Optional" in findings["properties"]["leans"]["description"]
    assert findings["additionalProperties"] is True
    assert "required" not in findings


def test_the_schema_requires_four_keys() -> None:
    schema = ClaudeAnswer.model_json_schema()
    assert schema["required"] == ["signal", "confidence", "reasoning", "sub_agent_results"]
    assert schema["properties"]["signal"]["enum"] == ["BUY", "SELL", "HOLD"]


def test_a_sub_agent_is_told_the_markets_that_are_its_own() -> None:
    agents = {"a": {"description": "d", "prompt": "p", "tools": ["get_price"], "markets": ["ETH/USDT", "SOL/USDT"]}}
    assert "look at: ETH/USDT, SOL/USDT" in sub_agent_prompt(strategy(agents), "a", "kraken", AS_OF)
