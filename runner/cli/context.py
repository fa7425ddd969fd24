"""What the commands share: the home and what is in it, and how to print JSON and to fail."""

import json
import sys
from typing import Annotated, Any, NoReturn

import typer

from mcp_server.domain.text import cleaned
from mcp_server.storage.database import Database
from mcp_server.storage.database_file import PATIENCE_S
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.journal.runs import Journal
from mcp_server.storage.journal.slots import SlotStore
from mcp_server.storage.strategies.folders import StrategyFolders
from runner.settings import RunnerSettings

MOST_SHOWN = 20_000
"""Longer texts are cut in a terminal; no reasoning is that long."""

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


def fail(error: object, code: int) -> NoReturn:
    """End the program with a message; with `--json` it is a JSON object too."""
    if "--json" in sys.argv:
        print_json({"status": "error", "error": str(error)})
    else:
        typer.echo(f"claude-trader: {cleaned(str(error), MOST_SHOWN, lines=True)}", err=True)
    sys.exit(code)
