"""The picture of a backtest as data: `draw_backtest` makes a picture of it, and `caption` a description."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mcp_server.charts.chart import ThemeName
from mcp_server.charts.numbers import short_text
from mcp_server.domain.backtest.answer import DIGITS
from mcp_server.domain.backtest.drawdowns import depths
from mcp_server.domain.backtest.run import Simulated
from mcp_server.domain.backtest.trades import Trades
from mcp_server.domain.candles import Floats, Times
from mcp_server.domain.coarse import Coarse
from mcp_server.domain.text import counted, significant
from mcp_server.domain.timeframes import iso

MOST_SLOTS = 1_000
"""So many slots have a pixel each. Of a longer series neighbours are merged, and each pixel keeps their extremes."""

_FEWEST_SLOTS = 12

Bars = tuple[Floats, Floats, Floats, Floats]
"""First, highest, lowest and last, of each slot that has a candle."""


@dataclass(frozen=True, eq=False)
class BacktestChart:
    """One backtest to be drawn. `invented`: the prices are."""

    simulated: Simulated
    invented: bool = False
    theme: ThemeName = "dark"

    @property
    def trades(self) -> Trades:
        """All of its trades: none is left out."""
        return self.simulated.simulation.trades

    @cached_property
    def coarse(self) -> Coarse:
        """How candles are merged into slots."""
        return Coarse.of(self.simulated.candles.open_time_ms, self.simulated.task.timeframe, MOST_SLOTS)

    @property
    def slots(self) -> Times:
        """When each slot begins (Unix ms)."""
        count = max(self.coarse.count, _FEWEST_SLOTS)
        return self.coarse.start_ms + self.coarse.step_ms * np.arange(count, dtype=np.int64)

    @cached_property
    def price(self) -> Bars:
        """The price."""
        return self.coarse.candles(self.simulated.candles)

    @cached_property
    def equity(self) -> Bars:
        """The equity, 100 at the start."""
        return self.coarse.values(self.simulated.simulation.equity * 100)

    @cached_property
    def holding(self) -> Bars:
        """The equity of who bought at the first close and held, 100 at the start."""
        return self.coarse.values(self._held * 100)

    @cached_property
    def drawdown(self) -> Bars:
        """How far the equity lay below its peak, in per cent, positive."""
        return self.coarse.values(depths(self.simulated.simulation.equity) * 100)

    @cached_property
    def holding_drawdown(self) -> Bars:
        """The same of holding."""
        return self.coarse.values(depths(self._held) * 100)

    @property
    def _held(self) -> Floats:
        held: Floats = self.simulated.candles.close / self.simulated.candles.close[0]
        return held


def pct_text(value: float) -> str:
    """Write a change in per cent, with its sign."""
    return f"{'+' if value > 0 else ''}{short_text(value)} %"


def return_pct(curve: Bars) -> float:
    """Return what a curve that began at 100 has gained, in per cent."""
    return float(curve[3][-1] / 100 - 1) * 100


def backtest_facts(chart: BacktestChart) -> dict[str, Any]:
    """Return what is drawn as values, under the names of a backtest's answer."""
    task = chart.simulated.task
    return {
        "strategy_name": task.strategy.name,
        "symbol": task.symbol,
        "exchange": task.exchange,
        "timeframe": task.timeframe,
        "start": iso(chart.simulated.start_ms),
        "end": iso(chart.simulated.end_ms),
        "candles": len(chart.simulated.candles),
        "trades": int((~chart.trades.open).sum()),
        "return_pct": significant(return_pct(chart.equity), DIGITS),
        "buy_and_hold_pct": significant(return_pct(chart.holding), DIGITS),
        "max_drawdown_pct": significant(float(chart.drawdown[1].max()), DIGITS),
        "simulated": chart.invented or None,
    }


def backtest_caption(chart: BacktestChart) -> str:
    """Describe everything that is drawn."""
    task, trades, simulation = chart.simulated.task, chart.trades, chart.simulated.simulation
    source = f"{task.exchange} (invented prices)" if chart.invented else task.exchange
    won = int((trades.return_ratio > 0).sum())
    opened = ""
    if len(trades) and trades.open[-1]:
        opened = f", the last is still open at {pct_text(float(trades.return_ratio[-1]) * 100)}"
    parts = [
        f"Backtest of {task.strategy.name}: {task.symbol} {task.timeframe} on {source}, "
        f"{iso(chart.simulated.start_ms)} to {iso(chart.simulated.end_ms)}",
        f"Return {pct_text(return_pct(chart.equity))} after costs; holding {pct_text(return_pct(chart.holding))}",
        f"{counted(len(trades), 'trade')}, {won} gained{opened}" if len(trades) else "It never traded",
        f"Deepest drawdown {short_text(float(chart.drawdown[1].max()))} %; "
        f"holding {short_text(float(chart.holding_drawdown[1].max()))} %",
        "Panels: price with a line from each entry to its exit (green gained, red lost); equity against holding, both "
        "100 at the start; drawdown",
    ]
    if chart.coarse.merged > 1:
        parts.append(f"Each pixel is {chart.coarse.merged} candles, with their extremes")
    if simulation.ruined_ms is not None:
        parts.append(f"It was ruined at {iso(simulation.ruined_ms)}")
    return ". ".join(parts) + "."
