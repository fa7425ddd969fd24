"""`claude-trader status`: how the scheduler is."""

import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from mcp_server.errors import BadInput
from runner.cli.context import Context, Json, fail, print_json

EVERY_S = 2.0
PATIENCE_S = 2.0
"""How long a journal that a shell holds is waited for: then all the rest is shown."""


def status(
    watch: Annotated[bool, typer.Option("--watch", metavar="", help="Refresh every two seconds until Ctrl-C.")] = False,
    as_json: Json = False,
) -> None:
    """Show the next runs, the last results, the money spent, and what is wrong.

    Exit codes: 0: `claude-trader up` is running and nothing is wrong. 1: otherwise. 2: invalid usage.
    """
    from rich.live import Live

    from runner.cli import show
    from runner.cli.show_status import rendered
    from runner.cli.show_status import status as shown
    from runner.status import as_json as json_of
    from runner.status import look

    if watch and as_json:
        raise BadInput("--json prints once: leave out --watch, or ask again and again.")
    parts = Context(patience_s=PATIENCE_S)
    if not watch:
        found = look(parts, datetime.now(UTC))
        if as_json:
            print_json(json_of(found))
        else:
            shown(show.console(), found)
        raise typer.Exit(0 if found.well else 1)
    console = show.console()
    try:
        with Live(console=console, screen=console.is_terminal, auto_refresh=False) as live:
            while True:
                live.update(rendered(look(parts, datetime.now(UTC)), console.width), refresh=True)
                time.sleep(EVERY_S)
    except KeyboardInterrupt:
        fail("stopped", 130)
