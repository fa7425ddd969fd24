"""What the commands of the command line share: the parts that they work with, and how they answer and fail."""

import json
import sys
from typing import Annotated, Any, NoReturn

import typer

from mcp_server.storage.database import Database
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.journal import Journal
from mcp_server.storage.slots import SlotBook
from mcp_server.storage.strategies import StrategyFolders
from runner.settings import Settings, load_settings

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]


class Parts:
    """The parts that commands work with, made once a command needs them."""

    def __init__(self) -> None:
        self.settings: Settings = load_settings()
        self.home = Home(self.settings.home)
        self.database = Database(self.home.database, prepare=self.home.prepare)
        self.strategies = StrategyFolders(self.home, examples_folder())
        self.journal = Journal(self.database, self.home)
        self.book = SlotBook(self.database, self.home)


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object on standard output."""
    typer.echo(json.dumps(value))


def fail(why: object, code: int) -> NoReturn:
    """End with a message; a caller that asked for JSON gets one object all the same."""
    if "--json" in sys.argv:
        print_json({"status": "error", "error": str(why)})
    else:
        typer.echo(f"claude-trader: {why}", err=True)
    sys.exit(code)
