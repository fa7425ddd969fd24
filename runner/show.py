"""What a person sees of runs and signals in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mcp_server.domain.strategy import Strategy
from mcp_server.storage.journal import Entry

if TYPE_CHECKING:
    from runner.execute import Executed

COLOURS = {"BUY": "bold green", "SELL": "bold red", "HOLD": "dim"}


def number(value: float | None) -> str:
    """Write a price with all of its significant digits, and thousands apart."""
    if value is None:
        return "-"
    return f"{value:,.10f}".rstrip("0").rstrip(".") if abs(value) >= 1e-4 else f"{value:.8g}"


def minute(moment: datetime) -> str:
    """Write a moment to the minute; all times are UTC."""
    return moment.strftime("%Y-%m-%d %H:%M")


def cost(value: Decimal | None) -> str:
    """Write a cost; an unknown one says so."""
    if value is None:
        return "cost unknown"
    return "no cost" if value == 0 else f"${value:.4f}"


def executed(console: Console, strategy: Strategy, run: Executed) -> None:
    """Show how one run ended."""
    ended, signal = run.outcome, run.outcome.signal
    about = f"{strategy.config.trading_pair}  as of {minute(run.as_of)} UTC"
    if signal is not None:
        sure = f"  confidence {percent(signal.confidence)}" if signal.confidence is not None else ""
        console.print(f"[{COLOURS[signal.signal]}]{signal.signal}[/]  {escape(strategy.name)}  {about}")
        console.print(f"price {number(signal.price)}{sure}")
        console.print(escape(signal.reasoning))
    else:
        console.print(f"[bold yellow]{ended.status}[/]  {escape(strategy.name)}  {about}  (no signal)")
        console.print(escape(ended.error or ""))
    facts = [f"execution {run.execution_id}", ended.model or run.engine, f"{run.took_s:.1f} s", cost(ended.cost_usd)]
    console.print(f"[dim]{' · '.join(facts)}[/]")
    if run.waiting:
        console.print(
            f"[yellow]Not in the journal yet:[/] {escape(run.waiting)} It waits in the outbox; the next run or "
            "`claude-trader signals` enters it."
        )


def as_json(run: Executed) -> dict[str, Any]:
    """Give one run as the JSON object of `run --json`."""
    outcome, signal = run.outcome, run.outcome.signal
    said: dict[str, Any] = {
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
        said["error"] = outcome.error
    if run.waiting:
        said["waiting"] = run.waiting
    return said


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
    table.add_column("sure", justify="right", no_wrap=True, min_width=4)
    table.add_column("why", no_wrap=True)
    room = max(console.width - (82 if several else 56), 20)
    for entry in entries:
        table.add_row(
            str(entry.execution_id),
            minute(entry.as_of),
            *([escape(entry.strategy)] if several else []),
            outcome(entry),
            number(entry.price),
            percent(entry.confidence),
            escape(_cut(" ".join((entry.said or "").removeprefix(f"{entry.signal} because ").split()), room)),
        )
    console.print(table)


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 1] + "…"


def outcome(entry: Entry) -> str:
    """Write how a run ended, in colour: its signal, or the outcome that it ended in without one."""
    return f"[{COLOURS[entry.signal]}]{entry.signal}[/]" if entry.signal else f"[yellow]{entry.status}[/]"


def percent(value: Decimal | None) -> str:
    """Write a confidence, or nothing where none is stated."""
    return "" if value is None else f"{float(value):g}"


def entry_json(entry: Entry) -> dict[str, Any]:
    """Give one row of the journal as JSON values."""
    values = asdict(entry)
    for key in ("as_of", "started_at", "completed_at"):
        values[key] = None if values[key] is None else values[key].isoformat()
    for key in ("confidence", "cost_usd"):
        values[key] = None if values[key] is None else float(values[key])
    return {**values, "status": str(entry.status)}
