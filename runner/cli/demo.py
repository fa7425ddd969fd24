"""`claude-trader demo`: an example strategy at work on an invented market."""

from typing import Annotated

import typer

from runner.cli.context import fail


def demo(
    days: Annotated[int, typer.Option(metavar="N", min=1, max=30, help="Number of simulated days.")] = 8,
) -> None:
    """Show an example strategy at work on an invented market. It needs no key and no network.

    The demo keeps its own journal, so your own signals are not affected.
    """
    import anyio

    from runner.cli.run_demo import run_demo
    from runner.settings import RunnerSettings

    try:
        anyio.run(run_demo, RunnerSettings.load(), days)
    except KeyboardInterrupt:
        fail("stopped", 130)
