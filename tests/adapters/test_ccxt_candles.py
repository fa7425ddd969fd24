"""Candles through ccxt's own classes: whole ranges, and right rows whatever is sent."""

import json

import numpy as np
import pytest

from mcp_server.adapters.ccxt.exchange import CcxtExchange
from mcp_server.adapters.ccxt.pages import MAX_PAGES
from mcp_server.domain.candles import Candles
from mcp_server.domain.timeframes import candle_open_ms
from mcp_server.errors import BadInput, NotSupported, TraderError, UpstreamRejected
from tests.adapters.conftest import CANDLES_PATH, FORMING, HOUR, MINUTE, NOW_MS, every_exchange, reached
from tests.rigs.stand_in_exchange import Faults, StandInExchange

NEWEST_MINUTE = candle_open_ms(NOW_MS, "1m")


def assert_same(candles: Candles, rows: list[list[float]]) -> None:
    wanted = Candles.from_rows(rows)
    for name in ("open_time_ms", "open", "high", "low", "close", "volume"):
        np.testing.assert_array_equal(getattr(candles, name), getattr(wanted, name))


# Ranges and pages


@pytest.mark.parametrize(("name", "count"), [("binance", 2500), ("coinbase", 750)])
async def test_pages_are_joined_until_the_range_is_covered(rig: StandInExchange, name: str, count: int) -> None:
    start = NEWEST_MINUTE - (count - 1) * MINUTE
    async with reached(name, rig) as exchange:
        candles = (await exchange.candles("BTC/USDT", "1m", start, NOW_MS)).candles
    assert (len(candles), candles.open_time_ms[0]) == (count, start)
    assert_same(candles, rig.candles("BTC", "USDT", start, NOW_MS, MINUTE))
    assert rig.requests[CANDLES_PATH[name]] == 3


async def test_kraken_gives_its_last_720_candles_and_none_of_an_older_range(
    rig: StandInExchange, kraken: CcxtExchange
) -> None:
    candles = (await kraken.candles("BTC/USD", "1h", NOW_MS - 1000 * HOUR, NOW_MS)).candles
    assert (len(candles), candles.open_time_ms[-1]) == (720, FORMING)
    older = await kraken.candles("BTC/USD", "1h", NOW_MS - 2000 * HOUR, NOW_MS - 1000 * HOUR)
    assert len(older.candles) == 0
    assert rig.requests["/0/public/OHLC"] <= 4


@every_exchange
async def test_a_range_is_answered_exactly_with_the_forming_candle_only_where_it_is_in_it(
    rig: StandInExchange, name: str
) -> None:
    async with reached(name, rig) as exchange:
        closed = (await exchange.candles("BTC/USDT", "1h", FORMING - 3 * HOUR, FORMING)).candles
        assert closed.open_time_ms.tolist() == [FORMING - 3 * HOUR, FORMING - 2 * HOUR, FORMING - HOUR]
        forming = (await exchange.candles("BTC/USDT", "1h", FORMING - HOUR + 1, FORMING + 1)).candles
        assert_same(forming, [rig.candle("BTC", "USDT", FORMING, HOUR)])


async def test_an_empty_range_takes_no_request_and_tells_no_time(rig: StandInExchange, kraken: CcxtExchange) -> None:
    await kraken.candles("BTC/USDT", "1h", FORMING - HOUR, FORMING)
    rig.requests.clear()
    fetched = await kraken.candles("BTC/USDT", "1h", FORMING, FORMING)
    assert (len(fetched.candles), fetched.clock_ms, rig.requests.total()) == (0, None, 0)


async def test_an_empty_page_before_the_listing_is_not_the_end(rig: StandInExchange, binance: CcxtExchange) -> None:
    rig.listed_ms = FORMING - 100 * HOUR  # coin-margined candles are asked for by windows of time
    candles = (await binance.candles("BTC/USD:BTC", "1h", NOW_MS - 2500 * HOUR, NOW_MS)).candles
    assert (len(candles), candles.open_time_ms[0]) == (101, rig.listed_ms)


async def test_a_page_in_which_nothing_was_traded_is_not_the_end(rig: StandInExchange, coinbase: CcxtExchange) -> None:
    start = FORMING - 800 * HOUR
    rig.missing = set(range(start + 250 * HOUR, start + 700 * HOUR, HOUR))
    candles = (await coinbase.candles("BTC/USDT", "1h", start, FORMING)).candles
    opens = [*range(start, start + 250 * HOUR, HOUR), *range(start + 700 * HOUR, FORMING, HOUR)]
    assert candles.open_time_ms.tolist() == opens


async def test_what_is_not_published_yet_is_not_waited_for(rig: StandInExchange, binance: CcxtExchange) -> None:
    rig.unpublished = 2
    candles = (await binance.candles("BTC/USDT", "1h", FORMING - 5 * HOUR, NOW_MS)).candles
    assert candles.open_time_ms[-1] == FORMING - 3 * HOUR
    assert rig.requests[CANDLES_PATH["binance"]] <= 2


async def test_a_timeframe_that_kraken_would_take_without_having_it_is_refused(
    rig: StandInExchange, kraken: CcxtExchange
) -> None:
    for timeframe in ("7m", "2h", "1w"):
        with pytest.raises(NotSupported, match=f"no '{timeframe}' candles.*4h"):
            await kraken.candles("BTC/USD", timeframe, NOW_MS - HOUR, NOW_MS)
    assert rig.requests["/0/public/OHLC"] == 0


@pytest.mark.parametrize(("name", "most"), [("binance", 1000), ("coinbase", 300)])
async def test_a_range_of_too_many_pages_is_refused_before_it_is_asked_for(
    rig: StandInExchange, name: str, most: int
) -> None:
    start = NEWEST_MINUTE - (MAX_PAGES * most + 1) * MINUTE
    async with reached(name, rig) as exchange:
        with pytest.raises(BadInput, match=rf"from 2025-.* take more than 150 requests to '{name}'"):
            await exchange.candles("BTC/USDT", "1m", start, NEWEST_MINUTE)
    assert rig.requests[CANDLES_PATH[name]] == 0


# Rows


@every_exchange
async def test_whatever_order_and_number_rows_come_in_each_candle_comes_out_once_and_whole(
    rig: StandInExchange, name: str
) -> None:
    start = FORMING - 700 * HOUR
    rig.shuffled = rig.duplicated = True
    rig.missing = {start, *range(start + 100 * HOUR, start + 117 * HOUR, HOUR), FORMING - HOUR}
    rig.incomplete_ms = {start + HOUR, start + 299 * HOUR, start + 300 * HOUR, start + 650 * HOUR, FORMING}
    async with reached(name, rig) as exchange:
        candles = (await exchange.candles("BTC/USDT", "1h", start, FORMING + 1)).candles
    truth = rig.candles("BTC", "USDT", start, FORMING + 1, HOUR)
    assert len(candles) == 701 - 19 - 5
    assert_same(candles, [row for row in truth if row[0] not in rig.missing | rig.incomplete_ms])


@every_exchange
async def test_a_row_with_a_missing_value_is_dropped(rig: StandInExchange, name: str) -> None:
    rig.incomplete_ms = {FORMING - 2 * HOUR}
    async with reached(name, rig) as exchange:
        candles = (await exchange.candles("BTC/USDT", "1h", FORMING - 3 * HOUR, FORMING + 1)).candles
    assert candles.open_time_ms.tolist() == [FORMING - 3 * HOUR, FORMING - HOUR, FORMING]


@pytest.mark.parametrize(
    ("rows", "error", "text"),
    [
        ([[FORMING, "1", "2", "3", "1", "1"]], UpstreamRejected, "high below its low.*another exchange"),
        ([[FORMING - 7, "1", "3", "1", "1", "1"]], NotSupported, "opens its 1h candles at other times"),
        ([["soon", "1", "3", "1", "1", "1"]], UpstreamRejected, "cannot be read"),
        ([1, 2], UpstreamRejected, "cannot be read"),
    ],
)
async def test_candles_that_make_no_sense_are_the_exchanges_fault(
    rig: StandInExchange, binance: CcxtExchange, rows: list[object], error: type[TraderError], text: str
) -> None:
    await binance.symbol("BTC/USDT")
    rig.faults = Faults(status=200, body=json.dumps(rows))
    with pytest.raises(error, match=text):
        await binance.candles("BTC/USDT", "1h", NOW_MS - 2 * HOUR, NOW_MS)


@pytest.mark.parametrize("body", [{"error": []}, {"error": [], "last": 1}, {"last": 1}])
async def test_an_answer_of_kraken_without_a_result_is_not_taken_for_no_candles(
    rig: StandInExchange, kraken: CcxtExchange, body: dict[str, object]
) -> None:
    await kraken.symbol("BTC/USDT")
    rig.faults = Faults(status=200, body=json.dumps(body))
    with pytest.raises(UpstreamRejected, match="'kraken' sent an answer that cannot be read"):
        await kraken.candles("BTC/USDT", "1h", NOW_MS - 2 * HOUR, NOW_MS)
