"""`claude-trader backup`: a consistent copy of the home while everything runs."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from runner.cli.context import Context, Json, print_json


def backup(
    file: Annotated[Path | None, typer.Argument(help="The archive to write. Default: named by the time.")] = None,
    as_json: Json = False,
) -> None:
    """Copy journal, strategies and analyses into one archive, while everything runs; secrets (.env) stay out.

    To restore: `tar xzf FILE -C HOME` into an empty home.
    """
    from runner.backup import back_up, default_name

    target = file or Path(default_name(datetime.now(UTC)))
    size = back_up(Context(), target)
    if as_json:
        print_json({"file": str(target), "bytes": size})
    else:
        typer.echo(f"{target}: {size / 1e6:.1f} MB. To restore: tar xzf {target} -C HOME, into an empty home.")
