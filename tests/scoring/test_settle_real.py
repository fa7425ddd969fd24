"""Two years of recorded candles: the shares that would have been right, as they were computed independently."""

from pathlib import Path

import numpy as np
import pytest

from mcp_server.domain.candles import Floats
from mcp_server.domain.rules.series import BUY, SELL
from mcp_server.domain.scoring.signals import JudgedSignals
from mcp_server.scoring.series import Allowance
from mcp_server.scoring.settle import settle
from mcp_server.storage.candles.store import CandleStore, Series
from mcp_server.storage.database import Database
from tests.rigs.hourly_candles import FIRST_MS, RECORDED, ROWS, hourly_candles
from tests.scoring.made_exchange import HOUR_MS, MadeExchange, due, market_of, terms

END_MS = FIRST_MS + ROWS * HOUR_MS


@pytest.mark.skipif(not RECORDED.is_file(), reason="the recorded candles are not beside the checkout")
async def test_always_buy_and_always_sell_are_right_as_often_as_computed_elsewhere(home: Path) -> None:
    candles = hourly_candles()
    series = Series("coinbase", "BTC/USD", "1h")
    CandleStore(Database(home / "claude_trader.duckdb")).save(series, candles, (FIRST_MS, END_MS), begins=True)
    exchange = MadeExchange("coinbase", now_ms=END_MS + HOUR_MS)
    exchange.reachable = False
    market = market_of(exchange, home)
    shares = {}
    for hours in (24, 4):
        of = terms("BTC/USD", "1h", hours * 3600, "coinbase")
        runs = [due(number, int(at), of) for number, at in enumerate(candles.open_time_ms[: ROWS - hours + 1])]
        done = await settle(market, runs, exchange.now_ms, exchange.now_ms, Allowance.of(60))
        assert not done.unsettled
        assert {outcome.state for outcome in done.outcomes} == {"judged"}
        r = np.array([outcome.r for outcome in done.outcomes])
        assert len(r) == ROWS - hours + 1
        for name, code in (("BUY", BUY), ("SELL", SELL)):
            shares[name, hours] = round(float(judged(r, code).right.mean()) * 100, 1)
    await market.close()
    assert shares == {("BUY", 24): 47.6, ("SELL", 24): 41.4, ("BUY", 4): 36.8, ("SELL", 4): 32.4}


def judged(r: Floats, code: int) -> JudgedSignals:
    count = len(r)
    times, signal = np.arange(count), np.full(count, code, dtype=np.int8)
    cost, funding, unknown = np.full(count, 0.003), np.zeros(count), np.full(count, np.nan)
    return JudgedSignals(times, times, times, times, signal, r, cost, funding, unknown)
