"""Tools are made when they are first called or listed; what is wrong with a tool's file is said then."""

import gc
import sys
from types import ModuleType

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from mcp_server import __main__ as program
from mcp_server.app import build_server
from mcp_server.settings import ServerSettings
from tests.tools.conftest import Told, answer_of

FILE = "mcp_server.tools.market.get_price"


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
