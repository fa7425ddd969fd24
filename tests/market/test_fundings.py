"""Settled fundings of years: fetched once, kept, and served without the exchange; none is guessed."""

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from mcp_server.adapters.ccxt.exchange import CcxtExchange
from mcp_server.adapters.simulated.exchange import SimulatedExchange
from mcp_server.domain.backtest.fundings import missing_fundings
from mcp_server.domain.exchange import Funding
from mcp_server.domain.timeframes import TIMEFRAMES, from_ms, iso
from mcp_server.errors import NotSupported, Retryable
from mcp_server.market.candle_cache import CandleCache
from mcp_server.market.fundings import PastFundings, known_range
from mcp_server.market.market import Market
from mcp_server.storage.candles.fundings import FundingStore
from mcp_server.storage.candles.store import CandleStore
from mcp_server.storage.database import Database
from tests.acceptance.market_rig import NOW_MS, calling
from tests.rigs.exchanges.world import FUNDING_MS
from tests.rigs.stand_in_exchange import Faults, StandInExchange
from tests.storage.test_database import held_by_a_shell
from tests.tools.conftest import answer_of

SWAP = "BTC/USDT:USDT"
PATH = "/fapi/v1/fundingRate"
HOUR = TIMEFRAMES["1h"]
END = NOW_MS // FUNDING_MS * FUNDING_MS - FUNDING_MS
TWO_YEARS = END - 2 * 365 * 3 * FUNDING_MS


@pytest.fixture(scope="module")
def serving() -> Iterator[StandInExchange]:
    with StandInExchange() as rig:
        rig.now_ms = NOW_MS
        yield rig


@pytest.fixture
def rig(serving: StandInExchange) -> StandInExchange:
    serving.heal()
    serving.faults = Faults()
    serving.requests.clear()
    return serving


@pytest.fixture
def database(home: Path) -> Database:
    return Database(home / "claude_trader.duckdb", patience_s=0.2)


def market_in(database: Database, rig: StandInExchange) -> Market:
    """Compose a market over the real ccxt classes, as a new process would."""
    candles = CandleCache(CandleStore(database))

    def clock() -> datetime:
        return from_ms(rig.now_ms)

    def make(name: str) -> Any:
        return SimulatedExchange(clock) if name == "simulated" else CcxtExchange(name, rig.url)

    return Market(make, candles, clock, list, fundings=FundingStore(database))


@pytest.fixture
async def market(database: Database, rig: StandInExchange) -> AsyncIterator[Market]:
    market = market_in(database, rig)
    yield market
    await market.close()


async def asked(market: Market, start_ms: int, end_ms: int, *, exchange: str = "binance") -> list[Funding]:
    history = await market.fundings(exchange, SWAP, start_ms, end_ms, from_ms(NOW_MS))
    assert (history.exchange, history.symbol) == (exchange, SWAP)
    return list(history.fundings)


def true(rig: StandInExchange, start_ms: int, end_ms: int) -> list[Funding]:
    times = range(-(-start_ms // FUNDING_MS) * FUNDING_MS, end_ms + 1, FUNDING_MS)
    return [Funding(at, rig.funding_rate("BTC", at)) for at in times]


async def test_two_years_are_fetched_once_and_then_served_without_the_exchange(
    market: Market, database: Database, rig: StandInExchange
) -> None:
    assert await asked(market, TWO_YEARS, END) == true(rig, TWO_YEARS, END)
    assert 20 < rig.requests[PATH] < 30
    rig.requests.clear()
    assert await asked(market, TWO_YEARS, END) == true(rig, TWO_YEARS, END)
    assert await asked(market, TWO_YEARS + HOUR, END - 1) == true(rig, TWO_YEARS + HOUR, END - 1)
    assert not rig.requests
    await market.close()
    later = market_in(database, rig)
    assert await asked(later, TWO_YEARS, END) == true(rig, TWO_YEARS, END)
    assert rig.requests[PATH] == 0
    await later.close()


async def test_only_what_is_not_known_is_fetched(market: Market, rig: StandInExchange) -> None:
    middle = (END - 200 * FUNDING_MS, END - 100 * FUNDING_MS)
    await asked(market, *middle)
    rig.requests.clear()
    whole = (END - 260 * FUNDING_MS, END)
    assert await asked(market, *whole) == true(rig, *whole)
    assert rig.requests[PATH] == 2, "one request after the middle, one before it"


async def test_a_swap_that_is_stored_needs_no_list_of_markets(
    market: Market, database: Database, rig: StandInExchange
) -> None:
    await asked(market, END - 9 * FUNDING_MS, END)
    await market.candles("binance", SWAP, "1h", 3, from_ms(END))
    await market.close()
    rig.requests.clear()
    later = market_in(database, rig)
    assert len(await asked(later, END - 9 * FUNDING_MS, END)) == 10
    assert not rig.requests
    await later.close()


async def test_none_is_later_than_the_as_of(market: Market, rig: StandInExchange) -> None:
    await asked(market, END - 9 * FUNDING_MS, END)
    as_of = END - 3 * FUNDING_MS
    for moment, last in ((as_of, as_of), (as_of - 1, as_of - FUNDING_MS)):
        history = await market.fundings("binance", SWAP, END - 9 * FUNDING_MS, END, from_ms(moment))
        assert (history.fundings[-1].time_ms, history.end_ms) == (last, moment)
    assert (await market.fundings("binance", SWAP, END, END, from_ms(as_of))).fundings == ()


async def test_what_may_not_be_published_yet_is_asked_for_again(market: Market, rig: StandInExchange) -> None:
    rig.now_ms = END + 60_000
    try:
        rig.clock_skew_ms = -120_000
        assert (await asked(market, END - 3 * FUNDING_MS, rig.now_ms))[-1].time_ms == END - FUNDING_MS
        rig.clock_skew_ms = 0
        rig.now_ms = END + 3_600_000
        assert (await asked(market, END - 3 * FUNDING_MS, END))[-1].time_ms == END
    finally:
        rig.now_ms = NOW_MS


async def test_times_before_the_listing_are_not_taken_for_times_without_fundings(
    market: Market, rig: StandInExchange
) -> None:
    rig.listed_ms, before = END - 5 * FUNDING_MS, rig.listed_ms
    try:
        assert await asked(market, END - 40 * FUNDING_MS, END) == true(rig, rig.listed_ms, END)
    finally:
        rig.listed_ms = before
    whole = (END - 40 * FUNDING_MS, END)
    assert await asked(market, *whole) == true(rig, *whole), "the exchange has them now"


async def test_what_has_arrived_before_the_exchange_fails_is_kept(database: Database, rig: StandInExchange) -> None:
    class Failing(CcxtExchange):
        left = 3

        async def fundings_between(self, symbol: str, start_ms: int, end_ms: int) -> Sequence[Funding]:
            self.left -= 1
            if not self.left:
                raise Retryable("It is gone.")
            return await super().fundings_between(symbol, start_ms, end_ms)

    failing = Failing("binance", rig.url)
    fundings = PastFundings(FundingStore(database), lambda: from_ms(NOW_MS))
    span = (END - 290 * FUNDING_MS, END)
    with pytest.raises(Retryable, match="gone"):
        await fundings.between(failing, SWAP, *span)
    assert await fundings.between(failing, SWAP, *span) == true(rig, *span)
    assert rig.requests[PATH] == 3, "two before it failed, and the third afterwards"
    await fundings.close()
    await failing.close()


async def test_an_exchange_that_does_not_answer_is_worth_asking_again(market: Market, rig: StandInExchange) -> None:
    await market.fundings("binance", SWAP, END, END, from_ms(NOW_MS))
    rig.faults = Faults(status=503, path="fundingRate")
    with pytest.raises(Retryable):
        await asked(market, TWO_YEARS, END)


async def test_a_held_file_keeps_nobody_waiting(market: Market, database: Database, rig: StandInExchange) -> None:
    await asked(market, END - 3 * FUNDING_MS, END)
    await market.close()
    with held_by_a_shell(database.path):
        span = (END - 9 * FUNDING_MS, END)
        assert await asked(market, *span) == true(rig, *span)


async def test_a_market_without_a_history_of_fundings_says_so(market: Market, rig: StandInExchange) -> None:
    with pytest.raises(NotSupported, match="no perpetual swap"):
        await market.fundings("kraken", "BTC/USD", TWO_YEARS, END, from_ms(NOW_MS))
    exchange = CcxtExchange("binance", rig.url)
    client = await exchange._connection.listed(SWAP)
    client.has["fetchFundingRateHistory"] = False
    with pytest.raises(NotSupported, match="'binance' has no history of fundings"):
        await exchange.fundings_between(SWAP, TWO_YEARS, END)
    await exchange.close()


async def test_the_invented_market_has_them_all_and_keeps_none(market: Market, database: Database) -> None:
    fundings = await asked(market, TWO_YEARS, END, exchange="simulated")
    assert [funding.time_ms for funding in fundings] == list(range(TWO_YEARS, END + 1, FUNDING_MS))
    assert fundings[-3:] == list((await market.perpetual("simulated", SWAP, 3, from_ms(END))).fundings or ())
    assert not database.path.exists() or FundingStore(database).load("simulated", SWAP, (0, NOW_MS)).fundings == ()


# Through the tool, page by page


async def page(client: Client, as_of_ms: int, limit: int = 100) -> list[list[Any]]:
    arguments = {"symbol": SWAP, "exchange": "binance", "limit": limit, "as_of": iso(as_of_ms)}
    rows: list[list[Any]] = answer_of(await client.call_tool("get_derivatives", arguments))["rows"]
    return rows


async def test_a_page_of_the_past_is_kept_and_served_again_without_the_exchange(
    home: Path, rig: StandInExchange
) -> None:
    async with calling(home, rig) as client:
        first = await page(client, END)
        assert [row[0] for row in first] == [iso(END - number * FUNDING_MS) for number in reversed(range(100))]
        before = await page(client, END - 100 * FUNDING_MS)
        assert len({*map(tuple, first), *map(tuple, before)}) == 200
    rig.requests.clear()
    async with calling(home, rig) as client:
        assert await page(client, END) == first
        assert await page(client, END - 50 * FUNDING_MS) == before[50:] + first[:50]
        assert await page(client, END - 60 * FUNDING_MS + HOUR, 3) == first[37:40]
        assert rig.requests[PATH] == 0
        assert len(await page(client, END - 150 * FUNDING_MS)) == 100
        assert rig.requests[PATH] == 1, "of these, half are not known"
    kept = FundingStore(Database(home / "claude_trader.duckdb")).load("binance", SWAP, (0, END + 1))
    assert list(kept.fundings) == true(rig, END - 250 * FUNDING_MS, END)


# What counts as known, and what as missing


@pytest.mark.parametrize(
    ("hours", "asked", "known"),
    [
        ([8, 16, 24], (1, 25), (1, 25)),
        ([8, 16, 24], (0, 33), (8, "last")),  # one at 0 and one at 32 o'clock are to be expected
        ([8, 16, 24], (0, 32), (8, 32)),
        ([8, 9, 10], (8, 11), (8, 11)),
        ([8, 9, 10], (7, 14), (8, "last")),
        ([8], (1, 15), (1, 15)),
        ([8], (0, 17), (8, "last")),
    ],
)
def test_known_is_what_lies_between_fundings_and_no_more_than_an_interval_beside_them(
    hours: list[int], asked: tuple[int, int], known: tuple[int, Any]
) -> None:
    fundings = [Funding(hour * HOUR, 0.0001) for hour in hours]
    end_ms = hours[-1] * HOUR + 1 if known[1] == "last" else known[1] * HOUR
    assert known_range(fundings, (asked[0] * HOUR, asked[1] * HOUR), 100 * HOUR) == (known[0] * HOUR, end_ms)


def test_without_a_funding_nothing_is_known() -> None:
    assert known_range([], (HOUR, 9 * HOUR), 100 * HOUR) == (HOUR, HOUR)


def test_what_is_later_than_ten_minutes_ago_is_never_known() -> None:
    assert known_range([Funding(8 * HOUR, 0.0001)], (HOUR, 10 * HOUR), 9 * HOUR)[1] == 9 * HOUR


@pytest.mark.parametrize(
    ("hours", "span", "missing"),
    [
        ([8, 16, 24, 32], (8, 32), 0),
        ([8, 16, 24, 32], (1, 39), 0),
        ([8, 16, 24, 32], (0, 40), 2),
        ([8, 24, 32, 40], (8, 40), 1),
        ([8, 16, 24, 72, 80], (8, 80), 5),
        ([8, 16, 24, 28, 32, 36], (8, 36), 0),  # funded every four hours from 24 o'clock on
        ([8, 16, 24, 25, 26, 27], (8, 27), 0),
        ([8, 9, 10, 15, 16, 17], (8, 17), 4),
        ([], (1, 25), 3),
        ([], (0, 24), 4),
        ([], (1, 7), 0),
        ([8], (0, 30), 3),
        ([8, 32], (8, 32), 2),
        ([8, 32, 56, 64], (8, 64), 4),
    ],
)
def test_settlements_that_are_not_known_are_counted_by_the_interval_of_those_that_are(
    hours: list[int], span: tuple[int, int], missing: int
) -> None:
    fundings = [Funding(hour * HOUR, 0.0001) for hour in hours]
    assert missing_fundings(fundings, span[0] * HOUR, span[1] * HOUR) == missing


def test_fundings_outside_of_the_time_change_nothing_about_what_is_missing() -> None:
    fundings = [Funding(hour * HOUR, 0.0001) for hour in (0, 8, 16, 24, 32)]
    assert missing_fundings(fundings, 8 * HOUR, 24 * HOUR) == 0
    assert missing_fundings([], 25 * HOUR, 24 * HOUR) == 0
