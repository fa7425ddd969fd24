"""A recorded backtest once more: simulated anew from the candles of its range, to be drawn or followed trade by trade.

Nothing is recorded, and no trial is counted: it is the same variant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from mcp_server.backtest.material import settled_fundings
from mcp_server.domain.backtest.assumptions import Assumptions
from mcp_server.domain.backtest.drawdowns import depths
from mcp_server.domain.backtest.run import BacktestTask, Simulated, compiled_rules, run_simulation
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.domain.text import significant
from mcp_server.domain.thinned import thinned
from mcp_server.domain.timeframes import iso, timeframe_ms, to_ms
from mcp_server.news.for_rules import with_news

if TYPE_CHECKING:
    from mcp_server.domain.candles import Floats, Times
    from mcp_server.market.history import History
    from mcp_server.market.market import Market
    from mcp_server.news.news import News
    from mcp_server.storage.journal.backtests import BacktestRow

SAME = 1e-6
"""Returns that differ by less than this, relatively, are the same: figures are recorded to ten digits."""


@dataclass(frozen=True, slots=True)
class BacktestAgain:
    """What a recorded backtest is simulated from, and its candles' history."""

    row: BacktestRow
    task: BacktestTask
    history: History

    def simulated(self) -> Simulated:
        """Simulate it.

        Raises:
            BadInput: there are no candles of its range any more.
            Retryable: the rules took too long.
        """
        return run_simulation(self.task)

    def difference(self, simulated: Simulated) -> str | None:
        """Say so where the simulation came out otherwise than the record; None where it did not."""
        recorded = self.row.figures.get("return_pct")
        now = float(simulated.simulation.equity[-1] - 1) * 100
        if not isinstance(recorded, int | float) or abs(now - recorded) <= SAME * max(abs(recorded), 1):
            return None
        count = self.row.figures.get("candles")
        candles = f", {count:,} candles then and {len(simulated.candles):,} now" * (count != len(simulated.candles))
        return (
            f"When it was recorded, its return was {recorded:.6g} %; it comes out as {now:.6g} % today, because its "
            f"candles or fundings have changed since{candles}. What you see is today's."
        )


def curves(simulated: Simulated) -> tuple[Times, Floats, Floats, Floats]:
    """Return for each candle its close (Unix ms), and equity, holding and drawdown by then, in per cent."""
    candles, timeframe, equity = simulated.candles, simulated.task.timeframe, simulated.simulation.equity
    holding = 100 * (candles.close / candles.close[0] - 1)
    return candles.open_time_ms + timeframe_ms(timeframe), 100 * (equity - 1), holding, 100 * depths(equity)


def curve_rows(simulated: Simulated) -> list[list[Any]]:
    """Return rows of time (a close), equity, holding and drawdown, in per cent of the beginning; extremes stay."""
    times, *values = curves(simulated)
    kept = thinned(values)
    rows = zip(*(curve[kept].tolist() for curve in values), strict=True)
    return [[iso(at), *map(significant, row)] for at, row in zip(times[kept].tolist(), rows, strict=True)]


async def again(market: Market, news: News, row: BacktestRow) -> BacktestAgain:
    """Gather the candles of a recorded backtest, stored ones first, its news, and on a swap its settled fundings.

    Raises:
        BadInput: its config is not valid any more.
        TraderError: what the exchange answers.
    """
    config = {**row.config, "engine": "rules"}  # a claude strategy was backtested by its rules
    strategy = parse_strategy(row.family.name, config, None)
    compiled = compiled_rules(strategy)
    exchange, symbol, start_ms, end_ms = row.family.exchange, row.family.symbol, to_ms(row.start), to_ms(row.end)
    count = -(-(end_ms - start_ms) // timeframe_ms(strategy.timeframe)) + compiled.history
    history = await market.candles(exchange, symbol, strategy.timeframe, count, row.end)
    given = (news, history.candles, strategy.timeframe, history.symbol, compiled.news)
    candles = await anyio.to_thread.run_sync(with_news, *given)
    fundings = await settled_fundings(market, history, start_ms, end_ms)
    assumed = Assumptions(row.side, row.fee_bps, row.slippage_bps, row.stake_pct)
    task = BacktestTask(
        strategy, history.exchange, history.symbol, candles, start_ms, end_ms, assumed, fundings=fundings
    )
    return BacktestAgain(row, task, history)
