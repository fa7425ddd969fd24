"""The markets that records are compared with: how far back, each series gathered once, and why one is not known."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import anyio
import numpy as np
import pytest

from mcp_server.domain.exchange import Funding
from mcp_server.domain.scoring.record import Record
from mcp_server.market.market import Market
from mcp_server.scoring.controls import MarketControl, RecordSpan, codes_at, market_controls
from mcp_server.scoring.series import Allowance
from tests.scoring.made import codes, judged, record
from tests.scoring.made_exchange import BEGIN_MS, HOUR_MS, MadeExchange, market_of, terms, walk

COUNT = 4_000
SWAP = "BTC/USD:USD"
FIRST = 2_500
"""The first signal is at the open of this candle."""


@pytest.fixture
def exchange() -> MadeExchange:
    made = MadeExchange(now_ms=BEGIN_MS + COUNT * HOUR_MS + HOUR_MS)
    for seed, symbol in enumerate(("BTC/USD", "ETH/USD", SWAP)):
        made.series[symbol, "1h"] = walk(seed, count=COUNT)
    return made


@pytest.fixture
async def market(exchange: MadeExchange, home: Path) -> AsyncIterator[Market]:
    market = market_of(exchange, home)
    yield market
    await market.close()


def of(symbol: str = "BTC/USD", *, first: int = FIRST, horizon: int = 4, count: int = 10) -> Record:
    """A record of `count` signals, one every ten hours, from the open of a candle on."""
    signals = judged("B" * count, [0.01] * count, every_ms=10 * HOUR_MS, horizon_ms=horizon * HOUR_MS)
    entry = BEGIN_MS + (first + 10 * np.arange(count, dtype=np.int64)) * HOUR_MS
    moved = replace(signals, entry_ms=entry, decided_ms=entry, exit_ms=entry + horizon * HOUR_MS)
    return replace(record(moved), terms=terms(symbol))


async def gathered(market: Market, exchange: MadeExchange, *records: Record, requests: int = 60) -> list[MarketControl]:
    return await market_controls(
        market, records, exchange.now_ms, Allowance(anyio.current_time() + 60, requests=requests)
    )


@pytest.mark.parametrize(("horizon", "before"), [(1, 1_001), (2, 1_002), (4, 1_604), (24, 9_624), (240, 20_240)])
def test_a_record_is_compared_with_400_horizons_before_it_but_at_least_1000_candles(horizon: int, before: int) -> None:
    span = RecordSpan.of(of(first=30_000, horizon=horizon))
    hours = (30_000 - before, 30_000, 30_000 + 90 + horizon)
    assert span == RecordSpan(*(BEGIN_MS + hour * HOUR_MS for hour in hours))


def test_a_record_without_a_judged_buy_or_sell_is_compared_with_nothing() -> None:
    assert RecordSpan.of(record(judged("HH", [0.1, 0.1]))) is None


async def test_no_candle_is_fetched_twice_and_each_record_has_its_own_part(
    market: Market, exchange: MadeExchange
) -> None:
    exchange.a_request = 5_000
    early, late, other = of(), of(first=3_000), of("ETH/USD")
    one, two, three = await gathered(market, exchange, early, late, other)
    assert exchange.requests["BTC/USD", "1h"] == 4  # the time of each record, and what comes before each
    assert exchange.requests["ETH/USD", "1h"] == 2
    assert exchange.sent == (1_604 + 500 + 94) + (1_604 + 94)
    for control, of_record in ((one, early), (two, late), (three, other)):
        assert control.candles is not None
        span = RecordSpan.of(of_record)
        assert span is not None
        assert (control.candles.open_time_ms[0], control.candles.open_time_ms[-1]) == (span.begin, span.end - HOUR_MS)
        assert control.fundings is None
        assert control.why is None


async def test_a_market_that_cannot_be_asked_is_not_known_and_says_why(market: Market, exchange: MadeExchange) -> None:
    exchange.reachable = False
    (control,) = await gathered(market, exchange, of())
    assert control.candles is None
    assert control.why is not None
    assert "cannot be reached" in control.why
    assert "\u202e" not in control.why


async def test_when_there_are_no_more_requests_it_is_the_next_call_that_knows(
    market: Market, exchange: MadeExchange
) -> None:
    (control,) = await gathered(market, exchange, of(), requests=0)
    assert control.candles is None
    assert control.why is not None
    assert "the next call goes on from here" in control.why
    (control,) = await gathered(market, exchange, of())
    assert control.candles is not None


async def test_where_not_all_can_be_had_the_time_of_the_record_comes_first(
    market: Market, exchange: MadeExchange
) -> None:
    (control,) = await gathered(market, exchange, of(), requests=1)
    assert control.candles is not None
    assert control.candles.open_time_ms[0] == BEGIN_MS + FIRST * HOUR_MS
    assert control.why is not None
    assert "the next call goes on from here" in control.why
    (control,) = await gathered(market, exchange, of())
    assert control.candles is not None
    assert control.candles.open_time_ms[0] == BEGIN_MS + (FIRST - 1_604) * HOUR_MS
    assert control.why is None


async def test_a_series_that_begins_late_is_looked_at_from_its_beginning(
    market: Market, exchange: MadeExchange
) -> None:
    (control,) = await gathered(market, exchange, of(first=500))
    assert control.candles is not None
    assert control.candles.open_time_ms[0] == BEGIN_MS


async def test_on_swaps_each_moment_pays_its_fundings(market: Market, exchange: MadeExchange) -> None:
    """One basis point is settled every eight hours: a moment that holds over one pays it, others pay nothing."""
    eight = 8 * HOUR_MS
    first = BEGIN_MS // eight * eight
    exchange.settled[SWAP] = [Funding(first + eight * number, 0.0001) for number in range(COUNT // 8 + 2)]
    (control,) = await gathered(market, exchange, of(SWAP))
    assert control.candles is not None
    assert control.fundings is not None
    paid = control.fundings[4 * HOUR_MS]
    hour = control.candles.open_time_ms % eight // HOUR_MS
    known = slice(0, -8)
    assert np.abs(paid[known][(hour >= 4)[known]] - 0.0001).max() < 2e-5
    assert np.abs(paid[known][(hour < 4)[known]]).max() == 0


async def test_without_its_fundings_a_swap_is_not_known(market: Market, exchange: MadeExchange) -> None:
    exchange.fundings_reachable = False
    (control,) = await gathered(market, exchange, of(SWAP))
    assert control.candles is None
    assert control.why == "'made' does not answer for its fundings"


def test_what_was_stated_is_put_beside_the_signal_of_its_run() -> None:
    signals = judged("BSHB", [0.01] * 4)
    assert codes_at(signals, {1: "SELL", 3: "BUY", 4: "HOLD", 99: "BUY"}).tolist() == codes("S-BH").tolist()
