"""`claude-trader run`: one strategy, once."""

import gc
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import anyio
import anyio.to_thread
import typer

from mcp_server.domain.timeframes import parse_moment
from mcp_server.errors import BadInput
from runner.cli.context import AnyStrategy, Json, fail

if TYPE_CHECKING:
    from mcp_server.domain.outcome import Ended, Engine
    from runner.cli.ready_run import ReadyRun
    from runner.tool_server.server_process import ServerProcess

EPILOG = "Example: `claude-trader run rsi-reversion --as-of 2026-04-28T20:00Z --json`"

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
    name: AnyStrategy,
    as_of: Moment = None,
    engine: Annotated[
        Literal["claude", "rules"] | None,
        typer.Option(help="Decide with Claude or by the strategy's rules. Default: what the strategy says."),
    ] = None,
    as_json: Json = False,
    *,
    context: typer.Context,
) -> None:
    """Run a strategy once and record the result.

    Exit codes: 0: there is a signal (BUY, SELL or HOLD). 1: the run ended without a signal. 2: invalid usage.
    """
    if as_of is not None and as_of > datetime.now(UTC):
        raise BadInput(f"--as-of {as_of.isoformat()} is in the future.", "Give a time in the past, or leave it out.")
    ended: Ended | None = None

    async def run_and_show() -> None:
        nonlocal ended
        ready = await anyio.to_thread.run_sync(partial(_ready, name, engine, context.obj, as_json=as_json))
        ended = await ready.run(as_of)
        ready.show(ended)

    try:
        anyio.run(run_and_show)
    except KeyboardInterrupt:
        if ended is None:
            fail("interrupted: the run was stopped; if it had begun, it is recorded as interrupted", 130)
    raise typer.Exit(0 if ended is not None and ended.outcome.signal else 1)


def _ready(name: str, engine: "Engine | None", server: "ServerProcess | None", *, as_json: bool) -> "ReadyRun":
    gc.disable()  # what is imported stays: to look through it for garbage takes a tenth of the time
    try:
        from runner.cli.ready_run import ready_run

        return ready_run(name, engine, server, as_json=as_json)
    finally:
        gc.freeze()
        gc.enable()
