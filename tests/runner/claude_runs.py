"""What the tests of claude runs share: a strategy of two sub-agents, a script in which all goes well, and its parts."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from mcp_server.domain.strategy.evidence import Subject
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.domain.strategy.strategy import Strategy
from runner.claude.engine import ClaudeTask
from tests.rigs.scripted_messages_api import ORCHESTRATOR, Reply, Step, answer, say, start, use
from tests.rigs.tool_server import TOOLS

PRICE, RSI = "[price-monitor]", "[rsi-analyzer]"
AS_OF = datetime(2026, 3, 1, 12, tzinfo=UTC)
SUBJECT = Subject(frozenset({"BTC/USDT"}), "simulated", AS_OF, frozenset({"get_price", "calculate_rsi"}))
KEY = "a-key-that-must-not-leak"
ADMISSION = "a-token-of-the-server"

START_BOTH = Reply(calls=[start("price-monitor", "BTC/USDT"), start("rsi-analyzer", "BTC/USDT")])
GOOD_ANSWER: Mapping[str, Any] = {
    "signal": "BUY",
    "confidence": 72,
    "reasoning": "The RSI is 28.5.",
    "sub_agent_results": {"price-monitor": {"last": 42.5}, "rsi-analyzer": {"rsi": 28.5}},
}
GET_PRICE = use("mcp__trader__get_price", {"symbol": "BTC/USDT"})
CALCULATE_RSI = use("mcp__trader__calculate_rsi", {"symbol": "BTC/USDT"})


def script(
    orchestrator: Sequence[Step] = (START_BOTH, answer(GOOD_ANSWER)),
    price: Sequence[Step] = (GET_PRICE, say("It costs 42.5.")),
    rsi: Sequence[Step] = (CALCULATE_RSI, say("The RSI is 28.5.")),
) -> dict[str, Sequence[Step]]:
    """Give a script; what is not said goes well."""
    return {ORCHESTRATOR: orchestrator, PRICE: price, RSI: rsi}


def strategy(agents: Mapping[str, Any] | None = None, **config: Any) -> Strategy:
    """Give the strategy of both sub-agents, with other settings or sub-agents where said."""
    both = {
        "price-monitor": {"description": "Watches it.", "prompt": f"You watch. {PRICE}", "tools": ["get_price"]},
        "rsi-analyzer": {"description": "Reads it.", "prompt": f"You read. {RSI}", "tools": ["calculate_rsi"]},
    }
    settings = {"trading_pair": "BTC/USDT", "interval": "1h", "timeout_s": 60, **config}
    return parse_strategy("dip", settings, both if agents is None else agents)


async def named() -> frozenset[str]:
    """Return the names of the strategy's market at once."""
    return SUBJECT.symbols


def task(api_url: str, server_url: str, what: Strategy | None = None, **other: Any) -> ClaudeTask:
    """Give a run of the strategy against both stand-ins."""
    values: dict[str, Any] = {
        "strategy": what or strategy(),
        "exchange": "simulated",
        "names": named,
        "as_of": AS_OF,
        "server_url": server_url,
        "server_token": None,
        "tools": TOOLS,
        "market_tools": SUBJECT.market_tools,
        "environment": {"ANTHROPIC_BASE_URL": api_url, "ANTHROPIC_API_KEY": KEY},
        "on_event": lambda _: None,
        **other,
    }
    if isinstance(values["server_token"], str):
        values["server_token"] = SecretStr(values["server_token"])
    return ClaudeTask(**values)
