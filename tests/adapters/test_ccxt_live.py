"""The present through ccxt's own classes: tickers and order books."""

import json
import time
from collections.abc import Sequence
from urllib.parse import parse_qs

import pytest

from mcp_server.adapters.ccxt.exchange import CcxtExchange
from mcp_server.domain.exchange import Level
from mcp_server.errors import UpstreamRejected
from tests.adapters.conftest import HOUR, NOW_MS, every_exchange, reached
from tests.rigs.sampled import sampled
from tests.rigs.stand_in_exchange import Faults, StandInExchange

BOOKS = [
    ("kraken", "BTC/USD", "/0/public/Depth"),
    ("coinbase", "BTC/USD", "/api/v3/brokerage/market/product_book"),
    ("binance", "BTC/USDT", "/api/v3/depth"),
    ("binance", "BTC/USDT:USDT", "/fapi/v1/depth"),
    ("binance", "BTC/USD:BTC", "/dapi/v1/depth"),
]

every_book = pytest.mark.parametrize(("name", "symbol", "path"), BOOKS)


# Tickers


@every_exchange
async def test_a_ticker_is_what_the_market_is_at(rig: StandInExchange, name: str) -> None:
    async with reached(name, rig) as exchange:
        ticker = await exchange.ticker("BTC/USDT")
    book = rig.order_book("BTC", "USDT", 1)
    assert ticker.last == rig.last("BTC", "USDT")
    assert (ticker.bid, ticker.ask) == (book.bids[0][0], book.asks[0][0])


async def test_a_ticker_has_the_exchanges_time_and_its_day_where_it_says_them(binance: CcxtExchange) -> None:
    ticker = await binance.ticker("BTC/USDT")
    assert (ticker.observed_at_ms, ticker.volume_24h_base, ticker.change_24h_pct) == (NOW_MS, 1234.5, 2.0)


async def test_coinbases_ticker_says_its_time_and_nothing_of_the_day(coinbase: CcxtExchange) -> None:
    ticker = await coinbase.ticker("PEPE/USD")
    assert (ticker.observed_at_ms, ticker.volume_24h_base, ticker.change_24h_pct) == (NOW_MS, None, None)
    assert 0 < ticker.last < 0.00001


async def test_krakens_change_since_midnight_is_not_passed_off_as_that_of_24_hours(kraken: CcxtExchange) -> None:
    ticker = await kraken.ticker("BTC/USD")
    assert ticker.change_24h_pct is None
    assert ticker.volume_24h_base == 1234.5
    assert ticker.observed_at_ms > NOW_MS  # Kraken says no time, so it is this machine's


async def test_a_ticker_without_a_last_price_is_refused(rig: StandInExchange, kraken: CcxtExchange) -> None:
    await kraken.symbol("BTC/USD")
    rig.faults = Faults(status=200, body='{"error": [], "result": {"XXBTZUSD": {"c": []}}}')
    with pytest.raises(UpstreamRejected, match="no last price of 'BTC/USD'"):
        await kraken.ticker("BTC/USD")


# Order books


def levels(side: Sequence[Sequence[float]]) -> list[Level]:
    return [(price, size) for price, size in side]


@every_book
@pytest.mark.parametrize("depth", sampled([7, 1, 5, 100], 4))
async def test_an_order_book_is_the_best_of_each_side_cut_at_exactly_the_depth(
    rig: StandInExchange, name: str, symbol: str, path: str, depth: int
) -> None:
    async with reached(name, rig) as exchange:
        book = await exchange.order_book(symbol, depth)
    base, quote = symbol.partition(":")[0].split("/")
    truth = rig.order_book(base, quote, depth)
    assert (book.bids, book.asks) == (levels(truth.bids), levels(truth.asks))
    assert len(book.bids) == len(book.asks) == depth
    assert rig.requests[path] == 1


@every_book
async def test_a_depth_is_rounded_up_to_one_that_nearly_every_exchange_takes(
    rig: StandInExchange, name: str, symbol: str, path: str
) -> None:
    async with reached(name, rig) as exchange:
        await exchange.order_book(symbol, 7)
    assert asked_of(rig, path) == [10]


@every_book
async def test_an_exchange_that_refuses_every_depth_is_asked_without_one(
    rig: StandInExchange, name: str, symbol: str, path: str
) -> None:
    async with reached(name, rig) as exchange:
        await exchange.symbol(symbol)
        rig.faults = Faults(status=400, body='{"code": -4021, "msg": "7 is not valid depth limit"}', path=path, times=1)
        book = await exchange.order_book(symbol, 7)
    base, quote = symbol.partition(":")[0].split("/")
    truth = rig.order_book(base, quote, 7)
    assert (book.bids, book.asks) == (levels(truth.bids), levels(truth.asks))
    assert asked_of(rig, path) == [10, None]


@pytest.mark.parametrize(
    ("name", "symbol", "after_ms"),
    [("coinbase", "BTC/USD", 0), ("binance", "BTC/USDT:USDT", -7)],  # a swap's book is as of its last transaction
)
async def test_an_order_book_has_the_exchanges_time_where_it_says_one(
    rig: StandInExchange, name: str, symbol: str, after_ms: int
) -> None:
    async with reached(name, rig) as exchange:
        assert (await exchange.order_book(symbol, 5)).observed_at_ms == NOW_MS + after_ms


@pytest.mark.parametrize(("name", "symbol"), [("kraken", "BTC/USD"), ("binance", "BTC/USDT")])
async def test_an_order_book_without_a_time_has_this_machines(rig: StandInExchange, name: str, symbol: str) -> None:
    async with reached(name, rig) as exchange:
        before_ms = time.time_ns() // 1_000_000
        observed_ms = (await exchange.order_book(symbol, 5)).observed_at_ms
    assert before_ms <= observed_ms < before_ms + HOUR


async def test_prices_at_which_nothing_is_offered_are_left_out(rig: StandInExchange, binance: CcxtExchange) -> None:
    await binance.symbol("BTC/USDT")
    sides = {"bids": [["9", "0"], ["8", "1.5"], ["0", "3"]], "asks": [["10", ""], ["11", "2"]]}
    rig.faults = Faults(status=200, body=json.dumps({"lastUpdateId": 7, **sides}))
    book = await binance.order_book("BTC/USDT", 5)
    assert (book.bids, book.asks) == ([(8.0, 1.5)], [(11.0, 2.0)])


async def test_an_order_book_that_is_refused_twice_is_refused(rig: StandInExchange, kraken: CcxtExchange) -> None:
    await kraken.symbol("BTC/USD")
    rig.faults = Faults(status=403)
    with pytest.raises(UpstreamRejected, match="'kraken' refused the request"):
        await kraken.order_book("BTC/USD", 5)
    assert rig.requests["/0/public/Depth"] == 2


def asked_of(rig: StandInExchange, path: str) -> list[int | None]:
    """Give the depth that each request for an order book asked for."""
    queries = [parse_qs(query) for asked, query in rig.log if asked == path]
    given = [query.get("limit") or query.get("count") for query in queries]
    return [int(value[0]) if value else None for value in given]
