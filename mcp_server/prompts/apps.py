"""Offers the pages of MCP Apps: what a host shows in a conversation for a tool's answer, if it can.

They are read when a host asks for one, so that a server starts as fast without them.
"""

from __future__ import annotations

from functools import cache, partial

from mcp.server.apps import APP_MIME_TYPE, Apps
from mcp.server.mcpserver.resources import FunctionResource

TITLES = {"chart": "Chart", "backtest": "Backtest"}
"""What people see of each page, by the name that tools know it by."""

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; require-trusted-types-for 'script'"
)

_PAGE = """<!doctype html>
<html lang="en" data-start="app"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover">
<title>{title}</title><style>{style}</style></head>
<body><main id="main"><p class="muted" role="status">Loading…</p></main>
<footer><p>Charts by TradingView (www.tradingview.com) Lightweight Charts™, Copyright (c) 2026 TradingView, Inc., Apache
License 2.0.</p></footer>
<script>{charts}</script><script type="module">{module}</script></body></html>
"""


def apps() -> Apps:
    """Return the extension of a server that offers both pages."""
    offered = Apps()
    for name, title in TITLES.items():
        offered.add_resource(
            FunctionResource(
                uri=f"ui://claude-trader/{name}.html", name=name, title=title, mime_type=APP_MIME_TYPE,
                description="What a host shows for an answer", fn=partial(app_page, title),
                meta={"ui": {"prefersBorder": True}},
            )
        )  # fmt: skip
    return offered


@cache
def app_page(title: str) -> str:
    """Return a page that is whole by itself, as a host's sandbox lets it load nothing."""
    from mcp_server.storage.assets import CHART_SCRIPT, asset, page_module, page_style

    parts = {"style": page_style(), "charts": asset(CHART_SCRIPT), "module": page_module()}
    return _PAGE.format(policy=POLICY, title=title, **parts)
