"""The files that a browser is given with a page: the chart library, and the page's own script and style."""

from pathlib import Path

from mcp_server.domain.report.backtest_page import PageAssets

FOLDER = Path(__file__).parents[1] / "assets"
CHART_SCRIPT = "lightweight-charts/lightweight-charts.standalone.production.js"


def backtest_page_assets() -> PageAssets:
    """Read what `backtest_page` puts into a page."""
    chart, script, style = (
        (FOLDER / name).read_text("utf-8") for name in (CHART_SCRIPT, "backtest.js", "backtest.css")
    )
    return PageAssets(chart, script, style)
