"""The page of a backtest: one HTML file with an interactive chart, which asks nobody for anything."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mcp_server.domain.backtest.run import Simulated
from mcp_server.domain.report.backtest_chart import chart_data
from mcp_server.domain.report.backtest_figures import figure_groups, folds, periods
from mcp_server.domain.report.backtest_trades import trade_table
from mcp_server.domain.report.backtest_words import assumptions
from mcp_server.domain.report.html import json_in_script, safe
from mcp_server.domain.strategy.strategy import Strategy

ATTRIBUTION = (
    'The chart is drawn by <a href="https://www.tradingview.com/" rel="noreferrer">TradingView</a> Lightweight '
    "Charts™, Copyright (c) 2026 TradingView, Inc., under the Apache License 2.0."
)


@dataclass(frozen=True, slots=True)
class PageAssets:
    """What a browser runs and styles the page with: the chart library, the page's own script and its style."""

    chart_script: str
    page_script: str
    style: str


def backtest_page(answer: Mapping[str, Any], simulated: Simulated, assets: PageAssets) -> str:
    """Return the page as HTML.

    Args:
        answer: of the backtest, with its `months` and `folds`.
        simulated: what the answer is about.
        assets: what the browser runs; `storage.assets` reads it.
    """
    scripts = assets.chart_script, assets.page_script
    strategy = simulated.task.strategy
    data = chart_data(simulated)
    body = [
        _heading(answer, strategy),
        _chart(data),
        *figure_groups(answer),
        periods(answer),
        folds(answer),
        assumptions(answer, simulated),
        trade_table(simulated),
    ]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n{_policy(scripts, assets.style)}'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>Backtest of {safe(strategy.name, 80)}</title>\n<style>{assets.style}</style></head>\n"
        f"<body><main>{''.join(body)}</main>\n<footer><p>Made by Claude Trader. It gives signals; it places no orders. "
        f"What a rule earned in the past says nothing certain about what comes.</p><p>{ATTRIBUTION}</p></footer>\n"
        f'<script type="application/json" id="data">{json_in_script(data)}</script>\n'
        f"{''.join(f'<script>{script}</script>' for script in scripts)}</body></html>\n"
    )


def _policy(scripts: tuple[str, ...], style: str) -> str:
    """Return the policy that lets the browser run these scripts and this style, and load nothing at all."""
    rules = [
        "default-src 'none'", f"script-src {' '.join(map(_hash, scripts))}", f"style-src {_hash(style)}",
        "img-src data:", "base-uri 'none'", "form-action 'none'", "require-trusted-types-for 'script'",
    ]  # fmt: skip
    return f'<meta http-equiv="Content-Security-Policy" content="{"; ".join(rules)}">\n'


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _heading(answer: Mapping[str, Any], strategy: Strategy) -> str:
    market = f"{safe(answer['symbol'], 60)}, {safe(answer['timeframe'])} candles of {safe(answer['exchange'], 40)}"
    span = f"{_day(answer['start'])} to {_day(answer['end'])} (UTC)"
    version = f", version {safe(answer['version'])}" if answer.get("version") is not None else ", a draft"
    invented = '<p class="notice">The prices are invented.</p>' if answer["exchange"] == "simulated" else ""
    description = strategy.config.description
    sentences = "".join(f"<p>{safe(sentence)}</p>" for sentence in answer.get("summary") or ())
    return (
        f'<h1>Backtest of {safe(strategy.name, 80)}</h1><p class="muted">{market}, {span}{version}</p>{invented}'
        f"{f'<p>{safe(description)}</p>' if description else ''}{_note(answer)}<h2>In short</h2>{sentences}"
    )


def _note(answer: Mapping[str, Any]) -> str:
    return f'<p class="notice">{safe(answer["note"])}</p>' if answer.get("note") else ""


def _day(moment: Any) -> str:
    return safe(moment).replace("T", " ")[:16]


def _chart(data: Mapping[str, Any]) -> str:
    """Return the place of the chart, with its buttons, and in words what it shows."""
    buttons = {
        "whole": "Whole time", "closer": "Closer", "wider": "Wider", "earlier": "Earlier", "later": "Later",
        "previous": "Previous trade", "next": "Next trade",
    }  # fmt: skip
    row = "".join(f'<button type="button" data-action="{action}">{text}</button>' for action, text in buttons.items())
    notes = ["Each line joins an entry with its exit: green gained, red lost, after costs."]
    if data["merged"] > 1:
        notes.append(f"Each bar is {data['merged']:,} candles: their first, highest, lowest and last price.")
    scales = [name for name in ("price", "equity") if data[f"log_{name}"]]
    if scales:
        notes.append(f"The scale of {' and '.join(scales)} is logarithmic.")
    return (
        '<h2>Price and trades, equity, drawdown</h2><p class="legend"><span class="line"><i></i>this rule</span>'
        '<span class="holding"><i></i>buying and holding</span></p>'
        f'<p class="muted">{" ".join(notes)} Both curves begin at 100; drawdown is the fall from the peak in per '
        f'cent.</p><div class="buttons">{row}</div>'
        '<div id="chart" role="img" aria-label="Price with entries and exits, equity against holding, and drawdown; '
        'the figures and the table of trades below say the same"></div><p id="readout" aria-live="polite"></p>'
        "<noscript><p>The chart needs JavaScript; everything else on this page does not.</p></noscript>"
    )
