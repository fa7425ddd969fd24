"""Draws a chart: one PNG, in memory, without any state beside its own, so in any thread."""

from collections.abc import Sequence

from mcp_server.charts.chart import Chart
from mcp_server.charts.frame import LEFT, TIME_AXIS, VOLUME, WIDTH, divided, panel_px
from mcp_server.charts.legend import flowed, write_legend
from mcp_server.charts.numbers import price_text
from mcp_server.charts.panels import Drawn, PricePanel, StudyPanel, VolumePanel
from mcp_server.charts.paper import SMALL, TITLE, Paper, fitted, text_width
from mcp_server.charts.plot import AXIS_GAP_PX, Plot
from mcp_server.charts.times import TimeTick, time_ticks
from mcp_server.domain.timeframes import iso

TIME_LABEL_PX = 92.0
_AXIS_LEAST, _AXIS_MOST = 84, 190
NOMINAL_PX = 400


def draw(chart: Chart) -> bytes:
    """Draw a chart as a PNG, 1200 pixels wide and 800 high, or higher where many panels need it.

    Time goes by slots of one candle each: where a candle is missing there is a shaded hole.
    """
    drawn = Drawn.of(chart)
    price, volume = PricePanel(drawn), VolumePanel(drawn)
    below = [StudyPanel(drawn, studies) for studies in chart.layout.panels]
    panels: list[PricePanel | VolumePanel | StudyPanel] = [price, volume, *below]
    right = axis_width(price.labels(NOMINAL_PX))
    legends = [flowed(panel.legend(), WIDTH - LEFT - right) for panel in panels]
    height, sections = divided(
        right, [len(lines) for lines in legends], [VOLUME, *(panel_px(panel.event_rows) for panel in below)]
    )
    paper = Paper(WIDTH, height, drawn.theme)
    _heading(paper, drawn)
    slots = chart.slots
    plots = [Plot(paper, section.box, panel.scale, len(slots)) for section, panel in zip(sections, panels, strict=True)]
    labels = time_ticks(slots, plots[0].slot_px, TIME_LABEL_PX)
    for section, lines, panel, plot in zip(sections, legends, panels, plots, strict=True):
        plot.time_grid(labels)
        panel.draw(plot)
        plot.frame()
        write_legend(paper, LEFT, section.legend_top, lines)
    time_axis(paper, plots[-1], labels)
    return paper.png()


def axis_width(labels: Sequence[str]) -> int:
    """Return how wide the axis on the right must be for these labels."""
    widest = max(text_width(label, size=SMALL, bold=True) for label in labels)
    return int(min(max(widest + 2 * AXIS_GAP_PX, _AXIS_LEAST), _AXIS_MOST))


def _heading(paper: Paper, drawn: Drawn) -> None:
    """Write the title at the top left, and the last price at the top right."""
    chart, theme = drawn.chart, paper.theme
    close = price_text(float(chart.candles.close[-1]), drawn.decimals)
    edge = paper.width - LEFT
    paper.write(edge, 32, close, theme.text, size=TITLE, bold=True, align="right")
    room = edge - LEFT - text_width(close, size=TITLE, bold=True) - 30
    symbol = fitted(chart.symbol, room * 0.6, size=TITLE, bold=True)
    paper.write(LEFT, 32, symbol, theme.text, size=TITLE, bold=True)
    x = LEFT + text_width(symbol, size=TITLE, bold=True) + 14
    source = f"{chart.exchange}, invented prices" if chart.simulated else chart.exchange
    paper.write(x, 33, fitted(f"{chart.timeframe} · {source}", edge - x - room * 0.2), theme.muted)
    count = len(chart.candles)
    subtitle = f"as of {moment_text(chart.as_of_ms)} UTC · {count} closed candle{'s' * (count != 1)}"
    paper.write(LEFT, 66, subtitle + (f", {chart.missing} missing" if chart.missing else ""), theme.muted, size=SMALL)
    if (change := chart.change_pct) is not None:
        color = theme.up if change >= 0 else theme.down
        paper.write(edge, 66, f"{change:+.2f} % since {moment_text(int(chart.candles.open_time_ms[0]))}", color,
                    size=SMALL, align="right")  # fmt: skip


def time_axis(paper: Paper, plot: Plot, labels: Sequence[TimeTick]) -> None:
    """Write the labels of the time axis below the lowest panel."""
    y = plot.box.bottom + TIME_AXIS // 2
    for tick in labels:
        x, half = plot.box.left + float(plot.x[tick.slot]), text_width(tick.text, size=SMALL, bold=tick.major) / 2
        if x - half >= LEFT and x + half <= plot.box.right:
            color = paper.theme.text if tick.major else paper.theme.muted
            paper.write(x, y, tick.text, color, size=SMALL, bold=tick.major, align="center")
    paper.write(plot.box.right + AXIS_GAP_PX, y, "UTC", paper.theme.muted, size=SMALL)


def moment_text(at_ms: int) -> str:
    """Write a moment to the minute, or to the day where it is midnight."""
    return iso(at_ms).replace("T", " ")[:16].removesuffix(" 00:00")
