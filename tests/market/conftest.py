"""A market over an exchange of our own making and an empty home."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from mcp_server.market.candle_cache import CandleCache
from mcp_server.market.market import Market
from mcp_server.storage.candles.store import CandleStore
from mcp_server.storage.database import Database
from tests.market.scripted_exchange import NOON, ScriptedExchange, market_on


@pytest.fixture
def exchange() -> ScriptedExchange:
    return ScriptedExchange(NOON + timedelta(minutes=7))


@pytest.fixture
def store(home: Path) -> CandleStore:
    return CandleStore(Database(home / "claude_trader.duckdb", patience_s=0.2))


@pytest.fixture
async def candle_cache(store: CandleStore) -> AsyncIterator[CandleCache]:
    candle_cache = CandleCache(store)
    yield candle_cache
    await candle_cache.close()


@pytest.fixture
def market(exchange: ScriptedExchange, candle_cache: CandleCache) -> Market:
    return market_on(exchange, candle_cache)
