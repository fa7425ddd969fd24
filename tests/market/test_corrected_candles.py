"""A candle that an exchange corrects after its close is answered, asked for again, and never kept wrong."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from tests.acceptance.market_rig import calling
from tests.rigs.stand_in_exchange import StandInExchange
from tests.tools.conftest import answer_of

HOUR_MS, MINUTE_MS = 3_600_000, 60_000
NOON_MS = int(datetime(2026, 1, 15, 12, tzinfo=UTC).timestamp()) * 1000


@pytest.fixture
def rig() -> Iterator[StandInExchange]:
    with StandInExchange() as rig:
        rig.flat_for_ms = 20_000
        rig.now_ms = NOON_MS + 5_000
        yield rig


@pytest.fixture
async def client(rig: StandInExchange, home: Path) -> AsyncIterator[Client]:
    async with calling(home, rig) as client:
        yield client


async def ohlcv(client: Client, timeframe: str = "1h", limit: int = 3) -> tuple[list[Any], str]:
    """Return the last row and the note."""
    arguments = {"symbol": "BTC/USDT", "exchange": "binance", "timeframe": timeframe, "limit": limit}
    answer = answer_of(await client.call_tool("get_ohlcv", arguments))
    assert len(answer["rows"]) == limit
    return answer["rows"][-1], answer.get("note", "")


def asked(rig: StandInExchange) -> int:
    return rig.requests["/api/v3/klines"]


def is_flat(row: list[Any]) -> bool:
    return len(set(row[1:5])) == 1 and row[5] == 0


async def test_a_flat_candle_is_replaced_once_the_exchange_has_corrected_it(
    rig: StandInExchange, client: Client, home: Path
) -> None:
    row, note = await ohlcv(client)
    assert (row[0], is_flat(row), note) == ("2026-01-15T11:00Z", True, "")
    rig.now_ms = NOON_MS + 40_000
    real, note = await ohlcv(client)
    true = rig.candle("BTC", "USDT", NOON_MS - HOUR_MS, HOUR_MS)
    assert real[1:5] == true[1:5]
    assert real[5] == pytest.approx(true[5], rel=1e-3)
    assert "corrected" in note
    assert "2026-01-15T11:00Z" in note
    rsi = answer_of(await client.call_tool("calculate_rsi", {"symbol": "BTC/USDT", "exchange": "binance"}))
    assert "2026-01-15T11:00Z" in rsi["note"], "whoever looks at this candle is told"


async def test_a_candle_that_was_answered_flat_is_corrected_an_hour_later_and_after_a_restart(
    rig: StandInExchange, client: Client, home: Path
) -> None:
    await ohlcv(client)
    rig.now_ms = NOON_MS + HOUR_MS + 5_000
    arguments = {"symbol": "BTC/USDT", "exchange": "binance", "limit": 2}
    answer = answer_of(await client.call_tool("get_ohlcv", arguments))
    assert [is_flat(row) for row in answer["rows"]] == [False, True]
    assert "corrected" in answer["note"]
    async with calling(home, rig) as another:
        assert [is_flat((await ohlcv(another, limit=n))[0]) for n in (1, 3)] == [True, True]
    rig.now_ms = NOON_MS + 2 * HOUR_MS - 1
    async with calling(home, rig) as another:
        assert not is_flat((await ohlcv(another))[0])


async def test_a_candle_that_may_still_change_is_asked_for_at_most_once_in_fifteen_seconds(
    rig: StandInExchange, client: Client
) -> None:
    rig.now_ms = NOON_MS + 60_000
    for _ in range(3):
        await ohlcv(client)
    for _ in range(3):
        await client.call_tool("calculate_rsi", {"symbol": "BTC/USDT", "exchange": "binance"})
    first = asked(rig)
    rig.now_ms += 14_000
    await ohlcv(client)
    assert asked(rig) == first
    for passed in (16_000, 32_000):
        rig.now_ms = NOON_MS + 60_000 + passed
        await ohlcv(client)
        await ohlcv(client)
    assert asked(rig) == first + 2


async def test_after_ten_minutes_a_candle_is_kept_for_good(rig: StandInExchange, client: Client) -> None:
    rig.now_ms = NOON_MS + 10 * MINUTE_MS
    await ohlcv(client)
    before = asked(rig)
    rig.now_ms += 30 * MINUTE_MS
    assert (await ohlcv(client))[1] == ""
    assert asked(rig) == before


@pytest.mark.parametrize("timeframe", ["1m", "3m", "5m"])
async def test_each_of_several_new_candles_may_be_corrected(
    rig: StandInExchange, client: Client, timeframe: str
) -> None:
    """All short candles of the last ten minutes come with one request, however many are asked for."""
    rig.flat_for_ms = 4 * MINUTE_MS
    arguments = {"symbol": "BTC/USDT", "exchange": "binance", "timeframe": timeframe}
    rows: dict[str, list[Any]] = {}
    for limit in (1, 2, 300):
        answer = answer_of(await client.call_tool("get_ohlcv", {**arguments, "limit": limit}))
        rows |= {row[0]: row for row in answer["rows"]}
    assert asked(rig) == 2, "the newest, and once the older ones"
    assert any(is_flat(row) for row in rows.values())
    rig.flat_for_ms, rig.now_ms = 0, rig.now_ms + 16_000
    answer = answer_of(await client.call_tool("get_ohlcv", {**arguments, "limit": 300}))
    assert not any(is_flat(row) for row in answer["rows"])
    assert asked(rig) == 3
    assert "corrected" in answer["note"]


async def test_what_is_built_from_corrected_candles_says_so(rig: StandInExchange, client: Client) -> None:
    """A week is built from days, and its last day may still change."""
    rig.now_ms = int(datetime(2026, 1, 12, tzinfo=UTC).timestamp()) * 1000 + 5_000
    before, _ = await ohlcv(client, "1w", 2)
    rig.now_ms += 30_000
    after, note = await ohlcv(client, "1w", 2)
    assert before[0] == after[0] == "2026-01-05T00:00Z"
    assert before != after
    assert "2026-01-11T00:00Z" in note


async def test_a_correction_is_told_for_ten_minutes(rig: StandInExchange, client: Client) -> None:
    await ohlcv(client)
    rig.now_ms = NOON_MS + 40_000
    assert "corrected" in (await ohlcv(client))[1]
    rig.now_ms += 9 * MINUTE_MS
    assert "corrected" in (await ohlcv(client))[1]
    rig.now_ms += 2 * MINUTE_MS
    assert (await ohlcv(client))[1] == ""


async def test_a_clock_that_was_set_back_does_not_make_a_candle_last(rig: StandInExchange, client: Client) -> None:
    await ohlcv(client)
    rig.flat_for_ms, rig.now_ms = 0, NOON_MS + 3_000
    assert not is_flat((await ohlcv(client))[0])


async def test_a_correction_of_the_volume_alone_is_told(rig: StandInExchange, client: Client) -> None:
    rig.flat_for_ms, rig.now_ms = 0, NOON_MS + 60_000
    await ohlcv(client)
    rig.volume_factor, rig.now_ms = 2.0, rig.now_ms + 20_000
    assert "(volume " in (await ohlcv(client))[1]
