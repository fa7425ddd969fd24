"""ccxt's own unchanged classes, and the stand-in on loopback that they talk to."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import stamina

from mcp_server.adapters.ccxt.exchange import CcxtExchange
from tests.rigs.stand_in_exchange import LISTED_MS, StandInExchange

MINUTE, HOUR = 60_000, 3_600_000
NOW_MS = 1_768_472_430_000  # 2026-01-15T10:20:30Z
FORMING = NOW_MS // HOUR * HOUR

CANDLES_PATH = {
    "kraken": "/0/public/OHLC",
    "binance": "/api/v3/klines",
    "coinbase": "/api/v3/brokerage/market/products/BTC-USDT/candles",
}
"""Where each exchange is asked for the candles of BTC/USDT."""

every_exchange = pytest.mark.parametrize("name", CANDLES_PATH)


@pytest.fixture(scope="session")
def server() -> Iterator[StandInExchange]:
    with StandInExchange() as server:
        yield server


@pytest.fixture
def rig(server: StandInExchange) -> StandInExchange:
    server.heal()
    server.requests.clear()
    server.log.clear()
    server.now_ms, server.listed_ms = NOW_MS, LISTED_MS
    return server


@pytest.fixture(autouse=True)
def _retries_without_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3):
        yield


@asynccontextmanager
async def reached(name: str, rig: StandInExchange, deadline_s: float = 25) -> AsyncIterator[CcxtExchange]:
    exchange = CcxtExchange(name, rig.url, deadline_s=deadline_s)
    try:
        yield exchange
    finally:
        await exchange.close()


@pytest.fixture
async def kraken(rig: StandInExchange) -> AsyncIterator[CcxtExchange]:
    async with reached("kraken", rig) as exchange:
        yield exchange


@pytest.fixture
async def binance(rig: StandInExchange) -> AsyncIterator[CcxtExchange]:
    async with reached("binance", rig) as exchange:
        yield exchange


@pytest.fixture
async def coinbase(rig: StandInExchange) -> AsyncIterator[CcxtExchange]:
    async with reached("coinbase", rig) as exchange:
        yield exchange


def assert_presentable(text: str, name: str) -> None:
    assert text.startswith(f"'{name}' ")
    assert len(text) < 250
    for unwanted in ("http:", "https", "://", "127.0.0.1", "www.", ".example", "s3cret", "<", "\n"):
        assert unwanted not in text
