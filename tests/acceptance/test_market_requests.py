"""How often an exchange is really asked, counted by the exchange."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from mcp_server.app import build_server
from mcp_server.domain.timeframes import from_ms
from mcp_server.settings import ServerSettings
from tests.rigs.stand_in_exchange import Faults, StandInExchange
from tests.tools.conftest import answer_of

NOW_MS = int(datetime(2026, 1, 15, 10, 20, 30, tzinfo=UTC).timestamp()) * 1000
HOUR_MS = 3_600_000
CANDLES = "/api/v3/brokerage/market/products/BTC-USD/candles"


@pytest.fixture
def rig() -> Iterator[StandInExchange]:
    with StandInExchange() as rig:
        rig.now_ms = NOW_MS
        yield rig


def serving(rig: StandInExchange, home: Path) -> Client:
    """Make a client of a server on a home, whose clock is the exchange's."""
    made = ServerSettings(home=home, exchange="coinbase", exchange_urls=dict.fromkeys(("coinbase", "binance"), rig.url))
    return Client(build_server(made, clock=lambda: from_ms(rig.now_ms)))


@pytest.fixture
async def client(rig: StandInExchange, home: Path) -> AsyncIterator[Client]:
    async with serving(rig, home) as client:
        yield client


async def ohlcv(client: Client, limit: int = 500, **arguments: Any) -> list[Any]:
    answer = answer_of(await client.call_tool("get_ohlcv", {"symbol": "BTC/USD", "limit": limit, **arguments}))
    rows: list[Any] = answer["rows"]
    return rows


def candles_asked(rig: StandInExchange) -> int:
    return sum(count for path, count in rig.requests.items() if path.endswith("/candles"))


async def test_each_candle_is_asked_for_once(rig: StandInExchange, client: Client, home: Path) -> None:
    """500 candles where 300 come at a time: 2 requests, then 0, then 1 for each new candle, and 0 after a restart."""
    assert len(await ohlcv(client)) == 500
    assert candles_asked(rig) == 2
    markets = rig.requests.total() - 2
    assert markets == 5, "ccxt makes so many to load coinbase's markets, once"
    assert len(await ohlcv(client)) == 500
    assert len(await ohlcv(client, 120)) == 120
    assert rig.requests.total() == markets + 2
    rig.now_ms += HOUR_MS
    assert (await ohlcv(client))[-1][0] == "2026-01-15T10:00Z"
    assert rig.requests.total() == markets + 3
    assert len(await ohlcv(client, 620)) == 620
    assert rig.requests.total() == markets + 4, "only the older ones that are missing"
    for name in ("calculate_rsi", "calculate_macd"):
        answer_of(await client.call_tool(name, {"symbol": "BTC/USD"}))
    assert rig.requests.total() == markets + 4


async def test_a_restarted_server_asks_for_nothing_that_was_kept(rig: StandInExchange, home: Path) -> None:
    async with serving(rig, home) as client:
        first = await ohlcv(client)
    rig.requests.clear()
    async with serving(rig, home) as client:
        assert await ohlcv(client) == first
    assert not rig.requests, "not even for the markets: the store knows the symbol"


async def test_twenty_calls_at_once_for_one_series_make_one_request(rig: StandInExchange, client: Client) -> None:
    await ohlcv(client, 1, timeframe="1d")
    rig.requests.clear()
    rig.faults = Faults(latency_s=0.05)
    lengths = []

    async def one(limit: int) -> None:
        lengths.append(len(await ohlcv(client, limit)))

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(one, 200)
    assert lengths == [200] * 20
    assert rig.requests == {CANDLES: 1}


async def test_twenty_prices_and_books_at_once_make_one_request_each(rig: StandInExchange, client: Client) -> None:
    await ohlcv(client, 1)
    rig.requests.clear()
    rig.faults = Faults(latency_s=0.05)
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(client.call_tool, "get_price", {"symbol": "BTC/USD"})
            tasks.start_soon(client.call_tool, "get_order_book", {"symbol": "BTC/USD"})
    assert sorted(rig.requests.values()) == [1, 1]


async def test_a_hole_between_two_stretches_is_all_that_is_asked_for(rig: StandInExchange, client: Client) -> None:
    await ohlcv(client, 100, as_of="2026-01-05T00:00Z")
    await ohlcv(client, 100)
    rig.log.clear()
    rows = await ohlcv(client, 400)
    assert len(rows) == 400
    asked = [dict(part.split("=") for part in query.split("&")) for path, query in rig.log if path == CANDLES]
    spans = sorted((int(span["start"]) * 1000, int(span["end"]) * 1000) for span in asked)
    last_of_the_early, first_of_the_late = 1_767_571_200_000 - HOUR_MS, (NOW_MS // HOUR_MS - 100) * HOUR_MS
    first = (NOW_MS // HOUR_MS - 400) * HOUR_MS
    assert spans == [
        (first, last_of_the_early - 99 * HOUR_MS),
        (last_of_the_early + HOUR_MS, first_of_the_late),
    ]


async def test_ten_thousand_candles_come_page_by_page_and_whole(rig: StandInExchange, client: Client) -> None:
    arguments = {"symbol": "BTC/USDT", "exchange": "binance", "timeframe": "1m", "limit": 10_000, "detail": "summary"}
    answer = answer_of(await client.call_tool("get_ohlcv", arguments))
    assert (answer["summary"]["candles"], answer.get("missing"), answer.get("note")) == (10_000, None, None)
    assert rig.requests["/api/v3/klines"] == 10
    rows = await ohlcv(client, 10_000, timeframe="1m", exchange="binance", symbol="BTC/USDT")
    assert rows == sorted(rows)
    assert rig.requests["/api/v3/klines"] == 10
