"""Enters a backtest in the journal, and deflates its figures by all that was tried of its family."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mcp_server.domain.backtest.summary import BacktestFacts, summary
from mcp_server.storage.journal.backtests import BacktestRow, Backtests, TriedVariant

if TYPE_CHECKING:
    from mcp_server.domain.backtest.run import BacktestTask


def recorded(backtests: Backtests, task: BacktestTask, result: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Return the answer of a backtest with its id, and with its Sharpe ratio deflated by all trials of its family.

    What is counted and what is answered is one transaction: of two backtests at once, the later one counts both.

    Args:
        backtests: those of the home.
        task: what was computed.
        result: what `child.result` made of it.
        now: when it was computed.

    Raises:
        Retryable: the journal is held by another program. Without a row there is no answer: a trial that is not
            counted would flatter those after it.
    """
    answers = dict[str, Any]()

    def figures(row: BacktestRow, trials: Sequence[TriedVariant]) -> dict[str, Any]:
        answers.update(_deflated(result, task.timeframe, [trial for trial in trials if not trial.is_of(row)]))
        return answers

    row = BacktestRow.of(task, result["start_ms"], result["end_ms"], result["sharpe_per_period"], now)
    (entered,) = backtests.record([row], figures)
    return {"backtest_id": entered.id, **answers}


def _deflated(result: dict[str, Any], timeframe: str, others: Sequence[TriedVariant]) -> dict[str, Any]:
    from mcp_server.domain.backtest.answer import rounded
    from mcp_server.domain.backtest.worth import Moments, deflated_sharpe

    moments = result["moments"]
    deflated = deflated_sharpe(Moments(**moments), timeframe, others) if moments else None
    counted = rounded({"trials": len(others) + 1, "sharpe_deflated": deflated})
    return {**result["answer"], **counted, "summary": summary(BacktestFacts(**{**result["facts"], **counted}))}
