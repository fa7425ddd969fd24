"""Outcomes in the journal: the signals that are still to be judged, what came of the others, and what scoring reads."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from typing import Any, Literal

import numpy as np

from mcp_server.domain.candles import Floats, Times
from mcp_server.domain.scoring.keys import Kind
from mcp_server.domain.scoring.terms import Terms
from mcp_server.domain.timeframes import from_ms, naive
from mcp_server.storage.journal.by_then import ANSWERED, DECIDED
from mcp_server.storage.journal.older_terms import OlderRun, older_runs, older_terms
from mcp_server.storage.journal.records import JournalRecord, make_records, read_rows, unix_ms
from mcp_server.storage.journal.rows import TERMS
from mcp_server.storage.sql import JournalDatabase, SqlConnection
from mcp_server.storage.strategies.folders import StrategyFolders

_COLUMNS = (
    "execution_id, entry_time, entry_price, exit_time, exit_price, r, cost_bps, funding_bps, horizon_s, definition, "
    "state, settled_at"
)

_DUE = (
    f"SELECT e.id, {DECIDED} AS decided, {ANSWERED} AS answered, e.strategy_id, e.strategy_version, e.engine, "  # noqa: S608 - ours
    f"{', '.join(f'e.{column}' for column in TERMS)} "
    "FROM executions e LEFT JOIN outcomes o ON o.execution_id = e.id "
    f"WHERE e.status = 'success' AND o.execution_id IS NULL AND {ANSWERED} <= $1 "
    "AND (CAST($2 AS VARCHAR) IS NULL OR e.strategy_id = (SELECT id FROM strategies WHERE name = $2)) ORDER BY e.id"
)

_AT_A_TIME = 100
"""So many rows are inserted by one statement: one by one, a thousand would hold the file for a second."""


@dataclass(frozen=True, slots=True)
class DueRun:
    """A run with a signal and without an outcome. `decided_ms` is its as-of, `answered_ms` when its answer came.

    A run that a host's own model decides is decided when its answer comes.
    """

    execution_id: int
    decided_ms: int
    answered_ms: int
    terms: Terms


@dataclass(frozen=True, slots=True)
class SettledOutcome:
    """What came of a signal. Times are Unix ms; prices, `r` and `funding_bps` are None where it is void.

    `r` is exit by entry, less 1. `funding_bps` is what a long position paid over the time held; 0 on spot.
    """

    execution_id: int
    terms: Terms
    state: Literal["judged", "void"]
    entry_ms: int
    exit_ms: int
    entry_price: float | None = None
    exit_price: float | None = None
    r: float | None = None
    funding_bps: float | None = None


class Outcomes:
    """The outcomes of one home. Every method raises what `Database` raises; then nothing has changed.

    Args:
        database: the home's.
        strategies: its folders, which say by what the runs of earlier versions are to be judged.
        default_exchange: the one that a strategy without `exchange` asks.
    """

    def __init__(self, database: JournalDatabase, strategies: StrategyFolders, default_exchange: str) -> None:
        self._database = database
        self._strategies = strategies
        self._default_exchange = default_exchange

    def due(self, until: datetime, strategy: str | None = None) -> list[DueRun]:
        """Return the runs with a signal that was there by a moment, and no outcome; their horizon may still be open.

        Nothing is written: what runs of earlier versions lack is derived. With a `strategy`, only its own.
        """

        def work(connection: SqlConnection) -> tuple[Mapping[str, Any], list[OlderRun]]:
            return connection.execute(_DUE, [naive(until), strategy]).fetchnumpy(), older_runs(connection)

        columns, older = self._database.read(work)
        return _due(columns, self._derived(older))

    def names(self, until: datetime) -> list[str]:
        """Return the names of the strategies that had a run by a moment, also where their folders are gone."""
        ran = "SELECT name FROM strategies WHERE id IN (SELECT strategy_id FROM executions WHERE as_of <= ?)"
        rows = self._database.read(lambda connection: connection.execute(ran, [naive(until)]).fetchall())
        return [name for (name,) in rows]

    def freeze(self) -> None:
        """Write the terms into the runs of earlier versions that have none, so that no later edit moves them."""
        older = self._database.read(older_runs)
        if not older:
            return
        derived = self._derived(older)
        rows = [(*key, *astuple(terms)) for key, terms in derived.items()]
        self._database.write(lambda connection: _freeze(connection, rows))

    def add(self, settled: Sequence[SettledOutcome], now: datetime) -> None:
        """Add outcomes, in one transaction. A signal that has one keeps it as it is.

        What runs of earlier versions lack is frozen first: it would move with the next edit of their strategy.
        """
        rows = [_row(outcome, now) for outcome in {outcome.execution_id: outcome for outcome in settled}.values()]

        def work(connection: SqlConnection) -> None:
            for at in range(0, len(rows), _AT_A_TIME):
                _insert(connection, rows[at : at + _AT_A_TIME])

        if rows:
            self.freeze()
            self._database.write(work)

    def records(
        self,
        until: datetime,
        *,
        strategy: str | None = None,
        kind: Kind | None = None,
        since: datetime | None = None,
        replay: str | None = None,
        computed: Sequence[SettledOutcome] = (),
    ) -> list[JournalRecord]:
        """Return the records of strategies as they were at a moment, in order of name and kind.

        Those of one strategy and kind come in the order of their latest runs: the last is the present one.

        Args:
            until: the moment. Outcomes that were not known by then are pending.
            strategy: its name; None: all.
            kind: of the runs; None: all kinds, each by itself.
            since: runs as of this moment and later; None: from the first.
            replay: the runs of this replay alone, by its id. None: all runs, but each moment that was replayed once,
                by its first run, and no reruns.
            computed: outcomes that are known by then and are not in the journal.
        """
        rows = self._database.read(lambda connection: read_rows(connection, until, strategy, kind, since, replay))
        return make_records(rows, self._derived(rows.older), computed)

    def prices(self, execution_ids: Times, computed: Sequence[SettledOutcome] = ()) -> tuple[Floats, Floats]:
        """Return the entry and exit prices of judged signals; NaN where none is known.

        Args:
            execution_ids: of their runs.
            computed: outcomes that may not be in the journal.
        """
        bounds = [int(execution_ids.min(initial=0)), int(execution_ids.max(initial=0))]
        query = "SELECT execution_id, entry_price, exit_price FROM outcomes WHERE execution_id BETWEEN ? AND ?"
        rows = self._database.read(lambda connection: connection.execute(query, bounds).fetchall())
        known = {outcome.execution_id: (outcome.entry_price, outcome.exit_price) for outcome in computed}
        known |= {execution_id: prices for execution_id, *prices in rows}
        columns = np.array([known.get(id_, (None, None)) for id_ in execution_ids.tolist()], dtype=np.float64)
        entry, exit_ = columns.reshape(-1, 2).T
        return entry, exit_

    def version_of(self, execution_id: int) -> str:
        """Return the version of its strategy that made a run."""
        query = "SELECT strategy_version FROM executions WHERE id = ?"
        ((version,),) = self._database.read(lambda connection: connection.execute(query, [execution_id]).fetchall())
        return str(version)

    def _derived(self, older: Sequence[OlderRun]) -> dict[tuple[int, str, str], Terms]:
        return {run.key: older_terms(run, self._strategies, self._default_exchange) for run in older}


def _due(columns: Mapping[str, Any], derived: Mapping[tuple[int, str, str], Terms]) -> list[DueRun]:
    """Read the columns of `_DUE`: after years they may have 100,000 rows, of few different terms."""
    times = (unix_ms(columns[name]).tolist() for name in ("decided", "answered"))
    by = zip(*(columns[name].tolist() for name in ("strategy_id", "strategy_version", "engine", *TERMS)), strict=True)
    known: dict[tuple[Any, ...], Terms] = {}
    runs = []
    for execution_id, decided_ms, answered_ms, facts in zip(columns["id"].tolist(), *times, by, strict=True):
        if (terms := known.get(facts)) is None:
            frozen = facts[-1] is not None
            terms = known[facts] = Terms(*facts[3:]) if frozen else derived[facts[0], facts[1], facts[2]]
        runs.append(DueRun(execution_id, decided_ms, answered_ms, terms))
    return runs


def _freeze(connection: SqlConnection, rows: Sequence[tuple[Any, ...]]) -> None:
    places = ", ".join(["(?, ?, ?, ?, ?, ?, CAST(? AS BIGINT), CAST(? AS DOUBLE PRECISION), ?, ?)"] * len(rows))
    columns = ", ".join(f"{column} = derived.{column}" for column in TERMS)
    connection.execute(
        f"UPDATE executions SET {columns} FROM (VALUES {places}) "  # noqa: S608 - ours
        f"AS derived(strategy_id, strategy_version, engine, {', '.join(TERMS)}) "
        "WHERE executions.decision_version IS NULL AND executions.strategy_id = derived.strategy_id "
        "AND executions.strategy_version = derived.strategy_version AND executions.engine = derived.engine",
        [value for row in rows for value in row],
    )


def _row(outcome: SettledOutcome, now: datetime) -> tuple[Any, ...]:
    """Return the values of `_COLUMNS`."""
    terms = outcome.terms
    return (
        *(outcome.execution_id, naive(from_ms(outcome.entry_ms)), outcome.entry_price),
        *(naive(from_ms(outcome.exit_ms)), outcome.exit_price, outcome.r, terms.cost_bps, outcome.funding_bps),
        *(terms.horizon_s, terms.definition, outcome.state, naive(now)),
    )


def _insert(connection: SqlConnection, rows: Sequence[tuple[Any, ...]]) -> None:
    ids = [row[0] for row in rows]
    known = f"SELECT execution_id FROM outcomes WHERE execution_id IN ({', '.join('?' * len(ids))})"  # noqa: S608
    settled = {execution_id for (execution_id,) in connection.execute(known, ids).fetchall()}
    fresh = [row for row in rows if row[0] not in settled]
    if fresh:
        places = ", ".join(["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"] * len(fresh))
        values = [value for row in fresh for value in row]
        connection.execute(f"INSERT INTO outcomes ({_COLUMNS}) VALUES {places}", values)  # noqa: S608 - ours
