"""The tool list_signals."""

from typing import Annotated, Literal

import anyio.to_thread
from pydantic import Field

from mcp_server.domain.strategy import NAME_PATTERN
from mcp_server.domain.timeframes import iso, to_ms
from mcp_server.storage.journal import Entry
from mcp_server.toolkit import Call, Table, shortened, tool

SHORT = 200

Row = tuple[int, str, str, str, str, str | None, float | None, float | None, float | None, str]


class Signals(Table):
    """Runs, newest first. `confidence` 0 to 100; `cost_usd` null is unknown, not free."""

    rows: list[Row]
    note: str | None = None


@tool(title="Signals", open_world=False)
async def list_signals(
    call: Call,
    strategy_name: Annotated[str | None, Field(pattern=NAME_PATTERN, description="Default: all strategies")] = None,
    limit: Annotated[int, Field(ge=1, le=500)] = 10,
    outcomes: Annotated[
        Literal["signals", "all"], Field(description="all: also runs that ended without a signal, and why")
    ] = "signals",
    detail: Annotated[Literal["short", "full"], Field(description="full: the whole reasoning")] = "short",
) -> Signals:
    """List the recorded signals, newest first, with price, confidence, reasoning and cost."""
    moment = call.moment(None)
    entries = await anyio.to_thread.run_sync(
        lambda: call.kit.journal.entries(strategy_name, limit=limit, outcomes=outcomes, until=moment)
    )
    rows = [_row(entry, full=detail == "full") for entry in entries]
    of = f" of {strategy_name!r}" if strategy_name else ""
    note = None if rows else f"No signal{of} is recorded by then. `claude-trader run NAME` records one."
    if any(entry.said and len(entry.said) > SHORT for entry in entries) and detail == "short":
        note = "Long reasonings are shortened; detail='full' gives them whole."
    return Signals(
        columns=[
            "execution_id",
            "as_of",
            "strategy",
            "engine",
            "status",
            "signal",
            "confidence",
            "price",
            "cost_usd",
            "reasoning",
        ],
        rows=rows,
        note=note,
    )


def _row(entry: Entry, *, full: bool) -> Row:
    said = entry.said or ""
    return (
        entry.execution_id,
        iso(to_ms(entry.as_of) // 1000 * 1000),
        entry.strategy,
        entry.engine,
        str(entry.status),
        entry.signal,
        None if entry.confidence is None else float(entry.confidence),
        entry.price,
        None if entry.cost_usd is None else float(entry.cost_usd),
        said if full else shortened(said, SHORT),
    )
