"""Recorded runs as tables: the rows of the journal that `list_signals` tells, as many as there are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from mcp_server.domain.error_hints import nearest
from mcp_server.domain.scoring.known_outcome import KnownOutcome
from mcp_server.domain.timeframes import from_ms, iso, to_ms
from mcp_server.errors import NotFound
from mcp_server.trader.frame import Frame, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from mcp_server.scoring.settle import Settlement
    from mcp_server.storage.journal.entries import Entry
    from mcp_server.storage.journal.outcomes import SettledOutcome
    from mcp_server.toolkit import Kit

AT_ONCE = 1_000
"""Rows of one read: a journal of many years neither fills the memory nor keeps other programs waiting."""

Columns = dict[str, tuple[Kind, "Callable[[Entry], Any]"]]

_RUN: Columns = {
    "execution_id": ("count", lambda run: run.execution_id),
    "as_of": ("time", lambda run: run.as_of),
    "strategy": ("text", lambda run: run.strategy),
    "engine": ("text", lambda run: run.engine),
    "trigger": ("text", lambda run: run.trigger),
    "status": ("text", lambda run: run.status),
    "signal": ("text", lambda run: run.signal),
    "confidence": ("number", lambda run: run.confidence),
    "price": ("number", lambda run: run.price),
}
_REPLAY: Columns = {
    "replay_id": ("text", lambda run: run.replay_id),
    "contaminated": ("flag", lambda run: run.contaminated),
    "knowledge_cutoff": ("text", lambda run: run.knowledge_cutoff),
}
SIGNALS: Columns = {
    **_RUN,
    "cost_usd": ("number", lambda run: run.cost_usd),
    "reasoning": ("text", lambda run: run.why),
    "scheduled_at": ("time", lambda run: run.scheduled_at),
    "slots": ("count", lambda run: run.slots),
    **_REPLAY,
}
OUTCOMES: Columns = {
    **{name: column for name, column in _RUN.items() if name != "status"},
    "outcome": ("text", lambda run: run.verdict),
    "net_pct": ("number", lambda run: run.net_pct),
    "entry_time": ("time", lambda run: run.outcome and run.outcome.entry_time),
    "entry_price": ("number", lambda run: run.outcome and run.outcome.entry_price),
    "exit_time": ("time", lambda run: run.exit_time),
    "exit_price": ("number", lambda run: run.outcome and run.outcome.exit_price),
    "cost_bps": ("number", lambda run: run.outcome and run.outcome.cost_bps),
    "funding_bps": ("number", lambda run: run.outcome and run.outcome.funding_bps),
    **_REPLAY,
}


@dataclass(frozen=True, slots=True)
class RecordedRuns:
    """Which runs are asked for: those of one strategy or of all, as they stood at a moment."""

    kit: Kit
    strategy: str | None
    until: datetime
    replayed: bool

    def signals(self, outcomes: Literal["signals", "all"]) -> Frame:
        """Return the runs with a signal, or all runs and missed slots, oldest first.

        Raises:
            NotFound: there is no such strategy, and none was ever run.
        """
        return self._frame(SIGNALS, self._entries(outcomes), {})

    def outcomes(self, settlement: Settlement) -> Frame:
        """Return each BUY and SELL with what became of it, also as far as that is only known to `settlement`."""
        computed = {outcome.execution_id: outcome for outcome in settlement.outcomes}
        entries = [_with(entry, computed) for entry in self._entries("signals") if entry.verdict is not None]
        stated = {name: self.kit.journal.statements(name).twin for name in {entry.strategy for entry in entries}}
        twin: Columns = {"twin": ("text", lambda run: stated[run.strategy].get(run.execution_id))}
        notes = [str(unsettled) for unsettled in settlement.unsettled if self.strategy is not None]
        if settlement.not_kept is not None:
            notes.append(f"What was judged now could not be kept: {settlement.not_kept}")
        return self._frame({**OUTCOMES, **twin}, entries, {"note": " ".join(notes) or None})

    def _entries(self, outcomes: Literal["signals", "all"]) -> list[Entry]:
        entries = [entry for page in self._pages(outcomes) for entry in page][::-1]
        if self.strategy is not None and not entries:
            self._check_name(self.strategy)
        return entries

    def _pages(self, outcomes: Literal["signals", "all"]) -> Iterator[list[Entry]]:
        read = partial(self.kit.journal.entries, self.strategy, limit=AT_ONCE, outcomes=outcomes, until=self.until)
        before = None
        while page := read(before=before, replayed=self.replayed):
            yield page
            before = page[-1].execution_id

    def _check_name(self, name: str) -> None:
        known = self.kit.strategies.names()
        ran = self.kit.journal.outcomes(self.kit.strategies, self.kit.default_exchange).names(self.until)
        if name not in {*known, *ran}:
            raise NotFound(f"Unknown strategy {name!r}.", nearest(name, {*known, *ran}))

    def _frame(self, columns: Columns, entries: Sequence[Entry], about: Mapping[str, Any]) -> Frame:
        rows = [[_cell(read(entry)) for _, read in columns.values()] for entry in entries]
        kinds = {name: kind for name, (kind, _) in columns.items()}
        facts = {"strategy_name": self.strategy, "as_of": iso(to_ms(self.until)), **about}
        return Frame.of_rows(kinds, rows, facts)


def _with(entry: Entry, computed: Mapping[int, SettledOutcome]) -> Entry:
    """Return a run with its outcome, where that is known but not in the journal."""
    settled = computed.get(entry.execution_id)
    if settled is None or entry.outcome is not None:
        return entry
    times = from_ms(settled.entry_ms), from_ms(settled.exit_ms)
    figures = (settled.state, settled.r, settled.terms.cost_bps, settled.funding_bps)
    return replace(entry, outcome=KnownOutcome(*figures, times[0], settled.entry_price, times[1], settled.exit_price))


def _cell(value: Any) -> Any:
    from datetime import datetime

    return iso(to_ms(value)) if isinstance(value, datetime) else value
