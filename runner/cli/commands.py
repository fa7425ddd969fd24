"""The commands: each has its line of the help here, and its file is imported only when it is asked for."""

import gc
import os
from importlib import import_module
from typing import Any

import typer.main

from runner.cli.help import Helpful, HelpfulCommand, HelpfulGroup

BEGIN, SCHEDULE, CARE = "Begin here", "Run on a schedule", "Set up and maintain"

COMMANDS = {
    "demo": (BEGIN, "Show an example strategy at work on an invented market. It needs no key and no network."),
    "run": (BEGIN, "Run a strategy once and record the result."),
    "signals": (BEGIN, "List recorded signals, newest first, with time, price, confidence and reason."),
    "backtest": (
        BEGIN, "Find out whether a strategy's rules were any good: run them over past candles, as they run live.",
    ),
    "score": (
        BEGIN,
        "Find out whether a strategy's signals were right: each is judged once its horizon is over, after costs.",
    ),
    "replay": (
        BEGIN, "Run a strategy by Claude at past moments: it sees what there was to see by then, and the date of then.",
    ),
    "build": (
        BEGIN,
        "Turn an idea into a strategy: Claude asks what is unclear, looks at the market, and writes a checked "
        "strategy.",
    ),
    "up": (SCHEDULE, "Run your active strategies on schedule until you stop it, and serve the tools over HTTP."),
    "status": (SCHEDULE, "Show the next runs, the last results, the money spent, and what is wrong."),
    "notify": (
        SCHEDULE, "Send a test notification to each address in TRADER_NOTIFY, and show which services accepted it.",
    ),
    "doctor": (CARE, "Check everything that a run needs, and say how to fix what is wrong. It changes nothing."),
    "backup": (
        CARE,
        "Save journal, strategies and reports in one archive. Nothing has to be stopped; secrets (.env) are left out.",
    ),
    "mcp": (CARE, "Serve the tools to an MCP host, such as Claude Desktop, over standard input and output."),
    "import-candles": (CARE, "Load price history from a file, so that runs in the past need no network."),
    "strategies": (
        BEGIN, "List your strategies and the examples; add, check, pause, resume, remove or restore one.",
    ),
    "journal": (CARE, "Care for the journal: make it smaller, or move it into Postgres and back."),
}  # fmt: skip
"""Each command: its panel of the help, and its line there, which is the first paragraph of its own help."""


LISTINGS = {"signals", "status", "strategies"}
"""Commands that are over in a moment."""


class CommandLine(HelpfulCommand):
    """A command as the list of all shows it; `whole` is the command itself."""

    def whole(self) -> Any:
        """Import the command's file, which has a typer app, or the function of the command's name."""
        name = str(self.name).replace("-", "_")
        module = import_module(f"runner.cli.{name}")
        if hasattr(module, "app"):
            group = typer.main.get_group(module.app)
            group.name = self.name
            return group
        alone = Helpful(add_completion=False)
        alone.command(self.name, epilog=getattr(module, "EPILOG", None))(getattr(module, name))
        return typer.main.get_command(alone)


class Commands(HelpfulGroup):
    """All commands."""

    def __init__(self, **settings: Any) -> None:
        lines = {
            name: CommandLine(name, help=line, rich_help_panel=panel, rich_markup_mode="markdown")
            for name, (panel, line) in COMMANDS.items()
        }
        super().__init__(**{**settings, "commands": lines})

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the arguments begin with as a whole, its name and the other arguments."""
        name, command, rest = super().resolve_command(ctx, args)
        if name in LISTINGS:
            _spare_the_time()
        gc.enable()
        return name, command.whole() if isinstance(command, CommandLine) else command, rest


def _spare_the_time() -> None:
    """Let nothing look for garbage, unless very much is made, or for plugins of pydantic."""
    gc.set_threshold(100_000)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
