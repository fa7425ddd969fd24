"""What the commands share: the home and what is in it, and how to print JSON and to fail."""

import json
import os
import sys
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from mcp_server.domain.text import cleaned
from mcp_server.errors import BadInput, TraderError
from mcp_server.storage.home import Home, examples_folder, home_folder

if TYPE_CHECKING:
    from pydantic import SecretStr

    from mcp_server.errors import Misconfigured
    from mcp_server.storage.database import Database
    from mcp_server.storage.journal.runs import Journal
    from mcp_server.storage.journal.slots import SlotStore
    from mcp_server.storage.sql import JournalDatabase
    from mcp_server.storage.strategies.folders import StrategyFolders
    from runner.clock import Clock
    from runner.settings import RunnerSettings

MOST_SHOWN = 20_000
"""Longer texts are cut in a terminal; no reasoning is that long."""

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether to go on.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]


class Context:
    """The settings, the home, and the stores of the home; each is imported and made when a command first needs it.

    Args:
        patience_s: how long to wait for a journal that another process holds; None: as long as usual.
    """

    def __init__(self, *, patience_s: float | None = None) -> None:
        self.home = Home(home_folder(os.environ.get("TRADER_HOME")))
        self._patience_s = patience_s

    @cached_property
    def settings(self) -> "RunnerSettings":
        """The settings; `Misconfigured` where one is not valid."""
        from runner.settings import RunnerSettings

        return RunnerSettings.load()

    @cached_property
    def database(self) -> "Database":
        """The home's file: of candles and, unless TRADER_DATABASE_URL is set, of the journal."""
        from mcp_server.storage.database import Database
        from mcp_server.storage.database_file import PATIENCE_S

        patience_s = PATIENCE_S if self._patience_s is None else self._patience_s
        return Database(self.home.database, prepare=self.home.prepare, patience_s=patience_s)

    @property
    def database_url(self) -> "SecretStr | None":
        """TRADER_DATABASE_URL; where nothing sets it, the other settings may be wrong."""
        variable = "TRADER_DATABASE_URL"
        if not os.environ.get(variable):
            if not (self.home.root / ".env").exists():
                return None
            from mcp_server.storage.settings import is_set

            if not is_set(variable, self.home.root):
                return None
        return self.settings.database_url

    @cached_property
    def journal_database(self) -> "JournalDatabase":
        """Where the journal is: in that file, or in the Postgres of TRADER_DATABASE_URL."""
        from mcp_server.storage.journal_database import journal_database

        return journal_database(self.database, self.database_url, patience_s=self._patience_s)

    def left_in_file(self) -> "Misconfigured | None":
        """Look whether runs were left in the home's file, where TRADER_DATABASE_URL names a journal without any."""
        if self.database_url is None:
            return None
        from mcp_server.storage.journal.place import left_in_file

        return left_in_file(self.journal_database, self.database)

    @cached_property
    def clock(self) -> "Clock":
        """The clock that runs go by: of those who share a journal, it is one."""
        from runner.clock import SystemClock

        return SystemClock(self.journal_database.now)

    @cached_property
    def strategies(self) -> "StrategyFolders":
        """The strategies of the home, and the examples."""
        from mcp_server.storage.strategies.folders import StrategyFolders

        return StrategyFolders(self.home, examples_folder())

    @cached_property
    def journal(self) -> "Journal":
        """The record of runs."""
        from mcp_server.storage.journal.runs import Journal

        return Journal(self.journal_database, self.home)

    @cached_property
    def slot_store(self) -> "SlotStore":
        """The record of what came due."""
        from mcp_server.storage.journal.slots import SlotStore

        return SlotStore(self.journal_database, self.home, self.settings.exchange)


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object on standard output."""
    typer.echo(json.dumps(value))


def strategy_names() -> list[str]:
    """Return the names of strategies and examples, for a shell that completes one of them."""
    try:
        return list(Context().strategies.names())
    except TraderError:  # a shell that completes has nowhere to show what is wrong
        return []


AnyStrategy = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="Your strategy or an example; `claude-trader strategies` lists them.",
        autocompletion=strategy_names,
    ),
]


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
