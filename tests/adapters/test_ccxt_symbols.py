"""However a symbol is spelt, it is understood or refused with the nearest: spot markets, and perpetual swaps."""

import pytest

from mcp_server.adapters.ccxt.exchange import CcxtExchange
from mcp_server.adapters.ccxt.symbols import Markets, resolve, resolve_swap
from mcp_server.errors import NotFound, NotSupported
from tests.adapters.conftest import HOUR, NOW_MS, reached
from tests.rigs.stand_in_exchange import StandInExchange


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
        ("BTC-USD", "BTC/USD"),
        ("btcusd", "BTC/USD"),
        ("BTC-USDC", "BTC/USDC"),
        ("xbt-usdt", "BTC/USDT"),
        ("ETHBTC", "ETH/BTC"),
        ("pepe_usd", "PEPE/USD"),
    ],
)
async def test_coinbases_own_names_are_understood_as_well(coinbase: CcxtExchange, spelt: str, meant: str) -> None:
    assert await coinbase.symbol(spelt) == meant


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
        ("BTCUSDX", "Did you mean 'BTC/USD' or 'BTC/USDT'?"),
        ("EHT/USD", "Did you mean 'ETH/USD'?"),
        ("BTC/USD:USD", "Did you mean 'BTC/USD' or 'BTC/USDT'?"),
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


async def test_of_many_near_symbols_three_are_named_and_where_the_rest_are(binance: CcxtExchange) -> None:
    with pytest.raises(NotFound) as caught:
        await binance.symbol("BTC/USD")
    assert str(caught.value) == (
        "Unknown symbol 'BTC/USD' on 'binance'. Did you mean 'BTC/USD:BTC', 'BTC/USDT' or 'BTC/USDC'? "
        "find_markets lists them."
    )


async def test_an_unknown_symbol_is_not_found_by_candles_and_ticker_either(kraken: CcxtExchange) -> None:
    with pytest.raises(NotFound, match="Did you mean 'BTC/USD'"):
        await kraken.candles("BTC/USDD", "1h", NOW_MS - 5 * HOUR, NOW_MS)
    with pytest.raises(NotFound, match="Did you mean 'BTC/USD'"):
        await kraken.ticker("BTCUSD")


async def test_an_unknown_symbol_is_not_found_by_books_and_swaps_either(binance: CcxtExchange) -> None:
    with pytest.raises(NotFound, match=r"Unknown symbol 'BTCUSDT' on 'binance'\. Did you mean 'BTC/USDT'"):
        await binance.order_book("BTCUSDT", 5)
    with pytest.raises(NotFound, match="Unknown symbol 'BTC/USDT:USD'"):
        await binance.perpetual_state("BTC/USDT:USD")
    with pytest.raises(NotFound, match="Unknown symbol 'BTC/USDT:USD'"):
        await binance.fundings("BTC/USDT:USD", NOW_MS, 3)


def market(base: str, quote: str, settle: str | None = None, active: bool | None = True) -> dict[str, object]:
    symbol = f"{base}/{quote}:{settle}" if settle else f"{base}/{quote}"
    kinds = {"spot": settle is None, "swap": settle is not None}
    return {"symbol": symbol, "base": base, "quote": quote, "settle": settle, "active": active, **kinds}


def listed(*markets: dict[str, object]) -> Markets:
    return {str(item["symbol"]): item for item in markets}


def test_a_spelling_that_may_mean_two_markets_is_refused_with_both() -> None:
    markets = listed(market("ABC", "DUSD"), market("ABCD", "USD"))
    with pytest.raises(NotFound, match=r"'abcdusd' on 'example' .*Write 'ABC/DUSD' or 'ABCD/USD'"):
        resolve("abcdusd", markets, "example")
    assert resolve("abcd-usd", markets, "example") == "ABCD/USD"


def test_swaps_with_different_settlements_are_told_apart_by_name_only() -> None:
    markets = listed(market("BTC", "USD", "BTC"), market("BTC", "USD", "USDC"))
    with pytest.raises(NotFound, match="Did you mean 'BTC/USD:"):
        resolve("BTC/USD", markets, "example")
    assert resolve("btc-usd:usdc", markets, "example") == "BTC/USD:USDC"


def test_an_inactive_market_is_only_meant_by_its_exact_symbol() -> None:
    markets = {"LUNA/USDT": market("LUNA", "USDT", active=False), "ETH/USDT": market("ETH", "USDT", active=None)}
    assert resolve("LUNA/USDT", markets, "example") == "LUNA/USDT"
    assert resolve("ethusdt", markets, "example") == "ETH/USDT"
    with pytest.raises(NotFound):
        resolve("lunausdt", markets, "example")


def test_an_unknown_symbol_of_any_length_is_cut_short() -> None:
    with pytest.raises(NotFound) as caught:
        resolve("X" * 10_000, listed(market("BTC", "USD")), "example")
    assert f"Unknown symbol {'X' * 40!r} on" in str(caught.value)


# Swaps


@pytest.mark.parametrize(
    ("spelt", "meant"),
    [
        ("BTC/USDT", "BTC/USDT:USDT"),
        ("btcusdt", "BTC/USDT:USDT"),
        ("BTC/USDT:USDT", "BTC/USDT:USDT"),
        (" xbt-usdt ", "BTC/USDT:USDT"),
        ("HYPEUSDT", "HYPE/USDT:USDT"),
        ("BTC/USD", "BTC/USD:BTC"),
        ("btcusd", "BTC/USD:BTC"),
        ("BTC/USD:BTC", "BTC/USD:BTC"),
    ],
)
async def test_the_swap_of_a_spot_symbol_is_meant_where_a_swap_is_asked_for(
    binance: CcxtExchange, spelt: str, meant: str
) -> None:
    assert await binance.swap_symbol(spelt) == meant


async def test_an_unknown_swap_names_the_nearest_swaps_and_no_spot_market(binance: CcxtExchange) -> None:
    with pytest.raises(NotFound) as caught:
        await binance.swap_symbol("BTC/USDC")
    assert str(caught.value).startswith("Unknown swap 'BTC/USDC' on 'binance'. Did you mean 'BTC/USD")
    assert "'BTC/USDT:USDT'" in str(caught.value)
    assert "'BTC/USDT'" not in str(caught.value)


@pytest.mark.parametrize("name", ["kraken", "coinbase"])
@pytest.mark.parametrize("spelt", ["BTC/USDT", "BTC/USDT:USDT", "nonsense"])
async def test_an_exchange_without_swaps_says_so_and_names_others(rig: StandInExchange, name: str, spelt: str) -> None:
    async with reached(name, rig) as exchange:
        with pytest.raises(
            NotSupported, match=f"'{name}' lists no perpetual swaps. Try exchange='krakenfutures'.*'binance'"
        ):
            await exchange.swap_symbol(spelt)


def test_of_several_swaps_the_one_settled_in_its_quote_is_meant() -> None:
    markets = listed(market("BTC", "USDC"), market("BTC", "USDC", "BTC"), market("BTC", "USDC", "USDC"))
    assert resolve_swap("btcusdc", markets, "example") == "BTC/USDC:USDC"
    assert resolve_swap("BTC/USDC:BTC", markets, "example") == "BTC/USDC:BTC"


def test_a_spelling_that_may_mean_two_swaps_is_refused_with_both() -> None:
    inverse = listed(market("BTC", "USD", "BTC"), market("BTC", "USD", "ETH"))
    with pytest.raises(NotFound, match=r"'btcusd' on 'example' .*Write 'BTC/USD:BTC' or 'BTC/USD:ETH'"):
        resolve_swap("btcusd", inverse, "example")
    linear = listed(market("ABC", "DUSD", "DUSD"), market("ABCD", "USD", "USD"))
    with pytest.raises(NotFound, match=r"'abcdusd' on 'example' .*Write 'ABC/DUSD:DUSD' or 'ABCD/USD:USD'"):
        resolve_swap("abcdusd", linear, "example")


def test_an_inactive_swap_is_only_meant_by_its_exact_symbol() -> None:
    markets = listed(market("LUNA", "USDT", "USDT", active=False), market("ETH", "USDT", "USDT"))
    assert resolve_swap("LUNA/USDT:USDT", markets, "example") == "LUNA/USDT:USDT"
    with pytest.raises(NotFound, match="Unknown swap 'LUNA/USDT'"):
        resolve_swap("LUNA/USDT", markets, "example")
