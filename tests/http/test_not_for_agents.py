"""Tools that only add to the journal: who may read may call them, and no scheduled agent is ever offered one."""

from collections.abc import AsyncIterator

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from mcp_server.app import tool_files
from mcp_server.domain.strategy.agents import NOT_FOR_AGENTS
from mcp_server.strict_tool import StrictTool
from runner.tool_server.client import Tools
from tests.http.conftest import LIMIT_S, READS, WRITES, Guarded
from tests.tools.conftest import answer_of

FILES = tool_files()
ADDING = sorted(name for name, file in FILES.items() if not file.for_agents)
CONFIG = {"trading_pair": "BTC/USDT", "exchange": "simulated", "interval": "1h"}


@pytest.fixture(params=[READS, WRITES])
async def client(server: Guarded, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {request.param}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=LIMIT_S, trust_env=False) as http,
        Client(streamable_http_client(server.url, http_client=http)) as client,
    ):
        yield client


async def test_any_token_is_offered_what_only_adds_to_the_journal(client: Client) -> None:
    assert {"backtest_strategy", "get_performance"} <= set(ADDING)
    assert set(ADDING) <= {tool.name for tool in (await client.list_tools()).tools}


async def test_the_runner_never_offers_it_to_an_agent(client: Client) -> None:
    offered = await Tools(client).offered()
    assert {name for name in offered if offered[name]} == {name for name, file in FILES.items() if file.looks}
    assert [offered[name] for name in ADDING] == [False] * len(ADDING)
    assert offered["get_price"] is True


@pytest.mark.parametrize("client", [WRITES], indirect=True)
@pytest.mark.parametrize("name", ADDING)
async def test_a_sub_agent_that_declares_it_is_refused_with_the_reason(client: Client, name: str) -> None:
    agents = {"a": {"description": "d", "prompt": "p", "tools": ["get_price", f"mcp__trader__{name}"]}}
    asked = {"strategy_name": "mine", "config": CONFIG, "agents": agents, "dry_run": True}
    answer = answer_of(await client.call_tool("write_strategy", asked))
    assert answer["valid"] is False
    problem = f"'{name}' changes things or adds to the journal, and a run may only look."
    assert ["error", "agents.json a.tools", problem] in [finding[:3] for finding in answer["findings"]]


async def test_the_prompts_do_not_name_it_among_what_sub_agents_may_have(client: Client) -> None:
    prompt = await Tools(client).prompt("design_strategy", {})
    assert "- `get_price`: " in prompt
    assert [name for name in ADDING if f"- `{name}`: " in prompt] == []


def test_only_a_tool_that_is_not_for_agents_says_so_in_the_list() -> None:
    marked = {name for name, file in FILES.items() if NOT_FOR_AGENTS in (StrictTool.of(file, kit=None).meta or {})}  # type: ignore[arg-type]
    assert sorted(marked) == ADDING
