"""`claude-trader`: the command line for people and schedulers."""

import os
import signal
from typing import Annotated

import typer

from mcp_server.errors import BadInput, TraderError
from mcp_server.storage.home import home_folder
from mcp_server.storage.owner import become_owner
from runner.cli.commands import Commands
from runner.cli.context import fail
from runner.cli.help import Helpful

app = Helpful(
    cls=Commands,
    help="Design trading strategies with Claude, run them, and record every signal. It never places an order.",
    epilog="New here? Start with `claude-trader demo`: it needs no key and no network. "
    "`claude-trader COMMAND --help` explains a command.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"claude-trader {version('claude-trader')}")
        raise typer.Exit


@app.callback()
def options(
    _: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Take what stands before a command."""


def main() -> None:
    """Run the command line; end with a message and a code instead of a traceback where the failure is known."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job begins with it ignored
    signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))  # both end a run in the same way
    try:
        become_owner(home_folder(os.environ.get("TRADER_HOME")))
        app()
    except BadInput as error:
        fail(error, 2)
    except TraderError as error:
        fail(error, 1)


if __name__ == "__main__":
    main()
