"""The panels of a backtest's picture: price with its trades, equity against holding, and drawdown."""

import numpy as np

from mcp_server.charts.backtest_chart import BacktestChart, Bars, pct_text, return_pct
from mcp_server.charts.candles import draw_candles, shade_gaps
from mcp_server.charts.legend import Word
from mcp_server.charts.library import Line2D, LineCollection
from mcp_server.charts.lines import line
from mcp_server.charts.numbers import price_text, short_text, step_decimals, tick_text
from mcp_server.charts.plot import Z_GRID, Z_LINES, Z_MARKS, Plot
from mcp_server.charts.scale import Scale, price_scale, step_of, ticks, value_scale
from mcp_server.charts.theme import THEMES
from mcp_server.domain.candles import Floats
from mcp_server.domain.timeframes import iso

FEW_TRADES = 60
"""Up to so many trades, each end has a mark; of more there are only the lines."""

_TICK_PX = 36


class TradesPanel:
    """The price, with a line from each entry to its exit."""

    def __init__(self, chart: BacktestChart) -> None:
        self._chart, self._theme = chart, THEMES[chart.theme]
        _, high, low, _ = chart.price
        ends = [chart.trades.entry_price, chart.trades.exit_price]
        self.scale = price_scale(low, high, ends, padding=0.06)

    def legend(self) -> list[Word]:
        """List the words for the trades."""
        trades, theme = self._chart.trades, self._theme
        gained = int((trades.return_ratio > 0).sum())
        words = [Word("trades", theme.muted, opens=True)]
        if not len(trades):
            words = [Word("no trade", theme.muted, opens=True)]
        else:
            words += [
                Word(f"{gained} gained", theme.buy, bold=True),
                Word(f"{len(trades) - gained} did not", theme.sell, bold=True),
            ]
        if len(trades) and trades.open[-1]:
            words.append(Word("the last is open", theme.muted))
        if self._chart.coarse.merged > 1:
            words.append(Word(f"{self._chart.coarse.merged} candles a pixel", theme.muted, opens=True))
        return words + _log_word(self.scale, theme.muted)

    def labels(self, height: int) -> list[str]:
        """List the labels of its axis."""
        return [self._write(value, height) for value in ticks(self.scale, height // _TICK_PX)]

    def draw(self, plot: Plot) -> None:
        """Draw it."""
        chart, muted = self._chart, self._theme.muted
        after = np.arange(chart.coarse.count, len(plot.x))  # few candles leave room, which is no gap
        shade_gaps(plot, np.concatenate([chart.coarse.filled, after]))
        height = plot.box.height
        plot.value_axis(ticks(self.scale, height // _TICK_PX), lambda value: self._write(value, height))
        draw_candles(plot, chart.coarse.filled, chart.price, (muted, muted))
        _draw_trades(plot, chart)

    def _write(self, value: float, height: int) -> str:
        step = value if self.scale.log else step_of(ticks(self.scale, height // _TICK_PX))
        return price_text(value, step_decimals(step))


class EquityPanel:
    """What the rule made of 100, and what holding made of it."""

    def __init__(self, chart: BacktestChart) -> None:
        self._chart, self._theme = chart, THEMES[chart.theme]
        self._own, self._held = self._theme.lines[1], self._theme.lines[0]
        low, high = np.minimum(chart.equity[2], chart.holding[2]), np.maximum(chart.equity[1], chart.holding[1])
        self.scale = price_scale(low, high, [np.array([100.0])], padding=0.07)

    def legend(self) -> list[Word]:
        """List the words for both curves."""
        chart, theme = self._chart, self._theme
        words = [
            Word("this rule", self._own, opens=True),
            Word(pct_text(return_pct(chart.equity)), self._own, bold=True),
            Word("holding", self._held, opens=True),
            Word(pct_text(return_pct(chart.holding)), self._held, bold=True),
        ]
        if (ruined := chart.simulated.simulation.ruined_ms) is not None:
            words.append(Word(f"ruined {iso(ruined)[:10]}", theme.sell, opens=True, bold=True))
        return words + _log_word(self.scale, theme.muted)

    def draw(self, plot: Plot) -> None:
        """Draw it."""
        _axis(plot)
        plot.axes.axhline(100.0, color=self._theme.muted, linewidth=1.0, linestyle=(0.0, (2.0, 4.0)), zorder=Z_GRID)
        _curve(plot, self._chart, self._chart.holding, self._held)
        _curve(plot, self._chart, self._chart.equity, self._own)


class DrawdownPanel:
    """How far the equity lay below its peak, and a line for holding."""

    def __init__(self, chart: BacktestChart) -> None:
        self._chart, self._theme = chart, THEMES[chart.theme]
        deepest = max(float(chart.drawdown[1].max()), float(chart.holding_drawdown[1].max()))
        scale = value_scale([], [0.0, -max(deepest, 0.1)], padding=0.06)
        self.scale = Scale(scale.low, scale.high)

    def legend(self) -> list[Word]:
        """List the words for the deepest drawdowns."""
        chart, theme = self._chart, self._theme
        own, held = (short_text(float(one[1].max())) for one in (chart.drawdown, chart.holding_drawdown))
        return [
            Word("drawdown", theme.sell, opens=True),
            Word(f"deepest {own} %", theme.sell, bold=True),
            Word(f"holding {held} %", theme.lines[0], opens=True),
        ]

    def draw(self, plot: Plot) -> None:
        """Draw it."""
        chart, theme = self._chart, self._theme
        _axis(plot)
        depth = _spread(plot, chart, -chart.drawdown[1])
        plot.axes.fill_between(plot.x, depth, 0.0, color=theme.sell, alpha=0.35, linewidth=0, zorder=Z_LINES)
        line(plot, depth, theme.sell, width=1.2)
        line(plot, _spread(plot, chart, -chart.holding_drawdown[1]), theme.lines[0], width=1.0)


def _draw_trades(plot: Plot, chart: BacktestChart) -> None:
    """Join each entry with its exit; mark both ends where there are few trades. An open trade is dashed."""
    trades, groups, theme = chart.trades, chart.coarse.groups, plot.theme
    if not len(trades):
        return
    ends = (
        np.column_stack([plot.x[groups[trades.entry]], trades.entry_price]),
        np.column_stack([plot.x[groups[trades.exit]], trades.exit_price]),
    )
    colors = np.where(trades.return_ratio > 0, theme.buy, theme.sell)
    few = len(trades) <= FEW_TRADES
    joins = LineCollection(
        [*np.stack(ends, axis=1)], colors=colors, linewidths=2.4 if few else 1.6, zorder=Z_MARKS,
        linestyles=["dashed" if opened else "solid" for opened in trades.open],
    )  # fmt: skip
    plot.axes.add_collection(joins, autolim=False)
    if few:
        for side, marker in ((1, "^"), (-1, "v")):
            _marks(plot, ends[0][trades.side == side], colors[trades.side == side], marker, 12.0)
        _marks(plot, ends[1][~trades.open], colors[~trades.open], "s", 7.0)


def _marks(plot: Plot, points: Floats, colors: Floats, marker: str, size: float) -> None:
    for color in np.unique(colors):
        of_color = points[colors == color]
        plot.axes.add_line(
            Line2D(
                of_color[:, 0], of_color[:, 1], linestyle="none", marker=marker, markersize=size, zorder=Z_MARKS,
                markerfacecolor=str(color), markeredgecolor=plot.theme.background, markeredgewidth=1.2, clip_on=False,
            )
        )  # fmt: skip


def _curve(plot: Plot, chart: BacktestChart, bars: Bars, color: str) -> None:
    """Draw a curve; where candles are merged, the line of their last values, and from highest to lowest a stroke."""
    _, high, low, last = bars
    line(plot, _spread(plot, chart, last), color, width=1.8)
    if chart.coarse.merged > 1:
        x = plot.x[chart.coarse.filled]
        strokes = np.stack([np.column_stack([x, low]), np.column_stack([x, high])], axis=1)
        plot.axes.add_collection(
            LineCollection([*strokes], colors=color, linewidths=1.0, zorder=Z_LINES), autolim=False
        )


def _spread(plot: Plot, chart: BacktestChart, values: Floats) -> Floats:
    """Put values where they belong among all slots, NaN where there is none."""
    spread = np.full(len(plot.x), np.nan)
    spread[chart.coarse.filled] = values
    return spread


def _axis(plot: Plot) -> None:
    values = ticks(plot.scale, plot.box.height // _TICK_PX + 1)
    step = step_of(values)
    plot.value_axis(values, lambda value: tick_text(value, value if plot.scale.log else step))


def _log_word(scale: Scale, color: str) -> list[Word]:
    return [Word("log scale", color, opens=True)] if scale.log else []
