"""`claude-trader backup`: a consistent copy of the home while everything runs."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from runner.cli.context import Context, Json, print_json

EPILOG = "Example: `claude-trader backup home.tar.gz`"


def backup(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="The archive to write. Default: a name with the time.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Save journal, strategies and reports in one archive. Nothing has to be stopped; secrets (.env) are left out.

    To restore: `tar xzf FILE -C HOME`, where HOME is an empty folder.
    """
    from runner.backup import back_up, default_name

    target, context = file or Path(default_name(datetime.now(UTC))), Context()
    elsewhere = context.settings.database_url is not None
    size = back_up(context, target)
    if elsewhere:
        typer.echo("The journal is in Postgres, and not in this archive: save it by pg_dump.", err=True)
    if as_json:
        print_json({"file": str(target), "bytes": size, "journal": not elsewhere})
    else:
        typer.echo(f"{target}: {size / 1e6:.1f} MB. To restore: tar xzf {target} -C HOME, into an empty home.")
