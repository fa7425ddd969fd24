"""The command line as typer reads it: all commands, and the options before them."""

from typing import Annotated

import typer

from runner.cli.commands import Commands
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
