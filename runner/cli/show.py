"""What `run` and `signals` show in a terminal."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.domain.text import cleaned, cost, minute, number, percent
from mcp_server.storage.journal.entries import Entry
from runner.cli.context import MOST_SHOWN

if TYPE_CHECKING:
    from mcp_server.domain.outcome import Ended

COLOURS = {"BUY": "bold green", "SELL": "bold red", "HOLD": "dim"}


def console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """Make the console for what people read; a character that the terminal lacks is shown as `?`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    return Console(stderr=stderr, quiet=quiet, highlight=False, emoji=False)


def plain(text: str | None, style: str = "") -> Text:
    """Return text of a file or a model as it is: without markup, and without what steers a terminal."""
    return Text(cleaned(text or "", MOST_SHOWN, lines=True), style)


def executed(console: Console, strategy: Strategy, run: Ended) -> None:
    """Show how one run ended."""
    ended, signal = run.outcome, run.outcome.signal
    about = plain(f"  {strategy.name}  {strategy.config.trading_pair}  as of {minute(run.as_of)} UTC")
    if signal is not None:
        confidence = f"  confidence {percent(signal.confidence)}" if signal.confidence is not None else ""
        console.print(Text(signal.signal, COLOURS[signal.signal]) + about)
        console.print(f"price {number(signal.price)}{confidence}")
        console.print(plain(signal.reasoning))
    else:
        console.print(Text(str(ended.status), "bold yellow") + about + Text("  (no signal)"))
        console.print(plain(ended.error))
    facts = [f"execution {run.execution_id}", ended.model or run.engine, f"{run.took_s:.1f} s", cost(ended.cost_usd)]
    console.print(plain(" · ".join(facts), "dim"))
    if run.waiting:
        console.print(
            Text("Not in the journal yet:", "yellow")
            + plain(f" {run.waiting} It waits in the outbox; the next run or `claude-trader signals` enters it.")
        )


def as_json(run: Ended) -> dict[str, Any]:
    """Return one run as the JSON object of `run --json`."""
    outcome, signal = run.outcome, run.outcome.signal
    report: dict[str, Any] = {
        "status": str(outcome.status),
        "signal": signal.signal if signal else None,
        "confidence": float(signal.confidence) if signal and signal.confidence is not None else None,
        "reasoning": signal.reasoning if signal else None,
        "as_of": run.as_of.isoformat(),
        "price": signal.price if signal else None,
        "engine": run.engine,
        "cost_usd": None if outcome.cost_usd is None else float(outcome.cost_usd),
        "execution_id": run.execution_id,
    }
    if outcome.error:
        report["error"] = outcome.error
    if run.waiting:
        report["waiting"] = run.waiting
    return report


def journal(console: Console, entries: Sequence[Entry], title: str) -> None:
    """Show the journal as a table, newest first, one line for each run."""
    several = len({entry.strategy for entry in entries}) > 1
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("run", justify="right", style="dim", no_wrap=True, min_width=3)
    table.add_column("as of (UTC)", no_wrap=True, min_width=16)
    if several:
        table.add_column("strategy", no_wrap=True, max_width=24)
    table.add_column("outcome", no_wrap=True, min_width=7)
    table.add_column("price", justify="right", no_wrap=True, min_width=10)
    table.add_column("conf.", justify="right", no_wrap=True, min_width=5)
    table.add_column("why", no_wrap=True)
    room = max(console.width - (83 if several else 57), 20)
    for entry in entries:
        table.add_row(
            str(entry.execution_id),
            minute(entry.as_of),
            *([plain(entry.strategy)] if several else []),
            outcome(entry),
            number(entry.price),
            percent(entry.confidence),
            Text(cleaned((entry.why or "").removeprefix(f"{entry.signal} because "), room)),
        )
    console.print(table)


def outcome(entry: Entry) -> Text:
    """Return how a run ended, in colour: its signal, or its outcome if there is none."""
    return Text(entry.signal, COLOURS.get(entry.signal, "")) if entry.signal else Text(entry.status, "yellow")


def entry_json(entry: Entry) -> dict[str, Any]:
    """Return one row of the journal as JSON values."""
    values = asdict(entry)
    for key in ("as_of", "started_at", "completed_at", "scheduled_at"):
        values[key] = None if values[key] is None else values[key].isoformat()
    for key in ("confidence", "cost_usd"):
        values[key] = None if values[key] is None else float(values[key])
    return values
