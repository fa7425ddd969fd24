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
from mcp_server.storage.journal.ends import End, enter_all
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
        ordered = sorted(enumerate(runs), key=lambda pair: (pair[1].begins, pair[0]))
        ends: list[End] = []
        ids = {place: _begin(connection, run, f"{process}.{place}", ends) for place, run in ordered}
        enter_all(connection, ends)  # one by one takes three times as long
        return [ids[place] for place in range(len(runs))]

    return database.write(work)


def _begin(connection: "duckdb.DuckDBPyConnection", run: SampleRun, key: str, ends: list[End]) -> int:
    """Enter the row of a run, add its end to `ends` if it has one, and return its id."""
    strategy, slot = run.strategy, run.slot
    about = Run(strategy, run.trigger, slot.last, strategy.engine, run.begins, EXCHANGE)
    if run.trigger == "schedule":
        terms, strategy_id = terms_of(strategy, strategy.engine, EXCHANGE), mirror(connection, strategy, run.begins)
        row = slot_rows.NewRow(strategy_id, strategy, terms, slot, key)
        execution_id = slot_rows.insert_slots(connection, [row], run.begins)[key]
    else:
        execution_id = insert_run(connection, about, key)
    if strategy.engine == "claude" and slot.status is Status.RUNNING:
        reserved = "UPDATE executions SET reserved_usd = ?, reserved_at = ? WHERE id = ?"
        connection.execute(reserved, [usd_per_run(strategy), naive(run.begins), execution_id])
    if run.outcome is not None:
        claimed = Claimed(execution_id, about, key, None)
        ends.append(ended_run(claimed, run.outcome, run.begins, run.begins + run.took))
    return execution_id


def not_run(strategy: Strategy, status: Status, first: datetime, why: str, slots: int = 1) -> SampleRun:
    """Return slots that were not run, one row for all of them."""
    every = timedelta(hours=int(strategy.config.interval[:-1]) if strategy.config.interval else 24)
    return SampleRun(strategy, SlotRow(status, first, first + every * (slots - 1), slots, why))
