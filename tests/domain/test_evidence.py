import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from mcp_server.domain.strategy.evidence import SubAgent, Subject, ToolCall, unheard, unreported

AS_OF = datetime(2026, 3, 1, 12, tzinfo=UTC)
SUBJECT = Subject(frozenset({"XBT/USD", "BTC/USD"}), "kraken", AS_OF, frozenset({"get_price"}))
NOW = {"symbol": "BTC/USD", "exchange": "kraken", "as_of": "2026-03-01T12:00Z"}


def _agent(name: str, *, heard: bool = True, tool: str = "get_price", completed: bool | None = True) -> SubAgent:
    calls = [ToolCall(tool, {"symbol": "BTC/USD"}, "42.5", is_error=False)]
    tools = frozenset(["get_price"])
    return SubAgent(name, tools, SUBJECT, completed=completed, report="done", calls=calls, heard=heard)


def test_a_report_that_rests_on_a_declared_tool_is_one() -> None:
    assert unreported(["a", "b"], [_agent("a"), _agent("b")]) == []


def test_one_good_start_of_several_is_enough() -> None:
    assert unreported(["a"], [_agent("a", completed=None), _agent("a"), _agent("a", completed=False)]) == []


def test_who_has_not_reported_is_named_with_the_reason() -> None:
    absent, undeclared = unreported(["a", "b", "c"], [_agent("a"), _agent("c", tool="get_wallet")])
    assert absent == "'b' was never started"
    assert undeclared.startswith("'c' ")
    assert "invented" in undeclared


def test_a_report_that_came_after_the_answer_was_not_heard() -> None:
    assert unheard(["a", "b"], [_agent("a"), _agent("b", heard=False)]) == ["b"]


def missing(tool: str = "get_price", markets: Sequence[str] = (), result: str = "", **arguments: Any) -> str | None:
    """Return why a sub-agent has not reported that made this one call, with an answer of the same words or `result`."""
    call = ToolCall(tool, arguments, result, is_error=False)
    tools = frozenset({"get_price", "get_derivatives", "find_markets"})
    return SubAgent("a", tools, SUBJECT, frozenset(markets), completed=True, report="x", calls=[call]).missing


@pytest.mark.parametrize(
    ("arguments", "counts"),
    [
        (NOW, True),
        ({**NOW, "symbol": "XBT/USD"}, True),
        ({**NOW, "symbol": ["ETH/USD", "BTC/USD"]}, True),
        ({**NOW, "symbol": "BTCUSD"}, True),
        ({**NOW, "symbol": "btc-usd"}, True),
        ({**NOW, "symbol": "XBTUSD"}, True),
        ({**NOW, "symbol": "BTC/USD:USD"}, False),
        ({**NOW, "symbol": "BTC/USD:USD", "tool": "get_derivatives"}, True),
        ({**NOW, "symbol": "ETH/USD:USD", "tool": "get_derivatives"}, False),
        ({**NOW, "symbol": "ETHUSD"}, False),
        ({"symbol": "BTC/USD"}, True),
        ({**NOW, "as_of": "now"}, True),
        ({**NOW, "as_of": ""}, True),
        ({**NOW, "as_of": "2026-03-01T12:00:59.5Z"}, True),
        ({**NOW, "as_of": "2026-03-01T13:00:00+01:00"}, True),
        ({**NOW, "as_of": "2026-04-01"}, True),
        ({**NOW, "as_of": "2026-03-01T11:59Z"}, False),
        ({**NOW, "as_of": "2025-03-01T12:00Z"}, False),
        ({**NOW, "as_of": "no moment"}, False),
        ({**NOW, "symbol": "ETH/USD"}, False),
        ({**NOW, "exchange": "simulated"}, False),
        ({**NOW, "exchange": "coinbase"}, False),
        ({**NOW, "exchange": "coinbase", "markets": ["BTC/USD"]}, True),
        ({**NOW, "exchange": "simulated", "markets": ["BTC/USD"]}, False),
        ({**NOW, "markets": ["ETH/USD"]}, False),
        ({**NOW, "symbol": "ETH/USD", "markets": ["ETH/USD", "SOL/USD"]}, True),
        ({**NOW, "symbol": "ETH/USD", "markets": ["eth/usd"]}, True),
        ({**NOW, "symbol": "ETHUSD", "markets": ["ETH/USD"]}, True),
        ({**NOW, "symbol": "SOLUSD", "markets": ["ETH/USD"]}, False),
        ({"tool": "find_markets", "query": "BTC"}, False),
    ],
)
def test_a_call_counts_if_it_is_about_the_market_and_the_moment(arguments: dict[str, Any], counts: bool) -> None:
    assert (missing(**arguments) is None) == counts


def test_an_answer_that_says_its_moment_outweighs_what_was_asked_for() -> None:
    early = '{"symbol":"BTC/USD","exchange":"kraken","as_of":"2026-03-01T11:00Z"}'
    later = early.replace("T11", "T13")
    assert missing(symbol="BTC/USD", result=early.replace("T11", "T12"), as_of="2026-04-01") is None
    assert "as of 2026-03-01T11:00Z" in (missing(symbol="BTC/USD", result=early) or "")
    assert missing(symbol="BTC/USD", result=later) is not None, "nothing later than the run's moment is evidence"


def test_a_sub_agent_without_tools_for_markets_has_none() -> None:
    call = ToolCall(
        "get_whale_activity", {"asset": "BTC"}, '{"asset":"BTC","as_of":"2026-03-01T12:00Z"}', is_error=False
    )
    agent = SubAgent("a", frozenset({"get_whale_activity"}), SUBJECT, completed=True, report="x", calls=[call])
    assert agent.missing is None
    call.result = '{"asset":"BTC","as_of":"2026-02-01T12:00Z"}'
    assert "looked only at get_whale_activity as of 2026-02-01T12:00Z" in (agent.missing or "")


@pytest.mark.parametrize(
    ("arguments", "answer", "tools", "counts"),
    [
        ({"symbol": "BTC"}, {"asset": "BTC"}, ["get_news"], True),
        ({"symbol": "BTC/USDT:USDT"}, {}, ["get_news"], True),
        ({"symbol": "bitcoin"}, {"asset": "BTC"}, ["get_news", "get_price"], True),
        ({"symbol": "ETH"}, {"asset": "ETH"}, ["get_news"], False),
        ({"topic": "Fed"}, {"sources": 9}, ["get_news"], True),
        ({"topic": "Fed"}, {"sources": 9}, ["get_news", "get_wallet"], True),
        ({"topic": "Fed"}, {"sources": 9}, ["get_news", "get_price"], False),
        ({"symbol": "ETH", "topic": "Fed"}, {"asset": "ETH"}, ["get_news"], False),
        ({"symbol": "BTC", "as_of": "2026-02-01"}, {"asset": "BTC", "as_of": "2026-02-01T00:00Z"}, ["get_news"], False),
    ],
)
def test_news_are_of_a_coin_on_any_exchange_and_of_no_market_where_only_a_topic_is_asked(
    arguments: dict[str, Any], answer: dict[str, Any], tools: list[str], counts: bool
) -> None:
    subject = Subject(SUBJECT.symbols, "kraken", AS_OF, frozenset({"get_price", "get_news"}))
    call = ToolCall("get_news", arguments, json.dumps(answer), is_error=False)
    agent = SubAgent("a", frozenset(tools), subject, completed=True, report="x", calls=[call])
    assert (agent.missing is None) == counts, agent.missing
    whale = ToolCall("get_wallet", {}, "{}", is_error=False)
    beside = SubAgent("a", frozenset({"get_wallet", "get_news"}), subject, completed=True, report="x", calls=[whale])
    assert beside.missing is None, "news is no market that it has to look at"
