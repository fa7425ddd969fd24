"""What is known of every exchange without asking it."""

import asyncio
import gc
import threading

import ccxt
import pytest

from mcp_server.adapters.ccxt.client import exchange_infos, known_exchanges
from mcp_server.adapters.ccxt.exchange import CcxtExchange
from mcp_server.domain.exchange import ExchangeInfo
from mcp_server.domain.timeframes import TIMEFRAMES


def by_id() -> dict[str, ExchangeInfo]:
    return {info.id: info for info in exchange_infos()}


def test_every_exchange_of_ccxt_is_known_and_the_simulated_one() -> None:
    assert [info.id for info in exchange_infos()] == ["simulated", *sorted(ccxt.exchanges)]
    assert list(known_exchanges()) == sorted(ccxt.exchanges)


def test_every_id_makes_an_exchange() -> None:
    for name in known_exchanges():
        assert CcxtExchange(name).id == name


def test_the_facts_about_three_exchanges() -> None:
    known = by_id()
    assert known["coinbase"] == ExchangeInfo(
        id="coinbase",
        name="Coinbase Advanced",
        countries=("US",),
        timeframes=("1m", "5m", "15m", "30m", "1h", "2h", "6h", "1d"),
        candles_per_request=300,
        order_book=True,
        funding=False,
        open_interest=False,
    )
    assert known["kraken"] == ExchangeInfo(
        id="kraken",
        name="Kraken",
        countries=("US",),
        timeframes=("1m", "5m", "15m", "30m", "1h", "4h", "1d"),
        candles_per_request=720,
        order_book=True,
        funding=False,
        open_interest=False,
    )
    binance = known["binance"]
    assert (binance.name, binance.countries, binance.candles_per_request) == ("Binance", (), 1000)
    assert (binance.order_book, binance.funding, binance.open_interest) == (True, True, True)


def test_the_simulated_market_serves_everything() -> None:
    simulated = by_id()["simulated"]
    assert tuple(simulated.timeframes) == tuple(TIMEFRAMES)
    assert (simulated.order_book, simulated.funding, simulated.open_interest) == (True, True, True)
    assert simulated.candles_per_request is None


@pytest.mark.parametrize("name", ["kraken", "binance", "coinbase"])
async def test_timeframes_are_those_that_the_exchange_says_itself(name: str) -> None:
    exchange = CcxtExchange(name)
    assert tuple(await exchange.timeframes()) == tuple(by_id()[name].timeframes)
    await exchange.close()


def test_what_is_said_is_what_could_be(caplog: pytest.LogCaptureFixture) -> None:
    for info in exchange_infos():
        assert info.name
        assert set(info.timeframes) <= set(TIMEFRAMES)
        assert info.candles_per_request is None or info.candles_per_request > 0
    gc.collect()
    assert "release all resources" not in caplog.text


def test_neither_an_event_loop_nor_a_network_is_needed() -> None:
    found: list[int] = []

    def work() -> None:
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        exchange_infos.cache_clear()
        found.append(len(exchange_infos()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [len(ccxt.exchanges) + 1]
