"""What a sub-agent looked at decides whether its report counts: through the real agent CLI and a real tool server."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from mcp_server.domain.outcome import Outcome, Status
from runner.claude.engine import run_claude
from runner.settings import RunnerSettings
from runner.tool_server.client import connected
from runner.tool_server.server import tool_server
from tests.rigs.scripted_messages_api import Reply, ScriptedMessagesApi, Step, answer, say, start, use
from tests.rigs.tool_server import ToolServer
from tests.runner.claude_runs import GET_PRICE, GOOD_ANSWER, PRICE, script, strategy, task

ALONE: Mapping[str, Any] = {"price-monitor": {"description": "d", "prompt": PRICE, "tools": ["get_price"]}}
TOOLS = dict.fromkeys(["get_ohlcv", "calculate_indicators", "draw_chart"], True)
ANSWER = {**GOOD_ANSWER, "sub_agent_results": {"price-monitor": {"last": 42.5}}}


def looking(*calls: Reply, report: str = "It costs 42.5.") -> dict[str, Sequence[Step]]:
    """Return the script of a run whose only sub-agent makes these calls, one a turn, and reports."""
    orchestrator = [Reply(calls=[start("price-monitor", "Look.")]), answer(ANSWER)]
    return script(orchestrator=orchestrator, price=[*calls, say(report)])


def price_of(**arguments: Any) -> Reply:
    return use("mcp__trader__get_price", arguments)


@pytest.fixture(scope="module")
def server() -> Iterator[ToolServer]:
    with ToolServer() as running:
        yield running


async def decided(server: ToolServer, steps: dict[str, Sequence[Step]], **agent: Any) -> Outcome:
    alone = {"price-monitor": {**ALONE["price-monitor"], **agent}}
    with ScriptedMessagesApi(steps) as api:
        return await run_claude(task(api.url, server.url, strategy(alone)))


def abstained(outcome: Outcome) -> str:
    assert (outcome.status, outcome.signal) == (Status.ABSTAINED, None)
    return outcome.error or ""


async def test_a_sub_agent_that_looked_at_another_market_alone_is_not_believed(server: ToolServer) -> None:
    why = abstained(await decided(server, looking(price_of(symbol="ETH/USDT"))))
    assert "'price-monitor' looked only at ETH/USDT" in why
    assert "BTC/USDT on simulated as of 2026-03-01T12:00Z" in why


async def test_a_market_that_its_file_names_is_its_own(server: ToolServer) -> None:
    steps = looking(price_of(symbol="ETH/USDT"))
    outcome = await decided(server, steps, markets=["ETH/USDT"])
    assert outcome.signal, outcome.error


async def test_another_market_beside_its_own_is_allowed(server: ToolServer) -> None:
    outcome = await decided(server, looking(price_of(symbol="ETH/USDT"), GET_PRICE))
    assert outcome.signal, outcome.error


@pytest.mark.parametrize(
    ("size", "shown"), [(60_000, "persisted-output"), (150_000, "exceeds maximum allowed tokens")], ids=["file", "no"]
)
async def test_an_answer_that_the_cli_did_not_pass_on_was_not_seen(server: ToolServer, size: int, shown: str) -> None:
    outcome = await decided(server, looking(price_of(symbol="BTC/USDT", padding=size)))
    assert "'price-monitor' saw only a part of what its tools answered" in abstained(outcome)
    assert outcome.trace is not None
    (call,) = outcome.trace["sub_agents"][0]["calls"]
    assert shown in call["result"]
    assert (call["is_error"], call["whole"]) == (False, False)


async def test_a_report_that_the_cli_did_not_pass_on_was_not_heard(server: ToolServer) -> None:
    outcome = await decided(server, looking(GET_PRICE, report="It costs 42.5. " * 4_000))
    assert "'price-monitor' wrote a report too long to be passed on" in abstained(outcome)


async def test_with_the_real_server_evidence_is_of_the_market_and_the_moment_and_large_answers_arrive_whole() -> None:
    async with tool_server(RunnerSettings()) as address:
        async with connected(address) as tools:
            market_tools, offered = await tools.of_markets(), await tools.offered()
        both = {"price-monitor": {**ALONE["price-monitor"], "tools": list(TOOLS)}}

        seen, offered_to_agents = "", set[str]()

        async def run(*calls: Reply) -> Outcome:
            nonlocal seen
            with ScriptedMessagesApi(looking(*calls)) as api:
                facts = {"server_token": address.token, "tools": offered, "market_tools": market_tools}
                outcome = await run_claude(task(api.url, address.url, strategy(both), **facts))
                seen = api.of(PRICE)[-1].text
                offered_to_agents.update(name for request in api.requests for name in request.tools)
            return outcome

        last_year = use("mcp__trader__get_ohlcv", {"symbol": "BTC/USDT", "as_of": "2025-03-01T12:00Z"})
        why = abstained(await run(last_year))
        assert "looked only at BTC/USDT on simulated as of 2025-03-01T12:00Z, and not at" in why

        large = await run(use("mcp__trader__get_ohlcv", {"symbol": "BTC/USDT", "limit": 10_000}))
        assert large.signal, large.error
        assert len(seen) > 90_000
        assert "of 10,000 rows fit into an answer" in seen, "what is left out is said by the tool"

        specs = ["rsi(14)", "ema(50)", "sma(20)", "atr(14)"]
        call = {"symbol": "BTC/USDT", "indicators": specs, "last": 1000}
        table = await run(use("mcp__trader__calculate_indicators", call))
        assert table.signal, table.error
        assert len(seen) > 60_000

        picture = await run(use("mcp__trader__draw_chart", {"symbol": "BTC/USDT"}))
        assert picture.signal, picture.error

        of_the_server = {name for name in offered_to_agents if name.startswith("mcp__")}
        assert of_the_server == {f"mcp__trader__{name}" for name in TOOLS}, "and so no backtest_strategy"
        assert (offered["backtest_strategy"], offered["get_price"]) == (False, True)
