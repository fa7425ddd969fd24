"""A market over an exchange of our own making and an empty home."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from mcp_server.market.candle_cache import CandleCache
from mcp_server.market.market import Market
from mcp_server.storage.candles.store import CandleStore
from mcp_server.storage.database import Database
from tests.market.venue import NOON, Venue, market_on


@pytest.fixture
def venue() -> Venue:
    return Venue(NOON + timedelta(minutes=7))


@pytest.fixture
def store(home: Path) -> CandleStore:
    return CandleStore(Database(home / "claude_trader.duckdb", patience_s=0.2))


@pytest.fixture
async def shelf(store: CandleStore) -> AsyncIterator[CandleCache]:
    shelf = CandleCache(store)
    yield shelf
    await shelf.close()


@pytest.fixture
def market(venue: Venue, shelf: CandleCache) -> Market:
    return market_on(venue, shelf)
