"""ccxt's own unchanged classes talk to a stand-in on loopback, and what comes out is in our types and errors."""

import gc
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import numpy as np
import pytest
import stamina

from mcp_server.adapters.exchange import CcxtExchange
from mcp_server.adapters.symbols import resolve
from mcp_server.domain.timeframes import TIMEFRAMES, candle_open_ms
from mcp_server.errors import (
    BadInput,
    Misconfigured,
    NotFound,
    NotSupported,
    Retryable,
    TraderError,
    UpstreamRejected,
)
from tests.rigs.stand_in_exchange import LISTED_MS, Faults, StandInExchange

MINUTE, HOUR = 60_000, 3_600_000
NOW_MS = 1_768_472_430_000  # 2026-01-15T10:20:30Z
RESTRICTED = (
    '{"code":0,"msg":"Service unavailable from a restricted location according to \'b. Eligibility\' in '
    'https://www.binance.com/en/terms. Please contact customer service if you believe this is in error."}'
)
LINKED = "<html><a href='https://status.kraken.example/i?key=s3cret'>www.kraken.example/help</a> sorry</html>"


@pytest.fixture(scope="module")
def server() -> Iterator[StandInExchange]:
    with StandInExchange() as server:
        yield server


@pytest.fixture
def rig(server: StandInExchange) -> StandInExchange:
    server.heal()
    server.requests.clear()
    server.incomplete_ms.clear()
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


# Making it


def test_making_an_adapter_imports_nothing_heavy() -> None:
    code = (
        "import sys; from mcp_server.adapters.exchange import CcxtExchange; CcxtExchange('kraken');"
        "assert not {'ccxt', 'aiohttp'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.kraken.com",
        "http://10.0.0.7:8000",
        "http://127.0.0.1.example.com",
        "ftp://127.0.0.1",
        "127.0.0.1:80",
        "http://[::1",
        "http://:80",
        "http://user:pw@127.0.0.1:80",
        "http://127.0.0.1:80/api",
        "http://127.0.0.1:80?a=b",
    ],
)
def test_a_stand_in_elsewhere_than_on_loopback_is_refused_by_the_name_of_its_setting(url: str) -> None:
    with pytest.raises(Misconfigured, match="TRADER_EXCHANGE_URLS") as caught:
        CcxtExchange("kraken", url)
    assert "://" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://localhost:8000", "http://127.0.0.9:8000/", "https://[::1]:8000"])
def test_a_stand_in_on_loopback_is_taken(url: str) -> None:
    CcxtExchange("kraken", url)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("krakn", "Did you mean 'kraken'"),
        ("Kraken", "Did you mean 'kraken'"),
        ("simulatd", "'simulated'"),
        ("__name__", "Use a ccxt id"),  # attributes of the ccxt module, but no exchanges
        ("errors", "Unknown"),
    ],
)
async def test_an_unknown_exchange_is_not_found_when_first_asked(name: str, hint: str) -> None:
    exchange = CcxtExchange(name)
    with pytest.raises(NotFound, match=f"Unknown exchange '{name}'") as caught:
        await exchange.symbol("BTC/USD")
    assert hint in str(caught.value)
    await exchange.close()


async def test_it_says_its_name_and_that_its_prices_are_real(kraken: CcxtExchange) -> None:
    assert (kraken.id, kraken.simulated) == ("kraken", False)


async def test_timeframes_are_those_of_the_exchange_up_to_a_day_and_take_no_request(
    rig: StandInExchange, kraken: CcxtExchange, binance: CcxtExchange
) -> None:
    assert await kraken.timeframes() == ["1m", "5m", "15m", "30m", "1h", "4h", "1d"]
    assert await binance.timeframes() == [name for name in TIMEFRAMES if name not in ("3d", "1w")]
    assert not rig.requests


# Symbols


@pytest.mark.parametrize(
    ("spelt", "meant"),
    [
        ("BTC/USD", "BTC/USD"),
        (" btc/usd ", "BTC/USD"),
        ("btcusdt", "BTC/USDT"),
        ("BTC-USDT", "BTC/USDT"),
        ("BTC_EUR", "BTC/EUR"),
        ("XBT/USD", "BTC/USD"),
        ("XBTUSDT", "BTC/USDT"),
        ("ethxbt", "ETH/BTC"),
        ("XDG/USD", "DOGE/USD"),
        ("dogeusd", "DOGE/USD"),
    ],
)
async def test_a_symbol_is_understood_however_it_is_spelt(kraken: CcxtExchange, spelt: str, meant: str) -> None:
    assert await kraken.symbol(spelt) == meant


@pytest.mark.parametrize(
    ("spelt", "meant"),
    [
        ("BTCUSDT", "BTC/USDT"),
        ("BTC/USDT:USDT", "BTC/USDT:USDT"),
        ("btc-usdt:usdt", "BTC/USDT:USDT"),
        ("hype-usdt:usdt", "HYPE/USDT:USDT"),
    ],
)
async def test_a_spot_market_is_meant_unless_a_swap_is_named(binance: CcxtExchange, spelt: str, meant: str) -> None:
    assert await binance.symbol(spelt) == meant


async def test_a_swap_is_never_taken_for_a_spot_market_that_is_not_there(binance: CcxtExchange) -> None:
    with pytest.raises(NotFound, match="Did you mean 'HYPE/USDT:USDT'"):
        await binance.symbol("HYPEUSDT")


@pytest.mark.parametrize(
    ("spelt", "hint"),
    [
        ("BTCUSDX", "Did you mean 'BTC/USD'?"),
        ("EHT/USD", "Did you mean 'ETH/USD'?"),
        ("BTC/USD:USD", "Did you mean 'BTC/USD'?"),
        ("QQQ/ZZZ", "try another exchange"),
        ("", "try another exchange"),
        ("/", "try another exchange"),
    ],
)
async def test_an_unknown_symbol_names_the_nearest(kraken: CcxtExchange, spelt: str, hint: str) -> None:
    with pytest.raises(NotFound) as caught:
        await kraken.symbol(spelt)
    assert str(caught.value).startswith(f"Unknown symbol {spelt!r} on 'kraken'. ")
    assert hint in str(caught.value)


async def test_an_unknown_symbol_is_not_found_by_candles_and_ticker_either(kraken: CcxtExchange) -> None:
    with pytest.raises(NotFound, match="Did you mean 'BTC/USD'"):
        await kraken.candles("BTC/USDD", "1h", NOW_MS - 5 * HOUR, NOW_MS)
    with pytest.raises(NotFound, match="Did you mean 'BTC/USD'"):
        await kraken.ticker("BTCUSD")


def market(base: str, quote: str, settle: str | None = None, active: bool | None = True) -> dict[str, object]:
    symbol = f"{base}/{quote}:{settle}" if settle else f"{base}/{quote}"
    kinds = {"spot": settle is None, "swap": settle is not None}
    return {"symbol": symbol, "base": base, "quote": quote, "settle": settle, "active": active, **kinds}


def test_a_spelling_that_may_mean_two_markets_is_refused_with_both() -> None:
    markets = {str(item["symbol"]): item for item in (market("ABC", "DUSD"), market("ABCD", "USD"))}
    with pytest.raises(NotFound, match="'abcdusd' on 'venue' may be 'ABC/DUSD' or 'ABCD/USD'"):
        resolve("abcdusd", markets, "venue")
    assert resolve("abcd-usd", markets, "venue") == "ABCD/USD"


def test_swaps_with_different_settlements_are_told_apart_by_name_only() -> None:
    markets = {str(item["symbol"]): item for item in (market("BTC", "USD", "BTC"), market("BTC", "USD", "USDC"))}
    with pytest.raises(NotFound, match="Did you mean 'BTC/USD:"):
        resolve("BTC/USD", markets, "venue")
    assert resolve("btc-usd:usdc", markets, "venue") == "BTC/USD:USDC"


def test_an_inactive_market_is_only_meant_by_its_exact_symbol() -> None:
    markets = {"LUNA/USDT": market("LUNA", "USDT", active=False), "ETH/USDT": market("ETH", "USDT", active=None)}
    assert resolve("LUNA/USDT", markets, "venue") == "LUNA/USDT"
    assert resolve("ethusdt", markets, "venue") == "ETH/USDT"
    with pytest.raises(NotFound):
        resolve("lunausdt", markets, "venue")


async def test_concurrent_calls_load_the_markets_once(rig: StandInExchange, kraken: CcxtExchange) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(kraken.symbol, "btcusd")
        group.start_soon(kraken.ticker, "BTC/USD")
    assert (rig.requests["/0/public/AssetPairs"], rig.requests["/0/public/Ticker"]) == (1, 1)


async def test_a_caller_that_gives_up_does_not_take_the_others_with_it(
    rig: StandInExchange, kraken: CcxtExchange
) -> None:
    rig.faults = Faults(latency_s=0.2)

    async def impatient(scope: anyio.CancelScope) -> None:
        with scope:
            await kraken.symbol("btcusd")

    found = []

    async def patient() -> None:
        found.append(await kraken.symbol("btcusd"))

    async with anyio.create_task_group() as group:
        scope = anyio.CancelScope()
        group.start_soon(impatient, scope)
        group.start_soon(patient)
        while not rig.requests:
            await anyio.lowlevel.checkpoint()
        scope.cancel()
    assert found == ["BTC/USD"]


# Candles


def expected(rig: StandInExchange, market: tuple[str, str], start_ms: int, end_ms: int, length_ms: int) -> np.ndarray:
    return np.array(rig.candles(*market, start_ms, end_ms, length_ms))


async def test_pages_are_joined_until_the_range_is_covered(rig: StandInExchange, binance: CcxtExchange) -> None:
    start = candle_open_ms(NOW_MS - 2500 * MINUTE, "1m")
    candles = await binance.candles("BTC/USDT", "1m", start, NOW_MS)
    wanted = expected(rig, ("BTC", "USDT"), start, NOW_MS, MINUTE)
    assert candles.open_time_ms.tolist() == wanted[:, 0].astype(int).tolist()
    assert candles.open_time_ms[0] == start
    np.testing.assert_array_equal(candles.close, wanted[:, 4])
    np.testing.assert_array_equal(candles.volume, wanted[:, 5])
    assert rig.requests["/api/v3/klines"] == 3


async def test_kraken_gives_its_last_720_candles_and_none_of_an_older_range(
    rig: StandInExchange, kraken: CcxtExchange
) -> None:
    candles = await kraken.candles("BTC/USD", "1h", NOW_MS - 1000 * HOUR, NOW_MS)
    newest = candle_open_ms(NOW_MS, "1h")
    assert (len(candles), candles.open_time_ms[-1]) == (720, newest)
    assert len(await kraken.candles("BTC/USD", "1h", NOW_MS - 2000 * HOUR, NOW_MS - 1000 * HOUR)) == 0
    assert rig.requests["/0/public/OHLC"] <= 4


async def test_a_range_is_answered_exactly_with_the_forming_candle_only_where_it_is_in_it(
    rig: StandInExchange, kraken: CcxtExchange
) -> None:
    newest = candle_open_ms(NOW_MS, "1h")
    candles = await kraken.candles("ETH/USD", "1h", newest - 3 * HOUR, newest)
    assert candles.open_time_ms.tolist() == [newest - 3 * HOUR, newest - 2 * HOUR, newest - HOUR]
    candles = await kraken.candles("ETH/USD", "1h", newest - HOUR + 1, newest + 1)
    assert candles.open_time_ms.tolist() == [newest]
    assert candles.close[0] == rig.candle("ETH", "USD", newest, HOUR)[4]
    assert len(await kraken.candles("ETH/USD", "1h", newest, newest)) == 0


async def test_an_empty_page_before_the_listing_is_not_the_end(rig: StandInExchange, binance: CcxtExchange) -> None:
    rig.listed_ms = candle_open_ms(NOW_MS, "1h") - 100 * HOUR  # coin-margined candles are asked for by windows of time
    candles = await binance.candles("BTC/USD:BTC", "1h", NOW_MS - 2500 * HOUR, NOW_MS)
    assert (len(candles), candles.open_time_ms[0]) == (101, rig.listed_ms)


async def test_a_row_with_a_missing_value_is_dropped(rig: StandInExchange, kraken: CcxtExchange) -> None:
    newest = candle_open_ms(NOW_MS, "1h")
    rig.incomplete_ms = {newest - 2 * HOUR}
    candles = await kraken.candles("BTC/USD", "1h", newest - 3 * HOUR, newest + 1)
    assert candles.open_time_ms.tolist() == [newest - 3 * HOUR, newest - HOUR, newest]


async def test_a_timeframe_that_kraken_would_take_without_having_it_is_refused(
    rig: StandInExchange, kraken: CcxtExchange
) -> None:
    for timeframe in ("7m", "2h", "1w"):
        with pytest.raises(NotSupported, match=f"no '{timeframe}' candles.*4h"):
            await kraken.candles("BTC/USD", timeframe, NOW_MS - HOUR, NOW_MS)
    assert rig.requests["/0/public/OHLC"] == 0


async def test_a_range_of_too_many_pages_is_refused_before_it_is_asked_for(
    rig: StandInExchange, binance: CcxtExchange
) -> None:
    with pytest.raises(BadInput, match=r"from 2025-.* take more than 40 requests to 'binance'"):
        await binance.candles("BTC/USDT", "1m", NOW_MS - 41_000 * MINUTE, NOW_MS)
    assert rig.requests["/api/v3/klines"] == 0


@pytest.mark.parametrize(
    ("rows", "error", "text"),
    [
        ([[NOW_MS // HOUR * HOUR, "1", "2", "3", "1", "1"]], UpstreamRejected, "cannot be used.*high below its low"),
        ([[NOW_MS // HOUR * HOUR - 7, "1", "3", "1", "1", "1"]], NotSupported, "opens its 1h candles at other times"),
        ([["soon", "1", "3", "1", "1", "1"]], UpstreamRejected, "cannot be read"),
        ([1, 2], UpstreamRejected, "cannot be read"),
    ],
)
async def test_candles_that_make_no_sense_are_the_exchanges_fault(
    rig: StandInExchange, binance: CcxtExchange, rows: list[object], error: type[TraderError], text: str
) -> None:
    await binance.symbol("BTC/USDT")
    rig.faults = Faults(status=200, body=str(rows).replace("'", '"'))
    with pytest.raises(error, match=text):
        await binance.candles("BTC/USDT", "1h", NOW_MS - 2 * HOUR, NOW_MS)


# Tickers


async def test_a_ticker_has_the_exchanges_time_where_it_says_one(rig: StandInExchange, binance: CcxtExchange) -> None:
    ticker = await binance.ticker("BTC/USDT")
    last = rig.candle("BTC", "USDT", candle_open_ms(NOW_MS, "1m"), MINUTE)[4]
    assert (ticker.observed_at_ms, ticker.last) == (NOW_MS, last)
    assert ticker.bid is not None
    assert ticker.ask is not None
    assert ticker.bid < last < ticker.ask
    assert (ticker.volume_24h_base, ticker.change_24h_pct) == (1234.5, 2.0)


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


# Faults


@dataclass(frozen=True)
class Case:
    faults: Callable[[], Faults]
    error: type[TraderError]
    text: str
    attempts: int = 1


CASES = {
    "429": Case(lambda: Faults(status=429, body=LINKED), Retryable, "too often", 3),
    "418": Case(lambda: Faults(status=418, body=LINKED), Retryable, "too often", 3),
    "503": Case(lambda: Faults(status=503, body=LINKED), Retryable, "not available at the moment.*503", 3),
    "504": Case(lambda: Faults(status=504, body=LINKED), Retryable, "did not answer in time", 3),
    "451": Case(lambda: Faults(status=451, body=RESTRICTED), UpstreamRejected, "refuses requests from this location"),
    "403": Case(lambda: Faults(status=403, body=LINKED), UpstreamRejected, "refused the request.*403"),
    "blocked": Case(
        lambda: Faults(status=403, body="The distribution is configured to block access from your country."),
        UpstreamRejected,
        "refuses requests from this location",
    ),
    "401": Case(lambda: Faults(status=401, body=LINKED), UpstreamRejected, "wants credentials"),
    "truncated": Case(lambda: Faults(truncated=True), UpstreamRejected, "cannot be read"),
    "html": Case(lambda: Faults(status=200, body=LINKED), UpstreamRejected, "cannot be read"),
    "empty": Case(lambda: Faults(status=200, body="{}"), UpstreamRejected, "cannot be read"),
    "dropped": Case(lambda: Faults(dropped=True), Retryable, "cannot be reached", 3),
}


@pytest.mark.parametrize("name", ["kraken", "binance"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_each_fault_is_told_apart_without_a_url_and_the_next_call_works(
    rig: StandInExchange, name: str, case: Case
) -> None:
    path = {"kraken": "/0/public/OHLC", "binance": "/api/v3/klines"}[name]
    async with reached(name, rig) as exchange:
        await exchange.symbol("BTC/USDT")
        rig.faults = case.faults()
        with pytest.raises(case.error, match=case.text) as caught:
            await exchange.candles("BTC/USDT", "1h", NOW_MS - 3 * HOUR, NOW_MS)
        assert rig.requests[path] == case.attempts
        assert type(caught.value) is case.error
        assert_presentable(str(caught.value), name)
        rig.heal()
        assert len(await exchange.candles("BTC/USDT", "1h", NOW_MS - 3 * HOUR, NOW_MS)) == 3


def assert_presentable(text: str, name: str) -> None:
    assert text.startswith(f"'{name}' ")
    assert len(text) < 250
    for unwanted in ("http:", "https", "://", "127.0.0.1", "www.", ".example", "s3cret", "<", "\n"):
        assert unwanted not in text


@pytest.mark.parametrize(("name", "other"), [("kraken", "coinbase"), ("binance", "kraken")])
async def test_a_refused_location_names_another_exchange(rig: StandInExchange, name: str, other: str) -> None:
    rig.faults = Faults(status=451, body=RESTRICTED)
    async with reached(name, rig) as exchange:
        with pytest.raises(UpstreamRejected, match=f"Use exchange='{other}'"):
            await exchange.symbol("BTC/USDT")


@pytest.mark.parametrize(
    ("said", "error", "text"),
    [
        ("EQuery:Unknown asset pair", UpstreamRejected, "Unknown asset pair"),
        ("EQuery:Invalid asset pair", NotFound, "has no such market"),
        ("EService:Unavailable", Retryable, "not available"),
        ("EService:Market in post_only mode", Retryable, "maintenance"),
        ("EAPI:Rate limit exceeded", Retryable, "too often"),
        ("EGeneral:Permission denied", UpstreamRejected, "wants credentials"),
        ("EGeneral:Oh no, see https://kraken.example/x?y=z", UpstreamRejected, "refused the request.*Oh no"),
        ("X" * 5000, UpstreamRejected, "XXX…"),
    ],
)
async def test_what_the_exchange_itself_says_is_translated_and_cut(
    rig: StandInExchange, kraken: CcxtExchange, said: str, error: type[TraderError], text: str
) -> None:
    await kraken.symbol("BTC/USD")
    rig.faults = Faults(status=200, body=f'{{"error":["{said}"]}}')
    with pytest.raises(error, match=text) as caught:
        await kraken.ticker("BTC/USD")
    assert_presentable(str(caught.value), "kraken")


async def test_a_passing_fault_is_not_even_noticed(rig: StandInExchange, kraken: CcxtExchange) -> None:
    await kraken.symbol("BTC/USD")
    rig.faults = Faults(status=503, times=2)
    assert (await kraken.ticker("BTC/USD")).last > 0
    assert rig.requests["/0/public/Ticker"] == 3


@pytest.mark.parametrize(
    ("faults", "error"),
    [
        (Faults(status=503), Retryable),
        (Faults(truncated=True), UpstreamRejected),
        (Faults(status=200, body='{"error": [], "result": {}}'), UpstreamRejected),
    ],
)
async def test_markets_that_failed_to_load_are_loaded_by_the_next_call(
    rig: StandInExchange, kraken: CcxtExchange, faults: Faults, error: type[TraderError]
) -> None:
    rig.faults = faults
    with pytest.raises(error):
        await kraken.symbol("BTC/USD")
    rig.heal()
    assert await kraken.symbol("btcusd") == "BTC/USD"


@pytest.mark.parametrize("asks", [lambda e: e.symbol("BTC/USD"), lambda e: e.ticker("BTC/USD")])
async def test_an_exchange_that_is_silent_costs_no_more_than_the_deadline(
    rig: StandInExchange, asks: Callable[[CcxtExchange], Awaitable[object]]
) -> None:
    rig.faults = Faults(latency_s=20)
    async with reached("kraken", rig, deadline_s=0.2) as exchange:
        await exchange.timeframes()
        with anyio.fail_after(5), pytest.raises(Retryable, match=r"'kraken' did not answer within 0\.2 seconds"):
            await asks(exchange)


async def test_an_exchange_that_is_not_there_is_retryable() -> None:
    with StandInExchange() as gone:
        pass
    async with reached("kraken", gone) as exchange:
        with pytest.raises(Retryable, match="cannot be reached") as caught:
            await exchange.symbol("BTC/USD")
    assert_presentable(str(caught.value), "kraken")


# The end


async def test_closing_leaves_no_connection_behind_even_after_faults_or_while_cancelled(
    rig: StandInExchange, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with reached("binance", rig) as exchange:
        rig.faults = Faults(dropped=True, times=1)
        await exchange.ticker("BTC/USDT")
        with anyio.CancelScope() as scope:
            scope.cancel()
            await exchange.close()
    del exchange
    gc.collect()
    assert "release all resources" not in caplog.text
    assert "Unclosed" not in caplog.text


async def test_closing_what_was_never_used_does_nothing() -> None:
    exchange = CcxtExchange("kraken")
    await exchange.close()
    await exchange.close()
