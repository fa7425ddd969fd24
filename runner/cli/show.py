"""What `run` and `signals` show in a terminal."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from mcp_server.domain.contamination import first_clean, may_know
from mcp_server.domain.text import cleaned, cost, minute, number, percent
from runner.cli.context import MOST_SHOWN

if TYPE_CHECKING:
    from datetime import datetime

    from mcp_server.domain.outcome import Ended, Outcome
    from mcp_server.domain.strategy.strategy import Strategy
    from mcp_server.storage.journal.entries import Entry

GAP, BELOW = "  ", "       "
RIGHT = ("run", "price", "conf.")
MOST_NAME, LEAST_WHY = 24, 24
ENTRY_KEYS: tuple[str, ...] = (
    "execution_id",
    "strategy",
    "engine",
    "trigger",
    "status",
    "as_of",
    "started_at",
    "completed_at",
)
ENTRY_KEYS += ("signal", "confidence", "price", "reasoning", "error", "cost_usd", "scheduled_at", "slots")
REPLAYED_KEYS = ("replay_id", "contaminated", "knowledge_cutoff", "recorded_usd")
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
    if ended.contaminated:
        console.print(plain(_contaminated(ended, run.as_of), "yellow"))
    facts = [f"execution {run.execution_id}", ended.model or run.engine, f"{run.took_s:.1f} s", _paid(ended)]
    console.print(plain(" · ".join(facts), "dim"))
    if (cassette := _requests(ended).get("cassette")) is not None:
        console.print(plain(f"recorded in {cassette} of the home", "dim"))
    if (unkept := _requests(ended).get("unkept")) is not None:
        console.print(plain(f"Not all of it is recorded: {unkept}", "yellow"))
    if run.waiting:
        console.print(
            Text("Not in the journal yet:", "yellow")
            + plain(f" {run.waiting} It waits in the outbox; the next run or `claude-trader signals` enters it.")
        )


def _contaminated(outcome: Outcome, as_of: datetime) -> str:
    """Return why a run shows no skill, and the first moment that would be clean."""
    cutoff = outcome.knowledge_cutoff
    clean = f" The first clean moment is {minute(first_clean(cutoff))} UTC." if cutoff else ""
    return f"Contaminated: {may_know(as_of, 'a model of this run', cutoff)} This run shows no skill.{clean}"


def _paid(outcome: Outcome) -> str:
    """Return what a run cost, and what its replies once cost where that is more."""
    once = outcome.recorded_usd
    if once is None or once == outcome.cost_usd:
        return cost(outcome.cost_usd)
    return f"{cost(outcome.cost_usd)}, from the cassette for {cost(once)}"


def _requests(outcome: Outcome) -> dict[str, Any]:
    """Return what is known of the requests of a run through the recording proxy."""
    return (outcome.trace or {}).get("requests") or {}


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
        "recorded_usd": None if outcome.recorded_usd is None else float(outcome.recorded_usd),
        "knowledge_cutoff": outcome.knowledge_cutoff,
        "contaminated": outcome.contaminated,
        "cassette": _requests(outcome).get("cassette"),
    }
    if outcome.error:
        report["error"] = outcome.error
    if run.waiting:
        report["waiting"] = run.waiting
    return report


def journal(console: Console, entries: Sequence[Entry], title: str) -> None:
    """Show the journal as a table, newest first; the reason stands below a run where there is no room beside it."""
    rows = [_cells(entry) for entry in entries]
    needless = [name for name, needed in _needed(entries).items() if not needed]
    rows = [{name: cell for name, cell in row.items() if name not in needless} for row in rows]
    widths = _widths(rows, console.width)
    room = console.width - sum(widths.values()) - len(GAP) * len(widths)
    beside = room >= LEAST_WHY
    console.print(plain(title, "italic"))
    console.print(_line({name: Text(name, "bold") for name in widths}, widths) + Text(GAP + "why" if beside else ""))
    console.print(Text("─" * min(console.width, sum(widths.values()) + len(GAP) * len(widths) + 20), "dim"))
    for entry, row in zip(entries, rows, strict=True):
        why = (entry.why or "").removeprefix(f"{entry.signal} because ")
        if entry.engine == "host":
            why = f"decided in a chat: {why}" if why else "waits for its answer from a chat"
        line = _line(row, widths)
        if beside:
            console.print(line + Text(GAP + cleaned(why, room)), no_wrap=True, overflow="ellipsis")
            continue
        console.print(line)
        if why:
            console.print(Text(BELOW + cleaned(why, console.width - len(BELOW)), "dim"), no_wrap=True)
    console.print()


def _needed(entries: Sequence[Entry]) -> dict[str, bool]:
    """Return which of the columns that may be left out tell something of these runs."""
    labelled = any(entry.replay_id or entry.contaminated for entry in entries)
    return {"strategy": len({entry.strategy for entry in entries}) > 1, "replay": labelled}


def _cells(entry: Entry) -> dict[str, Text]:
    label = (entry.replay_id or "by hand", "contaminated" if entry.contaminated else "")
    return {
        "run": Text(str(entry.execution_id), "dim"),
        "as of (UTC)": Text(minute(entry.as_of)),
        "strategy": plain(cleaned(entry.strategy, MOST_NAME)),
        "outcome": outcome(entry),
        "replay": plain(" ".join(filter(None, label)) if entry.replay_id or entry.contaminated else ""),
        "price": Text(number(entry.price)),
        "conf.": Text(percent(entry.confidence)),
    }


def _widths(rows: Sequence[dict[str, Text]], width: int) -> dict[str, int]:
    """Return the width of each column: a name of a strategy may be cut; the last columns go where all is too narrow."""
    widths = {name: max(len(name), *(row[name].cell_len for row in rows)) for name in rows[0]}
    while (excess := sum(widths.values()) + len(GAP) * (len(widths) - 1) - width) > 0:
        if widths.get("strategy", 0) > len("strategy"):
            widths["strategy"] = max(widths["strategy"] - excess, len("strategy"))
        elif len(widths) == 1:
            break
        else:
            widths.popitem()
    return widths


def _line(cells: dict[str, Text], widths: dict[str, int]) -> Text:
    shown = []
    for name, width in widths.items():
        cell = cells[name].copy()
        cell.truncate(width, overflow="ellipsis")
        cell.align("right" if name in RIGHT else "left", width)
        shown.append(cell)
    return Text(GAP).join(shown)


def outcome(entry: Entry) -> Text:
    """Return how a run ended, in colour: its signal, or its outcome if there is none."""
    return Text(entry.signal, COLOURS.get(entry.signal, "")) if entry.signal else Text(entry.status, "yellow")


def entry_keys(*, replayed: bool) -> list[str]:
    """Return the keys of `entry_json`: always the same, and of a replay's row its label too."""
    return [*ENTRY_KEYS, *(REPLAYED_KEYS if replayed else ())]


def entry_json(entry: Entry, *, replayed: bool = False) -> dict[str, Any]:
    """Return one row of the journal as JSON values, by `entry_keys`."""
    values = {name: getattr(entry, name) for name in entry_keys(replayed=replayed)}
    for key in ("as_of", "started_at", "completed_at", "scheduled_at"):
        values[key] = None if values[key] is None else values[key].isoformat()
    for key in ("confidence", "cost_usd", "recorded_usd"):
        if values.get(key) is not None:
            values[key] = float(values[key])
    return values
