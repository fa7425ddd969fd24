"""What a sub-agent looked at decides whether its report counts: through the real agent CLI and a real tool server."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from mcp_server.domain.outcome import Outcome, Status
from mcp_server.domain.strategy.strategy import Strategy
from runner.claude.engine import run_claude
from runner.settings import RunnerSettings
from runner.tool_server.client import connected
from runner.tool_server.server import tool_server
from tests.rigs.scripted_messages_api import (
    ORCHESTRATOR,
    Fail,
    Reply,
    ScriptedMessagesApi,
    Step,
    answer,
    say,
    start,
    use,
)
from tests.rigs.tool_server import ToolServer
from tests.runner.claude_runs import GET_PRICE, GOOD_ANSWER, strategy, task

TOOLS = ("get_ohlcv", "calculate_indicators", "draw_chart")


def looking(**agents: Sequence[Step]) -> dict[str, Sequence[Step]]:
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
    return strategy(agents, max_turns=3)


def price_of(**arguments: Any) -> Reply:
    return use("mcp__trader__get_price", arguments)


def abstained(outcome: Outcome) -> str:
    assert (outcome.status, outcome.signal) == (Status.ABSTAINED, None)
    return outcome.error or ""


@dataclass(frozen=True)
class DoubtedRun:
    """A run without a signal, and what was asked during it."""

    outcome: Outcome
    api: ScriptedMessagesApi
    server: ToolServer


FORBIDDEN = Reply(
    calls=[
        *use("mcp__trader__write_strategy", {"strategy_name": "x"}).calls,
        *use("mcp__trader__calculate_rsi", {"symbol": "BTC/USDT"}).calls,
        *use("Bash", {"command": "true"}).calls,
        *use("Agent", {"description": "x", "prompt": "x", "subagent_type": "inventing"}).calls,
    ]
)


@pytest.fixture(scope="module")
def doubted() -> DoubtedRun:
    """A run in which `abroad` and `beside` are believed, and none of the others, each for its own reason.

    `absent` is never started.
    """
    agents: dict[str, Sequence[Step]] = {
        "elsewhere": [price_of(symbol="ETH/USDT"), REPORT],
        "filed": [price_of(symbol="BTC/USDT", padding=60_000), REPORT],
        "refused": [price_of(symbol="BTC/USDT", padding=150_000), REPORT],
        "wordy": [GET_PRICE, say("It costs 42.5. " * 4_000)],
        "abroad": [price_of(symbol="ETH/USDT"), REPORT],
        "beside": [price_of(symbol="ETH/USDT"), GET_PRICE, REPORT],
        "inventing": [REPORT],
        "unlucky": [price_of(symbol="NONE/USDT"), REPORT],
        "failing": [GET_PRICE, Fail(529)],
        "endless": [GET_PRICE] * 50,
        "forbidden": [FORBIDDEN, REPORT],
    }
    what = declared(["absent", *agents], ["get_price"], abroad=["ETH/USDT"])
    with ToolServer() as server, ScriptedMessagesApi(looking(**agents)) as api:
        outcome = anyio.run(run_claude, task(api.url, server.url, what))
    return DoubtedRun(outcome, api, server)


def test_each_sub_agent_that_did_not_report_is_named_with_its_reason(doubted: DoubtedRun) -> None:
    why = abstained(doubted.outcome)
    for reason in (
        "'absent' was never started",
        "'inventing' called no tool, so its report is invented",
        "'unlucky' had no tool call that succeeded",
        "'failing' failed",
    ):
        assert reason in why


def test_a_sub_agent_that_never_comes_to_an_end_is_stopped_by_max_turns(doubted: DoubtedRun) -> None:
    assert 1 < len(doubted.api.of("[endless]")) <= 3
    assert "'endless' was stopped before it reported ('max_turns'" in abstained(doubted.outcome)


def test_a_tool_that_is_not_declared_can_not_be_called(doubted: DoubtedRun) -> None:
    assert len(doubted.api.of("[forbidden]")) == 2, "it was told so, and went on"
    assert {name for name, _ in doubted.server.calls} == {"get_price"}, "the one tool that sub-agents declare"
    assert "'forbidden' had no tool call that succeeded" in abstained(doubted.outcome)
    assert len(doubted.api.of("[inventing]")) == 1, "no sub-agent starts another"


def test_a_sub_agent_that_looked_at_another_market_alone_is_not_believed(doubted: DoubtedRun) -> None:
    why = abstained(doubted.outcome)
    assert "'elsewhere' looked only at ETH/USDT" in why
    assert "BTC/USDT on simulated as of 2026-03-01T12:00Z" in why


def test_a_market_that_its_file_names_is_its_own_and_another_beside_its_own_is_allowed(doubted: DoubtedRun) -> None:
    why = abstained(doubted.outcome)
    assert "'abroad'" not in why
    assert "'beside'" not in why


@pytest.mark.parametrize(
    ("name", "shown"), [("filed", "persisted-output"), ("refused", "exceeds maximum allowed tokens")]
)
def test_an_answer_that_the_cli_did_not_pass_on_was_not_seen(doubted: DoubtedRun, name: str, shown: str) -> None:
    assert f"'{name}' saw only a part of what its tools answered" in abstained(doubted.outcome)
    assert doubted.outcome.trace is not None
    (agent,) = [agent for agent in doubted.outcome.trace["sub_agents"] if agent["name"] == name]
    (call,) = agent["calls"]
    assert shown in call["result"]
    assert (call["is_error"], call["whole"]) == (False, False)


def test_a_report_that_the_cli_did_not_pass_on_was_not_heard(doubted: DoubtedRun) -> None:
    assert "'wordy' wrote a report too long to be passed on" in abstained(doubted.outcome)


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
