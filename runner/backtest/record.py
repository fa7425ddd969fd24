"""The journal's part of a backtest: the trials of its family, and a row of its own."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from mcp_server.domain.timeframes import from_ms
from mcp_server.storage.journal.backtests import BacktestRow, Backtests, Family

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_server.domain.backtest.answer import Backtest
    from mcp_server.domain.backtest.run import BacktestTask
    from mcp_server.storage.journal.backtests import TriedVariant


def family_of(task: BacktestTask) -> Family:
    """Return what the variants of a strategy have in common: its name, on a market."""
    return Family(task.exchange, task.symbol, task.strategy.name)


def other_trials(backtests: Backtests, task: BacktestTask, default_exchange: str) -> list[TriedVariant]:
    """Return the other variants of the family that were ever backtested."""
    own = task.assumptions
    mine = (task.strategy.decision_version(default_exchange), own.side, own.fee_bps, own.slippage_bps)
    return [
        trial
        for trial in backtests.trials(family_of(task))
        if (trial.decision_version, trial.side, trial.fee_bps, trial.slippage_bps) != mine
    ]


def recorded(backtests: Backtests, done: Sequence[Backtest], default_exchange: str, now: datetime) -> list[int]:
    """Add a row for each backtest; return their ids."""
    return [row.id for row in backtests.record([_row(one, default_exchange, now) for one in done])]


def _row(done: Backtest, default_exchange: str, now: datetime) -> BacktestRow:
    simulated = done.simulated
    task, assumed = simulated.task, simulated.task.assumptions
    return BacktestRow(
        family=family_of(task),
        decision_version=task.strategy.decision_version(default_exchange),
        config=task.strategy.config_json(),
        start=from_ms(simulated.start_ms),
        end=from_ms(simulated.end_ms),
        side=assumed.side,
        fee_bps=assumed.fee_bps,
        slippage_bps=assumed.slippage_bps,
        stake_pct=assumed.stake_pct,
        sharpe_per_period=done.figures.sharpe_per_period,
        figures=done.answer(),
        created_at=now,
    )
