"""What the server offers, by enumeration: names, hints, descriptions, schemas, and what all of it costs a model."""

import json
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp_types import ImageContent, TextContent, Tool

from mcp_server.app import build_server, tool_files
from mcp_server.settings import ServerSettings
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from tests.rigs.chain_server import chain_settings
from tests.rigs.esplora import StandInEsplora
from tests.rigs.forked_server import drawing_forked
from tests.rigs.sampled import some_or_all
from tests.storage.news.conftest import NewsDesk, told
from tests.structure.commands import PAGE as COMMANDS_PAGE
from tests.structure.commands import commands_page
from tests.structure.python_page import PAGE as PYTHON_PAGE
from tests.structure.python_page import python_page
from tests.structure.surface import MANIFEST, SNAPSHOT, TOOLS_PAGE, listed, manifest, pages, snapshot, tools_page

ROOT = Path(__file__).parents[2]

MODEL_BUDGET_BYTES = 18_000
"""Names, descriptions and inputs of all tools that there will ever be: a model pays for them in each conversation."""
WHOLE_BUDGET_BYTES = 40_000
"""The whole list, which every host loads."""

ROOM_LEFT = (14_700, 30_700)
"""What the first 21 tools may take of these budgets, so that the tools to come have room too."""

FIRST = re.findall(
    r"\w+",
    """
    calculate_indicators calculate_macd calculate_rsi detect_divergence draw_chart evaluate_strategy find_indicators
    find_markets get_derivatives get_network_status get_ohlcv get_order_book get_price get_wallet get_whale_activity
    list_signals list_strategies query_journal read_strategy set_strategy_status write_strategy
    """,
)
"""The tools that there were when the budgets were set; a new tool is not named here."""


PICTURES = ("draw_chart",)
"""They have no structured values, as some hosts show either these or the picture."""


@pytest.fixture
async def tools(home: Path) -> list[Tool]:
    async with Client(build_server(ServerSettings(home=home))) as client:
        return (await client.list_tools()).tools


def _bytes(value: Any) -> int:
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


async def test_what_repeats_the_list_of_tools_is_written_anew_with_it() -> None:
    written = {
        SNAPSHOT: snapshot(await listed()),
        MANIFEST: manifest(),
        TOOLS_PAGE: tools_page(),
        COMMANDS_PAGE: commands_page(),
        PYTHON_PAGE: python_page(),
        **pages(),
    }
    stale = [path.name for path, text in written.items() if path.read_text("utf-8") != text]
    assert stale == [], "run `make surface`"


def _sizes(tools: list[Tool]) -> tuple[int, int]:
    """Return the bytes that a model pays for, and those of the whole list."""
    paid = [{"name": t.name, "description": t.description, "input_schema": t.input_schema} for t in tools]
    return _bytes(paid), _bytes([tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools])


async def test_the_list_of_tools_stays_within_one_budget_however_many_tools_there_are(tools: list[Tool]) -> None:
    paid, whole = _sizes(tools)
    assert paid <= MODEL_BUDGET_BYTES
    assert whole <= WHOLE_BUDGET_BYTES


async def test_the_first_tools_leave_room_in_the_budget_for_others(tools: list[Tool]) -> None:
    paid, whole = _sizes([tool for tool in tools if tool.name in FIRST])
    assert paid <= ROOM_LEFT[0]
    assert whole <= ROOM_LEFT[1]


async def test_every_tool_is_described_for_a_model_that_pays_for_each_word(tools: list[Tool]) -> None:
    for tool in tools:
        assert tool.title
        assert tool.description
        assert re.match(r"[A-Z][a-z]+ ", tool.description), f"{tool.name}: begin with a verb"
        assert len(tool.description) <= 500, tool.name
        assert tool.annotations is not None
        assert None not in (
            tool.annotations.read_only_hint,
            tool.annotations.destructive_hint,
            tool.annotations.open_world_hint,
        )


async def test_every_schema_is_strict_and_carries_no_ballast(tools: list[Tool]) -> None:
    for tool in tools:
        assert tool.input_schema["additionalProperties"] is False
        assert tool.output_schema or tool.name in PICTURES, f"{tool.name}: give a result model"
        assert '"title":' not in json.dumps(tool.input_schema["properties"])


async def test_every_tool_has_its_file_and_a_test_that_calls_it(tools: list[Tool]) -> None:
    tests = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    for tool in tools:
        assert len(list((ROOT / "mcp_server" / "tools").glob(f"*/{tool.name}.py"))) == 1
        assert f'"{tool.name}"' in tests, f"{tool.name}: write a test in tests/tools"


EXCHANGE_WALLET = tool_files()["get_wallet"].example["address"]
OTHER_WALLET = "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"


@pytest.mark.parametrize("names", some_or_all(sorted(tool_files()), 8))
async def test_an_answer_to_each_tools_example_stays_small_in_both_forms_together(
    home: Path, names: Sequence[str]
) -> None:
    with StandInEsplora(now_s=int(time.time()) - 6_000) as bitcoin:
        for _ in range(10):
            paid = [bitcoin.tx([(OTHER_WALLET, 1_000)], [(EXCHANGE_WALLET, 999.87654321)]) for _ in range(20)]
            bitcoin.block(paid)
        with drawing_forked():
            await _check_sizes(chain_settings(home, {"bitcoin": [bitcoin.url]}), names)


async def _check_sizes(settings: ServerSettings, names: Sequence[str]) -> None:
    desk = NewsDesk(Database(Home(settings.home).database), int(time.time() * 1000) - 60_000)
    desk.enter(*(told(str(number), f"Bitcoin headline {number} {'x' * 100}", desk.now_ms) for number in range(20)))
    async with Client(build_server(settings)) as client:
        for name in ["write_strategy", *names]:  # others' examples are about the strategy of its example
            result = await client.call_tool(name, dict(tool_files()[name].example))
            assert not result.is_error, result.content
            pictures = [block for block in result.content if isinstance(block, ImageContent)]
            facts = result.model_copy(update={"content": [b for b in result.content if b not in pictures]})
            assert _bytes(facts.model_dump(mode="json", by_alias=True, exclude_none=True)) < 8_000, name
            assert sum(len(picture.data) for picture in pictures) < 200_000, name


async def test_five_hundred_candles_stay_below_32_kb_in_each_form(home: Path) -> None:
    """Prices of seven digits; what has more of them costs more, as no digit of a price is cut."""
    async with Client(build_server(ServerSettings(home=home, exchange="simulated"))) as client:
        result = await client.call_tool("get_ohlcv", {"symbol": "BTC/USDT", "limit": 500, "as_of": "2026-05-20T12:00Z"})
    (block,) = result.content
    assert isinstance(block, TextContent)
    assert result.structured_content is not None
    assert len(result.structured_content["rows"]) == 500
    assert _bytes(result.structured_content) < 32_000
    assert len(block.text.encode()) < 32_000
