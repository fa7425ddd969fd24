"""What a sub-agent looked at decides whether its report counts: through the real agent CLI and a real tool server."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import anyio
import pytest

from mcp_server.domain.outcome import Outcome, Status
from mcp_server.domain.strategy.strategy import Strategy
from runner.claude.engine import run_claude
from runner.settings import RunnerSettings
from runner.tool_server.client import connected
from runner.tool_server.server import tool_server
from tests.rigs.scripted_messages_api import ORCHESTRATOR, Reply, ScriptedMessagesApi, Step, answer, say, start, use
from tests.rigs.tool_server import ToolServer
from tests.runner.claude_runs import GET_PRICE, GOOD_ANSWER, strategy, task

TOOLS = ("get_ohlcv", "calculate_indicators", "draw_chart")


def looking(**agents: Sequence[Reply]) -> dict[str, Sequence[Step]]:
    """Return the script of a run whose sub-agents make these calls, one a turn; the last is what they report."""
    orchestrator = [Reply(calls=[start(name, "Look.") for name in agents]), answer(ANSWER)]
    return {ORCHESTRATOR: orchestrator, **{f"[{name}]": turns for name, turns in agents.items()}}


ANSWER = {**GOOD_ANSWER, "sub_agent_results": {}}
REPORT = say("It costs 42.5.")


def declared(names: Iterable[str], tools: Sequence[str], **markets: Sequence[str]) -> Strategy:
    """Return the strategy of these sub-agents, with the same tools each, and markets where said."""
    agents: dict[str, dict[str, Any]] = {
        name: {"description": "d", "prompt": f"[{name}]", "tools": [*tools]} for name in names
    }
    for name, own in markets.items():
        agents[name]["markets"] = [*own]
    return strategy(agents)


def price_of(**arguments: Any) -> Reply:
    return use("mcp__trader__get_price", arguments)


async def decided(agents: Mapping[str, Sequence[Reply]], **markets: Sequence[str]) -> Outcome:
    with ToolServer() as server, ScriptedMessagesApi(looking(**agents)) as api:
        return await run_claude(task(api.url, server.url, declared(agents, ["get_price"], **markets)))


def abstained(outcome: Outcome) -> str:
    assert (outcome.status, outcome.signal) == (Status.ABSTAINED, None)
    return outcome.error or ""


@pytest.fixture(scope="module")
def doubted() -> Outcome:
    """A run in which two sub-agents are believed, and none of the others, each for its own reason."""
    agents = {
        "elsewhere": [price_of(symbol="ETH/USDT"), REPORT],
        "filed": [price_of(symbol="BTC/USDT", padding=60_000), REPORT],
        "refused": [price_of(symbol="BTC/USDT", padding=150_000), REPORT],
        "wordy": [GET_PRICE, say("It costs 42.5. " * 4_000)],
        "abroad": [price_of(symbol="ETH/USDT"), REPORT],
        "beside": [price_of(symbol="ETH/USDT"), GET_PRICE, REPORT],
    }
    return anyio.run(lambda: decided(agents, abroad=["ETH/USDT"]))


def test_a_sub_agent_that_looked_at_another_market_alone_is_not_believed(doubted: Outcome) -> None:
    why = abstained(doubted)
    assert "'elsewhere' looked only at ETH/USDT" in why
    assert "BTC/USDT on simulated as of 2026-03-01T12:00Z" in why


def test_a_market_that_its_file_names_is_its_own_and_another_beside_its_own_is_allowed(doubted: Outcome) -> None:
    why = abstained(doubted)
    assert "'abroad'" not in why
    assert "'beside'" not in why


@pytest.mark.parametrize(
    ("name", "shown"), [("filed", "persisted-output"), ("refused", "exceeds maximum allowed tokens")]
)
def test_an_answer_that_the_cli_did_not_pass_on_was_not_seen(doubted: Outcome, name: str, shown: str) -> None:
    assert f"'{name}' saw only a part of what its tools answered" in abstained(doubted)
    assert doubted.trace is not None
    (agent,) = [agent for agent in doubted.trace["sub_agents"] if agent["name"] == name]
    (call,) = agent["calls"]
    assert shown in call["result"]
    assert (call["is_error"], call["whole"]) == (False, False)


def test_a_report_that_the_cli_did_not_pass_on_was_not_heard(doubted: Outcome) -> None:
    assert "'wordy' wrote a report too long to be passed on" in abstained(doubted)


@pytest.mark.long
@pytest.mark.usefixtures("forked_servers")
async def test_with_the_real_server_evidence_is_of_the_market_and_the_moment_and_large_answers_arrive_whole() -> None:
    """In `make test` the examples of `tests/acceptance` run so, and `tests/structure` has what each tool states."""
    specs = ["rsi(14)", "ema(50)", "sma(20)", "atr(14)"]
    table = {"symbol": "BTC/USDT", "indicators": specs, "last": 1000}
    agents = {
        "late": [use("mcp__trader__get_ohlcv", {"symbol": "BTC/USDT", "as_of": "2025-03-01T12:00Z"}), REPORT],
        "reader": [use("mcp__trader__get_ohlcv", {"symbol": "BTC/USDT", "limit": 10_000}), REPORT],
        "analyst": [use("mcp__trader__calculate_indicators", table), REPORT],
        "drawer": [use("mcp__trader__draw_chart", {"symbol": "BTC/USDT"}), REPORT],
    }
    async with tool_server(RunnerSettings()) as address:
        async with connected(address) as tools:
            offered, market_tools = await tools.listed()
        with ScriptedMessagesApi(looking(**agents)) as api:
            facts = {"server_token": address.token, "tools": offered, "market_tools": market_tools}
            outcome = await run_claude(task(api.url, address.url, declared(agents, TOOLS), **facts))
    why = abstained(outcome)
    assert "'late' looked only at BTC/USDT on simulated as of 2025-03-01T12:00Z, and not at" in why
    assert not [name for name in ("reader", "analyst", "drawer") if f"'{name}'" in why], "they are believed"
    seen = {name: api.of(f"[{name}]")[-1].text for name in agents}
    assert len(seen["reader"]) > 90_000
    assert "of 10,000 rows fit into an answer" in seen["reader"], "what is left out is said by the tool"
    assert len(seen["analyst"]) > 60_000
    of_the_server = {name for request in api.requests for name in request.tools if name.startswith("mcp__")}
    assert of_the_server == {f"mcp__trader__{name}" for name in TOOLS}, "and so no backtest_strategy"
    assert (offered["backtest_strategy"], offered["get_price"]) == (False, True)
