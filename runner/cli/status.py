"""`claude-trader status`: how the scheduler is doing."""

import time
from dataclasses import replace
from typing import Annotated

import typer

from mcp_server.errors import BadInput
from runner.cli.context import Context, Json, fail, print_json

EVERY_S = 2.0
PATIENCE_S = 2.0
"""How long to wait for a journal that a shell holds; after that, everything else is shown."""


def status(
    watch: Annotated[bool, typer.Option("--watch", help="Refresh every two seconds until Ctrl-C.")] = False,
    as_json: Json = False,
) -> None:
    """Show the next runs, the last results, the money spent, and what is wrong.

    Exit codes: 0: `claude-trader up` is running and nothing is wrong. 1: otherwise. 2: invalid usage.
    """
    _import_pydantic()
    from mcp_server.overview import Overview, overview
    from mcp_server.storage.news.standing import NewsStanding, news_standing
    from runner.cli import show
    from runner.cli.show_status import rendered

    if watch and as_json:
        raise BadInput("--json prints once and cannot be combined with --watch.", "Leave one of them out.")
    context = Context(patience_s=PATIENCE_S)

    def look() -> Overview:
        budget = context.settings.budget_usd_per_day
        now = overview(
            context.home, context.journal_database, context.strategies, budget, context.journal_database.now()
        )
        empty = now.since is None and now.unknown is None
        return replace(now, left_in_file=context.left_in_file()) if empty else now

    def news(now: Overview) -> NewsStanding | None:
        return (
            None if context.settings.news == "off" else news_standing(context.home, context.journal_database, now.now)
        )

    if not watch:
        now = look()
        if as_json:
            collected = news(now)
            print_json({**now.as_json(), "news": collected and collected.as_json()})
        else:
            console = show.console()
            console.print(rendered(now, console.width, news(now)))
        raise typer.Exit(0 if now.well else 1)
    from rich.live import Live

    console = show.console()
    try:
        with Live(console=console, screen=console.is_terminal, auto_refresh=False) as live:
            while True:
                now = look()
                live.update(rendered(now, console.width, news(now)), refresh=True)
                time.sleep(EVERY_S)
    except KeyboardInterrupt:
        fail("stopped", 130)


def _import_pydantic() -> None:
    """Import pydantic without what it would look for plugins with: a command that is over in a moment has none."""
    from mcp_server.domain.late_parts import import_with_late_parts

    import_with_late_parts("pydantic.plugin._loader", {"importlib.metadata": ("entry_points",)})
