"""`claude-trader up`: the tool server and the scheduler, until told to stop."""

import asyncio
import signal
import sys
from typing import TYPE_CHECKING, Annotated

import anyio
import typer

from runner.cli.context import Context

if TYPE_CHECKING:
    from runner.up import Up

LOOP_TAKES_SIGNALS = sys.platform != "win32"


def up(
    host: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="Address of the tool server. Other than 127.0.0.1 needs TRADER_TOKEN."),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="Port of the tool server; 0: any free port.")
    ] = 8000,
    grace: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0, max=3600, help="How long runs may continue after Ctrl-C or SIGTERM."),
    ] = 30.0,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT", min=1, max=65535, help="Serve Prometheus metrics at /metrics on this port, without a token."
        ),
    ] = None,
) -> None:
    """Run your active strategies on schedule until you stop it, and serve the tools over HTTP.

    Press Ctrl-C to stop; a second Ctrl-C stops at once. In another terminal, `claude-trader status` shows what it does.
    """
    from mcp_server.errors import Misconfigured, root
    from runner.logs import start_logging
    from runner.up import Up

    context = Context()
    if context.settings.as_of is not None:
        raise Misconfigured("TRADER_AS_OF stops the clock, and a scheduler needs one that runs.", "Unset it.")
    context.home.prepare()
    start_logging(context.settings.secrets())
    up = Up(context, host, port, clock=context.clock, grace_s=grace, metrics_port=metrics_port)
    try:
        anyio.run(until_stopped, up)
    except BaseExceptionGroup as errors:
        raise root(errors) from None


async def until_stopped(everything: "Up") -> None:
    """Serve until SIGINT or SIGTERM; a second one ends at once."""
    stop = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_listen, stop, everything)
        await everything.serve(stop)
        tasks.cancel_scope.cancel()


async def _listen(stop: anyio.Event, everything: "Up") -> None:
    def end() -> None:
        if stop.is_set():
            everything.hurry()
        stop.set()

    if not LOOP_TAKES_SIGNALS:
        loop = asyncio.get_running_loop()
        signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(end))
        return
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            end()
