"""Settling with the real ccxt classes, which ask a stand-in for Binance."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from mcp_server.adapters.ccxt.exchange import CcxtExchange
from mcp_server.domain.exchange import Exchange
from mcp_server.domain.timeframes import from_ms
from mcp_server.market.candle_cache import CandleCache
from mcp_server.market.market import Market
from mcp_server.scoring.series import Allowance
from mcp_server.scoring.settle import Settlement, settle
from mcp_server.storage.candles.store import CandleStore
from mcp_server.storage.database import Database
from mcp_server.storage.journal.outcomes import DueRun
from tests.rigs.stand_in_exchange import StandInExchange
from tests.scoring.made_exchange import BEGIN_MS, DAY_MS, HOUR_MS, due, terms


def states(settlement: Settlement) -> dict[int, str]:
    return {outcome.execution_id: outcome.state for outcome in settlement.outcomes}


@pytest.fixture(scope="module")
def rig() -> Iterator[StandInExchange]:
    with StandInExchange() as serving:
        yield serving


@pytest.fixture
async def wire(rig: StandInExchange, home: Path) -> AsyncIterator[Market]:
    rig.heal()
    rig.now_ms = BEGIN_MS + 20 * DAY_MS

    def make(name: str) -> Exchange:
        return CcxtExchange(name, rig.url)

    cache = CandleCache(CandleStore(Database(home / "claude_trader.duckdb")))
    market = Market(make, cache, lambda: from_ms(rig.now_ms), tuple)
    yield market
    await market.close()


async def on_wire(market: Market, rig: StandInExchange, *runs: DueRun) -> Settlement:
    return await settle(market, runs, rig.now_ms, rig.now_ms, Allowance.of(60))


async def test_a_series_is_asked_for_once_and_a_refusal_passes(rig: StandInExchange, wire: Market) -> None:
    symbols = ("BTC/USDT", "BTC/USDT:USDT")
    runs = [
        due(number, BEGIN_MS + number // 2 * HOUR_MS, terms(symbols[number % 2], exchange="binance"))
        for number in range(200)
    ]
    rig.faults.status = 403
    away = await on_wire(wire, rig, *runs)
    assert not away.outcomes
    assert sum(one.count for one in away.unsettled) == 200
    rig.heal()
    rig.requests.clear()
    back = await on_wire(wire, rig, *runs)
    candles = [rig.candle("BTC", "USDT", BEGIN_MS + hour * HOUR_MS, HOUR_MS) for hour in (0, 23)]
    first = next(outcome for outcome in back.outcomes if outcome.execution_id == 0)
    assert (first.entry_price, first.exit_price) == (candles[0][1], candles[1][4])
    assert states(back) == dict.fromkeys(range(200), "judged")
    assert (rig.requests["/api/v3/klines"], rig.requests["/fapi/v1/klines"]) == (1, 1)


async def test_a_market_that_was_delisted_is_void_a_week_after(rig: StandInExchange, wire: Market) -> None:
    of = terms("X0001/USDT", exchange="binance")
    before, after = due(1, BEGIN_MS, of), due(2, BEGIN_MS + 19 * DAY_MS - 6 * HOUR_MS, of)
    rig.extra_markets = 1
    assert states(await on_wire(wire, rig, before)) == {1: "judged"}
    rig.extra_markets = 0
    done = await on_wire(wire, rig, before, after)
    assert (states(done), [one.count for one in done.unsettled]) == ({1: "judged"}, [1])
    rig.now_ms += 7 * DAY_MS
    assert states(await on_wire(wire, rig, before, after)) == {1: "judged", 2: "void"}
