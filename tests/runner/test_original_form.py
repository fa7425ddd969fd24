"""A strategy as the first note wrote it: an array without names, names of tools as hosts write them, an interval."""

import json
from pathlib import Path
from typing import Any

import pytest

from mcp_server.storage.home import Home
from mcp_server.storage.strategies.folders import StrategyFolders
from tests.rigs.scripted_messages_api import ORCHESTRATOR, Reply, ScriptedMessagesApi, answer, say, start, use
from tests.runner.claude_runs import KEY
from tests.runner.conftest import Command

CONFIG: dict[str, Any] = {
    "name": "btc-rsi-dip",
    "description": "Buy BTC when the RSI shows that it was oversold",
    "trading_pair": "BTC/USDT",
    "interval": "1h",
    "synthesis_logic": "BUY when the RSI is below 30, SELL when it is above 70, else HOLD.",
}
AGENTS = [
    {
        "description": "Price Monitor",
        "prompt": "[price] Use get_price to fetch BTC/USDT price. Return JSON: {'price': float, 'timestamp': str}",
        "tools": ["mcp__market__get_price"],
        "model": "sonnet",
    },
    {
        "description": "RSI Analyzer",
        "prompt": "[rsi] Use get_ohlcv and calculate_rsi. Return JSON: {'rsi': float, 'trend': str}",
        "tools": ["mcp__market__get_ohlcv", "mcp__indicators__calculate_rsi"],
        "model": "sonnet",
    },
]
SIGNAL = {
    "signal": "HOLD",
    "confidence": 55,
    "reasoning": "The RSI is in the middle.",
    "sub_agent_results": {"price-monitor": {"price": 1.0}, "rsi-analyzer": {"rsi": 50.0}},
}


@pytest.fixture(autouse=True)
def _original(home: Path) -> None:
    folder = Home(home).strategies / "btc-rsi-dip"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "agents.json").write_text(json.dumps(AGENTS))


def test_it_loads_and_passes_the_check(trader: Command, home: Path) -> None:
    loaded = StrategyFolders(Home(home), home / "none").read("btc-rsi-dip")
    assert {name: agent.tools for name, agent in loaded.agents.items()} == {
        "price-monitor": ("get_price",),
        "rsi-analyzer": ("get_ohlcv", "calculate_rsi"),
    }

    checked = trader("strategies", "check", "btc-rsi-dip", "--json", TRADER_EXCHANGE="simulated")
    assert (checked.code, checked.json["findings"]) == (0, [])


@pytest.mark.long
def test_it_runs(trader: Command) -> None:
    script = {
        ORCHESTRATOR: [Reply(calls=[start("price-monitor", "go"), start("rsi-analyzer", "go")]), answer(SIGNAL)],
        "[price]": [use("mcp__trader__get_price", {"symbol": "BTC/USDT"}), say("It costs 1.")],
        "[rsi]": [use("mcp__trader__calculate_rsi", {"symbol": "BTC/USDT"}), say("The RSI is 50.")],
    }
    with ScriptedMessagesApi(script) as api:
        environment = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": KEY, "TRADER_EXCHANGE": "simulated"}
        done = trader("run", "btc-rsi-dip", "--json", **environment)
    assert (done.code, done.json["signal"], done.json["confidence"]) == (0, "HOLD", 55), done
