"""Marks at single candles: a strategy's signals, and candlestick patterns."""

from collections.abc import Sequence

import numpy as np

from mcp_server.charts.chart import Mark
from mcp_server.charts.library import Line2D, ScaledTranslation
from mcp_server.charts.paper import DPI, Box, text_width
from mcp_server.charts.plot import Z_LINES, Z_MARKS, Plot
from mcp_server.domain.candles import Candles, Floats, Times

ARROW_PX = 19.0

_APART_PX, _COUNT_PX = 15.0, 15.0


def draw_arrows(plot: Plot, marks: Sequence[Mark], at: Times, candles: Candles) -> None:
    """Mark signals: BUY by an arrow up below its candle, SELL by one down above it; beside it how many, if several."""
    theme = plot.theme
    for mark in marks:
        buy = mark.side == "BUY"
        x = float(plot.x[at[mark.position]])
        edge = float((candles.low if buy else candles.high)[mark.position])
        down_px = _APART_PX if buy else -_APART_PX
        plot.axes.add_line(
            Line2D(
                [x], [edge], linestyle="none", marker="^" if buy else "v", markersize=ARROW_PX,
                markerfacecolor=theme.buy if buy else theme.sell, markeredgecolor=theme.background,
                markeredgewidth=2.0, zorder=Z_MARKS, clip_on=False,
                transform=plot.axes.transData + ScaledTranslation(0, -down_px / DPI, plot.paper.inch),
            )
        )  # fmt: skip
        if mark.count > 1:
            _count(plot, mark, x, plot.y(edge) + down_px)


def _count(plot: Plot, mark: Mark, x: float, y: float) -> None:
    """Write how many signals an arrow stands for: on its right, at the panel's edge on its left."""
    text = f"\N{MULTIPLICATION SIGN}{mark.count}"
    width = text_width(text, size=_COUNT_PX, bold=True)
    left = plot.box.left + x + ARROW_PX * 0.6
    if left + width > plot.box.right:
        left = plot.box.left + x - ARROW_PX * 0.6 - width
    color = plot.theme.buy if mark.side == "BUY" else plot.theme.sell
    plot.paper.fill(Box(round(left) - 1, round(y) - 9, round(width) + 3, 18), plot.theme.background)
    plot.paper.write(left, y, text, color, size=_COUNT_PX, bold=True)


def draw_events(plot: Plot, row: int, rows: int, values: Floats, color: str) -> None:
    """Mark on one of a panel's rows the slots whose value is not 0: up or down, by its sign."""
    height = (rows - row - 0.5) / rows
    for sign, marker, tint in ((1, "^", plot.theme.up), (-1, "v", plot.theme.down)):
        x = plot.x[np.nan_to_num(values) * sign > 0]
        plot.axes.add_line(
            Line2D(
                x, np.full(len(x), height), linestyle="none", marker=marker, markersize=10.0, markerfacecolor=tint,
                markeredgecolor=plot.theme.background, markeredgewidth=1.0, zorder=Z_MARKS,
            )
        )  # fmt: skip
    plot.axes.axhline(height, color=color, alpha=0.35, linewidth=1.0, zorder=Z_LINES)
