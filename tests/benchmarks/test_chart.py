"""A chart, beside what matplotlib takes for an empty figure of its size with as many axes, saved as a PNG."""

import io
import statistics
import subprocess
import sys
import time

from mcp_server.charts.draw import draw
from mcp_server.charts.library import Figure, FigureCanvasAgg
from tests.benchmarks.programs import medians, ratios, say, timed
from tests.benchmarks.touches import report
from tests.charts.sample import chart, waves

INDICATORS = ["ema(50)", "rsi(14)"]
PANELS = 3
TURNS = range(-3, 25)
STARTS = 5

MOST_BYTES = 150_000

FLOOR = """
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
figure = Figure((12, 8), dpi=100)
FigureCanvasAgg(figure)
for number in range(3):
    figure.add_subplot(3, 1, number + 1)
import io
figure.savefig(io.BytesIO(), format="png")
"""
OURS = """
from mcp_server.charts.draw import draw
from tests.charts.sample import chart, waves
draw(chart(waves(120)))
"""
DOMAIN = "from mcp_server.domain.chart_layout import layout; import talib"


async def test_a_chart_takes_little_longer_than_an_empty_figure() -> None:
    what = chart(waves(120), INDICATORS)

    async def ours(_: int) -> None:
        draw(what)

    async def empty(_: int) -> None:
        figure = Figure((12, 8), dpi=100)
        FigureCanvasAgg(figure)
        for number in range(PANELS):
            figure.add_subplot(PANELS, 1, number + 1)
        figure.savefig(io.BytesIO(), format="png")

    took = await timed(TURNS, ours=ours, empty=empty)
    sizes = {count: len(draw(chart(waves(count), INDICATORS))) for count in (20, 120, 500)}
    kb = ", ".join(f"{count} candles {size / 1000:.0f} kB" for count, size in sizes.items())
    say(f"a chart of 120 candles, two indicators: {medians(took)}; {kb}")
    assert max(sizes.values()) < MOST_BYTES
    report("chart", ratios(took, "ours", "empty"))


def test_the_first_chart_of_a_program_waits_for_little_beside_the_library() -> None:
    """The library's own way has its font list at hand already, in the user's home, which we don't touch."""
    scripts = {"ours": OURS, "library alone": f"{DOMAIN}\n{FLOOR}"}
    took: dict[str, list[float]] = {name: [] for name in scripts}
    for turn in range(-1, STARTS):
        for name, script in scripts.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", script], check=True)
            if turn >= 0:
                took[name].append(time.perf_counter() - began)
    figures = ", ".join(f"{name} {statistics.median(values):.2f} s" for name, values in took.items())
    say(f"a program that draws one: {figures}")
    report("first chart", ratios(took, "ours", "library alone"))
