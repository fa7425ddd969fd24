"""What the server offers, by enumeration: names, hints, descriptions, schemas, and what all of it costs a model."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp_types import ImageContent, TextContent, Tool

from mcp_server.app import build_server
from mcp_server.settings import ServerSettings
from tests.rigs.chain_server import chain_settings
from tests.rigs.esplora import StandInEsplora

ROOT = Path(__file__).parents[2]

MODEL_BUDGET_BYTES = 18_000
"""Names, descriptions and inputs of all tools that there will ever be: a model pays for them in each conversation."""
WHOLE_BUDGET_BYTES = 40_000
"""The whole list, which every host loads."""

ROOM_LEFT = (14_500, 30_000)
"""What the first 21 tools may take of these budgets, so that the tools to come have room too."""

OFFERED = {
    "calculate_indicators": "read",
    "calculate_macd": "read",
    "calculate_rsi": "read",
    "detect_divergence": "read",
    "draw_chart": "read",
    "evaluate_strategy": "read",
    "find_indicators": "read",
    "find_markets": "read",
    "get_derivatives": "read",
    "get_network_status": "read",
    "get_ohlcv": "read",
    "get_order_book": "read",
    "get_price": "read",
    "get_wallet": "read",
    "get_whale_activity": "read",
    "list_signals": "read",
    "list_strategies": "read",
    "query_journal": "read",
    "read_strategy": "read",
    "set_strategy_status": "write",
    "write_strategy": "write",
}


@pytest.fixture
async def tools(home: Path) -> list[Tool]:
    async with Client(build_server(ServerSettings(home=home))) as client:
        return (await client.list_tools()).tools


def _bytes(value: Any) -> int:
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


async def test_exactly_these_tools_are_offered(tools: list[Tool]) -> None:
    kinds = {t.name: "read" if t.annotations and t.annotations.read_only_hint else "write" for t in tools}
    assert kinds == OFFERED


def _sizes(tools: list[Tool]) -> tuple[int, int]:
    """Return the bytes that a model pays for, and those of the whole list."""
    paid = [{"name": t.name, "description": t.description, "input_schema": t.input_schema} for t in tools]
    return _bytes(paid), _bytes([tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools])


async def test_the_list_of_tools_stays_within_one_budget_however_many_tools_there_are(tools: list[Tool]) -> None:
    paid, whole = _sizes(tools)
    assert paid <= MODEL_BUDGET_BYTES
    assert whole <= WHOLE_BUDGET_BYTES


async def test_the_first_tools_leave_room_in_the_budget_for_others(tools: list[Tool]) -> None:
    paid, whole = _sizes([tool for tool in tools if tool.name in OFFERED])
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
        assert tool.output_schema, f"{tool.name}: give a result model"
        assert '"title":' not in json.dumps(tool.input_schema["properties"])


async def test_every_tool_has_its_file_and_a_row_in_the_readme(tools: list[Tool]) -> None:
    readme = (ROOT / "README.md").read_text()
    for tool in tools:
        assert len(list((ROOT / "mcp_server" / "tools").glob(f"*/{tool.name}.py"))) == 1
        assert f"`{tool.name}`" in readme


EXCHANGE_WALLET = "bc1qgdjqv0av3q56jvd82tkdjpy7gdp9ut8tlqmgrpmv24sq90ecnvqqjwvw97"
OTHER_WALLET = "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"

DEFAULT_CALLS: dict[str, dict[str, Any]] = {
    "calculate_indicators": {"symbol": "BTC/USDT", "indicators": ["rsi(14)", "ema(200)", "bbands(20,2)"]},
    "calculate_macd": {"symbol": "BTC/USDT"},
    "calculate_rsi": {"symbol": "BTC/USDT"},
    "detect_divergence": {"symbol": "BTC/USDT"},
    "draw_chart": {"symbol": "BTC/USDT"},
    "evaluate_strategy": {"strategy_name": "rsi-reversion"},
    "find_indicators": {},
    "find_markets": {},
    "get_derivatives": {"symbol": "BTC/USDT"},
    "get_network_status": {"chain": "bitcoin"},
    "get_ohlcv": {"symbol": "BTC/USDT"},
    "get_order_book": {"symbol": "BTC/USDT"},
    "get_price": {"symbol": "BTC/USDT"},
    "get_wallet": {"address": EXCHANGE_WALLET},
    "get_whale_activity": {"asset": "BTC"},
    "list_signals": {},
    "list_strategies": {},
    "query_journal": {"sql": "SELECT * FROM executions CROSS JOIN journal_columns"},
    "read_strategy": {"strategy_name": "btc-two-analysts"},
    "write_strategy": {
        "strategy_name": "mine",
        "config": {"trading_pair": "BTC/USDT", "interval": "1h", "rules": {"buy": "close > 1"}},
    },
    "set_strategy_status": {"strategy_name": "mine", "status": "paused"},
}
"""In an order in which each can be called."""


async def test_an_answer_to_default_arguments_stays_small_in_both_forms_together(home: Path) -> None:
    assert set(DEFAULT_CALLS) == set(OFFERED)
    with StandInEsplora(now_s=int(time.time()) - 6_000) as bitcoin:
        for _ in range(10):
            paid = [bitcoin.tx([(OTHER_WALLET, 1_000)], [(EXCHANGE_WALLET, 999.87654321)]) for _ in range(20)]
            bitcoin.block(paid)
        await _check_sizes(chain_settings(home, {"bitcoin": [bitcoin.url]}))


async def _check_sizes(settings: ServerSettings) -> None:
    async with Client(build_server(settings)) as client:
        for name, arguments in DEFAULT_CALLS.items():
            result = await client.call_tool(name, arguments)
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
