"""Divergences on a chart: a line from pivot to pivot on the price, one on the oscillator that went the other way."""

from collections.abc import Sequence

from mcp_server.charts.chart import Join
from mcp_server.charts.library import Line2D
from mcp_server.charts.plot import Z_MARKS, Plot
from mcp_server.domain.candles import Candles, Floats, Times

_WIDTH, _PIVOT_PX = 2.4, 7.0


def join_prices(plot: Plot, joins: Sequence[Join], at: Times, candles: Candles) -> None:
    """Join the lows of bullish divergences and the highs of bearish ones."""
    for join in joins:
        _draw(plot, join, at, candles.low if join.bullish else candles.high)


def join_values(plot: Plot, joins: Sequence[Join], at: Times, values: Floats) -> None:
    """Join an oscillator's values at the same candles."""
    for join in joins:
        _draw(plot, join, at, values)


def _draw(plot: Plot, join: Join, at: Times, values: Floats) -> None:
    ends = [join.first, join.second]
    color = plot.theme.buy if join.bullish else plot.theme.sell
    plot.axes.add_line(
        Line2D(
            plot.x[at[ends]], values[ends], color=color, linewidth=_WIDTH, zorder=Z_MARKS,
            linestyle=(0.0, (4.0, 2.5)) if join.hidden else "solid", marker="o", markersize=_PIVOT_PX,
            markerfacecolor=plot.theme.background, markeredgecolor=color, markeredgewidth=_WIDTH,
        )
    )  # fmt: skip
