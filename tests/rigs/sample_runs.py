"""Runs for a sample home, entered through the journal's own statements, all in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mcp_server.domain.outcome import Outcome, SlotRow, Status, Trigger
from mcp_server.domain.scoring.terms import terms_of
from mcp_server.domain.strategy.checks.budget import usd_per_run
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.domain.timeframes import naive
from mcp_server.storage.database import Database
from mcp_server.storage.journal import slot_rows
from mcp_server.storage.journal.ends import enter_all
from mcp_server.storage.journal.rows import Claimed, Run, ended_run, insert_run, mirror

if TYPE_CHECKING:
    import duckdb

EXCHANGE = "simulated"
LATE = timedelta(seconds=5)


@dataclass(frozen=True)
class SampleRun:
    """A slot, or a run by hand or in a replay. Without an outcome it is still running, or was never run.

    `slot` is that of a run that was scheduled; another has its moment in `as_of`, and began at `began_at`.
    """

    strategy: Strategy
    slot: SlotRow
    outcome: Outcome | None = None
    took: timedelta = timedelta(seconds=1)
    trigger: Trigger = "schedule"
    began_at: datetime | None = None

    @property
    def begins(self) -> datetime:
        """When it began, or when the slot was accounted for."""
        return self.began_at or self.slot.last + LATE


def enter_runs(database: Database, process: str, runs: Sequence[SampleRun]) -> list[int]:
    """Enter runs in the order in which they began, as a runner of this key does; return their ids."""

    def work(connection: "duckdb.DuckDBPyConnection") -> list[int]:
        keyed = [(f"{process}.{place}", run) for place, run in enumerate(runs)]
        entering = Entering(connection)
        for key, run in sorted(keyed, key=lambda pair: pair[1].begins):
            entering.enter(run, key)
        entering.end()
        return [entering.ids[key] for key, _ in keyed]

    return database.write(work)


class Entering:
    """Enters runs one after the other: what can wait is entered with others, which takes a third of the time."""

    def __init__(self, connection: "duckdb.DuckDBPyConnection") -> None:
        self.ids: dict[str, int] = {}
        self._connection = connection
        self._mirrored: dict[str, tuple[Strategy, int]] = {}
        self._slots: list[tuple[slot_rows.NewRow, SampleRun]] = []
        self._ends: list[tuple[str, SampleRun, Run]] = []

    def enter(self, run: SampleRun, key: str) -> None:
        """Enter the row of a run, and remember its end if it has one."""
        strategy, slot = run.strategy, run.slot
        about = Run(strategy, run.trigger, slot.last, strategy.engine, run.begins, EXCHANGE)
        if run.trigger == "schedule":
            terms = terms_of(strategy, strategy.engine, EXCHANGE)
            new = slot_rows.NewRow(self._id_of(strategy, run.begins), strategy, terms, slot, key)
            self._slots.append((new, run))
        else:
            self._enter_slots()
            self.ids[key] = insert_run(self._connection, about, key)
        if run.outcome is not None:
            self._ends.append((key, run, about))

    def _id_of(self, strategy: Strategy, at: datetime) -> int:
        known, strategy_id = self._mirrored.get(strategy.name, (None, 0))
        if strategy is not known:
            strategy_id = mirror(self._connection, strategy, at)
            self._mirrored[strategy.name] = strategy, strategy_id
        return strategy_id

    def _enter_slots(self) -> None:
        """Enter the slots that wait, in their order; then note when each began."""
        if not self._slots:
            return
        self.ids |= slot_rows.insert_slots(self._connection, [new for new, _ in self._slots], self._slots[-1][1].begins)
        began = "started_at = ?, completed_at = CASE WHEN completed_at IS NULL THEN NULL ELSE CAST(? AS TIMESTAMP) END"
        for new, run in self._slots:
            if run.outcome is None:  # an end sets both
                at = naive(run.begins)
                self._connection.execute(f"UPDATE executions SET {began} WHERE id = ?", [at, at, self.ids[new.key]])
            if new.strategy.engine == "claude" and new.row.status is Status.RUNNING:
                reserved = "UPDATE executions SET reserved_usd = ?, reserved_at = ? WHERE id = ?"
                values = [usd_per_run(new.strategy), naive(run.begins), self.ids[new.key]]
                self._connection.execute(reserved, values)
        self._slots.clear()

    def end(self) -> None:
        """Enter what waits, and the ends of all runs."""
        self._enter_slots()
        ends = [
            ended_run(Claimed(self.ids[key], about, key, None), run.outcome, run.begins, run.begins + run.took)
            for key, run, about in self._ends
            if run.outcome is not None
        ]
        enter_all(self._connection, ends)


def not_run(strategy: Strategy, status: Status, first: datetime, why: str, slots: int = 1) -> SampleRun:
    """Return slots that were not run, one row for all of them."""
    every = timedelta(hours=int(strategy.config.interval[:-1]) if strategy.config.interval else 24)
    return SampleRun(strategy, SlotRow(status, first, first + every * (slots - 1), slots, why))
