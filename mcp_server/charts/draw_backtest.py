"""Draws a backtest: one PNG, in memory, as `draw` does for charts."""

from mcp_server.charts.backtest_chart import BacktestChart, pct_text, return_pct
from mcp_server.charts.backtest_panels import DrawdownPanel, EquityPanel, TradesPanel
from mcp_server.charts.draw import NOMINAL_PX, TIME_LABEL_PX, axis_width, moment_text, time_axis
from mcp_server.charts.frame import LEFT, WIDTH, divided
from mcp_server.charts.legend import flowed, write_legend
from mcp_server.charts.paper import SMALL, TITLE, Paper, fitted, text_width
from mcp_server.charts.plot import Plot
from mcp_server.charts.theme import THEMES
from mcp_server.charts.times import time_ticks
from mcp_server.domain.text import counted

_EQUITY, _DRAWDOWN = 160, 100


def draw_backtest(chart: BacktestChart) -> bytes:
    """Draw a backtest as a PNG, 1200 pixels wide."""
    price = TradesPanel(chart)
    panels: list[TradesPanel | EquityPanel | DrawdownPanel] = [price, EquityPanel(chart), DrawdownPanel(chart)]
    right = axis_width([*price.labels(NOMINAL_PX), "10,000"])
    legends = [flowed(panel.legend(), WIDTH - LEFT - right) for panel in panels]
    height, sections = divided(right, [len(lines) for lines in legends], [_EQUITY, _DRAWDOWN])
    paper = Paper(WIDTH, height, THEMES[chart.theme])
    _heading(paper, chart)
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


def _heading(paper: Paper, chart: BacktestChart) -> None:
    """Write what was tested at the top left, and what came of it, and of holding, at the top right."""
    task, theme = chart.simulated.task, paper.theme
    edge, gained = paper.width - LEFT, return_pct(chart.equity)
    result = pct_text(gained)
    paper.write(edge, 32, result, theme.up if gained >= 0 else theme.down, size=TITLE, bold=True, align="right")
    room = edge - LEFT - text_width(result, size=TITLE, bold=True) - 30
    name = fitted(task.strategy.name, room * 0.55, size=TITLE, bold=True)
    paper.write(LEFT, 32, name, theme.text, size=TITLE, bold=True)
    x = LEFT + text_width(name, size=TITLE, bold=True) + 14
    source = f"{task.exchange}, invented prices" if chart.invented else task.exchange
    paper.write(x, 33, fitted(f"{task.symbol} {task.timeframe} · {source}", LEFT + room - x), theme.muted)
    costs = task.assumptions
    span = f"{moment_text(chart.simulated.start_ms)} to {moment_text(chart.simulated.end_ms)} UTC"
    missing = chart.simulated.simulation.missing
    parts = [
        span, counted(len(chart.trades), "trade"), "long" if costs.side == "long" else "long and short",
        f"costs {(costs.fee_bps + costs.slippage_bps) / 100:g} % a side", f"{missing:,} missing" * bool(missing),
    ]  # fmt: skip
    held = f"holding {pct_text(return_pct(chart.holding))}"
    paper.write(edge, 66, held, theme.muted, size=SMALL, align="right")
    room = edge - LEFT - text_width(held, size=SMALL) - 30
    paper.write(LEFT, 66, fitted(" · ".join(filter(None, parts)), room, size=SMALL), theme.muted, size=SMALL)
