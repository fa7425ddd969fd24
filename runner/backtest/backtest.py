"""One backtest by the command: its candles, its figures, its row in the journal, its files."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any

from mcp_server.domain.backtest.run import BacktestTask, run_backtest
from mcp_server.storage.journal.backtests import Backtests
from runner.backtest.files import trades_csv, write
from runner.backtest.gather import gathered
from runner.backtest.picture import draw
from runner.backtest.progress import bars
from runner.backtest.record import other_trials, recorded
from runner.backtest.request import requested

if TYPE_CHECKING:
    from rich.console import Console

    from mcp_server.domain.backtest.answer import Backtest
    from runner.backtest.progress import Bars
    from runner.backtest.request import Options, Request
    from runner.cli.context import Context


def run(context: Context, options: Options, console: Console) -> dict[str, Any]:
    """Backtest a strategy, record it, and write the files that were asked for; return the answer.

    Raises:
        TraderError: something is wrong or cannot be had.
    """
    request = requested(context, options, datetime.now(UTC))
    with bars(console) as shown:
        done = _computed(context, options, request, shown)
        backtests, exchange = Backtests(context.database), context.settings.exchange
        (backtest_id,) = recorded(backtests, [done], exchange, datetime.now(UTC))
        answer = {"backtest_id": backtest_id, **done.answer()}
        _write_files(options, done, answer)
        if options.picture:
            shown.tell("Drawing", 0, 1)
            write(options.picture, draw(context.settings, backtest_id))
    return answer


def _computed(context: Context, options: Options, request: Request, shown: Bars) -> Backtest:
    material = gathered(context, request, shown)
    task = BacktestTask(
        request.strategy,
        material.series.exchange,
        material.series.symbol,
        material.candles,
        request.start_ms,
        request.end_ms,
        request.assumptions,
        material.fundings,
    )
    others = other_trials(Backtests(context.database), task, context.settings.exchange)
    return run_backtest(
        replace(task, trials=others),
        prove="all" if options.prove_all else "default",
        clock=monotonic,
        progress=lambda step, part: shown.tell(step, round(100 * part), 100),
    )


def _write_files(options: Options, done: Backtest, answer: dict[str, Any]) -> None:
    if options.trades:
        write(options.trades, trades_csv(done.trades()))
    if options.report:
        from mcp_server.domain.report.backtest_page import backtest_page
        from mcp_server.storage.assets import backtest_page_assets

        page = backtest_page({**answer, "months": done.months()}, done.simulated, backtest_page_assets())
        write(options.report, page.encode())
