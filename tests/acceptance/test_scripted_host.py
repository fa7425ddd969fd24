"""A host that is a script: it designs, backtests, writes, runs and is judged, without API and agent SDK.

All of it is in `make long`: a server in this process serves it, and one over stdio, as a host starts it, where neither
the agent SDK nor the runner can be imported. Then comes a server whose clock is two days ahead: by then the horizon of
its signals is over. In `make test`, `tests/tools/test_run_strategy.py` has each step of a run by a host and of its
judgement, and `tests/tools` the tools by which a strategy is designed.
"""

import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp_types import TextContent

from mcp_server.app import build_server
from mcp_server.settings import ServerSettings
from tests.tools.conftest import answer_of

LIMIT_S = 120
LATER = timedelta(days=2)

MARKET = {"trading_pair": "BTC/USDT", "exchange": "simulated", "interval": "1h"}
BY_RULES = {**MARKET, "rules": {"indicators": ["rsi(14)"], "buy": "rsi_14 <= 100", "sell": "rsi_14 > 100"}}
BY_CLAUDE = {**MARKET, "synthesis_logic": "BUY where the RSI is below 101.", "rules": BY_RULES["rules"]}
AGENTS = {
    "rsi": {"description": "Momentum", "prompt": "Report the RSI.", "tools": ["calculate_rsi"]},
    "price": {"description": "Price", "prompt": "Report the last closes.", "tools": ["get_ohlcv", "get_price"]},
}

Ask = Callable[..., Awaitable[dict[str, Any]]]
Serve = Callable[[Path, Path], AbstractAsyncContextManager[tuple[Client, Ask]]]


@asynccontextmanager
async def served_here(home: Path, _: Path) -> AsyncIterator[tuple[Client, Ask]]:
    """Serve it from this process."""
    async with Client(build_server(ServerSettings(home=home, exchange="simulated"))) as client:
        yield client, asking(client)


@asynccontextmanager
async def served_over_stdio(home: Path, absent: Path) -> AsyncIterator[tuple[Client, Ask]]:
    """Start a server as a host does, in an environment in which the agent SDK and the runner cannot be imported."""
    for name in ("claude_agent_sdk", "runner"):
        (absent / name).mkdir(parents=True, exist_ok=True)
        (absent / name / "__init__.py").write_text("raise ImportError('it is not installed')\n")
    root = Path(__file__).parents[2]
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(home), "TRADER_HOME": str(home), "TRADER_EXCHANGE": "simulated",
        "PYTHONPATH": os.pathsep.join((str(absent), str(root))),
    }  # fmt: skip
    async with Client(
        StdioServerParameters(command=sys.executable, args=["-m", "mcp_server"], env=environment)
    ) as client:
        yield client, asking(client)


def asking(client: Client) -> Ask:
    """Return what calls a tool and returns its answer."""

    async def ask(name: str, **arguments: Any) -> dict[str, Any]:
        return answer_of(await client.call_tool(name, arguments))

    return ask


async def prompt_of(client: Client, name: str, **given: str) -> str:
    (message,) = (await client.get_prompt(name, given)).messages
    assert isinstance(message.content, TextContent)
    return message.content.text


async def design(client: Client, ask: Ask) -> None:
    """Go through the steps of the prompt design_strategy."""
    page = await prompt_of(client, "design_strategy", idea="buy BTC whenever the RSI is there at all")
    for step in ("write_strategy", "dry_run", "backtest_strategy", "evaluate_strategy", "run_strategy"):
        assert f"`{step}`" in page
    assert (await ask("write_strategy", strategy_name="by-rules", config=BY_RULES, dry_run=True))["valid"]
    tried = await ask("backtest_strategy", config=BY_RULES, start="2026-03-25", end="2026-04-01")
    assert tried["open_trade"]["side"] == "long"
    assert tried["trials"] >= 1
    assert (await ask("write_strategy", strategy_name="by-rules", config=BY_RULES))["written"]
    for name in ("by-claude", "forged"):
        assert (await ask("write_strategy", strategy_name=name, config=BY_CLAUDE, agents=AGENTS))["written"]


async def run_by_claude(client: Client, ask: Ask) -> dict[str, Any]:
    """Do what the prompt run_strategy says, with figures from the tools alone."""
    page = await prompt_of(client, "run_strategy", strategy_name="by-claude")
    assert "It is 'by-claude'." in page
    run = await ask("run_strategy", strategy_name="by-claude")
    results: dict[str, Any] = {}
    for agent in run["agents"]:
        tool, *_ = agent["tools"]
        answer = await ask(tool, symbol="BTC/USDT", exchange="simulated", as_of=run["as_of"])
        results[agent["name"]] = {"found": answer.get("rsi") or answer["rows"][-1]}
    answer = {
        "signal": "BUY", "confidence": 55, "reasoning": f"The RSI is {results['rsi']['found']}.",
        "sub_agent_results": results,
    }  # fmt: skip
    return await ask("run_strategy", strategy_name="by-claude", execution_id=run["execution_id"], answer=answer)


@pytest.mark.long
@pytest.mark.parametrize("served", [served_here, served_over_stdio])
async def test_a_script_designs_backtests_writes_runs_and_is_judged_and_a_forged_answer_abstains(
    home: Path, tmp_path: Path, served: Serve
) -> None:
    absent = tmp_path / "absent"
    with anyio.fail_after(LIMIT_S):
        async with served(home, absent) as (client, ask):
            await design(client, ask)
            by_rules = await ask("run_strategy", strategy_name="by-rules")
            by_claude = await run_by_claude(client, ask)
            forged = await ask("run_strategy", strategy_name="forged")
            invented = {name: {"rsi": 12} for name in AGENTS}
            answer = {"signal": "BUY", "confidence": 99, "reasoning": "I know it.", "sub_agent_results": invented}
            forged = await ask(
                "run_strategy", strategy_name="forged", execution_id=forged["execution_id"], answer=answer
            )
        later = build_server(ServerSettings(home=home, exchange="simulated"), clock=lambda: datetime.now(UTC) + LATER)
        async with Client(later) as client:
            ask = asking(client)
            judged = [
                await ask("get_performance", strategy_name=f"by-{who}", runs="manual") for who in ("rules", "claude")
            ]
            live = await ask("get_performance")
            other = await ask("get_performance", strategy_name="forged", runs="manual")
            left = await ask("list_signals", outcomes="all")
    assert [run["signal"] for run in (by_rules, by_claude)] == ["BUY", "BUY"]
    assert (forged["status"], "signal" in forged) == ("abstained", False)
    for name in AGENTS:
        assert f"'{name}' called no tool, so its report is invented" in forged["error"]
    assert [(record["kind"], record["judged"]) for record in judged] == [("manual", 1), ("host", 1)]
    assert (other["judged"], other["signals"]) == (0, {"buy": 0, "sell": 0, "hold": 0})
    assert live["rows"] == []
    assert [(row[3], row[4], row[5], row[8]) for row in left["rows"]] == [
        ("host", "abstained", None, None),
        ("host", "success", "BUY", None),
        ("rules", "success", "BUY", 0),
    ]
