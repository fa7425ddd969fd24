"""`--tools`: a server that offers some families of tools only, to each kind of host."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client, StdioServerParameters

import mcp_server.tools
from mcp_server import __main__ as program
from mcp_server.app import build_server, tool_files
from mcp_server.domain.families import FAMILIES, offered_about, whole
from mcp_server.settings import ServerSettings
from runner.cli.mcp import mcp
from tests.acceptance import test_http
from tests.http.conftest import LIMIT_S
from tests.tools.conftest import answer_of

FILES = tool_files()
AGENTS = {"looks": {"description": "Looks", "prompt": "Look.", "tools": ["get_wallet"]}}
ARGUMENTS = {
    "design_strategy": {"idea": "buy the dip"},
    "review_strategy": {"strategy_name": "rsi-reversion"},
    "run_strategy": {"strategy_name": "rsi-reversion"},
}
CONFIG = {"trading_pair": "BTC/USDT", "exchange": "simulated", "interval": "1h", "engine": "claude"}


def named(*families: str) -> set[str]:
    return {name for name, family in FILES.families.items() if family in families}


def limited(home: Path, *families: str) -> Client:
    settings = ServerSettings(home=home, exchange="simulated")
    return Client(build_server(settings, families=frozenset(families)))


def test_the_families_are_the_folders_of_tools() -> None:
    folders = {
        entry.name for entry in Path(mcp_server.tools.__file__).parent.iterdir() if (entry / "__init__.py").exists()
    }
    assert {*FAMILIES} == folders


def over_stdio(home: Path, families: str) -> Client:
    command = StdioServerParameters(
        command=sys.executable,
        args=["-P", "-m", "runner", "mcp", "--tools", families],
        env={"TRADER_HOME": str(home), "TRADER_EXCHANGE": "simulated"},
    )
    return Client(command)


@pytest.mark.parametrize(
    "connected",
    [
        pytest.param(lambda home, families: limited(home, *families.split(", ")), id="in this process"),
        pytest.param(over_stdio, id="over stdio", marks=pytest.mark.long),
    ],
)
async def test_a_host_is_offered_its_families_alone_and_can_call_no_other(
    home: Path, connected: Callable[[Path, str], Client]
) -> None:
    async with connected(home, "market, indicators") as client:
        listed = (await client.list_tools()).tools
        price = answer_of(await client.call_tool("get_price", {"symbol": "BTC/USDT"}))
        refused = await client.call_tool("get_costs", {})
        instructions = client.instructions or ""
        assert client.server_capabilities.prompts is None or (await client.list_prompts()).prompts == []
        assert client.server_capabilities.resources is None or (await client.list_resources()).resources == []
    assert {tool.name for tool in listed} == named("market", "indicators")
    assert not [tool.name for tool in listed if "ui" in (tool.meta or {})], "a page would call tools that are left out"
    assert (refused.is_error, "get_costs" in str(refused.content)) == (True, True)
    assert price["symbol"] == "BTC/USDT"
    assert instructions.startswith("Market data and indicators; it places no orders. This server was started without")
    assert "strategies and journal" in instructions
    assert not (home / "strategies").exists()


async def test_prompts_and_pages_are_there_only_with_every_tool_that_they_call(home: Path) -> None:
    async with limited(home, "market", "indicators", "strategies", "journal") as client:
        offered = {tool.name for tool in (await client.list_tools()).tools}
        prompts = [prompt.name for prompt in (await client.list_prompts()).prompts]
        texts = [(await client.get_prompt(name, ARGUMENTS[name])).messages[0].content for name in prompts]
        pages = [str(one.uri) for one in (await client.list_resources()).resources]
    assert prompts == list(ARGUMENTS)
    for text in texts:
        assert not [name for name in FILES.keys() - offered if name in text.model_dump_json()]
    assert "ui://claude-trader/chart.html" in pages
    async with limited(home, "strategies", "journal") as client:
        assert (await client.list_prompts()).prompts == []
        pages = [str(one.uri) for one in (await client.list_resources()).resources]
        assert (await client.list_resource_templates()).resource_templates != []
    assert pages == ["guide://strategy-format"]


async def test_a_strategy_may_name_tools_that_only_its_runs_are_offered(home: Path) -> None:
    async with limited(home, "strategies") as client:
        arguments = {"strategy_name": "mine", "config": CONFIG, "agents": AGENTS, "dry_run": True}
        answer = answer_of(await client.call_tool("write_strategy", arguments))
    assert not [row for row in answer["findings"] if "get_wallet" in str(row)]


@pytest.mark.usefixtures("home")
async def test_what_is_asked_of_a_command_is_what_its_server_offers(monkeypatch: pytest.MonkeyPatch) -> None:
    """In `make long` both are started, as a host does."""
    commands = list[list[str]]()
    monkeypatch.setattr(os, "execv", lambda _, command: commands.append(command))
    mcp("market, indicators")
    arguments = program._parser().parse_args(commands[0][4:])
    serving: Any = program._composed(arguments)
    async with Client(serving.args[0]) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == named("market", "indicators")


def test_over_http_the_page_is_left_out_with_the_tools_that_it_calls(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(test_http, "ON_A_FREE_PORT", [*test_http.ON_A_FREE_PORT, "--tools", "market"])
    with test_http.serving(home) as server:
        assert server.for_people == "There is no page: it needs the tools market, indicators, strategies and journal."
        for path in ("/", "/login"):
            assert httpx2.get(f"{server.base}{path}", timeout=LIMIT_S, trust_env=False).status_code == 404
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
        listed = httpx2.post(
            server.url,
            json=body,
            headers={"Accept": "application/json, text/event-stream"},
            timeout=LIMIT_S,
            trust_env=False,
        )
    assert all(name in listed.text for name in named("market"))
    assert "list_signals" not in listed.text


@pytest.mark.parametrize(
    ("program", "families", "problem"),
    [
        (["mcp_server"], "market,markets", "Did you mean 'market'"),
        pytest.param(["mcp_server"], "weather", "Known: ", marks=pytest.mark.long),
        pytest.param(["mcp_server"], " , ", "No family of tools is named", marks=pytest.mark.long),
        (["runner", "mcp"], "journals", "Did you mean 'journal'"),
    ],
)
def test_an_unknown_family_is_refused_with_the_nearest(
    home: Path, program: list[str], families: str, problem: str
) -> None:
    command = [sys.executable, "-P", "-m", *program, "--tools", families]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=LIMIT_S, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 2
    assert problem in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_server_of_one_family_says_of_itself_is_a_sentence(family: str) -> None:
    about = offered_about(frozenset({family}))
    assert about.partition(";")[2].startswith(" it places no orders. This server was started without the tools for ")
    assert family not in about.partition("without")[2]
    assert not whole(frozenset({family}))
    assert "without" not in offered_about(frozenset(FAMILIES))
