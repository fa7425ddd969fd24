"""The backtest at the end of the demo: of its example, on the invented market, into the demo's own journal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import anyio.to_thread

from mcp_server.domain.timeframes import to_ms

if TYPE_CHECKING:
    from mcp_server.domain.strategy.strategy import Strategy
    from mcp_server.storage.database import Database
    from runner.tool_server.client import Tools

DAYS = 120


async def demo_backtest(tools: Tools, database: Database, strategy: Strategy, end: datetime) -> str:
    """Backtest a strategy over the days before a moment; return what came out, in one sentence."""
    from mcp_server.domain.backtest.assumptions import Assumptions
    from mcp_server.domain.backtest.run import BacktestTask, cuts_without_clock, run_backtest
    from mcp_server.storage.candles.store import CandleStore, Series
    from mcp_server.storage.journal.backtests import Backtests
    from runner.backtest.fetch import fetch_candles
    from runner.backtest.record import entered

    series = Series(strategy.config.exchange or "simulated", strategy.config.trading_pair, strategy.timeframe)
    span = (to_ms(end - timedelta(days=DAYS)), to_ms(end))
    fetched = await fetch_candles(tools, CandleStore(database), series, span, lambda *_: None)
    task = BacktestTask(strategy, series.exchange, fetched.series.symbol, fetched.candles, *span, Assumptions())
    clock, limit = cuts_without_clock()  # everyone sees the same
    compute = partial(run_backtest, task, clock=clock, proof_limit_s=limit)
    done = await anyio.to_thread.run_sync(compute, abandon_on_cancel=True)
    (one,) = entered(Backtests(database), [done], datetime.now(UTC))
    return one.done.summary()[0]
