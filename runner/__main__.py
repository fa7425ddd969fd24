"""`claude-trader`: the command line for people and schedulers."""

import os
import signal
import sys
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import anyio
import typer

from mcp_server.domain.strategy.format import Timeframe
from mcp_server.domain.timeframes import parse_moment
from mcp_server.errors import BadInput, TraderError
from mcp_server.storage.owner import become_owner
from mcp_server.storage.setting_types import home_folder
from runner.cli import (
    backtest,
    backup,
    build,
    doctor,
    journal,
    mcp,
    notify,
    replay,
    score,
    signals,
    status,
    strategies,
    up,
)
from runner.cli.context import Context, Json, fail, print_json, strategy_names
from runner.cli.help import Helpful
from runner.settings import RunnerSettings

app = Helpful(
    help="Design trading strategies with Claude, run them, and record every signal. It never places an order.",
    epilog="New here? Start with `claude-trader demo`: it needs no key and no network. "
    "`claude-trader COMMAND --help` explains a command.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["--help", "-h"]},
)

BEGIN, SCHEDULE, CARE = "Begin here", "Run on a schedule", "Set up and maintain"

Moment = Annotated[
    datetime | None,
    typer.Option(
        "--as-of",
        parser=lambda text: parse_moment(text, name="--as-of"),
        metavar="TIME",
        help="Pretend that now is this time in the past, for example 2026-01-31T12:00Z. Default: now.",
    ),
]


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"claude-trader {version('claude-trader')}")
        raise typer.Exit


@app.callback()
def options(
    _: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Take what stands before a command."""


@app.command(rich_help_panel=BEGIN)
def demo(
    days: Annotated[int, typer.Option(metavar="N", min=1, max=30, help="Number of simulated days.")] = 8,
) -> None:
    """Show an example strategy at work on an invented market. It needs no key and no network.

    The demo keeps its own journal, so your own signals are not affected.
    """
    from runner.cli.demo import run_demo

    try:
        anyio.run(run_demo, RunnerSettings.load(), days)
    except KeyboardInterrupt:
        fail("stopped", 130)


@app.command(
    rich_help_panel=BEGIN, epilog="Example: `claude-trader run rsi-reversion --as-of 2026-04-28T20:00Z --json`"
)
def run(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Your strategy or an example; `claude-trader strategies` lists them.",
            autocompletion=strategy_names,
        ),
    ],
    as_of: Moment = None,
    engine: Annotated[
        Literal["claude", "rules"] | None,
        typer.Option(help="Decide with Claude or by the strategy's rules. Default: what the strategy says."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a strategy once and record the result.

    Exit codes: 0: there is a signal (BUY, SELL or HOLD). 1: the run ended without a signal. 2: invalid usage.
    """
    from runner.cli import show
    from runner.execute import Runner
    from runner.tool_server.server import tool_server

    context = Context()
    if as_of is not None and as_of > datetime.now(UTC):
        raise BadInput(f"--as-of {as_of.isoformat()} is in the future.", "Give a time in the past, or leave it out.")
    strategy = context.strategies.read(name)
    chosen = engine or strategy.engine
    if chosen == "rules" and strategy.config.rules is None:
        raise BadInput(
            f"Strategy {name!r} has no rules, so --engine rules cannot run it.", "Add 'rules' to config.json."
        )
    if chosen == "claude" and not strategy.agents:
        raise BadInput(f"Strategy {name!r} has no sub-agents, so --engine claude cannot run it.", "Add agents.json.")
    progress = show.console(stderr=True, quiet=as_json or not sys.stderr.isatty())
    runner = Runner(
        context.settings,
        context.journal,
        context.database,
        serving=lambda: tool_server(context.settings),
        progress=lambda line: progress.print(show.plain(line, "dim")),
    )
    try:
        ended = anyio.run(partial(runner.run, strategy, engine=chosen, as_of=as_of))
    except KeyboardInterrupt:
        fail("interrupted: the run was stopped; if it had begun, it is recorded as interrupted", 130)
    if as_json:
        print_json(show.as_json(ended))
    else:
        show.executed(show.console(), strategy, ended)
    raise typer.Exit(0 if ended.outcome.signal else 1)


app.command(rich_help_panel=BEGIN, epilog=signals.EXAMPLES)(signals.signals)
app.command(rich_help_panel=BEGIN, epilog=backtest.EXAMPLES)(backtest.backtest)
app.command(rich_help_panel=BEGIN, epilog=score.EXAMPLE)(score.score)
app.command(rich_help_panel=BEGIN, epilog=replay.EXAMPLE)(replay.replay)
app.add_typer(strategies.app, name="strategies", rich_help_panel=BEGIN)
app.command(rich_help_panel=BEGIN)(build.build)
app.command(rich_help_panel=SCHEDULE)(up.up)
app.command(rich_help_panel=SCHEDULE)(status.status)
app.command(rich_help_panel=SCHEDULE, epilog="Example: `claude-trader notify signal`")(notify.notify)
app.command(rich_help_panel=CARE)(doctor.doctor)
app.command(rich_help_panel=CARE, epilog="Example: `claude-trader backup home.tar.gz`")(backup.backup)
app.add_typer(journal.app, name="journal", rich_help_panel=CARE)
app.command(rich_help_panel=CARE)(mcp.mcp)


def _decimal_mark(text: str) -> str:
    if text not in (".", ","):
        raise BadInput(f"--decimal-mark {text!r} is no decimal mark.", "Give . or ,")
    return text


@app.command(
    "import-candles",
    rich_help_panel=CARE,
    epilog="Example: `claude-trader import-candles btc.csv --exchange coinbase --symbol BTC/USD --timeframe 1h`",
)
def import_candles(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="CSV, JSON, Parquet or Feather: time, open, high, low, close, volume."),
    ],
    exchange: Annotated[str, typer.Option(metavar="ID", help="Where the prices are from, for example coinbase.")],
    symbol: Annotated[str, typer.Option(metavar="SYMBOL", help="The exact symbol, for example BTC/USD.")],
    timeframe: Annotated[
        Timeframe,
        typer.Option(metavar="LENGTH", help="Length of a candle: 1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 3d 1w."),
    ],
    replace: Annotated[
        bool, typer.Option("--replace", help="Remove stored candles between the file's that it lacks.")
    ] = False,
    date_format: Annotated[
        str | None, typer.Option(metavar="FORMAT", help="How dates are written, for example %d/%m/%Y.")
    ] = None,
    decimal_mark: Annotated[
        str | None, typer.Option(metavar="MARK", parser=_decimal_mark, help="The decimal mark: a point or a comma.")
    ] = None,
    volume: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The column of the volume in base; none: it is unknown.")
    ] = None,
) -> None:
    """Load price history from a file, so that runs in the past need no network.

    The file counts as complete: a candle that is missing in it is treated as never traded. History begins with the
    file's first candle, unless earlier candles are stored already. Nothing is guessed: what can be read in two ways is
    refused.
    """
    from mcp_server.storage.candles.import_file import Dialect, import_candle_file
    from mcp_server.storage.candles.store import CandleStore, Series

    context = Context()
    series = Series(exchange, symbol, timeframe)
    dialect = Dialect(date_format, decimal_mark, volume)
    done = import_candle_file(
        CandleStore(context.database), file, series, datetime.now(UTC), replace=replace, dialect=dialect
    )
    typer.echo(done)


def main() -> None:
    """Run the command line; end with a message and a code instead of a traceback where the failure is known."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job begins with it ignored
    signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))  # both end a run in the same way
    try:
        become_owner(home_folder(os.environ.get("TRADER_HOME")))
        app()
    except BadInput as error:
        fail(error, 2)
    except TraderError as error:
        fail(error, 1)


if __name__ == "__main__":
    main()
