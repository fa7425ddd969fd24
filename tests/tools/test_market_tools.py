import json
from datetime import timedelta
from typing import Any

import pytest
from mcp import Client
from mcp_types import TextContent

from mcp_server.app import build_server
from mcp_server.errors import KIND, PROBLEM, REMEDY, RETRYABLE
from mcp_server.settings import ServerSettings
from tests.tools.conftest import NOW, Ask, Told, answer_of


async def test_a_price_now_is_the_live_ticker(ask: Ask) -> None:
    said = await ask("get_price", symbol="BTC/USDT")
    assert (said["symbol"], said["exchange"], said["live"], said["simulated"]) == ("BTC/USDT", "simulated", True, True)
    assert said["bid"] < said["price"] < said["ask"]
    assert (said["as_of"], said["age_s"]) == ("2026-05-20T12:17:33Z", 0)


async def test_a_price_of_the_past_is_the_last_close_by_then(ask: Ask) -> None:
    said = await ask("get_price", symbol="btcusdt", as_of="2026-05-01T10:00:30Z")
    candles = await ask("get_ohlcv", symbol="BTC/USDT", timeframe="1m", limit=1, as_of="2026-05-01T10:00:30Z")
    assert (said["price"], said["live"], said["price_time"]) == (candles["rows"][-1][4], False, "2026-05-01T10:00Z")
    assert said["age_s"] == 30
    assert "bid" not in said


async def test_a_price_of_the_last_fifteen_minutes_is_live_and_says_when_it_was_seen(ask: Ask) -> None:
    said = await ask("get_price", symbol="BTC/USDT", as_of=(NOW - timedelta(minutes=15)).isoformat())
    assert (said["live"], said["price_time"], said["as_of"]) == (True, "2026-05-20T12:17:33Z", "2026-05-20T12:02:33Z")
    said = await ask("get_price", symbol="BTC/USDT", as_of=(NOW - timedelta(minutes=15, seconds=1)).isoformat())
    assert said["live"] is False


async def test_the_forming_candle_is_never_among_the_candles(ask: Ask) -> None:
    said = await ask("get_ohlcv", symbol="BTC/USDT")
    assert said["columns"] == ["open_time", "open", "high", "low", "close", "volume"]
    assert (len(said["rows"]), said["rows"][-1][0]) == (50, "2026-05-20T11:00Z")
    assert said["age_s"] == 17 * 60 + 33


@pytest.mark.parametrize("as_of", ["2026-05-01T10:00Z", "2026-05-01T12:00+02:00", "2026-05-01 10:00:00"])
async def test_a_candle_that_closes_at_the_as_of_is_known(ask: Ask, as_of: str) -> None:
    said = await ask("get_ohlcv", symbol="BTC/USDT", limit=1, as_of=as_of)
    assert (said["rows"][0][0], said["as_of"]) == ("2026-05-01T09:00Z", "2026-05-01T10:00Z")


async def test_a_moment_of_the_future_is_answered_as_of_now(ask: Ask) -> None:
    said = await ask("get_ohlcv", symbol="BTC/USDT", limit=1, as_of="2027-01-01T00:00Z")
    assert said["as_of"] == "2026-05-20T12:17:33Z"


async def test_the_earliest_of_argument_and_setting_wins(settings: ServerSettings) -> None:
    clamped = settings.model_copy(update={"as_of": NOW - timedelta(days=10)})
    async with Client(build_server(clamped, clock=lambda: NOW)) as client:
        for as_of, expected in ((None, "2026-05-10T12:17:33Z"), ("2026-05-01T00:00Z", "2026-05-01T00:00Z")):
            arguments = {"symbol": "BTC/USDT", "as_of": as_of, "limit": 1}
            assert answer_of(await client.call_tool("get_ohlcv", arguments))["as_of"] == expected


async def test_more_candles_than_there_are_is_said(ask: Ask) -> None:
    said = await ask("get_ohlcv", symbol="BTC/USDT", timeframe="1w", limit=1000, as_of="2018-01-01T00:00Z")
    assert len(said["rows"]) < 1000
    assert said["note"].startswith(
        f"{len(said['rows'])} of 1000 candles: simulated gives none before 2017-01-02T00:00Z"
    )


WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "symbol: missing. This argument is required"),
    ({"symbol": "BTC/USDT", "limti": 5}, "limti: not a known argument. Did you mean 'limit'"),
    ({"symbol": "BTC/USDT", "timeframe": "7m"}, "timeframe: '7m' does not fit. Input should be '1m', '3m'"),
    ({"symbol": "BTC/USDT", "limit": 0}, "limit: 0 does not fit. Input should be greater than or equal to 1"),
    ({"symbol": "BTC/USDT", "limit": 10_001}, "limit: 10001 does not fit. Input should be less than or equal to 10000"),
    ({"symbol": "BTC/USDT", "as_of": "0001-01-01T00:00Z"}, "out of range. Use a year from 1970"),
    ({"symbol": "BTC/USDT", "as_of": "yesterday"}, "as_of 'yesterday' is not a time. Write ISO 8601"),
    ({"symbol": "???"}, "Unknown symbol '\\?\\?\\?' on 'simulated'. Write base and quote, like 'BTC/USDT'"),
    ({"symbol": "BTC/USDT", "exchange": "simulatid"}, "Unknown exchange 'simulatid'"),
]


@pytest.mark.parametrize(("arguments", "said"), WRONG, ids=[said[:40] for _, said in WRONG])
async def test_a_wrong_argument_is_named_with_what_was_expected(ask: Ask, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(Told, match=said):
        await ask("get_ohlcv", **arguments)


async def test_both_forms_of_an_answer_carry_the_same_facts(client: Client) -> None:
    result = await client.call_tool("get_ohlcv", {"symbol": "PEPE/USDT", "limit": 2})
    said = answer_of(result)
    (block,) = result.content
    assert isinstance(block, TextContent)
    head, _, table = block.text.partition("open_time,")
    for name, value in said.items():
        if name not in ("columns", "rows"):
            assert f"{name}: {value if isinstance(value, str) else json.dumps(value)}\n" in head
    written = [line.split(",") for line in table.splitlines()[1:]]
    assert [[row[0], *map(float, row[1:])] for row in written] == said["rows"]


async def test_small_prices_keep_their_digits(ask: Ask) -> None:
    said = await ask("get_ohlcv", symbol="PEPE/USDT", limit=1)
    assert 0 < said["rows"][0][4] < 0.001
    assert len(f"{said['rows'][0][4]:.15f}".rstrip("0").lstrip("0.")) >= 5


async def test_an_error_comes_in_its_parts_too(client: Client) -> None:
    result = await client.call_tool("get_price", {"symbol": "BTC/USDT", "as_of": "noon"})
    (text,) = (block.text for block in result.content if isinstance(block, TextContent))
    parts = result.meta or {}
    assert (result.is_error, parts[KIND], RETRYABLE in parts) == (True, "BadInput", False)
    assert text == f"{parts[PROBLEM]} {parts[REMEDY]}".strip()
