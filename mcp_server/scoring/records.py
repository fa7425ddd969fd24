"""Records to score, made of what the journal holds: the latest of each strategy and kind, and how many came before."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mcp_server.domain.rules.series import BUY, HOLD, SELL, UNDECIDED
from mcp_server.domain.scoring.record import Record
from mcp_server.domain.scoring.signals import JudgedSignals
from mcp_server.storage.journal.records import JUDGED, PENDING, VOID, JournalRecord

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mcp_server.domain.scoring.keys import EarlierRecord, Kind

MOST_EARLIER = 3
"""So many earlier records of a strategy are told, the latest first."""


def latest_records(records: Iterable[JournalRecord], until_ms: int) -> list[Record]:
    """Return the record of the latest run of each strategy and kind; what came before is told beside it, not added.

    Slots of a newer version that all did not run make no record: they count as missed.

    Args:
        records: what the journal holds, those of one strategy and kind in the order of their latest runs.
        until_ms: the moment of the question (Unix ms).
    """
    versions: dict[tuple[str, Kind], list[JournalRecord]] = {}
    for record in records:
        versions.setdefault((record.strategy, record.kind), []).append(record)
    return [_latest(of_kind, until_ms) for of_kind in versions.values()]


def _latest(versions: list[JournalRecord], until_ms: int) -> Record:
    *earlier, latest = [version for version in versions if _ran(version)] or versions[-1:]
    missed = sum(version.missed for version in versions if not _ran(version) and version is not latest)
    return _record(replace(latest, missed=latest.missed + missed), earlier, until_ms)


def _ran(version: JournalRecord) -> bool:
    return len(version.execution_id) > 0 or version.left_out.runs > 0


def _record(latest: JournalRecord, earlier: list[JournalRecord], until_ms: int) -> Record:
    directed = (latest.signal == BUY) | (latest.signal == SELL)
    unknown = np.isnan(latest.cost_usd)
    stated = np.flatnonzero(directed & ~np.isnan(latest.confidence))
    return Record(
        strategy_name=latest.strategy,
        kind=latest.kind,
        terms=latest.terms,
        until_ms=until_ms,
        runs=len(latest.execution_id),
        missed=latest.missed,
        left_out=latest.left_out,
        buy=int((latest.signal == BUY).sum()),
        sell=int((latest.signal == SELL).sum()),
        hold=int((latest.signal == HOLD).sum()),
        pending=int((directed & (latest.state == PENDING)).sum()),
        void=int((directed & (latest.state == VOID)).sum()),
        cost_usd=None if unknown.all() else float(np.nansum(latest.cost_usd)),
        cost_unknown=int(unknown.sum()),
        judged=_judged(latest),
        latest=(int(latest.signal[stated[-1]]), float(latest.confidence[stated[-1]])) if len(stated) else None,
        earlier=[_earlier(record) for record in earlier[::-1][:MOST_EARLIER]],
    )


def _judged(record: JournalRecord) -> JudgedSignals:
    rows = np.flatnonzero((record.state == JUDGED) & (record.signal != UNDECIDED))
    rows = rows[np.lexsort((record.execution_id[rows], record.decided_ms[rows], record.entry_ms[rows]))]
    return JudgedSignals(
        execution_id=record.execution_id[rows],
        decided_ms=record.decided_ms[rows],
        entry_ms=record.entry_ms[rows],
        exit_ms=record.exit_ms[rows],
        signal=record.signal[rows],
        r=record.r[rows],
        cost=record.cost_bps[rows] / 10_000,
        funding=record.funding_bps[rows] / 10_000,
        confidence=record.confidence[rows],
    )


def _earlier(record: JournalRecord) -> EarlierRecord:
    directed = (record.signal == BUY) | (record.signal == SELL)
    judged = int((directed & (record.state == JUDGED)).sum())
    version = record.terms.decision_version
    return {"decision_version": version, "runs": len(record.execution_id), "judged": judged}
