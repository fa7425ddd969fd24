"""`claude-trader`: the command line for people and schedulers."""

import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import anyio
import typer

from mcp_server.domain.error_hints import nearest
from mcp_server.domain.strategy.format import Timeframe
from mcp_server.domain.timeframes import parse_moment
from mcp_server.errors import BadInput, NotFound, TraderError
from runner.cli import backup, build, doctor, mcp, notify, status, strategies, up
from runner.cli.context import Context, Json, fail, print_json
from runner.settings import load_settings

app = typer.Typer(
    help="Trading strategies designed with Claude: run them, and keep an honest record. It gives signals; it places no "
    "orders.",
    epilog="New here? `claude-trader demo` needs no key and no network.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

app.command()(up.up)
app.command()(status.status)
app.command()(backup.backup)
app.command()(build.build)
app.command()(notify.notify)
app.command()(doctor.doctor)
app.command()(mcp.mcp)
app.add_typer(strategies.app, name="strategies")

Moment = Annotated[
    datetime | None,
    typer.Option(
        "--as-of",
        parser=lambda text: parse_moment(text, name="--as-of"),
        metavar="T",
        help="Answer as of this moment of the past, like 2026-01-31T12:00Z. Default: now.",
    ),
]


@app.command()
def demo(
    days: Annotated[int, typer.Option(min=1, max=30, help="How many simulated days.")] = 8,
) -> None:
    """Run an example strategy over simulated days: no key, no network, a journal of its own."""
    from runner.cli.demo import run_demo

    try:
        anyio.run(run_demo, load_settings(), days)
    except KeyboardInterrupt:
        fail("stopped", 130)


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="A strategy of the home, or an example.")],
    as_of: Moment = None,
    engine: Annotated[Literal["claude", "rules"] | None, typer.Option(help="Override the strategy's engine.")] = None,
    as_json: Json = False,
) -> None:
    """Run a strategy once and record how it ended.

    Ends with 0 when there is a signal, with 1 when the run ended without one, with 2 when it was not asked rightly.
    """
    from runner.cli import show
    from runner.execute import Request, Runner
    from runner.tool_server.client import tool_server

    parts = Context()
    if as_of is not None and as_of > datetime.now(UTC):
        raise BadInput(f"--as-of {as_of.isoformat()} is in the future. Give a moment of the past, or leave it out.")
    strategy = parts.strategies.read(name)
    chosen = engine or strategy.engine
    if chosen == "rules" and strategy.config.rules is None:
        raise BadInput(f"Strategy {name!r} has no rules, so --engine rules cannot run it.")
    if chosen == "claude" and not strategy.agents:
        raise BadInput(f"Strategy {name!r} has no sub-agents (agents.json), so --engine claude cannot run it.")
    quiet = as_json or not sys.stderr.isatty()
    told = show.console(stderr=True, quiet=quiet)
    runner = Runner(parts.settings, parts.journal, parts.book, lambda line: told.print(show.plain(line, "dim")))
    request = Request(strategy, chosen, "manual", as_of)
    try:
        executed = anyio.run(runner.run, request, lambda: tool_server(parts.settings))
    except KeyboardInterrupt:
        fail("interrupted: the run was stopped; if it had begun, it is recorded as that", 130)
    if as_json:
        print_json(show.as_json(executed))
    else:
        show.executed(show.console(), strategy, executed)
    raise typer.Exit(0 if executed.outcome.signal else 1)


@app.command()
def signals(
    name: Annotated[str | None, typer.Argument(help="Only this strategy's.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 20,
    every: Annotated[bool, typer.Option("--all", help="Also runs that ended without a signal, and why.")] = False,
    as_json: Json = False,
) -> None:
    """Show the journal: what was said, when, at which price, and why."""
    from runner.cli import show

    parts = Context()
    parts.journal.settle()
    entries = parts.journal.entries(name, limit=limit, outcomes="all" if every else "signals")
    if as_json:
        print_json({"signals": [show.entry_json(entry) for entry in entries]})
    elif name and name not in parts.strategies.names() and not entries:
        raise NotFound(f"Unknown strategy {name!r}.{nearest(name, parts.strategies.names())}")
    elif entries:
        show.journal(show.console(), entries, "Journal" if every else "Signals")
    else:
        typer.echo(
            "Nothing is recorded yet. `claude-trader run NAME` records a run; --all also shows those without a signal."
        )


@app.command("import-candles")
def import_candles(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet with a time, open, high, low, close and volume.")],
    exchange: Annotated[str, typer.Option(help="The exchange that they are from: a ccxt id, like coinbase.")],
    symbol: Annotated[str, typer.Option(help="The exact symbol, like BTC/USD.")],
    timeframe: Annotated[Timeframe, typer.Option(help="A candle's length.")],
) -> None:
    """Fill the candle store from a file, so that runs as of the past need no network.

    The file is taken as complete: a candle that it lacks does not exist, and unless the store has earlier ones the
    history begins with its first.
    """
    from mcp_server.storage.candles.import_file import import_candle_file
    from mcp_server.storage.candles.store import CandleStore, Series

    parts = Context()
    series = Series(exchange, symbol, timeframe)
    done = import_candle_file(CandleStore(parts.database), file, series, datetime.now(UTC))
    typer.echo(done)


def main() -> None:
    """Run the command line; end with a message and a code instead of a traceback where the failure is known."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job begins with it ignored
    signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))  # both end a run in the same way
    try:
        app()
    except BadInput as error:
        fail(error, 2)
    except TraderError as error:
        fail(error, 1)


if __name__ == "__main__":
    main()
