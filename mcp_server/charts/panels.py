"""The panels of a chart: price, volume, and those below, each with its scale, its legend and what is drawn in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan

import numpy as np

from mcp_server.charts.candles import draw_bars, draw_candles, draw_volume, shade_gaps
from mcp_server.charts.chart import Chart
from mcp_server.charts.joins import join_prices, join_values
from mcp_server.charts.legend import Word, words_of
from mcp_server.charts.lines import draw_guides, draw_lines, line
from mcp_server.charts.marks import draw_arrows, draw_events
from mcp_server.charts.numbers import level_decimals, price_decimals, price_text, short_text, step_decimals, tick_text
from mcp_server.charts.pens import Pens, pens_for
from mcp_server.charts.plot import Z_PRICE, Plot, Tag
from mcp_server.charts.scale import Scale, price_scale, step_of, ticks, value_scale, volume_scale
from mcp_server.charts.theme import THEMES, Theme
from mcp_server.domain.candles import Floats
from mcp_server.domain.chart_layout import Study

_PRICE_TICK_PX, _TICK_PX = 52, 28
_PADDING, _PADDING_WITH_ARROWS = 0.035, 0.10


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """A chart's values as panels need them: for each slot, with the theme that they are drawn in."""

    chart: Chart
    theme: Theme
    spread: Mapping[str, Floats]
    decimals: int

    @classmethod
    def of(cls, chart: Chart) -> "Drawn":
        """Spread a chart's columns over its slots."""
        spread = {name: chart.on_slots(values) for name, values in chart.columns.items()}
        return cls(chart, THEMES[chart.theme], spread, price_decimals(chart.candles.close[-200:]))

    def values(self, studies: Sequence[Study]) -> list[Floats]:
        """Return the values that a scale must show: all but directions."""
        drawings = [drawing for study in studies for drawing in study.drawings]
        return [
            self.chart.columns[column]
            for drawing in drawings
            for column in (drawing.columns[:1] if drawing.shape == "turning" else drawing.columns)
        ]


class PricePanel:
    """Candles, what lies on them, and signals."""

    def __init__(self, drawn: Drawn) -> None:
        self._drawn, self._studies = drawn, drawn.chart.layout.price
        self._pens = pens_for(self._studies, drawn.theme)
        candles, marks = drawn.chart.candles, drawn.chart.marks
        padding = _PADDING_WITH_ARROWS if marks and marks.marks else _PADDING
        self.scale = price_scale(candles.low, candles.high, drawn.values(self._studies), padding=padding)
        last, rising = float(candles.close[-1]), bool(candles.close[-1] >= candles.open[-1])
        color = drawn.theme.up if rising else drawn.theme.down
        self._tag = Tag(last, price_text(last, drawn.decimals), color)

    def legend(self) -> list[Word]:
        """List the words for what lies on the price, and whose signals are marked."""
        drawn, theme = self._drawn, self._drawn.theme
        words = words_of(self._studies, drawn.chart.columns, self._pens, theme, self._level_text)
        if marks := drawn.chart.marks:
            words += [
                Word(f"▲ {marks.count('BUY')} BUY", theme.buy, opens=True, bold=True),
                Word(f"▼ {marks.count('SELL')} SELL", theme.sell, bold=True),
                Word(f"by {marks.strategy}", theme.muted),
            ]
        words += _joined_words(drawn)
        return words + ([Word("log scale", theme.muted, opens=True)] if self.scale.log else [])

    def labels(self, height: int) -> list[str]:
        """List the labels of its axis."""
        return [self._tag.text, *map(self._tick_writer(height), self._ticks(height))]

    def draw(self, plot: Plot) -> None:
        """Draw it."""
        drawn, chart = self._drawn, self._drawn.chart
        at, candles = chart.positions, chart.candles
        shade_gaps(plot, at)
        plot.value_axis(self._ticks(plot.box.height), self._tick_writer(plot.box.height), tag=self._tag)
        draw_candles(plot, at, (candles.open, candles.high, candles.low, candles.close))
        _draw_studies(plot, drawn, self._studies, self._pens)
        price = plot.axes.axhline(self._tag.value, color=self._tag.color, linewidth=1.0, zorder=Z_PRICE)
        price.set_linestyle((0.0, (2.0, 4.0)))
        if chart.joins:
            join_prices(plot, chart.joins.joins, at, candles)
        if chart.marks:
            draw_arrows(plot, chart.marks.marks, at, candles)

    def _level_text(self, value: float) -> str:
        text = price_text(value, level_decimals(value))
        return text if self.scale.holds(value) else f"{text} {'↑' if value > self.scale.high else '↓'}"

    def _ticks(self, height: int) -> list[float]:
        return ticks(self.scale, height // _PRICE_TICK_PX)

    def _tick_writer(self, height: int) -> "_PriceTicks":
        return _PriceTicks(step_of(self._ticks(height)), log=self.scale.log)


@dataclass(frozen=True, slots=True)
class _PriceTicks:
    """Writes prices as far apart as `step`; on a logarithmic scale each with its own digits."""

    step: float
    log: bool

    def __call__(self, price: float) -> str:
        return price_text(price, step_decimals(price if self.log else self.step))


class VolumePanel:
    """Volume, and what is computed of it."""

    def __init__(self, drawn: Drawn) -> None:
        self._drawn, self._studies = drawn, drawn.chart.layout.volume
        self._pens = pens_for(self._studies, drawn.theme)
        self.scale = volume_scale(drawn.chart.candles.volume, drawn.values(self._studies))

    def legend(self) -> list[Word]:
        """List the words for the last candle's volume."""
        drawn, theme = self._drawn, self._drawn.theme
        last = float(drawn.chart.candles.volume[-1])
        volume = Word(f"volume {'unknown' if isnan(last) else short_text(last)}", theme.muted)
        return [volume, *words_of(self._studies, drawn.chart.columns, self._pens, theme, short_text)]

    def draw(self, plot: Plot) -> None:
        """Draw it."""
        chart = self._drawn.chart
        shade_gaps(plot, chart.positions)
        _short_axis(plot, _fitting_ticks(plot, fewest=1))
        volume = np.nan_to_num(chart.candles.volume)
        draw_volume(plot, chart.positions, volume, chart.candles.close >= chart.candles.open)
        _draw_studies(plot, self._drawn, self._studies, self._pens)


class StudyPanel:
    """An indicator on a scale of its own, or all patterns, one row each."""

    def __init__(self, drawn: Drawn, studies: Sequence[Study]) -> None:
        self._drawn, self._studies = drawn, studies
        self._pens = pens_for(studies, drawn.theme)
        shapes = [drawing.shape for study in studies for drawing in study.drawings]
        self.event_rows = shapes.count("events")
        self._guides = tuple(level for study in studies for level in study.guides)
        values = drawn.values(studies)
        if self.event_rows:
            self.scale = Scale(0.0, 1.0)
            return
        levels = (*self._guides, *([0.0] if "bars" in shapes else []))
        self.scale = value_scale(values, levels, padding=0.12)
        seen = np.concatenate(values)
        if not self._guides and bool((seen < 0).any() and (seen > 0).any()):
            self._guides = (0.0,)

    def legend(self) -> list[Word]:
        """List the words for the last values."""
        return words_of(self._studies, self._drawn.chart.columns, self._pens, self._drawn.theme, short_text)

    def draw(self, plot: Plot) -> None:
        """Draw it."""
        shade_gaps(plot, self._drawn.chart.positions)
        if not self.event_rows:
            read = [level for level in self._guides if level] or _fitting_ticks(plot, fewest=2)
            _short_axis(plot, read)
            draw_guides(plot, self._guides)
        _draw_studies(plot, self._drawn, self._studies, self._pens)
        joins, chart = self._drawn.chart.joins, self._drawn.chart
        if joins and any(joins.column in study.columns for study in self._studies):
            join_values(plot, joins.joins, chart.positions, chart.columns[joins.column])


def _joined_words(drawn: Drawn) -> list[Word]:
    """Count the divergences drawn, in the colours of their lines."""
    joins, theme = drawn.chart.joins, drawn.theme
    if joins is None:
        return []
    return [
        Word("divergences", theme.muted, opens=True),
        Word(f"{joins.count(bullish=True)} bullish", theme.buy, bold=True),
        Word(f"{joins.count(bullish=False)} bearish", theme.sell, bold=True),
    ]


def _fitting_ticks(plot: Plot, fewest: int) -> list[float]:
    """Choose round values for a low panel, so that at least `fewest` of them can be written beside it."""
    most = plot.box.height // _TICK_PX
    fitting: list[float] = []
    for more in range(4):
        fitting = [value for value in ticks(plot.scale, most + more) if plot.writable(value)]
        if len(fitting) >= fewest:
            break
    return fitting


def _short_axis(plot: Plot, values: Sequence[float]) -> None:
    step = step_of(values)
    plot.value_axis(values, lambda value: tick_text(value, step))


def _draw_studies(plot: Plot, drawn: Drawn, studies: Sequence[Study], pens: Pens) -> None:
    drawings = [drawing for study in studies for drawing in study.drawings]
    rows = [drawing.columns[0] for drawing in drawings if drawing.shape == "events"]
    at, columns = drawn.chart.positions, drawn.chart.columns
    for drawing in drawings:
        column = drawing.columns[0]
        match drawing.shape:
            case "events":
                draw_events(plot, rows.index(column), len(rows), drawn.spread[column], pens[column])
            case "bars":
                draw_bars(plot, at, columns[column])
            case "candles":
                opened, high, low, close = (columns[name] for name in drawing.columns)
                draw_candles(plot, at, (opened, high, low, close))
            case "line":
                line(plot, drawn.spread[column], pens[column])
            case _:
                draw_lines(plot, drawing, drawn.spread, pens)
