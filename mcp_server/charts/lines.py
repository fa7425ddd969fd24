"""Lines, bands, clouds, dots and guides. What is undefined leaves a hole, and so does a missing candle."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from mcp_server.charts.library import Line2D
from mcp_server.charts.pens import Pens
from mcp_server.charts.plot import Z_FILL, Z_GRID, Z_LINES, Plot
from mcp_server.domain.candles import Floats
from mcp_server.domain.chart_layout import Drawing

_WIDTH = 2.0


def draw_lines(plot: Plot, drawing: Drawing, spread: Mapping[str, Floats], pens: Pens) -> None:
    """Draw what consists of lines or dots.

    Args:
        plot: where.
        drawing: a `line`, `dots`, `band`, `cloud` or `turning`.
        spread: column → a value for each slot.
        pens: column → colour.
    """
    columns = [spread[column] for column in drawing.columns]
    colors = [pens[column] for column in drawing.columns]
    match drawing.shape:
        case "dots":
            _dots(plot, columns[0], colors[0], min(max(plot.slot_px * 0.3, 3.0), 7.0))
        case "band":
            upper, *middle, lower = columns
            alpha = 0.10 * _faintness(plot)
            plot.axes.fill_between(plot.x, lower, upper, color=colors[0], alpha=alpha, linewidth=0, zorder=Z_FILL)
            for edge in (upper, lower):
                line(plot, edge, colors[0], width=1.5)
            for values in middle:
                line(plot, values, colors[0], width=1.5, dashed=True)
        case "cloud":
            _cloud(plot, (columns[0], columns[1]), (colors[0], colors[1]))
        case "turning":
            values, direction = columns
            line(plot, np.where(direction >= 0, values, np.nan), plot.theme.up)
            line(plot, np.where(direction < 0, values, np.nan), plot.theme.down)
        case _:
            line(plot, columns[0], colors[0])


def line(plot: Plot, values: Floats, color: str, *, width: float = _WIDTH, dashed: bool = False) -> None:
    """Draw one line; a value alone between undefined ones is a dot, as a line needs two."""
    defined = np.isfinite(values)
    if not defined.any():
        return
    style: tuple[float, Sequence[float]] | Literal["solid"] = (0.0, (5.0, 4.0)) if dashed else "solid"
    plot.axes.add_line(
        Line2D(plot.x, values, color=color, linewidth=width, linestyle=style, solid_joinstyle="round", zorder=Z_LINES)
    )
    beside = np.zeros_like(defined)
    beside[1:] |= defined[:-1]
    beside[:-1] |= defined[1:]
    alone = defined & ~beside
    if alone.any():
        _dots(plot, np.where(alone, values, np.nan), color, 5.0)


def draw_guides(plot: Plot, levels: tuple[float, ...]) -> None:
    """Draw the levels at which an oscillator is read, and shade what lies between two of them."""
    muted = plot.theme.muted
    if len(levels) == 2:
        plot.axes.axhspan(*levels, color=muted, alpha=0.09, linewidth=0, zorder=Z_GRID)
    for level in levels:
        plot.axes.axhline(level, color=muted, alpha=0.75, linewidth=1.0, linestyle=(0.0, (4.0, 4.0)), zorder=Z_GRID)


def _dots(plot: Plot, values: Floats, color: str, size: float) -> None:
    plot.axes.add_line(
        Line2D(
            plot.x, values, linestyle="none", marker="o", markersize=size, markerfacecolor=color,
            markeredgecolor="none", zorder=Z_LINES,
        )
    )  # fmt: skip


def _cloud(plot: Plot, edges: tuple[Floats, Floats], colors: tuple[str, str]) -> None:
    first, second = edges
    for values, color in zip(edges, colors, strict=True):
        line(plot, values, color, width=1.2)
    for where, color in zip((first >= second, first < second), colors, strict=True):
        plot.axes.fill_between(
            plot.x, first, second, where=where, interpolate=True, color=color, alpha=0.14 * _faintness(plot),
            linewidth=0, zorder=Z_FILL,
        )  # fmt: skip


def _faintness(plot: Plot) -> float:
    """Return by how much to weaken a fill: candles of a pixel's width would vanish in a stronger one."""
    return 0.3 if plot.body_px == 1 else 1.0
