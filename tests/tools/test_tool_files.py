"""Tools are made when they are first called or listed; what is wrong with a tool's file is said then."""

import gc
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from mcp import Client
from mcp.server.mcpserver.tools import Tool
from mcp.shared.exceptions import MCPError

from mcp_server import __main__ as program
from mcp_server.app import build_server, tool_files
from mcp_server.settings import ServerSettings
from mcp_server.tool_files import ToolsOnDemand
from mcp_server.toolkit import ToolFile
from tests.tools.conftest import Told, answer_of

FILE = "mcp_server.tools.market.get_price"

AT_ONCE = """
import anyio
import anyio.to_thread
from mcp import Client
from mcp_server.app import build_server, tool_files
from mcp_server.settings import ServerSettings

def backwards():
    for name in reversed([*tool_files()]):
        tool_files()[name]

async def main():
    texts = []

    async def call(name):
        texts.append((await client.call_tool(name, {"nonsense": 1})).content[0].text)

    async with Client(build_server(ServerSettings.load())) as client, anyio.create_task_group() as calls:
        calls.start_soon(anyio.to_thread.run_sync, backwards)
        calls.start_soon(client.get_prompt, "design_strategy", {"idea": "Buy the dip."})
        for name in tool_files():
            calls.start_soon(call, name)
    print(len(texts), [text for text in texts if "nonsense: not a known argument" not in text])

anyio.run(main)
"""


@pytest.mark.parametrize(
    ("module", "wrong"),
    [(None, f"{FILE} cannot be imported: "), (ModuleType(FILE), f"{FILE} holds no @tool named get_price")],
    ids=["it cannot be imported", "it holds no tool"],
)
async def test_a_broken_tool_file_is_named_by_its_call_and_by_the_list_and_the_other_tools_work(
    settings: ServerSettings, monkeypatch: pytest.MonkeyPatch, module: ModuleType | None, wrong: str
) -> None:
    monkeypatch.setitem(sys.modules, FILE, module)
    async with Client(build_server(settings)) as client:
        with pytest.raises(Told, match=wrong):
            answer_of(await client.call_tool("get_price", {"symbol": "BTC/USDT"}))
        with pytest.raises(Told, match="symbol: missing"):
            answer_of(await client.call_tool("get_ohlcv", {}))
        with pytest.raises(MCPError, match=wrong):
            await client.list_tools()


@pytest.mark.long
def test_all_tools_may_be_called_at_once_in_a_new_process_while_threads_import_them(home: Path) -> None:
    """A process of its own, as here all of them are imported already."""
    environment = {**os.environ, "TRADER_HOME": str(home)}
    command = [sys.executable, "-c", AT_ONCE]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == f"{len(tool_files())} []\n"


async def test_a_tool_is_made_once_however_often_it_is_called_and_listed(settings: ServerSettings) -> None:
    manager = build_server(settings)._tool_manager
    assert isinstance(manager, ToolsOnDemand)
    make, made = manager._make, list[ToolFile]()
    manager._make = lambda file: made.append(file) or make(file)  # type: ignore[func-returns-value]
    assert manager.get_tool("get_price") is manager.get_tool("get_price")
    assert manager.list_tools()[:1] == [manager.get_tool("backtest_strategy")]
    assert len(made) == len(manager.list_tools())
    assert manager.get_tool("sell_everything") is None


async def test_a_tool_that_another_thread_makes_meanwhile_is_the_one_that_stays(settings: ServerSettings) -> None:
    """Else two would each let as many calls work at once as one may."""
    manager = build_server(settings)._tool_manager
    assert isinstance(manager, ToolsOnDemand)
    make, made = manager._make, []

    def slowly(file: ToolFile) -> Tool:
        tool = make(file)
        manager._make = make
        made.append(manager.get_tool("get_price"))  # as if in another thread, in the middle of this
        return tool

    manager._make = slowly
    assert manager.get_tool("get_price") is manager.get_tool("get_price") is made[0]


@pytest.mark.parametrize("name", ["._get_price.py", ".#get_price.py", "get_price (copy).py"])
def test_what_is_no_module_is_no_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / "market").mkdir()
    for file in ("__init__.py", "market/__init__.py", "market/get_price.py", f"market/{name}"):
        (tmp_path / file).touch()
    monkeypatch.setattr("mcp_server.tools.__file__", str(tmp_path / "__init__.py"))
    assert [*tool_files()] == ["get_price"]


def test_no_garbage_is_looked_for_until_the_server_is_composed(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_for = []

    def composed(_: object) -> object:
        looked_for.append(gc.isenabled())
        return lambda: looked_for.append(gc.isenabled())

    monkeypatch.setattr(program, "_composed", composed)
    monkeypatch.setattr(program, "_leave", lambda code: looked_for.append(code == 0))  # which ends the process
    monkeypatch.setattr(sys, "argv", ["claude-trader-mcp"])
    frozen = gc.get_freeze_count()
    try:
        program.main()
        assert looked_for == [False, True, True]
        assert gc.get_freeze_count() > frozen
    finally:
        gc.unfreeze()
