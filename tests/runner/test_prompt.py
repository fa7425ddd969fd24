from datetime import datetime, timedelta, timezone

from runner.claude.prompt import ClaudeAnswer, orchestrator_prompt, sub_agent_prompt
from tests.runner.claude_runs import AS_OF, strategy


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


def test_the_schema_requires_four_keys() -> None:
    schema = ClaudeAnswer.model_json_schema()
    assert schema["required"] == ["signal", "confidence", "reasoning", "sub_agent_results"]
    assert schema["properties"]["signal"]["enum"] == ["BUY", "SELL", "HOLD"]


def test_a_sub_agent_is_told_the_markets_that_are_its_own() -> None:
    agents = {"a": {"description": "d", "prompt": "p", "tools": ["get_price"], "markets": ["ETH/USDT", "SOL/USDT"]}}
    assert "look at: ETH/USDT, SOL/USDT" in sub_agent_prompt(strategy(agents), "a", "kraken", AS_OF)
