"""Making the adapter and ending it: it costs nothing until it is asked, and leaves nothing open."""

import gc
import logging
import subprocess
import sys

import anyio
import pytest

from mcp_server.adapters.ccxt.exchange import CcxtExchange
from mcp_server.domain.timeframes import TIMEFRAMES
from mcp_server.errors import Misconfigured, NotFound
from tests.adapters.conftest import reached
from tests.rigs.stand_in_exchange import Faults, StandInExchange

LIGHT = """
import sys
from mcp_server.adapters.ccxt.exchange import CcxtExchange
from mcp_server.errors import NotFound
CcxtExchange("kraken")
try:
    CcxtExchange("krakn")
except NotFound as error:
    print(error)
assert not {"ccxt", "aiohttp"} & set(sys.modules)
"""


def test_making_or_refusing_an_adapter_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], check=True, capture_output=True, text=True)
    assert done.stdout.startswith("Unknown exchange 'krakn'. Did you mean 'kraken'")


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
def test_an_unknown_exchange_cannot_even_be_made(name: str, hint: str) -> None:
    with pytest.raises(NotFound, match=f"Unknown exchange '{name}'") as caught:
        CcxtExchange(name)
    assert hint in str(caught.value)


async def test_it_says_its_name_and_that_its_prices_are_real(kraken: CcxtExchange) -> None:
    assert (kraken.id, kraken.simulated) == ("kraken", False)


async def test_timeframes_are_those_of_the_exchange_up_to_a_day_and_take_no_request(
    rig: StandInExchange, kraken: CcxtExchange, binance: CcxtExchange, coinbase: CcxtExchange
) -> None:
    assert await kraken.timeframes() == ["1m", "5m", "15m", "30m", "1h", "4h", "1d"]
    assert await binance.timeframes() == [name for name in TIMEFRAMES if name not in ("3d", "1w")]
    assert await coinbase.timeframes() == ["1m", "5m", "15m", "30m", "1h", "2h", "6h", "1d"]
    assert not rig.requests


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
