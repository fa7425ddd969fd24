"""The market tools against real exchanges: `make live`, where there is internet. Nothing else runs these."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from mcp_server.app import build_server
from mcp_server.settings import ServerSettings
from tests.tools.conftest import answer_of

pytestmark = pytest.mark.live

SPOT = [("coinbase", "BTC/USD"), ("kraken", "XBT/USD"), ("binanceus", "btcusdt"), ("gemini", "BTC/USD")]
SWAPS = [("krakenfutures", "BTC/USD"), ("hyperliquid", "BTC/USDC"), ("okx", "BTC/USDT")]
HOUR = timedelta(hours=1)


@pytest.fixture
async def client(home: Path) -> AsyncIterator[Client]:
    async with Client(build_server(ServerSettings(home=home))) as client:
        yield client


async def ask(client: Client, name: str, **arguments: Any) -> dict[str, Any]:
    return answer_of(await client.call_tool(name, arguments))


@pytest.mark.parametrize(("exchange", "symbol"), SPOT)
async def test_a_real_price_is_live_and_between_bid_and_ask(client: Client, exchange: str, symbol: str) -> None:
    said = await ask(client, "get_price", symbol=symbol, exchange=exchange)
    assert said["live"]
    assert said["age_s"] < 120
    assert 1_000 < said["price"] < 10_000_000


@pytest.mark.parametrize("timeframe", ["1m", "1h", "4h", "1d"])
@pytest.mark.parametrize(("exchange", "symbol"), SPOT)
async def test_real_candles_are_closed_whole_and_on_time(
    client: Client, exchange: str, symbol: str, timeframe: str
) -> None:
    said = await ask(client, "get_ohlcv", symbol=symbol, exchange=exchange, timeframe=timeframe, limit=500)
    times = [datetime.fromisoformat(row[0]) for row in said["rows"]]
    assert times == sorted(set(times))
    assert len(times) == 500 or said["note"]
    assert 0 <= said["age_s"] < 7_200 + 86_400 * (timeframe == "1d")


@pytest.mark.parametrize(("exchange", "symbol"), SPOT)
async def test_a_real_price_of_the_past_is_the_close_of_its_minute_or_hour(
    client: Client, exchange: str, symbol: str
) -> None:
    moment = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 5 * HOUR
    said = await ask(client, "get_price", symbol=symbol, exchange=exchange, as_of=moment.isoformat())
    hour = await ask(client, "get_ohlcv", symbol=symbol, exchange=exchange, limit=1, as_of=moment.isoformat())
    assert not said["live"]
    assert said["price"] == pytest.approx(hour["rows"][-1][4], rel=1e-3)


@pytest.mark.parametrize(("exchange", "symbol"), SPOT)
async def test_a_real_order_book_is_ordered_and_not_crossed(client: Client, exchange: str, symbol: str) -> None:
    said = await ask(client, "get_order_book", symbol=symbol, exchange=exchange, depth=7)
    bids, asks = [row[0] for row in said["rows"]], [row[2] for row in said["rows"]]
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert bids[0] < asks[0]
    assert len(said["rows"]) == 7


@pytest.mark.parametrize(("exchange", "symbol"), SWAPS)
async def test_real_fundings_are_small_and_settled(client: Client, exchange: str, symbol: str) -> None:
    said = await ask(client, "get_derivatives", symbol=symbol, exchange=exchange)
    assert said["live"]
    assert said["rows"] or said["note"]
    assert all(abs(rate) < 0.05 for _, rate in said["rows"])


async def test_real_markets_are_found(client: Client) -> None:
    said = await ask(client, "find_markets", query="pepe", exchange="coinbase")
    assert "PEPE/USD" in [row[0] for row in said["rows"]]
