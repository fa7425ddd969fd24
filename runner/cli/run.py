"""`claude-trader run`: one strategy, once."""

import sys
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Literal

import anyio
import typer

from mcp_server.domain.timeframes import parse_moment
from mcp_server.errors import BadInput
from runner.cli.context import Context, Json, fail, print_json, strategy_names

EXAMPLE = "Example: `claude-trader run rsi-reversion --as-of 2026-04-28T20:00Z --json`"

Moment = Annotated[
    datetime | None,
    typer.Option(
        "--as-of",
        parser=lambda text: parse_moment(text, name="--as-of"),
        metavar="TIME",
        help="Pretend that now is this time in the past, for example 2026-01-31T12:00Z. Default: now.",
    ),
]


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
