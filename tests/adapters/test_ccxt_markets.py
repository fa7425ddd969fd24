"""An exchange's markets: loaded once and beside the event loop, listed, and loaded again once they are too old."""

import asyncio
import gc
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from mcp_server.adapters.ccxt.client import make_client
from mcp_server.adapters.ccxt.connection import RELOAD_S
from mcp_server.adapters.ccxt.exchange import CcxtExchange
from mcp_server.adapters.ccxt.markets import load_markets
from mcp_server.domain.exchange import Listing
from mcp_server.errors import NotFound, Retryable
from tests.adapters.conftest import every_exchange, reached
from tests.rigs.sampled import sampled
from tests.rigs.stand_in_exchange import Faults, StandInExchange

PAIRS = "/0/public/AssetPairs"


def age(exchange: CcxtExchange, by_s: float) -> None:
    """Let the market list at hand be older than it is."""
    exchange._connection._loaded_at -= by_s


# Listings


async def test_every_market_is_listed_with_its_kind_and_what_it_is_settled_in(binance: CcxtExchange) -> None:
    listed = {listing.symbol: listing for listing in (await binance.listings()).markets}
    assert Counter(listing.kind for listing in listed.values()) == {"spot": 5, "swap": 4}
    assert listed["PEPE/USDT"] == Listing("PEPE/USDT", "spot", "PEPE", "USDT", True, None)
    assert listed["BTC/USDT:USDT"] == Listing("BTC/USDT:USDT", "swap", "BTC", "USDT", True, "USDT")
    assert listed["BTC/USD:BTC"] == Listing("BTC/USD:BTC", "swap", "BTC", "USD", True, "BTC")


@pytest.mark.parametrize(("name", "some"), [("kraken", "DOGE/USD"), ("coinbase", "BTC/USDC")])
async def test_a_spot_exchange_lists_spot_markets_only(rig: StandInExchange, name: str, some: str) -> None:
    async with reached(name, rig) as exchange:
        listed = (await exchange.listings()).markets
    assert {(listing.kind, listing.active, listing.settle) for listing in listed} == {("spot", True, None)}
    assert some in {listing.symbol for listing in listed}


async def test_a_market_that_is_not_traded_is_listed_as_such(rig: StandInExchange, kraken: CcxtExchange) -> None:
    pair = {"altname": "ABCUSD", "wsname": "ABC/USD", "base": "ABC", "quote": "ZUSD", "lot_decimals": 8}
    status = {"pair_decimals": 2, "status": "cancel_only", "fees": [[0, 0.4]], "fees_maker": [[0, 0.2]]}
    body = f'{{"error": [], "result": {{"ABCUSD": {str({**pair, **status}).replace(chr(39), chr(34))}}}}}'
    rig.faults = Faults(status=200, body=body, path=PAIRS)
    assert (await kraken.listings()).markets == [Listing("ABC/USD", "spot", "ABC", "USD", False, None)]


async def test_listings_and_symbols_share_one_list_of_which_the_moment_is_told(
    rig: StandInExchange, kraken: CcxtExchange
) -> None:
    before_ms = time.time_ns() // 1_000_000
    await kraken.symbol("btcusd")
    after_ms = time.time_ns() // 1_000_000
    age(kraken, RELOAD_S / 2)
    told_ms = (await kraken.listings()).observed_at_ms + int(RELOAD_S / 2) * 1000
    assert before_ms - 100 <= told_ms <= after_ms + 100
    assert rig.requests[PAIRS] == 1


@every_exchange
async def test_a_list_that_is_too_old_is_taken_again(rig: StandInExchange, name: str) -> None:
    async with reached(name, rig) as exchange:
        first = await exchange.listings()
        rig.extra_markets = 2
        assert (await exchange.listings()).markets == first.markets
        age(exchange, RELOAD_S)
        second = await exchange.listings()
        assert {listing.symbol for listing in second.markets} - {listing.symbol for listing in first.markets} == {
            "X0001/USDT",
            "X0002/USDT",
        }
        assert second.observed_at_ms > first.observed_at_ms
        assert (await exchange.ticker("X0002/USDT")).last == rig.last("X0002", "USDT")


async def test_an_unknown_symbol_is_looked_for_in_a_fresh_list_once_the_one_at_hand_is_old(
    rig: StandInExchange, kraken: CcxtExchange
) -> None:
    await kraken.symbol("btcusd")
    rig.extra_markets = 1
    with pytest.raises(NotFound, match="Unknown symbol 'X0001/USDT'"):
        await kraken.symbol("X0001/USDT")
    assert rig.requests[PAIRS] == 1
    age(kraken, RELOAD_S)
    assert await kraken.symbol("btcusd") == "BTC/USD"
    assert rig.requests[PAIRS] == 1
    assert await kraken.symbol("x0001usdt") == "X0001/USDT"
    assert rig.requests[PAIRS] == 2
    with pytest.raises(NotFound, match=r"Unknown symbol 'X0002/USDT'.*Did you mean 'X0001/USDT'"):
        await kraken.symbol("X0002/USDT")
    assert rig.requests[PAIRS] == 2


async def test_a_reload_that_fails_leaves_the_list_at_hand(rig: StandInExchange, kraken: CcxtExchange) -> None:
    await kraken.symbol("btcusd")
    age(kraken, RELOAD_S)
    rig.faults = Faults(status=503, path=PAIRS)
    with pytest.raises(Retryable):
        await kraken.listings()
    assert await kraken.symbol("btcusd") == "BTC/USD"
    assert (await kraken.ticker("BTC/USD")).last > 0


# Loading


async def test_concurrent_calls_load_the_markets_once(rig: StandInExchange, kraken: CcxtExchange) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(kraken.symbol, "btcusd")
        group.start_soon(kraken.ticker, "BTC/USD")
        group.start_soon(kraken.listings)
    assert (rig.requests[PAIRS], rig.requests["/0/public/Ticker"]) == (1, 1)


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
        await asked(rig)
        scope.cancel()
    assert found == ["BTC/USD"]


@every_exchange
async def test_a_load_that_is_cancelled_leaves_no_thread_and_no_session_and_the_next_call_works(
    rig: StandInExchange, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with reached(name, rig) as exchange:
        await exchange.timeframes()  # what it makes its ccxt object in is a thread that stays
        present = set(threading.enumerate())
        rig.faults = Faults(latency_s=20)
        async with anyio.create_task_group() as group:
            group.start_soon(exchange.symbol, "btcusdt")
            await asked(rig)
            (loading,) = set(threading.enumerate()) - present
            group.cancel_scope.cancel()
        await anyio.to_thread.run_sync(loading.join, 10)
        assert not loading.is_alive()
        gc.collect()
        assert "release all resources" not in caplog.text
        assert "Unclosed" not in caplog.text
        rig.heal()
        assert await exchange.symbol("btcusdt") == "BTC/USDT"


async def asked(rig: StandInExchange) -> None:
    """Wait for the first request."""
    with anyio.fail_after(10):
        while not rig.requests:
            await anyio.lowlevel.checkpoint()


class Hung:
    """In place of a ccxt object: it waits for what nobody can cancel, as the look-up of a name is."""

    def __init__(self) -> None:
        self.begun, self.ended, self.closed = threading.Event(), threading.Event(), threading.Event()

    async def load_markets(self) -> None:
        self.begun.set()
        await asyncio.get_running_loop().run_in_executor(None, self.ended.wait, 30)

    async def close(self) -> None:
        self.closed.set()


async def test_a_load_that_hangs_where_it_cannot_be_cancelled_keeps_nobody() -> None:
    hung = Hung()
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(load_markets, lambda: hung)
            await anyio.to_thread.run_sync(hung.begun.wait, 10)
            group.cancel_scope.cancel()
        assert not hung.ended.is_set()
        hung.ended.set()
        await anyio.to_thread.run_sync(hung.closed.wait, 10)


class Meeting:
    """Lets a thread wait until the event loop has answered it."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.answered = threading.Event()

    def wait(self) -> None:
        self.begun.set()
        assert self.answered.wait(10), "the event loop did not turn meanwhile"

    async def answer(self) -> None:
        with anyio.fail_after(10):
            while not self.begun.is_set():
                await anyio.lowlevel.checkpoint()
        self.answered.set()


@pytest.mark.parametrize("step", sampled(["parse_market", "parse_json", "set_markets"], 3))
async def test_the_event_loop_keeps_turning_while_thousands_of_markets_are_read(
    rig: StandInExchange, step: str
) -> None:
    rig.extra_markets = 3500
    meeting = Meeting()
    loaded: list[Any] = []

    def make() -> Any:
        client = make_client("binance", rig.url)
        setattr(client, step, before(meeting.wait, getattr(client, step)))
        return client

    async def load() -> None:
        loaded.append(await load_markets(make))

    async with anyio.create_task_group() as group:
        group.start_soon(load)
        group.start_soon(meeting.answer)
    assert len(loaded[0].markets) == 3509


def before(first: Callable[[], None], then: Callable[..., Any]) -> Callable[..., Any]:
    def both(*arguments: Any) -> Any:
        first()
        return then(*arguments)

    return both
