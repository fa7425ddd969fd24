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

    A journal in Postgres is in the archive as a file, too. To restore: `tar xzf FILE -C HOME`, where HOME is an empty
    folder; then, where TRADER_DATABASE_URL names an empty database, `claude-trader journal move --to postgres`.
    """
    from runner.backup import back_up, default_name

    target, context = file or Path(default_name(datetime.now(UTC))), Context()
    size = back_up(context, target)
    if as_json:
        print_json({"file": str(target), "bytes": size})
        return
    typer.echo(f"{target}: {size / 1e6:.1f} MB. To restore: tar xzf {target} -C HOME, into an empty home.")
    if context.settings.database_url is not None:
        typer.echo(
            "The journal is in it as a file: `claude-trader journal move --to postgres` takes it to an empty database."
        )
