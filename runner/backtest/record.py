"""Enters backtests in the journal, each deflated by all that was tried of its family."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mcp_server.storage.journal.backtests import BacktestRow, Backtests

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mcp_server.domain.backtest.answer import Backtest
    from mcp_server.storage.journal.backtests import TriedVariant


@dataclass(frozen=True, slots=True)
class EnteredBacktest:
    """A backtest that is in the journal, deflated by the trials that it counts there, and its answer."""

    done: Backtest
    answer: dict[str, Any]


def made_at(as_of: datetime | None) -> datetime:
    """Return when a backtest counts as made: now, or as of the moment of the settings, so that it can be drawn then."""
    now = datetime.now(UTC)
    return now if as_of is None else min(now, as_of)


def entered(backtests: Backtests, done: Sequence[Backtest], now: datetime) -> list[EnteredBacktest]:
    """Add a row for each backtest, all in one transaction: each of them counts all.

    Raises:
        Retryable: the journal is held by another program. Without a row there is no answer: a trial that is not
            counted would flatter those after it.
    """
    rows = [_row(one, now) for one in done]
    deflated: dict[int, Backtest] = {}

    def figures(row: BacktestRow, trials: Sequence[TriedVariant]) -> Mapping[str, Any]:
        position = next(place for place, one in enumerate(rows) if one is row)
        deflated[position] = done[position].with_trials([trial for trial in trials if not trial.is_of(row)])
        return deflated[position].answer()

    recorded = backtests.record(rows, figures)
    return [
        EnteredBacktest(deflated[position], {"backtest_id": row.id, **deflated[position].answer()})
        for position, row in enumerate(recorded)
    ]


def _row(done: Backtest, now: datetime) -> BacktestRow:
    made = done.simulated
    return BacktestRow.of(made.task, made.start_ms, made.end_ms, done.figures.sharpe_per_period, now)
