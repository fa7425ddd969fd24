from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal

import anyio.to_thread
from pydantic import Field

from mcp_server.answers import ROWS, Table
from mcp_server.domain.strategy.format import NAME_PATTERN
from mcp_server.domain.text import cleaned
from mcp_server.domain.timeframes import iso, to_ms
from mcp_server.storage.heartbeat import Beat, Heartbeat
from mcp_server.storage.home import no_space
from mcp_server.storage.journal.entries import Entry
from mcp_server.toolkit import Call, tool

SHORT, FULL = 200, 20_000

COLUMNS = ["execution_id", "as_of", "strategy", "engine", "status", "signal", "confidence", "price", "cost_usd"]
COLUMNS += ["reasoning"]
JUST_NOW = timedelta(minutes=1)

SLOT_COLUMNS = ["scheduled_at", "slots"]
"""Of every run or slot, where all are asked for: a row may stand for several slots that were missed."""


class Signals(Table):
    """cost_usd null is unknown, not free; scheduled_at null: not scheduled."""

    rows: Annotated[list[list[int | float | str | None]], ROWS]
    note: str | None = None

    large: ClassVar[bool] = True

    def rest(self, kept: list[Any]) -> str:
        """Return how to ask for the older ones."""
        return f"query_journal reads older ones: executions.id < {kept[-1][0]}."


@tool(title="Signals", open_world=False)
async def list_signals(
    call: Call,
    strategy_name: Annotated[str | None, Field(pattern=NAME_PATTERN)] = None,
    limit: Annotated[int, Field(ge=1, le=500)] = 10,
    outcomes: Annotated[
        Literal["signals", "all"],
        Field(description="all: also runs without a signal and missed slots, and why"),
    ] = "signals",
    detail: Annotated[Literal["short", "full"], Field(description="full: the whole reasoning")] = "short",
) -> Signals:
    """List recorded signals, newest first, with price, confidence, reasoning and cost."""
    moment = call.moment(None)
    entries = await anyio.to_thread.run_sync(
        lambda: call.kit.journal.entries(strategy_name, limit=limit, outcomes=outcomes, until=moment)
    )
    every = outcomes == "all"
    rows = [_row(entry, full=detail == "full", slot=every) for entry in entries]
    of = f" of {strategy_name!r}" if strategy_name else ""
    notes = (
        []
        if rows
        else [f"No {'run' if every else 'signal'}{of} is recorded by then. `claude-trader run NAME` records one."]
    )
    if any(entry.why and len(entry.why) > SHORT for entry in entries) and detail == "short":
        notes.append(f"Long reasonings are shortened; detail='full' gives up to {FULL:,} characters.")
    if every and call.kit.clock() - moment < JUST_NOW:
        full = no_space(call.kit.home.root)
        notes += [full.problem] if full else _no_scheduler(Heartbeat(call.kit.home.heartbeat).read(), moment)
    return Signals(columns=[*COLUMNS, *(SLOT_COLUMNS if every else [])], rows=rows, note=" ".join(notes) or None)


def _no_scheduler(beat: Beat | None, now: datetime) -> list[str]:
    """Return a note if no scheduler is running: until one starts, slots leave no rows."""
    if beat is not None and beat.is_fresh(now):
        return []
    since = f" since {iso(to_ms(beat.beat_at) // 1000 * 1000)}" if beat else ""
    return [f"No scheduler is running{since}. Slots that pass meanwhile are recorded as missed when it starts."]


def _row(entry: Entry, *, full: bool, slot: bool) -> list[int | float | str | None]:
    reason = entry.why or ""
    slots = [_time(entry.scheduled_at), entry.slots] if slot else []
    reason = cleaned(reason, FULL, lines=True) if full else cleaned(reason, SHORT)
    run = [entry.execution_id, _time(entry.as_of), entry.strategy, entry.engine, entry.status]
    confidence, cost = (None if value is None else float(value) for value in (entry.confidence, entry.cost_usd))
    return [*run, entry.signal, confidence, entry.price, cost, reason, *slots]


def _time(moment: datetime | None) -> str | None:
    """Write a moment to the second."""
    return None if moment is None else iso(to_ms(moment) // 1000 * 1000)
