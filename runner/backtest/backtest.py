"""One backtest by the command: its candles, its figures, its row in the journal, its files."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any

from mcp_server.domain.backtest.run import BacktestTask, compiled_rules, run_backtest
from mcp_server.news.for_rules import with_news
from mcp_server.news.news import News
from mcp_server.storage.journal.backtests import Backtests
from runner.backtest.files import trades_csv, write
from runner.backtest.gather import gathered
from runner.backtest.grid import run_grid
from runner.backtest.picture import draw
from runner.backtest.progress import bars
from runner.backtest.record import EnteredBacktest, entered, made_at
from runner.backtest.request import requested

if TYPE_CHECKING:
    from rich.console import Console

    from mcp_server.domain.backtest.answer import Backtest
    from runner.backtest.gather import Material
    from runner.backtest.progress import Bars
    from runner.backtest.request import Options, Request
    from runner.cli.context import Context


def run(context: Context, options: Options, console: Console) -> dict[str, Any]:
    """Backtest a strategy, enter it in the journal, and write the files that were asked for; return the answer.

    With variants the answer is about all of them, and the files are about the strategy as it is.

    Raises:
        TraderError: something is wrong or cannot be had.
    """
    request = requested(context, options, datetime.now(UTC))
    with bars(console) as shown:
        material = gathered(context, request, shown)
        task = _with_news(context, request, _task(request, material))
        if len(request.variants) > 1:
            one, answer = run_grid(context, options, request, task, shown)
        else:
            one = _run_one(context, options, task, shown)
            answer = {**one.answer, "folds": one.done.folds()}
        _write_files(options, one.done, one.answer)
        if options.picture:
            shown.tell("Drawing", 0, 1)
            write(options.picture, draw(context.settings, one.answer["backtest_id"]))
    return answer | ({"simulated": True} if material.simulated else {})


def _run_one(context: Context, options: Options, task: BacktestTask, shown: Bars) -> EnteredBacktest:
    done = run_backtest(
        task,
        prove="all" if options.prove_all else "default",
        clock=monotonic,
        progress=lambda step, part: shown.tell(step, round(100 * part), 100),
    )
    (one,) = entered(Backtests(context.journal_database), [done], made_at(context.settings.as_of))
    return one


def _task(request: Request, material: Material) -> BacktestTask:
    return BacktestTask(
        request.strategy,
        material.series.exchange,
        material.series.symbol,
        material.candles,
        request.start_ms,
        request.end_ms,
        request.assumptions,
        material.fundings,
    )


def _with_news(context: Context, request: Request, task: BacktestTask) -> BacktestTask:
    """Return the task with the news that the rules of any variant look at."""
    rules = (compiled_rules(variant.strategy) for variant in request.variants)
    wanted = list({one for compiled in rules for one in compiled.news})
    news = News(context.journal_database, context.home.root, lambda: datetime.now(UTC))
    return replace(task, candles=with_news(news, task.candles, task.timeframe, task.symbol, wanted))


def _write_files(options: Options, done: Backtest, answer: dict[str, Any]) -> None:
    if options.trades:
        write(options.trades, trades_csv(done.trades()))
    if options.report:
        from mcp_server.domain.report.backtest_page import backtest_page
        from mcp_server.storage.assets import backtest_page_assets

        whole = {**answer, "months": done.months(), "folds": done.folds()}
        write(options.report, backtest_page(whole, done.simulated, backtest_page_assets()).encode())
