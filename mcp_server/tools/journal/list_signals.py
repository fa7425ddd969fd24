from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal

import anyio.to_thread
from pydantic import Field, WithJsonSchema

from mcp_server.answers import ROWS, Table
from mcp_server.domain.strategy.format import NAME_PATTERN
from mcp_server.domain.text import cleaned, significant
from mcp_server.domain.timeframes import iso, to_ms
from mcp_server.storage.heartbeat import Beat, Heartbeat
from mcp_server.storage.home import no_space
from mcp_server.storage.journal.entries import Entry
from mcp_server.toolkit import Call, tool

SHORT, FULL = 200, 20_000

COLUMNS = ["execution_id", "as_of", "strategy", "engine", "status", "signal", "confidence", "price", "cost_usd"]
ID = WithJsonSchema({"type": "integer"})
JUST_NOW = timedelta(minutes=1)

SLOT_COLUMNS = ["scheduled_at", "slots", "scheduled_until", "trigger", "outcome", "net_pct", "exit_time"]
"""Of every run or slot, where all are asked for. A row may stand for several slots that were missed; only then it has
`scheduled_until`, the last of them."""


class Signals(Table):
    """cost_usd null is unknown, not free; scheduled_at null: not scheduled. net_pct: after costs."""

    rows: Annotated[list[list[int | float | str | None]], ROWS]
    note: str | None = None

    large: ClassVar[bool] = True

    def rest(self, kept: list[Any]) -> str:
        """Return how to ask for the older ones."""
        return f"The next ones: before={kept[-1][0]}."


@tool(title="Signals", open_world=False)
async def list_signals(
    call: Call,
    strategy_name: Annotated[str | None, Field(pattern=NAME_PATTERN)] = None,
    limit: Annotated[int, Field(ge=1, le=500)] = 10,
    outcomes: Annotated[
        Literal["signals", "all"],
        Field(description="all: also runs without a signal and missed slots, and why; what came of signals"),
    ] = "signals",
    detail: Annotated[
        Literal["none", "short", "full"], Field(description="Of the reasoning; full: all of it")
    ] = "short",
    before: Annotated[int | None, ID, Field(description="Older ones than this execution_id")] = None,
) -> Signals:
    """List recorded signals, newest first, with price, confidence, reasoning and cost."""
    moment, every = call.moment(None), outcomes == "all"
    entries = await anyio.to_thread.run_sync(
        lambda: call.kit.journal.entries(strategy_name, limit=limit, outcomes=outcomes, until=moment, before=before)
    )
    of = f" of {strategy_name!r}" if strategy_name else ""
    older = "" if before is None else f" before {before}"
    notes = (
        []
        if entries
        else [
            f"No {'run' if every else 'signal'}{of}{older} is recorded by then. `claude-trader run NAME` records one."
        ]
    )
    if any(entry.why and len(entry.why) > SHORT for entry in entries) and detail == "short":
        notes.append(f"Long reasonings are shortened; detail='full' gives up to {FULL:,} characters.")
    if every and call.kit.clock() - moment < JUST_NOW:
        full = no_space(call.kit.home.root)
        notes += [full.problem] if full else _no_scheduler(Heartbeat(call.kit.home.heartbeat).read(), moment)
    columns = [*(COLUMNS if detail == "none" else [*COLUMNS, "reasoning"]), *(SLOT_COLUMNS if every else [])]
    rows = [_row(entry, detail, slot=every) for entry in entries]
    return Signals(columns=columns, rows=rows, note=" ".join(notes) or None)


def _no_scheduler(beat: Beat | None, now: datetime) -> list[str]:
    """Return a note if no scheduler is running: until one starts, slots leave no rows."""
    if beat is not None and beat.is_fresh(now):
        return []
    since = f" since {iso(to_ms(beat.beat_at) // 1000 * 1000)}" if beat else ""
    return [f"No scheduler is running{since}. Slots that pass meanwhile are recorded as missed when it starts."]


def _row(entry: Entry, detail: Literal["none", "short", "full"], *, slot: bool) -> list[int | float | str | None]:
    confidence, cost = (None if value is None else float(value) for value in (entry.confidence, entry.cost_usd))
    run = [entry.execution_id, _time(entry.as_of), entry.strategy, entry.engine, entry.status]
    signal = [entry.signal, confidence, entry.price, cost]
    reason = [] if detail == "none" else [_reason(entry, full=detail == "full")]
    return [*run, *signal, *reason, *(_slot(entry) if slot else [])]


def _reason(entry: Entry, *, full: bool) -> str:
    return cleaned(entry.why or "", FULL, lines=True) if full else cleaned(entry.why or "", SHORT)


def _slot(entry: Entry) -> list[int | float | str | None]:
    until = entry.scheduled_until if entry.slots > 1 else None
    net_pct = None if entry.net_pct is None else significant(entry.net_pct)
    exit_time = None if entry.outcome is None else _time(entry.outcome.exit_time)
    slots = [_time(entry.scheduled_at), entry.slots, _time(until)]
    return [*slots, entry.trigger, entry.verdict, net_pct, exit_time]


def _time(moment: datetime | None) -> str | None:
    """Write a moment to the second."""
    return None if moment is None else iso(to_ms(moment) // 1000 * 1000)
