"""What `run` and `signals` show in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from mcp_server.domain.contamination import first_clean, may_know
from mcp_server.domain.text import cleaned, cost, minute, number, percent
from runner.cli.context import MOST_SHOWN
from runner.cli.show_signals import COLOURS, replace_what_is_lacking, table

if TYPE_CHECKING:
    from datetime import datetime

    from mcp_server.domain.outcome import Ended, Outcome
    from mcp_server.domain.strategy.strategy import Strategy
    from mcp_server.storage.journal.entries import Entry


def console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """Make the console for what people read; a character that the terminal lacks is shown as `?`."""
    replace_what_is_lacking()
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
    """Show the journal as a table, newest first."""
    for line in table(entries, title, console.width):
        console.print(Text.assemble(*line), no_wrap=True, overflow="ignore", crop=True)
