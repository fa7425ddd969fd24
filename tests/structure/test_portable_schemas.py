"""The tools' schemas stay within what hosts of every kind take, so that none refuses a tool or drops an argument.

Each host passes the inputs on to a model's API, which takes a part of JSON Schema. Sources: OpenAI's guide to
structured outputs; the fields of `Schema` in Google's Gemini API ("should be non-empty for OBJECT type", "only allowed
for STRING type", "Unknown name exclusiveMinimum"); VS Code ("tool parameters array type must have items"); Cursor,
which knows one type for a value ("must be of type null,string, got string").
"""

from collections.abc import Iterator
from typing import Any

import pytest
from mcp import Client
from mcp_types import Tool

from mcp_server.app import build_server
from mcp_server.settings import ServerSettings
from tests.tools.conftest import Ask, Told, ask, client, settings

__all__ = ["ask", "client", "settings"]

TYPES = {"string", "integer", "number", "boolean", "array", "object"}

OPENAI = {
    "type", "properties", "required", "additionalProperties", "items", "enum", "description", "default",
    "minimum", "maximum", "minItems", "maxItems", "pattern", "format", "multipleOf", "anyOf",
}  # fmt: skip
GEMINI = {
    "type", "properties", "required", "items", "enum", "description", "default", "minimum", "maximum", "minItems",
    "maxItems", "minLength", "maxLength", "pattern", "format", "title", "nullable", "anyOf",
    "additionalProperties",  # every host takes it out for Gemini; OpenAI wants it
}  # fmt: skip


@pytest.fixture
async def tools(client: Client) -> list[Tool]:
    return (await client.list_tools()).tools


def nodes(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each schema within a schema, with its place."""
    yield path, schema
    for name, part in schema.get("properties", {}).items():
        yield from nodes(part, f"{path}.{name}")
    if isinstance(schema.get("items"), dict):
        yield from nodes(schema["items"], f"{path}[]")
    for number, part in enumerate(schema.get("anyOf", [])):
        yield from nodes(part, f"{path}|{number}")


def faults_of_an_input(node: dict[str, Any]) -> list[str]:
    """List what some host would not take."""
    kind = node.get("type")
    faults = [f"keyword {key}" for key in node if key not in OPENAI & GEMINI]
    checks = {
        "one type, and not null": isinstance(kind, str) and kind in TYPES,
        "no choice of types": "anyOf" not in node,
        "an array has items": kind != "array" or bool(node.get("items")),
        "an object has properties": kind != "object" or bool(node.get("properties")),
        "no other keys in an object": kind != "object" or node.get("additionalProperties") is False,
        "only texts have an enum": "enum" not in node or (kind == "string" and all(map(_is_text, node["enum"]))),
        "a default is no null": node.get("default", "") is not None,
    }
    return faults + [rule for rule, kept in checks.items() if not kept]


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


async def test_every_input_is_what_openai_gemini_vs_code_and_cursor_take(tools: list[Tool]) -> None:
    found = {
        path: faults
        for tool in tools
        for path, node in nodes(tool.input_schema, tool.name)
        if (faults := faults_of_an_input(node))
    }
    assert found == {}


async def test_an_output_has_items_for_each_array_and_nothing_beside_a_choice(tools: list[Tool]) -> None:
    found = []
    for tool in tools:
        for path, node in nodes(tool.output_schema or {"type": "object"}, tool.name):
            if "anyOf" in node and node.keys() != {"anyOf"}:
                found.append(f"{path}: something beside anyOf")
            if node.get("type") == "array" and "items" not in node:
                found.append(f"{path}: an array without items")
            if not isinstance(node.get("type", ""), str) or not node or "$ref" in node:
                found.append(f"{path}: {node}")
    assert found == []


async def test_what_is_not_advertised_is_checked_all_the_same(ask: Ask) -> None:
    with pytest.raises(Told, match=r"min_usd: 0 does not fit\. Input should be greater than 0"):
        await ask("get_whale_activity", asset="BTC", min_usd=0)


async def test_several_symbols_come_in_one_text_or_in_a_list(ask: Ask) -> None:
    asked = {"indicators": ["rsi(14)"], "exchange": "simulated"}
    one = await ask("calculate_indicators", symbol="BTC/USDT", **asked)
    assert one["symbol"] == "BTC/USDT"
    both = await ask("calculate_indicators", symbol=["BTC/USDT", "ETH/USDT"], **asked)
    assert both["symbol"] == ["BTC/USDT", "ETH/USDT"]
    for text in ("BTC/USDT,ETH/USDT", " BTC/USDT , ETH/USDT,", '["BTC/USDT", "ETH/USDT"]'):
        assert await ask("calculate_indicators", symbol=text, **asked) == both


CONFIG = {"trading_pair": "BTC/USDT", "interval": "1h", "rules": {"buy": "close > open"}}


async def test_a_strategy_is_written_from_json_in_a_text_or_from_the_object(ask: Ask) -> None:
    as_object = await ask("write_strategy", strategy_name="mine", config=CONFIG, dry_run=True)
    text = '{"trading_pair": "BTC/USDT", "interval": "1h", "rules": {"buy": "close > open"}}'
    assert await ask("write_strategy", strategy_name="mine", config=text, dry_run=True) == as_object
    assert as_object["valid"]
    with pytest.raises(Told, match=r"config: .* Write JSON: Expecting ',' delimiter in line 2, column 1\."):
        await ask("write_strategy", strategy_name="mine", config='{"trading_pair": "BTC/USDT"\n"x": 1}')
    with pytest.raises(Told, match=r"config: .* does not fit\. Write a JSON object"):
        await ask("write_strategy", strategy_name="mine", config="[1]")
    listed = '[{"name": "one", "description": "d", "prompt": "p", "tools": ["get_price"]}]'
    config = {"trading_pair": "BTC/USDT", "interval": "1h", "engine": "claude", "synthesis_logic": "s"}
    answer = await ask("write_strategy", strategy_name="mine", config=config, agents=listed, dry_run=True)
    assert answer["engine"] == "claude"


async def test_the_server_says_what_no_output_repeats(home: Any) -> None:
    async with Client(build_server(ServerSettings(home=home))) as client:
        assert "simulated marks an invented market" in (client.instructions or "")
