"""What `backtest` shows in a terminal: first what it means, then every figure with a few words on it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from mcp_server.domain.backtest.summary import ratio
from mcp_server.domain.backtest.walk_forward import FOLDS_OF_ONE_RULE
from mcp_server.domain.text import counted
from runner.cli.show import plain

LABEL, VALUE = 20, 15
LEAST_DAYS = 90
UNDEFINED = "-"


class Row(NamedTuple):
    """One figure: its key in the answer, its name for people, its unit, and a few words on what it means."""

    key: str
    label: str
    unit: str
    meaning: str


RESULT = (
    Row("return_pct", "return", "±%", "after fees and slippage"),
    Row("buy_and_hold_pct", "holding", "±%", "buying at the start and keeping it"),
    Row("cagr_pct", "return per year", "±%", "compounded"),
    Row("exposure_pct", "time in the market", "%", "how long a position was open"),
)
RISK = (
    Row("max_drawdown_pct", "deepest drawdown", "%", "the worst fall below an earlier peak"),
    Row("average_drawdown_pct", "average drawdown", "%", ""),
    Row("max_drawdown_days", "longest drawdown", "d", "from a peak until it was back there"),
    Row("volatility_pct", "volatility per year", "%", "how much the equity moved"),
    Row("sharpe", "Sharpe ratio", "", "a year's return for its risk"),
    Row("sortino", "Sortino ratio", "", "the same, counting only the downs"),
    Row("calmar", "Calmar ratio", "", "return per year ÷ deepest drawdown"),
)
TRADES = (
    Row("trades", "closed trades", "n", ""),
    Row("win_rate_pct", "won", "%", "a high share is no profit by itself"),
    Row("best_pct", "best trade", "±%", ""),
    Row("worst_pct", "worst trade", "±%", ""),
    Row("average_pct", "average trade", "±%", ""),
    Row("profit_factor", "profit factor", "", "all gains ÷ all losses; above 1 it won"),
    Row("expectancy_pct", "expectancy", "±%", "what a trade brings on average"),
    Row("sqn", "SQN", "", "average trade for its spread"),
    Row("turnover", "turnover", "x", "what was traded ÷ the equity"),
    Row("fees_paid", "fees paid", "e", "of the starting equity"),
)
WORTH = (
    Row("sharpe_ci95", "Sharpe, 95 % sure", "ci", "the true one lies in here"),
    Row("sharpe_probabilistic", "chance it is above 0", "p", "the Sharpe ratio, had you tried only this"),
    Row("sharpe_deflated", "the same, deflated", "p", ""),
    Row("min_track_record_days", "record needed", "d", "to be 95 % sure that it is above 0"),
)
CONTROLS = (
    Row("random_percentile", "beats random trades", "%", ""),
    Row("bar_later_return_pct", "one candle later", "±%", "return, acting one candle late"),
    Row("double_cost_return_pct", "at twice the cost", "±%", "return"),
    Row("first_70_return_pct", "first 70 %", "±%", "return in the first part of the time"),
    Row("last_30_return_pct", "last 30 %", "±%", "return in the rest: did it last?"),
)
OF_TRADES = {row.key for row in TRADES} | {"random_percentile"}
OF_FALLS = {"average_drawdown_pct", "max_drawdown_days", "calmar", "sortino"}
OF_YEARS = {"cagr_pct", "volatility_pct", "sharpe", "sortino", "calmar"} | {row.key for row in WORTH}
"""Figures that are not defined where no trade was closed, without a drawdown, and over less than 90 days."""

SIGNALS = {"buy": "BUY", "sell": "SELL", "hold": "HOLD", "undecided": "undecided"}
GROUPS = (
    ("Result", RESULT),
    ("Risk", RISK),
    ("Trades", TRADES),
    ("Is it more than luck?", WORTH),
    ("Controls", CONTROLS),
)


def backtest(console: Console, answer: Mapping[str, Any]) -> None:
    """Show the answer of a backtest."""
    console.print(market(answer))
    console.print(costs(answer))
    console.print()
    for sentence in answer["summary"]:
        console.print(plain(sentence))
    for title, rows in GROUPS:
        console.print(Text(f"\n{title}", "bold"))
        for row in rows:
            console.print(_figure(row, answer))
    if years := answer.get("years"):
        console.print(Text(f"\n{'By year':<{LABEL + 2}}{'return':>{VALUE}}{'holding':>{VALUE}}", "bold"))
        for year in years:
            cells = (written(year[key], "±%") for key in ("return_pct", "buy_and_hold_pct"))
            console.print(f"  {year['period']:<{LABEL}}{''.join(f'{cell:>{VALUE}}' for cell in cells)}")
    if folds := answer.get("folds"):
        _folds(console, folds)
    console.print(Text("\nWhat it rests on", "bold"))
    for line in _basis(answer):
        console.print(Padding(plain(line), (0, 0, 0, 2)))


def _folds(console: Console, folds: Sequence[Mapping[str, Any]]) -> None:
    """Show what it returned in each fold, and what a beginner can tell from that."""
    console.print(Text(f"\n{'By fold':<{LABEL + 2}}{'return':>{VALUE}}{'holding':>{VALUE}}", "bold"))
    for fold in folds:
        own, held = (written(fold[key], "±%") for key in ("return_pct", "buy_and_hold_pct"))
        days = f"  {fold['start'][:10]} to {fold['end'][:10]}"
        console.print(plain(f"{days}{own:>{LABEL + 2 + VALUE - len(days)}}{held:>{VALUE}}"))
    console.print(Padding(plain(FOLDS_OF_ONE_RULE, "dim"), (0, 0, 0, 2)))


def market(answer: Mapping[str, Any]) -> Text:
    """Return what was tested, on what, and over which time."""
    where = f"  {answer['symbol']}  {answer['timeframe']} candles of {answer['exchange']}"
    period = f"\n{_day(answer['start'])} to {_day(answer['end'])} UTC, {answer['candles']:,} candles"
    period += "; the market is invented" if answer.get("simulated") else ""
    return plain(str(answer["strategy_name"] or "draft"), "bold") + plain(where) + plain(period)


def costs(answer: Mapping[str, Any]) -> Text:
    """Return which trades were made, and what each cost."""
    side = "long only" if answer["side"] == "long" else "long and short"
    each = f"{answer['fee_bps'] / 100:g} % fee and {answer['slippage_bps'] / 100:g} % slippage"
    return plain(f"{side}, {each} a side, filled at the next open", "dim")


def _figure(row: Row, answer: Mapping[str, Any]) -> Text:
    value = {**answer, **answer["controls"]}.get(row.key)
    meaning = row.meaning
    if value is None:
        meaning = why_undefined(row.key, answer)
    elif row.key == "sharpe_deflated":
        meaning = f"counting {counted(answer['trials'], 'variant')} tried; aim for 95 %"
    elif row.key == "random_percentile":
        meaning = f"of {answer['controls']['random_sets']:,} sets, as many and as long"
    line = f"  {row.label:<{LABEL}}{written(value, row.unit):>{VALUE}}"
    return Text(line) + Text(f"  {meaning}".rstrip(), "dim")


def written(value: Any, unit: str) -> str:
    """Write a figure with its unit; one that is not defined is a dash."""
    if value is None:
        return UNDEFINED
    if unit == "ci":
        return f"{ratio(value[0])} to {ratio(value[1])}"
    forms = {
        "±%": lambda: f"{value:+,.1f} %",
        "%": lambda: f"{value:,.1f} %",
        "p": lambda: f"{math.floor(value * 1000 + 1e-6) / 10:.1f} %",  # what is below a bar is not written as the bar
        "d": lambda: days_long(value),
        "n": lambda: f"{value:,}",
        "x": lambda: f"{value:,.1f} x",
        "e": lambda: f"{value * 100:,.1f} %",
    }
    return forms.get(unit, lambda: ratio(value))().replace("-0.0 %", "0.0 %")


def days_long(days: float) -> str:
    """Write a length of time in days: whole ones, and two digits of less than ten, so that hours are not nothing."""
    text = f"{days:,.0f}" if days >= 10 or not days else f"{days:.2g}"
    return f"{text} day{'' if text == '1' else 's'}"


def why_undefined(key: str, answer: Mapping[str, Any]) -> str:
    """Say in a few words why a figure is not defined."""
    reasons = (
        (key in OF_TRADES and not answer["trades"], "no trade was closed"),
        (key == "profit_factor", "no trade lost"),
        (key == "sqn", "needs two trades that differ"),
        (key in OF_YEARS and _days(answer) < LEAST_DAYS, f"needs {LEAST_DAYS} days of candles"),
        (key in OF_FALLS and not answer["max_drawdown_pct"], "it never fell below a peak"),
        (key == "min_track_record_days", "none: the Sharpe ratio is not above 0"),
        (key in {"cagr_pct", "calmar"}, "it is too large for a number"),
        (key in OF_YEARS, "the equity did not move"),
    )
    return next((reason for holds, reason in reasons if holds), "there is too little to tell")


def _basis(answer: Mapping[str, Any]) -> list[str]:
    counts = answer["signals"]
    said = ", ".join(f"{counts[name]:,} {word}" for name, word in SIGNALS.items())
    lines = [f"Decisions: {said}."]
    if answer["missing"]:
        lines.append(f"Missing candles: {answer['missing']:,}; nothing was filled in there.")
    if answer.get("unfilled"):
        lines.append(f"Orders whose candle is missing: {answer['unfilled']:,}; they lapsed.")
    if answer.get("missing_fundings"):
        lines.append(f"Fundings that are not known: {answer['missing_fundings']:,}; they are not counted.")
    if answer["open_trade"]:
        lines.append("The last trade is still open: it is valued at the last close and not counted as closed.")
    proof = answer["look_ahead"]
    if not proof["changed"]:
        lines.append(f"Look-ahead: at {proof['checked']:,} cuts other candles came after; nothing before changed.")
    else:
        what = counted(proof["changed"], "column")
        lines.append(f"LOOK-AHEAD: {what} changed where other candles came after one of {proof['checked']:,} cuts!")
    lines.append(f"In the journal it is backtest {answer['backtest_id']}; Claude draws it by that number.")
    return lines


def _days(answer: Mapping[str, Any]) -> float:
    from mcp_server.domain.timeframes import parse_moment

    return (parse_moment(answer["end"]) - parse_moment(answer["start"])).total_seconds() / 86_400


def _day(moment: str) -> str:
    return moment.replace("T", " ").removesuffix("Z")
