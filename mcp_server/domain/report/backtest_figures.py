"""The figures of a backtest as HTML: in groups, each with what it means; and the return by month and year."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mcp_server.domain.backtest.walk_forward import FOLDS_OF_ONE_RULE
from mcp_server.domain.report.html import safe, table
from mcp_server.domain.text import number

UNDEFINED = "not defined"

Row = tuple[str, str, str]
"""A key of the answer (a dot leads into a part of it), its label, and what it means."""

GROUPS: Mapping[str, Sequence[Row]] = {
    "Result": (
        ("return_pct", "Return", "of the whole time, after costs"),
        ("buy_and_hold_pct", "Buying and holding", "over the same time"),
        ("cagr_pct", "Return a year", "none for less than 90 days"),
        ("exposure_pct", "Time in the market", "share of the time with a position"),
        ("fees_paid", "Fees paid", "of what it began with"),
        ("turnover", "Turnover", "all that was bought and sold, for the mean equity"),
    ),
    "Risk": (
        ("max_drawdown_pct", "Deepest drawdown", "the worst fall from a peak"),
        ("average_drawdown_pct", "Average drawdown", "of all falls from a peak"),
        ("max_drawdown_days", "Longest drawdown", "days until the old peak was reached again"),
        ("volatility_pct", "Volatility a year", "standard deviation of returns"),
        ("sharpe", "Sharpe ratio", "a year's return for its risk"),
        ("sortino", "Sortino ratio", "the same, counting only losses as risk"),
        ("calmar", "Calmar ratio", "a year's return for the deepest drawdown"),
    ),
    "Trades": (
        ("trades", "Closed trades", "fewer than 30 say next to nothing"),
        ("win_rate_pct", "Won", "share of the closed trades"),
        ("average_pct", "Average trade", "after costs"),
        ("best_pct", "Best trade", "after costs"),
        ("worst_pct", "Worst trade", "after costs"),
        ("profit_factor", "Profit factor", "what winners gained for each unit that losers lost"),
        ("expectancy_pct", "Expectancy", "mean gain of a trade"),
        ("sqn", "System quality number", "expectancy for its spread, by the number of trades"),
    ),
    "What the Sharpe ratio is worth": (
        ("sharpe_ci95", "Sharpe, 95 % interval", "if it includes 0, it may be luck"),
        ("sharpe_probabilistic", "Probabilistic Sharpe", "how likely the true one is above 0"),
        ("sharpe_deflated", "Deflated Sharpe", "the same, after all that was tried; below 95 % proves nothing"),
        ("trials", "Variants tried", "of this strategy on this market"),
        (
            "min_track_record_days",
            "Record that it needs",
            "until its Sharpe ratio can be told from 0; none while it is not above 0",
        ),
    ),
    "Controls": (
        (
            "controls.random_percentile",
            "Better than chance",
            "per cent of random sets that did not end better",
        ),
        ("controls.random_sets", "Random sets", "of as many and as long trades; fewer than 1,000 for very many trades"),
        ("controls.bar_later_return_pct", "One candle later", "return of the same rule"),
        ("controls.double_cost_return_pct", "At twice the cost", "return of the same rule"),
        ("controls.first_70_return_pct", "First 70 % of the time", "return"),
        ("controls.first_70_buy_and_hold_pct", "Holding, first 70 %", "return"),
        ("controls.last_30_return_pct", "Last 30 % of the time", "return"),
        ("controls.last_30_buy_and_hold_pct", "Holding, last 30 %", "return"),
    ),
    "What it saw": (
        ("candles", "Candles", "closed ones"),
        ("missing", "Missing candles", "nothing was filled in"),
        ("signals.buy", "BUY", "signals"),
        ("signals.sell", "SELL", "signals"),
        ("signals.hold", "HOLD", "signals"),
        ("signals.undecided", "Undecided", "moments at which the rule had no answer"),
        ("look_ahead.checked", "Cuts checked", "what came after was replaced"),
        ("look_ahead.decisions", "Entries and exits cut", "so many of the cuts are right behind one"),
        ("look_ahead.changed", "Columns that changed", "must be 0: else it looked ahead"),
    ),
}

PROBABILITIES = ("sharpe_probabilistic", "sharpe_deflated")
SHARES = ("fees_paid", *PROBABILITIES)
"""Figures from 0 to 1, which are shown in per cent."""

_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def figure_groups(answer: Mapping[str, Any]) -> list[str]:
    """Return one section for each group of figures."""
    return [
        f'<h2>{title}</h2><dl class="figures">{"".join(_figure(answer, *row) for row in rows)}</dl>'
        for title, rows in GROUPS.items()
    ]


def _figure(answer: Mapping[str, Any], key: str, label: str, meaning: str) -> str:
    value: Any = answer
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    text = safe(figure_text(key, value))
    return f"<div><dt>{label}</dt><dd{_tint(key, value)}>{text}<small>{meaning}</small></dd></div>"


def figure_text(key: str, value: Any) -> str:
    """Write a figure; the end of its key is its unit."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " to ".join(figure_text(key, one) for one in value) or UNDEFINED
    if value is None:
        return UNDEFINED
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if key in SHARES:
        pct = float(value) * 100
        if key in PROBABILITIES:  # what is below a bar is not written as the bar
            pct = math.floor(pct * 100 + 1e-6) / 100
        return f"{_short(pct)} %"
    if key.endswith("_pct"):
        return f"{_short(value)} %"
    text = _short(value)
    return f"{text} day{'' if text == '1' else 's'}" if key.endswith("_days") else text


def _short(value: float) -> str:
    """Write a number with four significant digits, or all of a whole one."""
    return f"{value:,}" if isinstance(value, int) else number(float(f"{value:.4g}")).replace("-", "\N{MINUS SIGN}")


def _tint(key: str, value: Any) -> str:
    if not (key.endswith(("return_pct", "hold_pct", "cagr_pct")) and isinstance(value, int | float) and value):
        return ""
    return f' class="{"up" if value > 0 else "down"}"'


def periods(answer: Mapping[str, Any]) -> str:
    """Return a table of the returns by month, a row for each year; nothing where there are none."""
    years = {str(year["period"]): year for year in answer.get("years") or ()}
    months = {str(month["period"]): month["return_pct"] for month in answer.get("months") or ()}
    rows = []
    for name in sorted({*years, *(month[:4] for month in months)}):
        year = years.get(name, {})
        cells = [months.get(f"{name}-{month:02d}") for month in range(1, 13)]
        values = [year.get("return_pct"), year.get("buy_and_hold_pct"), *cells]
        rows.append(f'<tr><th scope="row">{safe(name)}</th>{"".join(map(_cell, values))}</tr>')
    if not rows:
        return ""
    return "<h2>By year and month</h2>" + table("Return in per cent", ["Year", "This rule", "Holding", *_MONTHS], rows)


def folds(answer: Mapping[str, Any]) -> str:
    """Return a table of the returns in each fold; nothing where there are none."""
    rows = []
    for fold in answer.get("folds") or ():
        span = f"{safe(fold['start'])[:10]} to {safe(fold['end'])[:10]}"
        cells = "".join(_cell(fold[name]) for name in ("return_pct", "buy_and_hold_pct"))
        rows.append(f'<tr><th scope="row">{span}</th>{cells}</tr>')
    if not rows:
        return ""
    body = table("Return in each fold, in per cent", ["Fold", "This rule", "Holding"], rows)
    return f'<h2>Fold by fold</h2><p class="muted">{FOLDS_OF_ONE_RULE}</p>{body}'


def _cell(value: float | None) -> str:
    if value is None:
        return "<td></td>"
    tint = "up" if value > 0 else "down" if value < 0 else ""
    return f'<td class="{tint}">{_short(float(value))}</td>'
