"""Tools are made when they are first called or listed; what is wrong with a tool's file is said then."""

import gc
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from mcp_server import __main__ as program
from mcp_server.app import build_server, tool_files
from mcp_server.settings import ServerSettings
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


def test_all_tools_may_be_called_at_once_in_a_new_process_while_threads_import_them(home: Path) -> None:
    """A process of its own, as here all of them are imported already."""
    environment = {**os.environ, "TRADER_HOME": str(home)}
    command = [sys.executable, "-c", AT_ONCE]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == f"{len(tool_files())} []\n"


async def test_a_tool_is_made_once_however_often_it_is_called_and_listed(settings: ServerSettings) -> None:
    server = build_server(settings)
    manager = server._tool_manager
    assert manager.get_tool("get_price") is manager.get_tool("get_price")
    assert manager.list_tools()[:1] == [manager.get_tool("backtest_strategy")]
    assert manager.get_tool("sell_everything") is None


def test_no_garbage_is_looked_for_until_the_server_is_composed(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_for = []

    def composed(_: object) -> object:
        looked_for.append(gc.isenabled())
        return lambda: looked_for.append(gc.isenabled())

    monkeypatch.setattr(program, "_composed", composed)
    monkeypatch.setattr(sys, "argv", ["claude-trader-mcp"])
    frozen = gc.get_freeze_count()
    try:
        program.main()
        assert looked_for == [False, True]
        assert gc.get_freeze_count() > frozen
    finally:
        gc.unfreeze()
