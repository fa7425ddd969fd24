"""`claude-trader`: the command line for people and schedulers."""

import os
import signal
from importlib.metadata import version
from typing import Annotated

import typer

from mcp_server.errors import BadInput, TraderError
from mcp_server.storage.owner import become_owner
from mcp_server.storage.setting_types import home_folder
from runner.cli import (
    backtest,
    backup,
    build,
    demo,
    doctor,
    import_candles,
    journal,
    mcp,
    notify,
    replay,
    run,
    score,
    signals,
    status,
    strategies,
    up,
)
from runner.cli.context import fail
from runner.cli.help import Helpful

app = Helpful(
    help="Design trading strategies with Claude, run them, and record every signal. It never places an order.",
    epilog="New here? Start with `claude-trader demo`: it needs no key and no network. "
    "`claude-trader COMMAND --help` explains a command.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["--help", "-h"]},
)

BEGIN, SCHEDULE, CARE = "Begin here", "Run on a schedule", "Set up and maintain"


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"claude-trader {version('claude-trader')}")
        raise typer.Exit


@app.callback()
def options(
    _: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Take what stands before a command."""


app.command(rich_help_panel=BEGIN)(demo.demo)
app.command(rich_help_panel=BEGIN, epilog=run.EXAMPLE)(run.run)
app.command(rich_help_panel=BEGIN, epilog=signals.EXAMPLES)(signals.signals)
app.command(rich_help_panel=BEGIN, epilog=backtest.EXAMPLES)(backtest.backtest)
app.command(rich_help_panel=BEGIN, epilog=score.EXAMPLE)(score.score)
app.command(rich_help_panel=BEGIN, epilog=replay.EXAMPLE)(replay.replay)
app.add_typer(strategies.app, name="strategies", rich_help_panel=BEGIN)
app.command(rich_help_panel=BEGIN)(build.build)
app.command(rich_help_panel=SCHEDULE)(up.up)
app.command(rich_help_panel=SCHEDULE)(status.status)
app.command(rich_help_panel=SCHEDULE, epilog="Example: `claude-trader notify signal`")(notify.notify)
app.command(rich_help_panel=CARE)(doctor.doctor)
app.command(rich_help_panel=CARE, epilog="Example: `claude-trader backup home.tar.gz`")(backup.backup)
app.add_typer(journal.app, name="journal", rich_help_panel=CARE)
app.command(rich_help_panel=CARE)(mcp.mcp)
app.command("import-candles", rich_help_panel=CARE, epilog=import_candles.EXAMPLE)(import_candles.import_candles)


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
