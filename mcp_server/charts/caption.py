"""Describes a chart in a few sentences, for readers who do not see it and for those who check what they see."""

import math
from collections.abc import Sequence

from mcp_server.charts.chart import Chart
from mcp_server.charts.numbers import price_decimals, price_text
from mcp_server.domain.chart_layout import Study
from mcp_server.domain.timeframes import iso


def caption(chart: Chart) -> str:
    """Describe everything that is drawn, with its last value."""
    candles, layout = chart.candles, chart.layout
    source = f"{chart.exchange} (invented prices)" if chart.simulated else chart.exchange
    first, last = iso(int(candles.open_time_ms[0])), iso(int(candles.open_time_ms[-1]))
    close = price_text(float(candles.close[-1]), price_decimals(candles.close)).replace(",", "")
    change = "" if chart.change_pct is None else f" ({chart.change_pct:+.2f} % since the first open)"
    count = f"{len(candles)} closed candle{'s' * (len(candles) > 1)}"
    missing = f" ({chart.missing} missing)" * (chart.missing > 0)
    parts = [
        f"{chart.symbol} {chart.timeframe} on {source}, {count}{missing} {first} to {last}, last close {close}{change}"
    ]
    if layout.price:
        parts.append("On the price: " + _listed(chart, layout.price))
    panels = ["volume" + (" with " + _listed(chart, layout.volume) if layout.volume else "")]
    parts.append("Panels: " + "; ".join(panels + [_listed(chart, studies) for studies in layout.panels]))
    return ". ".join(parts + _divergences(chart) + _signals(chart)) + "."


def _listed(chart: Chart, studies: Sequence[Study]) -> str:
    return ", ".join(f"{column} {_value(chart, column)}" for study in studies for column in study.columns)


def _value(chart: Chart, column: str) -> str:
    value = float(chart.columns[column][-1])
    return "undefined" if math.isnan(value) else f"{value:.6g}"


def _divergences(chart: Chart) -> list[str]:
    joins = chart.joins
    if joins is None:
        return []
    hidden = sum(join.hidden for join in joins.joins)
    counted = f"{joins.count(bullish=True)} bullish, {joins.count(bullish=False)} bearish"
    return [f"Confirmed divergences of {joins.column}: {counted}" + (f" ({hidden} hidden, dashed)" if hidden else "")]


def _signals(chart: Chart) -> list[str]:
    marks = chart.marks
    if marks is None:
        return []
    marked = [f"{marks.count(side)} {side}" for side in ("BUY", "SELL")]
    holds = f" ({marks.holds} HOLD not drawn)" if marks.holds else ""
    return [f"Signals of {marks.strategy!r} marked: {', '.join(marked)}{holds}"]
