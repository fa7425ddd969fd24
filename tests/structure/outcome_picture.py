"""The picture in docs/guides/performance.md: one BUY of the example, from its entry to its exit, with its costs."""

from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np

from mcp_server.adapters.simulated.path import candles, market_of
from mcp_server.charts.candles import draw_candles
from mcp_server.charts.draw import NOMINAL_PX, TIME_LABEL_PX, axis_width, time_axis
from mcp_server.charts.frame import HEADING, HEIGHT, LEFT, TIME_AXIS, WIDTH
from mcp_server.charts.library import Line2D
from mcp_server.charts.numbers import price_text, step_decimals
from mcp_server.charts.paper import SMALL, TITLE, Box, Paper
from mcp_server.charts.plot import Z_GAP, Z_LINES, Z_MARKS, Plot, Tag
from mcp_server.charts.scale import price_scale, step_of, ticks
from mcp_server.charts.theme import THEMES
from mcp_server.charts.times import time_ticks
from mcp_server.domain.candles import Candles
from mcp_server.domain.scoring.outcomes import entry_open_ms, exit_close_ms, judge
from mcp_server.domain.timeframes import timeframe_ms, to_ms

SYMBOL, TIMEFRAME = "BTC/USDT", "4h"
DECIDED = datetime(2026, 4, 28, 20, tzinfo=UTC)
HORIZON, COST = 6, 0.003
"""The example's 24 hours in candles, and the costs of the round trip."""

BEFORE, ROOM = 8, 8
"""Candles before the entry; and slots after the exit, for words: what came later does not count."""


WORDS = (
    ("BUY, decided at this close", "exit: the last close"),
    ("entry: the next open", "within the 24 hours"),
)


class Judged(NamedTuple):
    """The candles of the picture and what is judged in them: two prices, and what the market did, as a ratio."""

    candles: Candles
    entry: float
    exit: float
    r: float


def judged() -> Judged:
    """Judge the signal that is drawn, on the invented market that is the same for everyone."""
    decided, step = np.array([to_ms(DECIDED)]), timeframe_ms(TIMEFRAME)
    entry = entry_open_ms(decided, decided, TIMEFRAME)
    left = exit_close_ms(entry, TIMEFRAME, HORIZON * step)
    series = candles(market_of(SYMBOL, 0), TIMEFRAME, int(entry[0]) - BEFORE * step, int(left[0]), int(left[0]))
    prices = judge(series, TIMEFRAME, entry, left)
    return Judged(series, *(float(values[0]) for values in (prices.entry, prices.exit, prices.r)))


def draw_outcome() -> bytes:
    """Draw it as a PNG, as large as a chart."""
    signal = judged()
    series, step = signal.candles, timeframe_ms(TIMEFRAME)
    times = series.open_time_ms[0] + step * np.arange(len(series) + ROOM, dtype=np.int64)
    scale = price_scale(series.low, series.high, [], padding=0.13)
    values = ticks(scale, NOMINAL_PX // 52)
    written = [price_text(value, step_decimals(step_of(values))) for value in values]
    paper = Paper(WIDTH, HEIGHT, THEMES["dark"])
    right = axis_width(written)
    box = Box(LEFT, HEADING, WIDTH - LEFT - right, HEIGHT - HEADING - TIME_AXIS)
    plot = Plot(paper, box, scale, len(times))
    labels = time_ticks(times, plot.slot_px, TIME_LABEL_PX)
    _zones(plot, signal)
    plot.time_grid(labels)
    tag = Tag(signal.exit, price_text(signal.exit, 0), paper.theme.buy)
    plot.value_axis(values, lambda value: price_text(value, step_decimals(step_of(values))), tag=tag)
    draw_candles(plot, np.arange(len(series)), (series.open, series.high, series.low, series.close))
    _signal(plot, signal)
    plot.frame()
    _heading(paper, signal)
    time_axis(paper, plot, labels)
    return paper.png()


def _edges(plot: Plot) -> tuple[float, float]:
    """Return where the candle of the entry begins and that of the exit ends, in pixels within the plot."""
    return BEFORE * plot.slot_px, (BEFORE + HORIZON) * plot.slot_px


def _zones(plot: Plot, signal: Judged) -> None:
    """Tint what a BUY and a SELL would have to reach, and between them what the costs take."""
    theme, (left, right) = plot.theme, _edges(plot)
    over, under = signal.entry * (1 + COST), signal.entry * (1 - COST)
    zones = (
        (over, plot.scale.high, theme.buy, 0.13),
        (under, over, theme.muted, 0.32),
        (plot.scale.low, under, theme.sell, 0.13),
    )
    for low, high, color, share in zones:
        plot.axes.fill_between([left, right], low, high, color=theme.tinted(color, share), linewidth=0, zorder=Z_GAP)
    x = plot.box.left + right + 14
    words = (
        ((over + plot.scale.high) / 2, theme.buy, "Ends here: a BUY was right"),
        ((plot.scale.low + under) / 2, theme.sell, "Ends here: a SELL was right"),
    )
    for value, color, text in words:
        plot.paper.write(x, plot.y(value), text, color, bold=True)
    middle = plot.y(signal.entry)
    plot.paper.write(x, middle - 13, "Ends within the costs: both were", theme.muted, size=SMALL)
    plot.paper.write(x, middle + 13, "wrong, and a HOLD was quiet", theme.muted, size=SMALL)


def _signal(plot: Plot, signal: Judged) -> None:
    """Draw the way from the entry to the exit, and say what each is."""
    theme, (left, right) = plot.theme, _edges(plot)
    way = Line2D([left, right], [signal.entry, signal.exit], color=theme.text, linewidth=2.4, zorder=Z_MARKS)
    plot.axes.add_line(way)
    for x, price, marker, color in ((left, signal.entry, "^", theme.buy), (right, signal.exit, "s", theme.buy)):
        plot.axes.add_line(
            Line2D(
                [x], [price], linestyle="none", marker=marker, markersize=17.0, markerfacecolor=color,
                markeredgecolor=theme.background, markeredgewidth=2.0, zorder=Z_MARKS, clip_on=False,
            )
        )  # fmt: skip
    for x in (left, right):
        plot.axes.axvline(x, color=theme.muted, linewidth=1.0, linestyle=(0.0, (4.0, 4.0)), zorder=Z_LINES)
    top = plot.box.top + 16
    for line, (at_entry, at_exit) in enumerate(WORDS):
        y = top + 26 * line
        plot.paper.write(plot.box.left + left - 10, y, at_entry, theme.text, size=SMALL, align="right")
        plot.paper.write(plot.box.left + right + 14, y, at_exit, theme.text, size=SMALL)


def _heading(paper: Paper, signal: Judged) -> None:
    theme, edge = paper.theme, paper.width - LEFT
    net = signal.r - COST
    paper.write(LEFT, 32, "One BUY, from entry to exit", theme.text, size=TITLE, bold=True)
    paper.write(LEFT, 66, f"{SYMBOL} {TIMEFRAME} · invented prices", theme.muted, size=SMALL)
    paper.write(edge, 32, f"{net:+.2%} net: right".replace("%", " %"), theme.buy, size=TITLE, bold=True, align="right")
    sums = f"the market {signal.r:+.2%}, the round trip costs {COST:.2%}".replace("%", " %")
    paper.write(edge, 66, sums, theme.muted, size=SMALL, align="right")
