"""Candles come with the time by the exchange's own clock, where it has one that can be read."""

import contextlib
import time
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_server.adapters.ccxt.exchange import CcxtExchange
from tests.adapters.conftest import FORMING, HOUR, NOW_MS, every_exchange, reached
from tests.rigs.exchanges import kraken as krakens_api
from tests.rigs.exchanges.world import World
from tests.rigs.loopback import served
from tests.rigs.stand_in_exchange import StandInExchange


@every_exchange
@pytest.mark.parametrize("skew_ms", [0, -90_000, 3_600_000])
async def test_candles_come_with_the_time_by_the_exchanges_own_clock(
    rig: StandInExchange, name: str, skew_ms: int
) -> None:
    async with reached(name, rig) as exchange:
        await exchange.symbol("BTC/USDT")
        rig.clock_skew_ms = skew_ms
        assert (await exchange.candles("BTC/USDT", "1h", FORMING - HOUR, NOW_MS)).clock_ms == NOW_MS + skew_ms


async def test_that_time_is_never_later_than_the_clock_for_it_has_whole_seconds(
    rig: StandInExchange, kraken: CcxtExchange
) -> None:
    rig.now_ms = NOW_MS + 999
    assert (await kraken.candles("BTC/USDT", "1h", FORMING - HOUR, NOW_MS)).clock_ms == NOW_MS


async def test_each_exchange_tells_its_own_time(
    rig: StandInExchange, kraken: CcxtExchange, binance: CcxtExchange
) -> None:
    told = []
    for exchange, skew_ms in ((kraken, -5000), (binance, 7000), (kraken, 1000)):
        rig.clock_skew_ms = skew_ms
        told.append((await exchange.candles("BTC/USDT", "1h", FORMING - HOUR, FORMING)).clock_ms)
    assert told == [NOW_MS - 5000, NOW_MS + 7000, NOW_MS + 1000]


@contextlib.contextmanager
def dated(date: str | None) -> Iterator[str]:
    """Kraken's API whose answers have this Date header, or none."""
    world = World()
    world.now_ms = NOW_MS
    app: ASGIApp = Starlette(routes=krakens_api.routes(world))

    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        async def with_date(message: Message) -> None:
            if message["type"] == "http.response.start" and date is not None:
                MutableHeaders(scope=message)["date"] = date
            await send(message)

        await app(scope, receive, with_date)

    with served(front, date_header=False) as url:
        yield url


async def told_by(date: str | None) -> int | None:
    with dated(date) as url:
        exchange = CcxtExchange("kraken", url)
        fetched = await exchange.candles("BTC/USDT", "1h", FORMING - HOUR, FORMING)
        await exchange.close()
    assert len(fetched.candles) == 1
    return fetched.clock_ms


@pytest.mark.parametrize("date", [None, "", "soon", "Thu, 32 Jan 2026 10:20:30 GMT", "1768472430"])
async def test_candles_of_an_exchange_without_a_readable_clock_tell_no_time(date: str | None) -> None:
    assert await told_by(date) is None


@pytest.mark.parametrize(
    "date",
    [
        "Thu, 15 Jan 2026 10:20:30 GMT",
        "Thursday, 15-Jan-26 10:20:30 GMT",
        "Thu Jan 15 10:20:30 2026",
        "Thu, 15 Jan 2026 11:20:30 +0100",
        "Thu, 15 Jan 2026 10:20:30 -0000",
    ],
)
async def test_every_way_of_writing_the_date_is_read_the_same_wherever_this_machine_stands(
    monkeypatch: pytest.MonkeyPatch, date: str
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert await told_by(date) == NOW_MS
    finally:
        monkeypatch.undo()
        time.tzset()
