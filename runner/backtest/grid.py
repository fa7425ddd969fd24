"""A grid of variants by the command: computed on all cores or on a cluster, entered and judged together."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from mcp_server.domain.backtest.grid import TriedRow, grid_answer
from mcp_server.storage.journal.backtests import Backtests
from runner.backtest.executors import processes
from runner.backtest.record import EnteredBacktest, entered, made_at
from runner.backtest.sweep import sweep

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor
    from contextlib import AbstractContextManager

    from mcp_server.domain.backtest.answer import Backtest
    from mcp_server.domain.backtest.run import BacktestTask
    from mcp_server.domain.backtest.walk_forward import WalkForward
    from runner.backtest.progress import Bars
    from runner.backtest.request import Options, Request
    from runner.backtest.sweep import SweptVariant
    from runner.cli.context import Context


def run_grid(
    context: Context, options: Options, request: Request, task: BacktestTask, shown: Bars
) -> tuple[EnteredBacktest, dict[str, Any]]:
    """Backtest all variants of a request; return that of the strategy as it is, and the answer on all of them.

    Raises:
        TraderError: the strategy as it is cannot be backtested, or the journal cannot be written.
    """
    with _executor(options.workers) as executor:
        told = partial(shown.tell, "Computing variants", unit="variants")
        told(0, len(request.variants))
        swept = sweep(task, request.variants, executor, options.prove_all, told)
    if swept[0].error is not None:
        raise swept[0].error
    shown.tell("Comparing variants", 0, 1)
    done = [variant.backtest for variant in swept if variant.backtest is not None]
    rows = entered(Backtests(context.journal_database), done, made_at(context.settings.as_of))
    return rows[0], grid_answer(_rows(swept, rows), *_together(done))


def _executor(workers: int | str | None) -> AbstractContextManager[Executor]:
    """Return so many processes of this machine, or the cluster at an address."""
    if isinstance(workers, str):
        from runner.backtest.cluster import cluster

        return cluster(workers)
    return processes(workers)


def _rows(swept: Sequence[SweptVariant], rows: Sequence[EnteredBacktest]) -> list[TriedRow]:
    answers = iter(rows)
    return [
        TriedRow(one.variant, next(answers).answer)
        if one.error is None
        else TriedRow(one.variant, None, f"{one.error.problem} {one.error.remedy}".strip())
        for one in swept
    ]


def _together(done: Sequence[Backtest]) -> tuple[WalkForward | None, float | None]:
    """Return what choosing anew would have brought, and the probability that choosing the best is overfitting."""
    from mcp_server.domain.backtest.pbo import probability_of_overfitting
    from mcp_server.domain.backtest.track import track_of
    from mcp_server.domain.backtest.walk_forward import walk_forward

    timeframe, candles = done[0].simulated.task.timeframe, done[0].simulated.candles
    tracks = [
        track_of(one.simulated.simulation.open_time_ms, one.simulated.simulation.equity, timeframe) for one in done
    ]
    holding = track_of(candles.open_time_ms, candles.close / candles.close[0], timeframe)
    return walk_forward(tracks, holding), probability_of_overfitting(tracks)
