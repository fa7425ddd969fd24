"""What scoring reads of the journal: the runs of each strategy, kind and decision_version, as arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from mcp_server.domain.candles import Floats, Times
from mcp_server.domain.rules.series import BUY, HOLD, SELL, UNDECIDED, Codes
from mcp_server.domain.scoring.keys import Kind
from mcp_server.domain.scoring.left_out import LeftOut
from mcp_server.domain.scoring.terms import Terms
from mcp_server.domain.timeframes import KNOWN_AFTER_MS, from_ms, naive, to_ms
from mcp_server.storage.journal.by_then import ANSWERED, RAN
from mcp_server.storage.journal.older_terms import OlderRun, older_runs
from mcp_server.storage.journal.rows import TERMS
from mcp_server.storage.journal.skill_rows import COUNTED, DECIDES, LEFT_OUT
from mcp_server.storage.sql import SqlConnection

if TYPE_CHECKING:
    from mcp_server.storage.journal.outcomes import SettledOutcome

KINDS: tuple[Kind, ...] = get_args(Kind)
"""`_KIND` counts them in this order."""

PENDING, JUDGED, VOID = 0, 1, 2
"""The codes of `JournalRecord.state`."""

_KIND = (
    "CASE WHEN e.engine = 'host' THEN 2 WHEN e.\"trigger\" = 'schedule' THEN 0 WHEN e.\"trigger\" = 'replay' THEN 3 "
    "ELSE 1 END"
)
"""Positions in `KINDS`."""

_ASKED = (
    "(CAST($2 AS VARCHAR) IS NULL OR e.strategy_id = (SELECT id FROM strategies WHERE name = $2)) "  # noqa: S608 - ours
    f"AND (CAST($3 AS INTEGER) IS NULL OR {_KIND} = $3) "
    f"AND (CAST($4 AS TIMESTAMP) IS NULL OR e.as_of >= $4) AND {COUNTED}"
)

_RUNS = (
    f"SELECT e.strategy_id, {_KIND} AS kind, {DECIDES} AS decides, e.id AS execution_id, e.as_of, "  # noqa: S608 - ours
    f"{ANSWERED} AS answered, "
    "CASE e.status WHEN 'success' THEN 0 WHEN 'abstained' THEN 1 WHEN 'error' THEN 2 ELSE 3 END AS status, "
    f"CASE a.signal WHEN 'BUY' THEN {BUY} WHEN 'SELL' THEN {SELL} WHEN 'HOLD' THEN {HOLD} ELSE {UNDECIDED} END "
    "AS signal, CAST(a.confidence AS DOUBLE PRECISION) / 100 AS confidence, "
    "CAST(e.cost_usd AS DOUBLE PRECISION) AS cost_usd, "
    f"CASE o.state WHEN 'judged' THEN {JUDGED} WHEN 'void' THEN {VOID} ELSE {PENDING} END AS state, "
    "o.entry_time, o.exit_time, o.r, o.cost_bps, o.funding_bps "
    "FROM executions e LEFT JOIN analysis_results a ON a.execution_id = e.id "
    "LEFT JOIN outcomes o ON o.execution_id = e.id AND o.exit_time <= $6 "
    f"WHERE e.status IN {RAN} AND {ANSWERED} <= $1 AND {_ASKED} AND NOT {LEFT_OUT} ORDER BY e.as_of, e.id"
)

_RAN_LEFT_OUT = f"e.status IN {RAN} AND {LEFT_OUT}"

_GROUPS = (
    "SELECT g.strategy_id, g.kind, g.decides, g.missed, g.left_out, g.no_cutoff, g.cutoff, "  # noqa: S608 - ours
    f"{', '.join(f't.{column}' for column in TERMS)} "
    f"FROM (SELECT e.strategy_id, {_KIND} AS kind, {DECIDES} AS decides, max(e.id) AS latest, "
    f"CAST(sum(CASE WHEN e.status IN {RAN} THEN 0 ELSE e.slots END) AS BIGINT) AS missed, "
    f"count(CASE WHEN {_RAN_LEFT_OUT} THEN 1 END) AS left_out, "
    f"count(CASE WHEN {_RAN_LEFT_OUT} AND e.knowledge_cutoff IS NULL THEN 1 END) AS no_cutoff, "
    f"max(CASE WHEN {_RAN_LEFT_OUT} THEN e.knowledge_cutoff END) AS cutoff "
    "FROM executions e WHERE e.status NOT IN ('running', 'drift') "
    f"AND {ANSWERED} <= $1 AND {_ASKED} GROUP BY 1, 2, 3) g "
    "JOIN executions t ON t.id = g.latest ORDER BY g.latest"
)
"""Each record, with the terms of its latest run and the slots that did not run. A rerun that drifted is in none."""


@dataclass(frozen=True, slots=True, eq=False)
class JournalRecord:
    """The runs of one strategy, one kind and one decision_version that ended by a moment, oldest first.

    Arrays have one entry for each run that ended as one of `RAN`. Times are Unix ms; 0 where there is none. `terms` are
    those of the latest run. `status` and `state` have the codes above, `signal` those of `rules.series`: UNDECIDED
    where there is none. `confidence` is 0 to 1. Of floats, NaN is unknown. `missed` counts slots that did not run;
    runs that are `left_out` are not in the arrays.
    """

    strategy: str
    kind: Kind
    terms: Terms
    missed: int
    left_out: LeftOut
    execution_id: Times
    decided_ms: Times
    answered_ms: Times
    status: Codes
    signal: Codes
    confidence: Floats
    cost_usd: Floats
    state: Codes
    entry_ms: Times
    exit_ms: Times
    r: Floats
    cost_bps: Floats
    funding_bps: Floats


class JournalRows(NamedTuple):
    """What was read at once: the names of strategies, the groups, the columns of runs, and what older runs had."""

    names: Mapping[int, str]
    groups: Sequence[tuple[Any, ...]]
    runs: Mapping[str, npt.NDArray[Any]]
    older: Sequence[OlderRun]


def read_rows(
    connection: SqlConnection,
    until: datetime,
    strategy: str | None,
    kind: Kind | None,
    since: datetime | None,
    replay: str | None,
) -> JournalRows:
    """Read the runs that had ended by a moment, each with its outcome if that was known by then."""
    asked = [naive(until), strategy, None if kind is None else KINDS.index(kind), since and naive(since), replay]
    known_by = naive(from_ms(to_ms(until) - KNOWN_AFTER_MS))
    return JournalRows(
        names=dict(connection.execute("SELECT id, name FROM strategies").fetchall()),
        groups=connection.execute(_GROUPS, asked).fetchall(),
        runs=connection.execute(_RUNS, [*asked, known_by]).fetchnumpy(),
        older=older_runs(connection),
    )


@dataclass(slots=True)
class _Group:
    """One record in the making; `terms` are those of its latest run."""

    strategy: str
    kind: Kind
    terms: Terms
    missed: int
    left_out: LeftOut


def make_records(
    rows: JournalRows,
    derived: Mapping[tuple[int, str, str], Terms],
    computed: Sequence["SettledOutcome"],
) -> list[JournalRecord]:
    """Split the columns into records; those of one strategy and kind in the order of their latest runs.

    Args:
        rows: what was read.
        derived: the terms of runs that have none, by `OlderRun.key`.
        computed: outcomes that are known by the moment and are not in the journal.
    """
    groups, number_of = _groups(rows, derived)
    columns = _columns(rows.runs)
    _overlay(columns, computed)
    record_of = _numbered(rows.runs, number_of)
    order = np.argsort(record_of, kind="stable")
    ends = np.searchsorted(record_of[order], np.arange(len(groups) + 1))
    records = []
    for group, start, end in zip(groups, ends[:-1], ends[1:], strict=True):
        arrays = {name: column[order[start:end]] for name, column in columns.items()}
        records.append(JournalRecord(group.strategy, group.kind, group.terms, group.missed, group.left_out, **arrays))
    return sorted(records, key=lambda record: (record.strategy, KINDS.index(record.kind)))


def _groups(
    rows: JournalRows, derived: Mapping[tuple[int, str, str], Terms]
) -> tuple[list[_Group], dict[tuple[int, int, str], int]]:
    """Return the records to be, and which of them a run belongs to: by strategy id, kind and what decides."""
    groups, numbers = dict[tuple[int, int, str], _Group](), dict[tuple[int, int, str], tuple[int, int, str]]()
    for strategy_id, kind, decides, missed, runs, no_cutoff, cutoff, *frozen in rows.groups:
        terms = Terms(*frozen) if frozen[-1] is not None else derived[(strategy_id, *_older(decides))]
        key = (strategy_id, kind, terms.decision_version)
        numbers[strategy_id, kind, decides] = key
        group = _Group(rows.names[strategy_id], KINDS[kind], terms, missed, LeftOut(runs, no_cutoff, cutoff))
        if (before := groups.pop(key, None)) is not None:  # the later one goes to the end
            group.missed += before.missed
            group.left_out += before.left_out
        groups[key] = group
    place = {key: number for number, key in enumerate(groups)}
    return [*groups.values()], {parts: place[key] for parts, key in numbers.items()}


def _older(decides: str) -> tuple[str, str]:
    version, _, engine = decides.rpartition(" ")
    return version, engine


def _numbered(runs: Mapping[str, npt.NDArray[Any]], number_of: Mapping[tuple[int, int, str], int]) -> Times:
    """Return the number of each run's record."""
    parts = zip(runs["strategy_id"].tolist(), runs["kind"].tolist(), runs["decides"].tolist(), strict=True)
    return np.fromiter((number_of[part] for part in parts), dtype=np.int64, count=len(runs["kind"]))


def _columns(runs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of `JournalRecord` for all runs."""
    return {
        "execution_id": runs["execution_id"].astype(np.int64),
        "decided_ms": unix_ms(runs["as_of"]),
        "answered_ms": unix_ms(runs["answered"]),
        **{name: runs[name].astype(np.int8) for name in ("status", "signal", "state")},
        "entry_ms": unix_ms(runs["entry_time"]),
        "exit_ms": unix_ms(runs["exit_time"]),
        **{name: _floats(runs[name]) for name in ("confidence", "cost_usd", "r", "cost_bps", "funding_bps")},
    }


def _overlay(columns: Mapping[str, npt.NDArray[Any]], computed: Sequence["SettledOutcome"]) -> None:
    """Enter outcomes that are not in the journal into the columns."""
    if not computed:
        return
    place = {execution_id: at for at, execution_id in enumerate(columns["execution_id"].tolist())}
    for outcome in computed:
        if (at := place.get(outcome.execution_id)) is None or columns["state"][at] != PENDING:
            continue
        columns["state"][at] = JUDGED if outcome.state == "judged" else VOID
        columns["entry_ms"][at], columns["exit_ms"][at] = outcome.entry_ms, outcome.exit_ms
        columns["cost_bps"][at] = outcome.terms.cost_bps
        for name in ("r", "funding_bps"):
            value = getattr(outcome, name)
            columns[name][at] = np.nan if value is None else value


def unix_ms(column: npt.NDArray[Any]) -> Times:
    """Return times of the database as Unix ms; 0 where there is none."""
    milliseconds = np.ma.asarray(column).astype("datetime64[ms]").astype(np.int64)
    return np.ma.filled(milliseconds, 0)


def _floats(column: npt.NDArray[Any]) -> Floats:
    return np.ma.filled(np.ma.asarray(column).astype(np.float64), np.nan)
