"""What hosts send for arguments that nobody gave: null, blank texts, and `now` for a moment."""

import time
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.server import MCPServer

from mcp_server.answers import Answer
from mcp_server.app import build_server, tool_files
from mcp_server.domain.timeframes import parse_moment
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.strict_tool import StrictTool
from mcp_server.toolkit import Call, tool
from tests.rigs.chain_server import chain_settings
from tests.rigs.esplora import StandInEsplora
from tests.storage.news.conftest import NewsDesk, told
from tests.tools.conftest import NOW, Ask, Told, answer_of

MAY_DIFFER = (
    "price_time",
    "observed_at",
    "age_s",
    "requests",
    "version",
    "replaced",
    "earlier",
    "was",
    "note",
    "findings",
    "backtest_id",
    "execution_id",
)
"""Between two calls with the same arguments."""


def _facts(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name not in MAY_DIFFER}


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(
    ("names", "each"),
    [(sorted(tool_files())[::4], 1), pytest.param(sorted(tool_files()), 2, marks=pytest.mark.long)],
    ids=["some", "all"],
)
async def test_null_and_blank_are_not_given_for_every_optional_argument_of_every_tool(
    home: Path, names: list[str], each: int
) -> None:
    """Each tool is sent null or blanks, in turn; or both."""
    turns = cycle((None, ""))
    now_s = int(time.time())
    now = datetime.fromtimestamp(now_s, UTC)
    with StandInEsplora(now_s=now_s - 600) as bitcoin:
        bitcoin.block([])
        settings = chain_settings(home, {"bitcoin": [bitcoin.url]})
        NewsDesk(Database(Home(home).database), now_s * 1000 - 60_000).enter(told("a", "Bitcoin rises"))
        async with Client(build_server(settings, clock=lambda: now), raise_exceptions=True) as client:
            optional = {
                tool.name: tool.input_schema["properties"].keys() - tool.input_schema.get("required", [])
                for tool in (await client.list_tools()).tools
            }
            for name in ["write_strategy", *names]:  # others' examples are about the strategy of its example
                example = dict(tool_files()[name].example)
                plain = answer_of(await client.call_tool(name, example))
                for nothing in islice(turns, each):
                    blank = dict.fromkeys(optional[name] - example.keys(), nothing)
                    answer = answer_of(await client.call_tool(name, {**example, **blank}))
                    assert _facts(answer) == _facts(plain), (name, nothing)
    assert sum(map(len, optional.values())) > 50


async def test_a_required_argument_that_is_null_or_blank_is_an_error(ask: Ask) -> None:
    for nothing in (None, ""):
        with pytest.raises(Told, match=r"get_price: symbol: "):
            await ask("get_price", symbol=nothing)


async def test_a_text_of_spaces_is_blank_too(ask: Ask) -> None:
    assert len((await ask("get_ohlcv", symbol="BTC/USDT", limit=" ", timeframe=" "))["rows"]) == 50


async def test_the_text_null_and_a_list_as_a_text_are_read_as_what_they_mean(ask: Ask) -> None:
    answer = await ask("get_price", symbol="BTC/USDT", as_of="null", exchange="null")
    assert answer["exchange"] == "simulated"
    drawn = await ask("calculate_indicators", symbol="BTC/USDT", indicators='["rsi(14)"]', last="")
    assert len(drawn["rows"]) == 1


@pytest.mark.parametrize("now", ["now", "NOW", " now "])
async def test_now_is_a_moment(ask: Ask, now: str) -> None:
    assert parse_moment((await ask("get_price", symbol="BTC/USDT", as_of=now))["as_of"]) == NOW


async def test_a_moment_that_is_none_is_refused_with_how_to_write_one(ask: Ask) -> None:
    with pytest.raises(Told, match=r"as_of 'today' is not a time\. Write ISO 8601 in UTC, for example '2026-"):
        await ask("get_price", symbol="BTC/USDT", as_of="today")


async def test_an_unknown_argument_is_named_with_what_to_do_about_it(ask: Ask) -> None:
    with pytest.raises(Told, match=r"^get_price: simbol: not a known argument\. Did you mean 'symbol'\?$"):
        await ask("get_price", symbol="BTC/USDT", simbol=None)


@tool(title="Nothing")
async def nothing(call: Call) -> Answer:
    """Answer nothing."""
    return Answer()


async def test_an_unknown_argument_of_a_tool_without_arguments_is_to_be_left_out() -> None:
    server: MCPServer[None] = MCPServer("test", tools=[StrictTool.of(nothing, kit=None)])  # type: ignore[arg-type]
    async with Client(server) as client:
        with pytest.raises(Told, match=r"^nothing: random_string: not a known argument\. Leave it out\.$"):
            answer_of(await client.call_tool("nothing", {"random_string": "x"}))
