"""The outcome of an answer that a host's own model gives, by the calls that it rests on."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from mcp_server.domain.outcome import Outcome
from mcp_server.domain.strategy.claude_answer import ClaudeAnswer
from mcp_server.domain.strategy.evidence import Subject, ToolCall
from mcp_server.domain.strategy.host_outcome import GONE, host_outcome
from mcp_server.domain.strategy.parse import parse_strategy

SUBJECT = Subject(frozenset({"BTC/USD"}), "kraken", datetime(2026, 3, 1, 12, tzinfo=UTC), frozenset({"get_price"}))
CONFIG = {"trading_pair": "BTC/USD", "exchange": "kraken", "interval": "1h", "synthesis_logic": "Decide."}
AGENTS = {
    "price": {"description": "d", "prompt": "p", "tools": ["get_price"]},
    "other": {"description": "d", "prompt": "p", "tools": ["get_price", "calculate_rsi"], "markets": ["ETH/USD"]},
}
STRATEGY = parse_strategy("s", CONFIG, AGENTS)


def call(tool: str = "get_price", **changed: Any) -> ToolCall:
    arguments = {"symbol": "BTC/USD", "exchange": "kraken", "as_of": "2026-03-01T12:00Z", **changed}
    return ToolCall(tool, arguments, '{"price":1}', is_error=False)


def outcome(calls: Sequence[ToolCall] | None, **changed: Any) -> Outcome:
    results = {"price": {"p": 1}, "other": {"p": 2}}
    answer = {"signal": "SELL", "confidence": 40, "reasoning": "r", "sub_agent_results": results, **changed}
    return host_outcome(STRATEGY, SUBJECT, ClaudeAnswer.model_validate(answer), calls)


def test_each_agent_needs_a_call_of_its_own_tools_for_its_own_markets() -> None:
    ended = outcome([call(), call("calculate_rsi", symbol="ETH/USD")])
    assert ended.signal is not None
    assert (ended.signal.signal, ended.cost_usd, ended.tokens_used) == ("SELL", None, None)
    assert ended.trace is not None
    assert [[one["tool"] for one in agent["calls"]] for agent in ended.trace["sub_agents"]] == [
        ["get_price"],
        ["get_price", "calculate_rsi"],
    ]


def test_what_is_missing_is_said_of_each_agent_by_the_rule_of_all_runs() -> None:
    ended = outcome([call("calculate_rsi")])
    assert (ended.status, ended.signal) == ("abstained", None)
    assert "'price' called no tool, so its report is invented" in (ended.error or "")
    assert "'other' looked only at BTC/USD on kraken" in (ended.error or "")
    assert "not at ETH/USD" in (ended.error or "")


def test_a_process_that_does_not_know_of_the_run_says_so() -> None:
    assert GONE in (outcome(None).error or "")
    assert GONE not in (outcome([]).error or "")
