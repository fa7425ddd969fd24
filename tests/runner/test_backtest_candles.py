"""Where a backtest's candles come from: the store, and what it lacks from the tool server, which keeps it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio.lowlevel
import numpy as np
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from mcp_server.adapters.simulated.path import candles as simulated_candles
from mcp_server.adapters.simulated.path import market_of
from mcp_server.app import build_server
from mcp_server.domain.candles import Candles, resample
from mcp_server.domain.timeframes import timeframe_ms, to_ms
from mcp_server.errors import Retryable, TraderError
from mcp_server.settings import ServerSettings
from mcp_server.storage.candles.fundings import FundingStore
from mcp_server.storage.candles.store import CandleStore, Series
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from runner.backtest import fetch
from runner.backtest.fetch import ROWS, fetch_candles, pages
from runner.backtest.fundings import fetch_fundings
from runner.backtest.stored import load
from runner.tool_server import several
from runner.tool_server.client import Tools
from tests.rigs.stand_in_exchange import Faults, StandInExchange

NOW = datetime(2026, 5, 20, 12, 17, 33, tzinfo=UTC)
END_MS = to_ms(datetime(2026, 5, 1, tzinfo=UTC))
HOUR_MS = 3_600_000
BTC = Series("binance", "BTC/USDT", "1h")
WANTED = (END_MS - 4_000 * HOUR_MS, END_MS)


@pytest.fixture(scope="module")
def rig() -> Iterator[StandInExchange]:
    with StandInExchange() as rig:
        rig.now_ms = to_ms(NOW)
        yield rig


@pytest.fixture
def store(home: Path) -> CandleStore:
    return CandleStore(Database(Home(home).database, prepare=Home(home).prepare))


@asynccontextmanager
async def tools_of(rig: StandInExchange, home: Path) -> AsyncIterator[Tools]:
    settings = ServerSettings(home=home, exchange_urls=dict.fromkeys(("binance", "coinbase"), rig.url))
    async with Client(build_server(settings, clock=lambda: NOW)) as client:
        yield Tools(client)


def truth(rig: StandInExchange, series: Series, wanted: tuple[int, int]) -> Candles:
    base, quote = series.symbol.split("/")
    return Candles.from_rows(rig.candles(base, quote, *wanted, timeframe_ms(series.timeframe)))


def same(candles: Candles, others: Candles) -> bool:
    names = ("open_time_ms", "open", "high", "low", "close", "volume")
    return all(np.array_equal(getattr(candles, name), getattr(others, name)) for name in names)


async def test_what_the_store_lacks_is_fetched_once_and_kept(
    rig: StandInExchange, home: Path, store: CandleStore
) -> None:
    told: list[tuple[int, int]] = []
    async with tools_of(rig, home) as tools:
        fetched = await fetch_candles(tools, store, BTC, WANTED, lambda *step: told.append(step))
        assert same(fetched.candles, truth(rig, BTC, WANTED))
        assert not fetched.simulated
        assert told == sorted(told)
        assert told[-1] == (4_000, 4_000)
        assert load(store, BTC, WANTED).missing == [], "a second backtest needs no server"
        rig.log.clear()
        longer = (WANTED[0] - 10 * HOUR_MS, END_MS)
        more = await fetch_candles(tools, store, BTC, longer, lambda *step: told.append(step))
    assert same(more.candles, truth(rig, BTC, longer))
    assert told[-1] == (10, 10)
    assert len([path for path, _ in rig.log if "klines" in path]) == 1


async def test_the_markets_own_name_is_learnt_from_the_server(
    rig: StandInExchange, home: Path, store: CandleStore
) -> None:
    async with tools_of(rig, home) as tools:
        series = Series("binance", "btcusdt", "1h")
        fetched = await fetch_candles(tools, store, series, (END_MS - 5 * HOUR_MS, END_MS), lambda *_: None)
    assert fetched.series == BTC
    assert len(fetched.candles) == 5


async def test_candles_that_the_exchange_lacks_are_built_from_shorter_ones_with_their_whole_volume(
    rig: StandInExchange, home: Path, store: CandleStore
) -> None:
    four = Series("coinbase", "BTC/USD", "4h")
    wanted = (END_MS - 100 * HOUR_MS, END_MS)
    async with tools_of(rig, home) as tools:
        fetched = await fetch_candles(tools, store, four, wanted, lambda *_: None)
    shorter = truth(rig, Series("coinbase", "BTC/USD", "2h"), wanted)
    assert same(fetched.candles, resample(shorter, "4h"))


async def test_the_invented_market_arrives_as_rows_and_is_not_kept(
    rig: StandInExchange, home: Path, store: CandleStore
) -> None:
    series = Series("simulated", "BTC/USDT", "1h")
    wanted = (END_MS - 1_700 * HOUR_MS, END_MS)
    told: list[tuple[int, int]] = []
    async with tools_of(rig, home) as tools:
        fetched = await fetch_candles(tools, store, series, wanted, lambda *step: told.append(step))
    expected = simulated_candles(market_of("BTC/USDT", 1), "1h", *wanted, END_MS)
    assert len(fetched.candles) == 1_700
    assert fetched.simulated
    assert told[-1] == (1_700, 1_700)
    assert np.array_equal(fetched.candles.open_time_ms, expected.open_time_ms)
    assert load(store, series, wanted).missing == [wanted]


async def test_an_exchange_that_does_not_answer_is_an_error_and_what_arrived_stays(
    rig: StandInExchange, home: Path, store: CandleStore
) -> None:
    async with tools_of(rig, home) as tools:
        await fetch_candles(tools, store, BTC, (END_MS - 50 * HOUR_MS, END_MS), lambda *_: None)
        rig.faults.status, rig.faults.path = 400, "klines"
        try:
            with pytest.raises(TraderError, match="binance"):
                await fetch_candles(tools, store, BTC, WANTED, lambda *_: None)
        finally:
            rig.heal()
    assert load(store, BTC, WANTED).missing == [(WANTED[0], END_MS - 50 * HOUR_MS)]


async def test_a_page_that_was_not_answered_in_time_is_asked_for_again(home: Path, store: CandleStore) -> None:
    class Slow:
        def __init__(self) -> None:
            self.calls = 0

        async def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
            from mcp_server.errors import Retryable

            self.calls += 1
            if self.calls < fetch.TRIES:
                raise Retryable("not in time")
            return {"symbol": "BTC/USDT", "simulated": True, "rows": []}

    slow = Slow()
    fetched = await fetch_candles(slow, store, BTC, (END_MS - HOUR_MS, END_MS), lambda *_: None)  # type: ignore[arg-type]
    assert (len(fetched.candles), slow.calls) == (0, fetch.TRIES + 1)


async def test_the_fundings_of_a_swap_are_fetched_page_by_page_and_kept(rig: StandInExchange, home: Path) -> None:
    swap, wanted = Series("binance", "BTC/USDT:USDT", "1h"), (END_MS - 2_000 * HOUR_MS, END_MS)
    told: list[tuple[int, int]] = []
    async with tools_of(rig, home) as tools:
        fundings = await fetch_fundings(tools, swap, wanted, lambda *step: told.append(step))
    times = [funding.time_ms for funding in fundings]
    assert times == list(range(END_MS - 2_000 * HOUR_MS, END_MS + 1, 8 * HOUR_MS)), "three pages, both ends included"
    assert told[-1] == (wanted[1] - wanted[0],) * 2
    database = Database(Home(home).database, prepare=Home(home).prepare)
    stored = FundingStore(database).load("binance", "BTC/USDT:USDT", (wanted[0], END_MS + 1))
    assert stored.missing == []
    assert list(stored.fundings) == fundings


async def test_an_exchange_without_a_history_of_fundings_is_backtested_without_them_and_one_that_is_down_is_not(
    rig: StandInExchange, home: Path
) -> None:
    swap, wanted = Series("binance", "BTC/USDT:USDT", "1h"), (END_MS - 2_000 * HOUR_MS, END_MS)
    async with tools_of(rig, home) as tools:
        try:
            rig.faults = Faults(status=400, body='{"code": -1, "msg": "no history"}', path="fundingRate")
            assert await fetch_fundings(tools, swap, wanted, lambda *_: None) == []
            rig.faults = Faults(status=503, path="fundingRate")
            with pytest.raises(Retryable):
                await fetch_fundings(tools, swap, wanted, lambda *_: None)
        finally:
            rig.faults = Faults()


async def test_fundings_that_an_exchange_does_not_have_are_left_out(rig: StandInExchange, home: Path) -> None:
    async with tools_of(rig, home) as tools:
        spot = Series("coinbase", "BTC/USD", "1h")
        assert await fetch_fundings(tools, spot, (END_MS - 10 * HOUR_MS, END_MS), lambda *_: None) == []


async def test_a_server_that_allows_one_call_at_a_time_is_asked_one_by_one(
    home: Path, store: CandleStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(several, "PAUSE_S", 0)

    class Narrow:
        running, refused, answered = 0, 0, 0

        async def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
            if self.running or (self.answered == 3 and self.refused < 5):
                self.refused += 1
                raise MCPError(-32600, "This client has 1 calls running.")
            self.running += 1
            await anyio.lowlevel.checkpoint()
            self.running -= 1
            self.answered += 1
            return {"symbol": "BTC/USDT", "simulated": True, "rows": []}

    narrow = Narrow()
    wanted = (END_MS - 5 * ROWS * HOUR_MS, END_MS)
    await fetch_candles(narrow, store, BTC, wanted, lambda *_: None)  # type: ignore[arg-type]
    assert (narrow.answered, narrow.refused >= 5) == (6, True), "one to learn the name, five pages"


def test_longer_candles_come_from_imported_shorter_ones_where_these_are_whole(store: CandleStore) -> None:
    start = END_MS - 48 * HOUR_MS
    hours = simulated_candles(market_of("BTC/USD", 1), "1h", start, END_MS, END_MS)
    store.save(Series("kraken", "BTC/USD", "1h"), hours, (start + HOUR_MS, END_MS))
    days = load(store, Series("kraken", "BTC/USD", "1d"), (start, END_MS))
    assert same(days.candles, resample(hours.between(start + 24 * HOUR_MS, END_MS), "1d"))
    assert days.missing == [(start, start + 24 * HOUR_MS)], "an hour of the first day is unknown"


def test_fetched_shorter_candles_do_not_stand_for_longer_ones_that_the_exchange_has(store: CandleStore) -> None:
    start = END_MS - 48 * HOUR_MS
    hours = simulated_candles(market_of("BTC/USD", 1), "1h", start, END_MS, END_MS)
    store.add([(Series("kraken", "BTC/USD", "1h"), hours, (start, END_MS))])
    assert load(store, Series("kraken", "BTC/USD", "1d"), (start, END_MS)).missing == [(start, END_MS)]


def test_pages_are_cut_from_the_newest_on() -> None:
    assert pages([(0, 3 * HOUR_MS), (10 * HOUR_MS, 11 * HOUR_MS)], 2, "1h") == [
        (10 * HOUR_MS, 11 * HOUR_MS),
        (HOUR_MS, 3 * HOUR_MS),
        (0, HOUR_MS),
    ]


async def test_from_a_server_whose_home_is_another_one_candles_arrive_as_rows(
    rig: StandInExchange, tmp_path: Path, store: CandleStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "LOOKS", 1)
    wanted = (END_MS - 10 * HOUR_MS, END_MS)
    async with tools_of(rig, tmp_path / "elsewhere") as tools:
        fetched = await fetch_candles(tools, store, BTC, wanted, lambda *_: None)
    expected = truth(rig, BTC, wanted)
    assert np.array_equal(fetched.candles.close, expected.close)
    assert np.allclose(fetched.candles.volume, expected.volume, rtol=1e-3)
