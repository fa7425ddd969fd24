"""ccxt's own classes get from the stand-in what the rig says is true, and each switch does what it says."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import ccxt.async_support as ccxt
import pytest

from tests.rigs.sampled import sampled
from tests.rigs.stand_in_exchange import LISTED_MS, Faults, StandInExchange

MINUTE, HOUR = 60_000, 3_600_000
NOW_MS = 1_768_472_430_000  # 2026-01-15T10:20:30Z
FORMING = NOW_MS // HOUR * HOUR
EIGHT_OCLOCK = FORMING - 2 * HOUR

SPOT = {"kraken": "BTC/USD", "binance": "BTC/USDT", "coinbase": "BTC/USD"}
SWAPS = ("BTC/USDT:USDT", "ETH/USDT:USDT", "BTC/USD:BTC")
MARKETS = [
    ("kraken", "BTC/USD"), ("kraken", "PEPE/USD"), ("kraken", "ETH/BTC"),
    ("binance", "BTC/USDT"), ("binance", "PEPE/USDT"), *(("binance", swap) for swap in SWAPS),
    ("coinbase", "BTC/USD"), ("coinbase", "PEPE/USD"), ("coinbase", "ETH/BTC"), ("coinbase", "BTC/USDC"),
]  # fmt: skip

every_exchange = pytest.mark.parametrize("name", SPOT)
every_market = pytest.mark.parametrize(("name", "symbol"), sampled(MARKETS, 3))
every_swap = pytest.mark.parametrize("symbol", SWAPS)


@pytest.fixture(scope="module")
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


@asynccontextmanager
async def reached(name: str, rig: StandInExchange) -> AsyncIterator[Any]:
    client = getattr(ccxt, name)({"enableRateLimit": False})
    client.urls["api"] = moved(client.urls["api"], rig.url)
    client.timeout_on_exit = 0
    try:
        yield client
    finally:
        await client.close()


def moved(url: Any, base_url: str) -> Any:
    if isinstance(url, dict):
        return {name: moved(inner, base_url) for name, inner in url.items()}
    to = urlsplit(base_url)
    return urlsplit(url)._replace(scheme=to.scheme, netloc=to.netloc).geturl() if isinstance(url, str) else url


def codes(symbol: str) -> tuple[str, str]:
    base, quote = symbol.split(":", maxsplit=1)[0].split("/")
    return base, quote


async def raw_opens(client: Any, name: str, since_ms: int) -> list[int]:
    """Ask for hours as ccxt does, and give their open times as they were sent, before ccxt sorts and cuts them."""
    client.enableLastJsonResponse = True
    await client.fetch_ohlcv(SPOT[name], "1h", since_ms, 10)
    answer = client.last_json_response
    match name:
        case "kraken":
            return [row[0] * 1000 for row in answer["result"]["XXBTZUSD"]]
        case "binance":
            return [row[0] for row in answer]
        case _:
            return [int(row["start"]) * 1000 for row in answer["candles"]]


def hours(first: int, last: int) -> list[int]:
    """Give open times; the forming hour is number 0."""
    return [FORMING + number * HOUR for number in range(first, last + 1)]


# Markets


@pytest.mark.parametrize(
    ("name", "symbols", "requests"),
    [
        ("kraken", {"BTC/USD", "BTC/EUR", "BTC/USDT", "ETH/BTC", "DOGE/USD"}, 2),
        ("binance", {"BTC/USDT", "BTC/USDC", "ETH/BTC", "HYPE/USDT:USDT", *SWAPS}, 3),
        ("coinbase", {"BTC/USD", "ETH/USD", "SOL/USD", "DOGE/USD", "PEPE/USD", "BTC/USDT", "ETH/BTC"}, 5),
    ],
)
async def test_markets_are_loaded(rig: StandInExchange, name: str, symbols: set[str], requests: int) -> None:
    async with reached(name, rig) as client:
        await client.load_markets()
    assert symbols <= set(client.markets)
    assert len(rig.log) == requests


async def test_a_market_in_usd_has_a_twin_in_usdc_on_coinbase(rig: StandInExchange) -> None:
    async with reached("coinbase", rig) as client:
        await client.load_markets()
    one, other = client.markets["BTC/USD"]["info"], client.markets["BTC/USDC"]["info"]
    assert (one["alias"], one["alias_to"]) == ("", ["BTC-USDC"])
    assert (other["alias"], other["alias_to"]) == ("BTC-USD", [])
    assert client.markets["BTC/USDT"]["info"]["alias_to"] == []


@every_exchange
async def test_extra_markets_are_in_the_list_and_can_be_asked_for(rig: StandInExchange, name: str) -> None:
    async with reached(name, rig) as client:
        before = len(await client.load_markets())
        rig.extra_markets = 300
        assert len(await client.load_markets(True)) == before + 300
        assert client.market("X0300/USDT")["spot"] is True
        assert (await client.fetch_ticker("X0300/USDT"))["last"] == rig.last("X0300", "USDT")


async def test_a_spot_market_of_binance_is_as_large_as_the_real_one_unless_asked_for_without_permissions(
    rig: StandInExchange,
) -> None:
    rig.extra_markets = 10
    async with reached("binance", rig) as client:
        whole = await client.publicGetExchangeInfo()
        lean = await client.publicGetExchangeInfo({"showPermissionSets": "false"})
    assert len(str(lean)) > 15 * 1500
    assert len(str(whole)) - len(str(lean)) > 15 * 1500
    assert len(whole["symbols"][0]["filters"]) > 8


# Candles


@every_market
async def test_candles_are_those_of_the_rig_to_the_last_digit(rig: StandInExchange, name: str, symbol: str) -> None:
    async with reached(name, rig) as client:
        rows = await client.fetch_ohlcv(symbol, "1h", FORMING - 3 * HOUR, 4)
    assert rows == rig.candles(*codes(symbol), FORMING - 3 * HOUR, FORMING + 1, HOUR)
    assert len(rows) == 4


async def test_coinbase_sends_the_newest_first_and_both_ends_of_a_range(rig: StandInExchange) -> None:
    async with reached("coinbase", rig) as client:
        opens = await raw_opens(client, "coinbase", FORMING - 20 * HOUR)
    assert opens == hours(-20, -10)[::-1]


@pytest.mark.parametrize(("count", "refused"), [(350, False), (351, True)])
async def test_coinbase_refuses_more_than_350_candles(rig: StandInExchange, count: int, refused: bool) -> None:
    async with reached("coinbase", rig) as client:
        await client.load_markets()
        asked = ("BTC/USD", "1h", FORMING - (count - 1) * HOUR, None, {"until": FORMING})
        if refused:
            with pytest.raises(ccxt.BadRequest, match="candles requested should be less than 350"):
                await client.fetch_ohlcv(*asked)
        else:
            assert len(await client.fetch_ohlcv(*asked)) == 300  # ccxt's own limit


async def test_binance_goes_on_to_later_candles_where_some_are_missing(rig: StandInExchange) -> None:
    rig.missing = {FORMING - 8 * HOUR, FORMING - 7 * HOUR}
    async with reached("binance", rig) as client:
        rows = await client.fetch_ohlcv("BTC/USDT", "1h", FORMING - 9 * HOUR, 3)
        newest = await client.fetch_ohlcv("BTC/USDT", "1h", None, 8)
    assert [row[0] for row in rows] == [*hours(-9, -9), *hours(-6, -5)]
    assert [row[0] for row in newest] == [*hours(-9, -9), *hours(-6, 0)]


@every_exchange
async def test_missing_candles_are_not_sent(rig: StandInExchange, name: str) -> None:
    rig.missing = {FORMING - 4 * HOUR}
    async with reached(name, rig) as client:
        opens = await raw_opens(client, name, FORMING - 9 * HOUR)
    assert set(hours(-9, 0)) - set(opens) == rig.missing


@every_exchange
async def test_incomplete_candles_come_without_a_close(rig: StandInExchange, name: str) -> None:
    rig.incomplete_ms = {FORMING - HOUR}
    async with reached(name, rig) as client:
        rows = await client.fetch_ohlcv(SPOT[name], "1h", FORMING - 2 * HOUR, 3)
    assert [row[4] is None for row in rows] == [False, True, False]


@every_exchange
@pytest.mark.parametrize("held_back", sampled([1, 0, 3], 3))
async def test_unpublished_candles_are_the_newest_closed_ones_and_the_forming_one(
    rig: StandInExchange, name: str, held_back: int
) -> None:
    rig.unpublished = held_back
    async with reached(name, rig) as client:
        opens = await raw_opens(client, name, FORMING - 9 * HOUR)
    assert max(opens) == FORMING - (HOUR * (held_back + 1) if held_back else 0)


@every_exchange
async def test_shuffled_candles_come_in_no_order_of_time(rig: StandInExchange, name: str) -> None:
    async with reached(name, rig) as client:
        usual = await raw_opens(client, name, FORMING - 9 * HOUR)
        rig.shuffled = True
        opens = await raw_opens(client, name, FORMING - 9 * HOUR)
        assert opens == await raw_opens(client, name, FORMING - 9 * HOUR)
    assert sorted(opens) == sorted(usual)
    assert opens not in (sorted(usual), sorted(usual, reverse=True))


@every_exchange
async def test_some_duplicated_candles_come_twice(rig: StandInExchange, name: str) -> None:
    async with reached(name, rig) as client:
        usual = await raw_opens(client, name, FORMING - 9 * HOUR)
        rig.duplicated = True
        opens = await raw_opens(client, name, FORMING - 9 * HOUR)
    assert {opens.count(opened) for opened in opens} == {1, 2}
    assert list(dict.fromkeys(opens)) == usual


# Tickers and order books


@every_market
async def test_the_best_bid_and_ask_are_around_the_last_price(rig: StandInExchange, name: str, symbol: str) -> None:
    async with reached(name, rig) as client:
        ticker = await client.fetch_ticker(symbol)
        book = await client.fetch_order_book(symbol)
    assert ticker["last"] == rig.last(*codes(symbol))
    assert book["bids"][0][0] < ticker["last"] < book["asks"][0][0]
    if ":" not in symbol:  # Binance's swaps have neither in their tickers
        assert (ticker["bid"], ticker["ask"]) == (book["bids"][0][0], book["asks"][0][0])


@every_market
@pytest.mark.parametrize("depth", sampled([5, 100, 500], 3))
async def test_order_books_are_those_of_the_rig(rig: StandInExchange, name: str, symbol: str, depth: int) -> None:
    async with reached(name, rig) as client:
        book = await client.fetch_order_book(symbol, depth)
    bids, asks = ([level[:2] for level in book[side]] for side in ("bids", "asks"))
    assert (bids, asks) == rig.order_book(*codes(symbol), depth)
    assert len(bids) == len(asks) == min(depth, 200)
    prices = [price for price, _ in [*reversed(bids), *asks]]
    assert all(lower < higher for lower, higher in pairwise(prices))


@every_swap
async def test_swaps_of_binance_take_only_certain_depths(rig: StandInExchange, symbol: str) -> None:
    async with reached("binance", rig) as client:
        with pytest.raises(ccxt.BadRequest, match=r"-4021.*7 is not valid depth limit"):
            await client.fetch_order_book(symbol, 7)


@every_exchange
async def test_an_unknown_market_is_refused_by_each_path(rig: StandInExchange, name: str) -> None:
    async with reached(name, rig) as client:
        rig.extra_markets = 1
        await client.load_markets()
        rig.heal()
        for ask in (client.fetch_ticker, client.fetch_order_book, client.fetch_ohlcv):
            with pytest.raises(ccxt.ExchangeError):
                await ask("X0001/USDT")


# Funding and open interest


@every_swap
async def test_the_funding_rate_is_that_of_the_next_payment(rig: StandInExchange, symbol: str) -> None:
    base, quote = codes(symbol)
    async with reached("binance", rig) as client:
        funding = await client.fetch_funding_rate(symbol)
    assert funding["fundingTimestamp"] == EIGHT_OCLOCK + 8 * HOUR
    assert funding["fundingRate"] == rig.funding_rate(base, EIGHT_OCLOCK + 8 * HOUR)
    assert (funding["markPrice"], funding["indexPrice"]) == (rig.mark_price(base, quote), rig.index_price(base, quote))
    assert funding["timestamp"] == NOW_MS


@every_swap
async def test_past_funding_rates_are_those_of_every_eight_hours(rig: StandInExchange, symbol: str) -> None:
    async with reached("binance", rig) as client:

        async def paid(since: int | None, limit: int | None, until: int | None = None) -> list[int]:
            past = await client.fetch_funding_rate_history(symbol, since, limit, {"until": until} if until else {})
            for row in past:
                assert row["fundingRate"] == rig.funding_rate(codes(symbol)[0], row["timestamp"])
            return [(row["timestamp"] - EIGHT_OCLOCK) // (8 * HOUR) for row in past]

        assert await paid(None, None) == list(range(-99, 1))
        assert await paid(None, 3) == [-2, -1, 0]
        assert await paid(EIGHT_OCLOCK - 72 * HOUR, 3) == [-9, -8, -7]
        assert await paid(EIGHT_OCLOCK - 72 * HOUR + 1, None, EIGHT_OCLOCK - 48 * HOUR) == [-8, -7, -6]
        rig.listed_ms = EIGHT_OCLOCK - 9 * HOUR
        assert await paid(EIGHT_OCLOCK - 72 * HOUR, None) == [-1, 0]


@every_swap
async def test_open_interest_is_that_of_the_rig(rig: StandInExchange, symbol: str) -> None:
    async with reached("binance", rig) as client:
        interest = await client.fetch_open_interest(symbol)
    assert interest["openInterestAmount"] == rig.open_interest(codes(symbol)[0])
    assert interest["timestamp"] == NOW_MS


# Time


@every_exchange
async def test_answers_are_dated_by_the_rig_and_not_by_the_machine(rig: StandInExchange, name: str) -> None:
    async with reached(name, rig) as client:
        assert await client.fetch_time() == NOW_MS
        assert parsedate_to_datetime(client.last_response_headers["Date"]).timestamp() * 1000 == NOW_MS
        rig.faults = Faults(status=500)
        rig.now_ms += HOUR
        with pytest.raises(ccxt.ExchangeNotAvailable):
            await client.fetch_time()
        assert parsedate_to_datetime(client.last_response_headers["Date"]).timestamp() * 1000 == NOW_MS + HOUR


@every_exchange
@pytest.mark.parametrize("skew_ms", [45 * MINUTE, -45 * MINUTE])
async def test_all_that_depends_on_time_goes_by_the_exchanges_own_clock(
    rig: StandInExchange, name: str, skew_ms: int
) -> None:
    rig.clock_skew_ms = skew_ms
    own_ms = NOW_MS + skew_ms
    async with reached(name, rig) as client:
        assert await client.fetch_time() == own_ms
        assert parsedate_to_datetime(client.last_response_headers["Date"]).timestamp() * 1000 == own_ms
        rows = await client.fetch_ohlcv(SPOT[name], "1h", FORMING - 3 * HOUR, 10)
        ticker = await client.fetch_ticker(SPOT[name])
    assert rows[-1][0] == own_ms // HOUR * HOUR
    assert rows == rig.candles(*codes(SPOT[name]), FORMING - 3 * HOUR, FORMING + 2 * HOUR, HOUR)
    assert ticker["timestamp"] == (None if name == "kraken" else own_ms)
    assert ticker["last"] == rig.candle(*codes(SPOT[name]), own_ms // MINUTE * MINUTE, MINUTE)[4]


async def test_funding_goes_by_the_exchanges_own_clock(rig: StandInExchange) -> None:
    rig.clock_skew_ms = 8 * HOUR
    async with reached("binance", rig) as client:
        funding = await client.fetch_funding_rate("BTC/USDT:USDT")
        past = await client.fetch_funding_rate_history("BTC/USDT:USDT", None, 1)
    assert funding["fundingTimestamp"] == EIGHT_OCLOCK + 16 * HOUR
    assert past[0]["timestamp"] == EIGHT_OCLOCK + 8 * HOUR


# Faults and records


async def test_a_fault_of_one_path_leaves_the_others_alone_and_counts_its_own(rig: StandInExchange) -> None:
    rig.faults = Faults(status=500, path="klines", times=1)
    async with reached("binance", rig) as client:
        await client.fetch_ticker("BTC/USDT")
        with pytest.raises(ccxt.ExchangeNotAvailable):
            await client.fetch_ohlcv("BTC/USDT")
        await client.fetch_ohlcv("BTC/USDT")


async def test_a_refusal_may_say_when_to_come_back(rig: StandInExchange) -> None:
    rig.faults = Faults(status=429, retry_after_s=7)
    async with reached("coinbase", rig) as client:
        with pytest.raises(ccxt.RateLimitExceeded):
            await client.fetch_time()
        assert client.last_response_headers["Retry-After"] == "7"


async def test_requests_are_counted_and_logged_with_what_they_asked_for(rig: StandInExchange) -> None:
    async with reached("coinbase", rig) as client:
        await client.load_markets()
        rig.log.clear()
        await client.fetch_ohlcv("BTC/USD", "1h", FORMING, 2)
    path, start_s = "/api/v3/brokerage/market/products/BTC-USD/candles", FORMING // 1000
    assert rig.log == [(path, f"granularity=ONE_HOUR&start={start_s}&end={start_s + 7200}")]
    assert rig.requests[path] == 1


def test_healing_turns_every_switch_off_and_leaves_the_present_alone(rig: StandInExchange) -> None:
    off = {**vars(rig)}
    rig.missing, rig.incomplete_ms = {1}, {2}
    rig.shuffled = rig.duplicated = True
    rig.unpublished = rig.clock_skew_ms = rig.extra_markets = 3
    rig.faults = Faults(dropped=True)
    rig.now_ms, rig.listed_ms = NOW_MS + 1, LISTED_MS + 1
    rig.heal()
    assert vars(rig) == {**off, "now_ms": NOW_MS + 1, "listed_ms": LISTED_MS + 1}
