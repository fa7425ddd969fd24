"""The pages of MCP Apps: listed and read by anyone who may read, in both eras; hosts without apps are as before."""

import sys
from pathlib import Path
from typing import Any

import pytest
from httpx2 import AsyncClient
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp_types import ImageContent, TextContent, TextResourceContents

from mcp_server.app import build_server, tool_files
from mcp_server.prompts.apps import TITLES, app_page
from mcp_server.settings import ServerSettings
from tests.http.conftest import READS, Guarded
from tests.rigs.forked_server import drawing_forked

ERAS: list[dict[str, Any]] = [{}, {"mode": "legacy"}]
PAGE = "ui://claude-trader/chart.html"
MIME = "text/html;profile=mcp-app"


@pytest.mark.parametrize("era", ERAS, ids=["stateless", "handshake"])
async def test_a_token_that_reads_may_read_the_pages_that_tools_name(server: Guarded, era: dict[str, Any]) -> None:
    async with (
        AsyncClient(headers={"Authorization": f"Bearer {READS}"}) as http,
        Client(streamable_http_client(server.url, http_client=http), **era) as client,
    ):
        listed = {str(one.uri): one.mime_type for one in (await client.list_resources()).resources}
        named = {
            tool.name: (tool.meta["ui"]["resourceUri"], tool.meta["ui/resourceUri"])
            for tool in (await client.list_tools()).tools
            if tool.meta and "ui" in tool.meta
        }
        (page,) = (await client.read_resource(PAGE)).contents
    assert named == {name: (f"ui://claude-trader/{page}.html",) * 2 for name, page in PAGES.items()}
    assert {uri: MIME for uris in named.values() for uri in uris}.items() <= listed.items()
    assert isinstance(page, TextResourceContents)
    assert page.mime_type == MIME
    assert page.text == app_page(TITLES["chart"])


@pytest.mark.long
async def test_a_server_over_stdio_gives_them_too(home: Path) -> None:
    command = StdioServerParameters(
        command=sys.executable, args=["-P", "-m", "mcp_server"], env={"TRADER_HOME": str(home)}
    )
    async with Client(command) as client:
        (page,) = (await client.read_resource("ui://claude-trader/backtest.html")).contents
    assert isinstance(page, TextResourceContents)
    assert page.text == app_page(TITLES["backtest"])


PAGES = {"draw_chart": "chart", "backtest_strategy": "backtest"}


def test_every_page_that_a_tool_names_exists() -> None:
    assert {name: file.page for name, file in tool_files().items() if file.page} == PAGES
    assert {*PAGES.values()} == {*TITLES}


def test_a_page_is_whole_by_itself_and_carries_the_licence() -> None:
    page = app_page("Chart")
    assert page.lower().count("</script") == 2  # no script ends before its end
    assert page.lower().count("<!--") == 0
    assert "<link" not in page
    assert " src=" not in page.partition("<script>")[0]
    assert "TradingView, Inc." in page.partition("<footer>")[2].partition("</footer>")[0]


@pytest.mark.parametrize(
    "era", [pytest.param(ERAS[0], id="stateless"), pytest.param(ERAS[1], id="handshake", marks=pytest.mark.long)]
)
async def test_a_host_without_apps_gets_the_picture_and_its_facts_as_ever(home: Path, era: dict[str, Any]) -> None:
    server = build_server(ServerSettings(home=home, exchange="simulated"))
    with drawing_forked():
        async with Client(server, raise_exceptions=True, **era) as client:
            result = await client.call_tool("draw_chart", {"symbol": "BTC/USDT"})
    assert result.structured_content is None
    text, image = result.content
    assert isinstance(text, TextContent)
    assert text.text.startswith("symbol: BTC/USDT\nexchange: simulated\ntimeframe: 1h\nas_of: ")
    assert isinstance(image, ImageContent)
    assert result.meta is None or "ui" not in result.meta
