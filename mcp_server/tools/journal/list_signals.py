from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar

import anyio.to_thread
from pydantic import Field, WithJsonSchema

from mcp_server.answers import MOST_BYTES, NOTE_BYTES, ROWS, Table, size_of
from mcp_server.domain.outcome import Status
from mcp_server.domain.strategy.limits import NAME_PATTERN
from mcp_server.domain.text import cleaned, shortened, significant
from mcp_server.domain.timeframes import iso_second
from mcp_server.errors import BadInput, TraderError
from mcp_server.storage.heartbeat import Beat, Heartbeat
from mcp_server.storage.home import no_space
from mcp_server.storage.journal.entries import Entry
from mcp_server.toolkit import Call, tool

if TYPE_CHECKING:
    from mcp_server.storage.journal.whole_run import WholeRun

T = TypeVar("T")

SHORT, FULL = 200, 20_000

COLUMNS = ["execution_id", "as_of", "strategy", "engine", "status", "signal", "confidence", "price", "cost_usd"]
ID = (Field(ge=1, le=10**15), WithJsonSchema({"type": "integer"}))
JUST_NOW = timedelta(minutes=1)

SLOT_COLUMNS = ["scheduled_at", "slots", "scheduled_until", "trigger", "outcome", "net_pct", "exit_time"]
"""Of every run or slot, where all are asked for. A row may stand for several slots that were missed; only then it has
`scheduled_until`, the last of them."""

REPLAYED = ["replay_id", "contaminated", "knowledge_cutoff", "recorded_usd"]
"""Of runs that were made later than their moment."""

RUN = ("version", "decision_version", "model", "tokens_used", "exchange", "symbol")
"""What of a whole run stands in no column of the table."""


class Signals(Table):
    """An unknown cost is null. net_pct: after costs. contaminated: the model may know the future."""

    rows: Annotated[list[list[int | float | str | None]], ROWS] | None = None
    run: dict[str, Any] | None = Field(default=None, description="With execution_id")
    note: str | None = None

    large: ClassVar[bool] = True

    def shortened(self, values: dict[str, Any], size: int) -> dict[str, Any]:
        """Cut the longest texts and lists of a run, and say so."""
        if "run" not in values:
            return super().shortened(values, size)
        for text, items in ((2_000, 100), (400, 50), (100, 20), (40, 10)):
            cut = {**values, "run": {name: _cut(item, text, items) for name, item in values["run"].items()}}
            if size_of(cut, self.text(cut)) < MOST_BYTES - NOTE_BYTES:
                break
        whole = "query_journal has executions.trace and analysis_results.data."
        return {**cut, "note": f"Texts are cut to {text:,} characters and lists to {items} entries; {whole}"}

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
    before: Annotated[int | None, *ID, Field(description="Older than this execution_id")] = None,
    execution_id: Annotated[int | None, *ID, Field(description="That run whole, with agents' calls")] = None,
    replayed: Annotated[bool | None, Field(description="Those of replays")] = None,
) -> Signals:
    """List recorded signals, newest first, with price, confidence, reasoning and cost."""
    moment, every = call.moment(None), outcomes == "all"
    if execution_id is not None:
        if ignored := sorted(call.given & {"limit", "outcomes", "detail", "before", "replayed"}):
            raise BadInput(f"A run is told whole, without {', '.join(ignored)}.", "Give execution_id alone.")
        whole, at_its_time = call.kit.journal.whole_run, call.in_a_run
        asked = partial(whole, execution_id, strategy_name, moment, at_its_time=at_its_time)
        run = await anyio.to_thread.run_sync(_as_it_stands, call, asked, lambda run: [run.entry])
        return Signals(run=_whole(run))
    some = partial(call.kit.journal.entries, at_their_time=call.in_a_run, replayed=bool(replayed))
    rows_of = partial(some, strategy_name, limit=limit, outcomes=outcomes, until=moment, before=before)
    entries = await anyio.to_thread.run_sync(_as_it_stands, call, rows_of, lambda entries: entries)
    of = f" of {strategy_name!r}" if strategy_name else ""
    older = "" if before is None else f" before {before}"
    notes = (
        []
        if entries
        else [
            f"No {'run' if every else 'signal'}{of}{older} is recorded by then. "
            f"{'`claude-trader replay' if replayed else 'run_strategy or `claude-trader run'} NAME` records one."
        ]
    )
    if any(entry.why and len(entry.why) > SHORT for entry in entries) and detail == "short":
        notes.append(f"Long reasonings are shortened; detail='full' gives up to {FULL:,} characters.")
    if every and call.kit.clock() - moment < JUST_NOW:
        full = no_space(call.kit.home.root)
        notes += [full.problem] if full else _no_scheduler(Heartbeat(call.kit.home.heartbeat).read(), moment)
    columns = [*(COLUMNS if detail == "none" else [*COLUMNS, "reasoning"]), *(SLOT_COLUMNS if every else [])]
    rows = [_row(entry, detail, slot=every) for entry in entries]
    if replayed or any(entry.contaminated is not None for entry in entries):
        columns += REPLAYED
        rows = [[*row, *_replayed(entry)] for row, entry in zip(rows, entries, strict=True)]
    return Signals(columns=columns, rows=rows, note=" ".join(notes) or None)


def _as_it_stands(call: Call, read: Callable[[], T], entries: Callable[[T], Sequence[Entry]]) -> T:
    """Read the journal, and again where a host's run is still open there whose time for an answer is over."""
    rows = read()
    if any(entry.engine == "host" and entry.status == Status.RUNNING for entry in entries(rows)):
        with suppress(TraderError):  # it is told as it was read
            if call.kit.journal.host_runs.end_unanswered(call.kit.clock()):
                return read()
    return rows


def _no_scheduler(beat: Beat | None, now: datetime) -> list[str]:
    """Return a note if no scheduler is running: until one starts, slots leave no rows."""
    if beat is not None and beat.is_fresh(now):
        return []
    since = f" since {iso_second(beat.beat_at)}" if beat else ""
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
    slots = [_time(entry.scheduled_at), entry.slots, _time(until)]
    return [*slots, entry.trigger, entry.verdict, net_pct, _time(entry.exit_time)]


def _replayed(entry: Entry) -> list[int | float | str | None]:
    recorded = None if entry.recorded_usd is None else float(entry.recorded_usd)
    return [entry.replay_id, entry.contaminated, entry.knowledge_cutoff, recorded]


def _whole(run: "WholeRun") -> dict[str, Any]:
    """Return all that is known of one run, under the names of the columns and the journal."""
    from mcp_server.domain.run_trace import trace_facts

    entry, known = run.entry, run.entry.outcome
    took_s = (entry.completed_at - entry.started_at).total_seconds() if entry.completed_at else None
    names = (*COLUMNS, "reasoning", *SLOT_COLUMNS)
    facts = dict(zip(names, _row(entry, "full", slot=True), strict=True))
    facts |= dict(zip(REPLAYED, _replayed(entry), strict=True))
    facts |= {name: getattr(run, name) for name in RUN} | {"timeframe": entry.timeframe, "horizon_s": entry.horizon_s}
    facts |= {"started_at": _time(entry.started_at), "completed_at": _time(entry.completed_at), "took_s": took_s}
    facts |= {
        "entry_time": _time(known.entry_time) if known else None,
        **{name: getattr(known, name, None) for name in ("entry_price", "exit_price", "cost_bps", "funding_bps")},
    }
    return {**facts, **trace_facts(run.trace, run.data, run.links)}


def _cut(value: Any, text: int, items: int) -> Any:
    """Shorten every text and every list or object within JSON values."""
    if isinstance(value, str):
        return shortened(value, text)
    if isinstance(value, dict):
        return {shortened(name, text): _cut(item, text, items) for name, item in list(value.items())[:items]}
    return [_cut(item, text, items) for item in value[:items]] if isinstance(value, list) else value


def _time(moment: datetime | None) -> str | None:
    """Write a moment to the second."""
    return None if moment is None else iso_second(moment)
