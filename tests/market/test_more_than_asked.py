"""An exchange may send more than it was asked for; nothing of it is answered that is later than the as-of."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from tests.acceptance.market_rig import NOW_MS, calling
from tests.rigs.stand_in_exchange import StandInExchange
from tests.tools.conftest import answer_of

AS_OF = datetime(2026, 1, 9, 15, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def rig() -> Iterator[StandInExchange]:
    with StandInExchange() as rig:
        rig.now_ms = NOW_MS
        yield rig


@pytest.fixture
async def client(rig: StandInExchange, home: Path) -> AsyncIterator[Client]:
    rig.ignores_bounds = True
    async with calling(home, rig) as client:
        yield client


async def ask(client: Client, tool: str, symbol: str = "BTC/USDT", **arguments: Any) -> dict[str, Any]:
    return answer_of(await client.call_tool(tool, {"symbol": symbol, "exchange": "binance", **arguments}))


async def test_fundings_end_at_the_as_of(rig: StandInExchange, client: Client) -> None:
    answer = await ask(client, "get_derivatives", as_of=AS_OF.isoformat(), limit=5)
    rig.ignores_bounds = False
    obedient = await ask(client, "get_derivatives", as_of=(AS_OF + timedelta(seconds=1)).isoformat(), limit=5)
    assert answer["rows"] == obedient["rows"]
    times = [datetime.fromisoformat(row[0]) for row in answer["rows"]]
    assert (len(times), max(times)) == (5, datetime(2026, 1, 9, 8, tzinfo=UTC))


async def test_a_funding_at_the_very_moment_is_settled_and_one_a_second_later_is_not(client: Client) -> None:
    at = datetime(2026, 1, 9, 8, tzinfo=UTC)
    for moment, last in ((at, at), (at - timedelta(seconds=1), at - timedelta(hours=8))):
        answer = await ask(client, "get_derivatives", as_of=moment.isoformat(), limit=2)
        assert max(datetime.fromisoformat(row[0]) for row in answer["rows"]) == last


@pytest.mark.parametrize("timeframe", ["1h", "1d", "3d"])
async def test_candles_end_at_the_as_of(rig: StandInExchange, client: Client, timeframe: str) -> None:
    answer = await ask(client, "get_ohlcv", as_of=AS_OF.isoformat(), timeframe=timeframe, limit=4)
    rig.ignores_bounds = False
    obedient = await ask(client, "get_ohlcv", as_of=AS_OF.isoformat(), timeframe=timeframe, limit=4, symbol="ETH/USDT")
    assert [row[0] for row in answer["rows"]] == [row[0] for row in obedient["rows"]]
    assert len(answer["rows"]) == 4


async def test_the_forming_candle_is_one(client: Client) -> None:
    answer = await ask(client, "get_ohlcv", limit=2, include_forming=True)
    assert answer["forming"]["row"][0] == "2026-01-15T10:00Z"
    assert [row[0] for row in answer["rows"]] == ["2026-01-15T08:00Z", "2026-01-15T09:00Z"]


async def test_an_order_book_has_the_depth_that_was_asked_for(client: Client) -> None:
    answer = await ask(client, "get_order_book", depth=5)
    assert len(answer["rows"]) == 5


async def test_a_price_of_the_past_is_the_last_close_by_then(rig: StandInExchange, client: Client) -> None:
    answer = await ask(client, "get_price", as_of=AS_OF.isoformat())
    minute_ms = int(AS_OF.timestamp()) * 1000 - 60_000
    assert answer["price"] == rig.candle("BTC", "USDT", minute_ms, 60_000)[4]
