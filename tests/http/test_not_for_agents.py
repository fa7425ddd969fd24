"""A tool that only adds to the journal: who may read may call it, and no scheduled agent is ever offered it."""

from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from mcp_server import app
from mcp_server.answers import Answer
from mcp_server.domain.strategy.agents import NOT_FOR_AGENTS
from mcp_server.settings import ServerSettings
from mcp_server.toolkit import Call, StrictTool, tool
from runner.tool_server.client import Tools
from tests.http.conftest import LIMIT_S, READS, TOKENS, WRITES, Guarded, guarded
from tests.tools.conftest import answer_of


class Noted(Answer):
    """What was noted."""

    row: int


@tool(title="Note", for_agents=False)
async def note(call: Call) -> Noted:
    """Note something in the journal."""
    return Noted(row=7)


FILES = {**app.tool_files(), "note": note}
CONFIG = {"trading_pair": "BTC/USDT", "exchange": "simulated", "interval": "1h"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """The real server behind its gate, with one tool more."""
    settings = ServerSettings(home=tmp_path_factory.mktemp("home"), exchange="simulated", tokens=TOKENS)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(app, "tool_files", lambda: FILES)
        with guarded(settings) as server:
            yield server


@pytest.fixture(params=[READS, WRITES])
async def client(server: Guarded, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {request.param}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=LIMIT_S, trust_env=False) as http,
        Client(streamable_http_client(server.url, http_client=http)) as client,
    ):
        yield client


async def test_any_token_may_call_it(client: Client) -> None:
    assert "note" in {tool.name for tool in (await client.list_tools()).tools}
    assert answer_of(await client.call_tool("note", {})) == {"row": 7}


async def test_the_runner_never_offers_it_to_an_agent(client: Client) -> None:
    offered = await Tools(client).offered()
    assert offered["note"] is False
    assert {name for name in offered if offered[name]} == {name for name, file in FILES.items() if file.looks}
    assert offered["get_price"] is True


@pytest.mark.parametrize("client", [WRITES], indirect=True)
async def test_a_sub_agent_that_declares_it_is_refused_with_the_reason(client: Client) -> None:
    agents = {"a": {"description": "d", "prompt": "p", "tools": ["get_price", "mcp__trader__note"]}}
    asked = {"strategy_name": "mine", "config": CONFIG, "agents": agents, "dry_run": True}
    answer = answer_of(await client.call_tool("write_strategy", asked))
    assert answer["valid"] is False
    refused = ["error", "agents.json a.tools", "'note' changes things or adds to the journal, and a run may only look."]
    assert refused in [finding[:3] for finding in answer["findings"]]


async def test_the_prompts_do_not_name_it_among_what_sub_agents_may_have(client: Client) -> None:
    prompt = await Tools(client).prompt("design_strategy", {})
    assert "- `get_price`: " in prompt
    assert "- `note`: " not in prompt


def test_only_a_tool_that_is_not_for_agents_says_so_in_the_list() -> None:
    marked = {name for name, file in FILES.items() if NOT_FOR_AGENTS in (StrictTool.of(file, kit=None).meta or {})}  # type: ignore[arg-type]
    assert marked == {name for name, file in FILES.items() if not file.for_agents}
    assert "note" in marked
