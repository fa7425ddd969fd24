"""What the commands share: the home and what is in it, and how to print JSON and to fail."""

import json
import sys
from typing import Annotated, Any, NoReturn

import typer

from mcp_server.domain.text import cleaned
from mcp_server.errors import BadInput, TraderError
from mcp_server.storage.database import Database
from mcp_server.storage.database_file import PATIENCE_S
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.journal.runs import Journal
from mcp_server.storage.journal.slots import SlotStore
from mcp_server.storage.strategies.folders import StrategyFolders
from runner.settings import RunnerSettings

MOST_SHOWN = 20_000
"""Longer texts are cut in a terminal; no reasoning is that long."""

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether to go on.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]


class Context:
    """The settings, the home, and the stores of the home, made when a command needs them.

    Args:
        patience_s: how long to wait for a journal that another process holds.
    """

    def __init__(self, *, patience_s: float = PATIENCE_S) -> None:
        self.settings: RunnerSettings = RunnerSettings.load()
        self.home = Home(self.settings.home)
        self.database = Database(self.home.database, prepare=self.home.prepare, patience_s=patience_s)
        self.strategies = StrategyFolders(self.home, examples_folder())
        self.journal = Journal(self.database, self.home)
        self.slot_store = SlotStore(self.database, self.home, self.settings.exchange)


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object on standard output."""
    typer.echo(json.dumps(value))


def strategy_names() -> list[str]:
    """Return the names of strategies and examples, for a shell that completes one of them."""
    try:
        return list(StrategyFolders(Home(RunnerSettings.load().home), examples_folder()).names())
    except TraderError:  # a shell that completes has nowhere to show what is wrong
        return []


def confirm(question: str, *, yes: bool) -> None:
    """Ask the person at the terminal for a yes, unless `yes` was given; end the program where there is none.

    Raises:
        BadInput: nobody is there to be asked.
    """
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise BadInput("Nothing was changed: nobody is there to confirm it.", "Confirm with --yes.")
    if not typer.confirm(question, err=True):
        typer.echo("Nothing was changed.", err=True)
        raise typer.Exit(1)


def fail(error: object, code: int) -> NoReturn:
    """End the program with a message; with `--json` it is a JSON object too."""
    if "--json" in sys.argv:
        print_json({"status": "error", "error": str(error)})
    else:
        typer.echo(f"claude-trader: {cleaned(str(error), MOST_SHOWN, lines=True)}", err=True)
    sys.exit(code)
