"""How quick each touch is: one table, to which each benchmark reports its line.

report("start", ratios)                       in a benchmark: keep the line, print it, and raise where it does not hold
python -m tests.benchmarks.touches            print the table
python -m tests.benchmarks.touches --write    write it into docs/explanation/speed.md
"""

import json
import os
import platform
import re
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_CHECKOUT = Path(__file__).parents[2]
KEPT = _CHECKOUT / ".benchmarks" / "touches.json"
FEW = 5
PAGE = _CHECKOUT / "docs" / "explanation" / "speed.md"


@dataclass(frozen=True)
class Touch:
    """One line: what is touched, the floor or peer that it is a ratio to, and the most that it may be."""

    what: str
    against: str
    wanted: float
    unit: str = "x"


TOUCHES = {
    "start": Touch("start of the server until `initialize` is answered", "a bare server with as many tools", 1.1),
    "first price": Touch("the first price, once the tools are listed", "the quickest other server, in JavaScript", 1.0),
    "run by rules": Touch("`run` by rules, cold", "a run where a server is there", 1.2),
    "run by Claude": Touch("`run` by Claude", "the agent CLI alone", 1.3),
    "--help": Touch("`--help`", "`import typer, rich`", 2.0),
    "--version": Touch("`--version`", "`import typer, rich`", 2.0),
    "strategies": Touch("`strategies`", "`import typer, rich`", 2.0),
    "signals": Touch("`signals`", "`import typer, rich`", 2.0),
    "status": Touch("`status`", "`import typer, rich`", 4.0),
    "known candles": Touch("500 known candles", "a bare server that sends them", 3.0),
    "new candles of binance": Touch("500 new candles of Binance", "ccxt alone", 1.3),
    "new candles of coinbase": Touch("500 new candles of Coinbase, in two requests", "ccxt alone", 1.3),
    "ten indicators": Touch("ten indicators in one call", "ten calls", 0.35),
    "indicators of a new market": Touch("ten indicators of a new market", "its candles by ccxt alone", 1.4),
    "catalogue": Touch("all of TA-Lib's indicators over 5,000 candles", "TA-Lib alone", 4.0),
    "chart": Touch("a chart", "an empty figure of matplotlib", 1.5),
    "first chart": Touch("the first chart of a program", "matplotlib alone", 1.3),
    "first content": Touch("the page's first content, with 50 strategies and 100,000 signals", "", 0.5, "s"),
    "whole page": Touch("the whole page, with 50 strategies and 100,000 signals", "", 1.5, "s"),
    "query_journal": Touch("`query_journal`, a small journal", "", 40, "ms"),
    "get_news": Touch("`get_news` over a year of 200,000 headlines, of the processor", "", 50, "ms"),
    "written candles": Touch("10,000 candles again, just after they were fetched", "", 70, "ms"),
    "stored candles": Touch("10,000 candles again, loaded from the store", "", 70, "ms"),
    "2,000 strategies": Touch("2,000 strategies due in one minute: the last begins", "", 15, "s"),
    "100 strategies": Touch("100 strategies due in one minute: 95 have begun", "", 0.8, "s"),
    "memory of up": Touch("`up` at rest, both processes", "", 170, "MB"),
    "install": Touch("the wheel's dependencies, installed", "", 330, "MB"),
}
"""All lines in the order of the table. Each is reported by one benchmark."""


def report(name: str, values: Sequence[float]) -> None:
    """Keep and print a line: its values are ratios of neighbours, or figures in the touch's unit.

    Raises:
        AssertionError: their median is more than wanted.
    """
    median, (low, high) = statistics.median(values), _middle(values)
    line = {"median": median, "low": low, "high": high, "on": f"{datetime.now(UTC):%Y-%m-%d}", "machine": machine()}
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text(json.dumps(kept() | {name: line}, indent=1) + "\n")
    touch = TOUCHES[name]
    against = f", to {touch.against}" if touch.against else ""
    text = f"{touch.what}{against}: {_figure(median, touch)} ({_spread(line, touch)}), wanted {_wanted(touch)}"
    sys.stdout.write(f"\n{text}")
    assert median <= touch.wanted, text


def kept() -> dict[str, dict[str, Any]]:
    """Return what was last reported for each line, by name."""
    lines: dict[str, dict[str, Any]] = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    return {name: lines[name] for name in TOUCHES if name in lines}


def machine() -> str:
    """Return what the figures depend on."""
    return f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}, Python {platform.python_version()}"


def table() -> Iterator[str]:
    """Yield the lines of the table in Markdown: median and middle half of each, as it was last reported."""
    yield "| what you wait for, or what it takes | compared with | median | middle half | wanted | holds | measured |"
    yield "| --- | --- | ---: | --- | ---: | --- | --- |"
    lines = kept()
    for name, touch in TOUCHES.items():
        start = f"| {touch.what} | {touch.against or '-'} |"
        if line := lines.get(name):
            holds = "yes" if line["median"] <= touch.wanted else "**no**"
            figures = f"{_figure(line['median'], touch)} | {_spread(line, touch)} | {_wanted(touch)}"
            yield f"{start} {figures} | {holds} | {line['on']} |"
        else:
            yield f"{start} | | {_wanted(touch)} | | not yet |"


def write() -> None:
    """Write the table into its page, between the heading of the table and the next.

    Raises:
        SystemExit: a line has not been measured.
    """
    lines = kept()
    if missing := [name for name in TOUCHES if name not in lines]:
        raise SystemExit(f"These are not measured yet: {', '.join(missing)}.")
    machines = "; ".join(sorted({line["machine"] for line in lines.values()}))
    written = "\n".join([*table(), "", f"Measured on: {machines}.", ""])
    page = PAGE.read_text("utf-8")
    PAGE.write_text(re.sub(r"(\n## The table\n\n).*?(\n## |\Z)", rf"\g<1>{written}\2", page, flags=re.DOTALL), "utf-8")


def _figure(value: float, touch: Touch) -> str:
    return f"{value:.{0 if value >= 100 else 2}f} {touch.unit}"


def _middle(values: Sequence[float]) -> tuple[float, float]:
    """Return where the middle half of the values begins and ends: of few values, all of them."""
    if len(values) < FEW:
        return min(values), max(values)
    quartiles = statistics.quantiles(values, n=4)
    return quartiles[0], quartiles[-1]


def _spread(line: dict[str, Any], touch: Touch) -> str:
    digits = 0 if line["median"] >= 100 else 2
    return f"{line['low']:.{digits}f} to {line['high']:.{digits}f}"


def _wanted(touch: Touch) -> str:
    return f"≤ {touch.wanted:g} {touch.unit}"


if __name__ == "__main__":
    write() if "--write" in sys.argv else sys.stdout.write("\n".join(table()) + "\n")
