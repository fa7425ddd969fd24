"""Symbols as charts and exchanges write them lead to their market, or to the nearest that there is."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from mcp import Client

from mcp_server.adapters.ccxt.symbols import Markets, resolve, resolve_swap
from mcp_server.errors import NotFound
from tests.acceptance.market_rig import NOW_MS, calling
from tests.rigs.stand_in_exchange import StandInExchange
from tests.tools.conftest import Told, answer_of


@pytest.fixture(scope="module")
def rig() -> Iterator[StandInExchange]:
    with StandInExchange() as rig:
        rig.now_ms, rig.odd_markets = NOW_MS, True
        yield rig


@pytest.fixture
async def client(rig: StandInExchange, home: Path) -> AsyncIterator[Client]:
    async with calling(home, rig) as client:
        yield client


async def found(client: Client, symbol: str, exchange: str = "binance") -> str:
    arguments = {"symbol": symbol, "exchange": exchange, "limit": 1}
    return str(answer_of(await client.call_tool("get_ohlcv", arguments))["symbol"])


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("BINANCE:BTCUSDT", "BTC/USDT"),
        ("binance:BTC/USDT", "BTC/USDT"),
        ("Binance:ETHUSDT.P", "ETH/USDT:USDT"),
        ("BTCUSDT.P", "BTC/USDT:USDT"),
        ("BTCUSDTPERP", "BTC/USDT:USDT"),
        ("BTC-USDT-SWAP", "BTC/USDT:USDT"),
        ("BTCUSD_PERP", "BTC/USD:BTC"),
        ("BTCUSDT_261225", "BTC/USDT:USDT-261225"),
        ("btc-usdt-261225", "BTC/USDT:USDT-261225"),
        ("BTC/USDT:USDT-261225", "BTC/USDT:USDT-261225"),
        ("BTCUSDT", "BTC/USDT"),
    ],
)
async def test_other_notations_find_their_market(client: Client, written: str, meant: str) -> None:
    assert await found(client, written) == meant


@pytest.mark.parametrize(
    ("written", "exchange", "says"),
    [
        ("BTC", "binance", "Did you mean 'BTC/USDT', 'BTC/USDC' or 'BTC/USD:BTC'?"),
        ("xbt", "kraken", "Did you mean 'BTC/USD', 'BTC/USDT' or 'BTC/EUR'?"),
        ("BINANCE:BTCUSDT", "kraken", "names the exchange 'binance', but 'kraken' was asked. Give exchange='binance'"),
        ("LUNAUSDT", "binance", "is not traded at present. Write 'LUNA/USDT' for what it was traded at before"),
        ("LUNAUSDT", "kraken", "Nothing there is spelt like it"),
        ("BTCUSDT_250328", "binance", "Did you mean 'BTC/USDT:USDT-261225', 'BTC/USDT'"),
        ("BTCUSDT_261225", "kraken", "Did you mean 'BTC/USDT'?"),
        ("BTC-PERP", "binance", "Did you mean 'BTC/USD:BTC', 'BTC/USDT:USDT'"),
    ],
)
async def test_what_is_not_there_names_the_nearest_true_market(
    client: Client, written: str, exchange: str, says: str
) -> None:
    with pytest.raises(Told) as refused:
        await found(client, written, exchange)
    assert says in str(refused.value)
    assert "FLAT" not in str(refused.value)


async def test_a_halted_market_is_found_by_its_exact_symbol(client: Client) -> None:
    assert await found(client, "LUNA/USDT") == "LUNA/USDT"


@pytest.mark.parametrize("written", ["BTCUSDT.P", "BINANCE:BTCUSDT.P", "BINANCE:BTCUSDT", "BTC-USDT-SWAP"])
async def test_a_swap_is_found_by_these_notations_too(client: Client, written: str) -> None:
    answer = answer_of(await client.call_tool("get_derivatives", {"symbol": written, "exchange": "binance"}))
    assert answer["symbol"] == "BTC/USDT:USDT"


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("BTC", "Did you mean 'BTC/USDT'?"),
        ("BTCUSDT_261225", "it has no futures. Did you mean 'BTCUSDT'?"),
        ("KRAKEN:BTCUSD", "names the exchange 'kraken'"),
    ],
)
async def test_the_simulated_exchange_invents_no_market_for_them(client: Client, written: str, says: str) -> None:
    with pytest.raises(Told) as refused:
        await found(client, written, "simulated")
    assert says in str(refused.value)


async def test_the_simulated_exchange_knows_the_mark_of_a_swap(client: Client) -> None:
    assert await found(client, "BTCUSDT.P", "simulated") == "BTC/USDT:USDT"


def contract(symbol: str, name: str, kind: str = "swap") -> Markets:
    base, quote = symbol.partition(":")[0].split("/")
    settle = symbol.partition(":")[2].partition("-")[0]
    return {symbol: {"symbol": symbol, "id": name, "base": base, "quote": quote, "settle": settle, kind: True}}


def test_a_contract_that_an_exchange_calls_like_a_spot_market_is_not_taken_for_one() -> None:
    markets = contract("ABC/USDT:USDT", "ABC_USDT")
    with pytest.raises(NotFound, match="Did you mean 'ABC/USDT:USDT'"):
        resolve("ABC_USDT", markets, "example")
    assert resolve_swap("ABC_USDT", markets, "example") == "ABC/USDT:USDT"


def test_a_number_is_no_name_of_a_market() -> None:
    with pytest.raises(NotFound):
        resolve("7", contract("ABC/USDT:USDT", "7"), "example")


def test_two_futures_of_one_day_are_told_apart_by_their_settlement() -> None:
    markets = {
        **contract("ABC/USD:USD-261225", "A1", "future"),
        **contract("ABC/USD:ABC-261225", "A2", "future"),
    }
    with pytest.raises(NotFound, match="fits several markets"):
        resolve("ABCUSD-261225", markets, "example")
    assert resolve("a2", markets, "example") == "ABC/USD:ABC-261225"


def test_a_market_that_shares_only_the_quote_is_not_near() -> None:
    market = {"symbol": "FLAT/USDT", "id": "FLATUSDT", "base": "FLAT", "quote": "USDT", "spot": True}
    with pytest.raises(NotFound, match="Nothing there is spelt like it"):
        resolve("LUNAUSDT", {"FLAT/USDT": market}, "example")
    with pytest.raises(NotFound, match="Did you mean 'FLAT/USDT'"):
        resolve("FLATUSD", {"FLAT/USDT": market}, "example")
