"""`claude-trader journal move`: from the home's file into a Postgres that machines share, or back."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from mcp_server.errors import BadInput, TraderError
from runner.cli.context import Context, Json, Yes, confirm, fail, print_json

if TYPE_CHECKING:
    from mcp_server.storage.journal.copying import Tell
    from mcp_server.storage.journal.move import JournalMove, TableSize
    from mcp_server.storage.journal.place import PlaceKind
    from mcp_server.storage.postgres.database import PostgresDatabase

EPILOG = "Example: `claude-trader journal move --to postgres --dry-run` · `claude-trader journal move --to file`"

ROWS_A_SECOND, BYTES_A_SECOND = 5_000, 10_000_000
"""What one core moves and compares, by rows and by the bytes of their values."""

THEN = {
    "postgres": "From now on every program needs TRADER_DATABASE_URL, in the environment or in the .env of its home: "
    "this home's file refuses to be used as a journal.",
    "file": "Now unset TRADER_DATABASE_URL, also in .env: the database refuses to be used as a journal.",
}


def move(
    to: Annotated[
        str, typer.Option(metavar="postgres|file", help="Where the journal is to go: into Postgres, or into the file.")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be moved, and change nothing.")] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Move the journal from the home's file into the Postgres of TRADER_DATABASE_URL, or back. It asks first.

    Set TRADER_DATABASE_URL in the environment or in the home's `.env`, for both directions: as an argument, every user
    of the machine could read its password. Stop each `claude-trader up` before. Every record is copied with its id, and
    both sides are compared by counts and checksums. A move that was stopped goes on when you give the same command
    again; the other direction takes it back. What was left keeps its rows, and refuses to be used as a journal until
    you move back. Candles, strategies and reports stay in the home.
    """
    kind, context = _kind(to), Context()
    postgres = _postgres(context)
    try:
        from mcp_server.storage.journal.move import JournalMove

        moving = JournalMove.of(context.home, context.database, postgres, kind)
        if moving.is_taken_back():
            result = _take_back(moving, dry_run=dry_run, yes=yes)
        else:
            result = _move(moving, dry_run=dry_run, yes=yes, quiet=as_json)
    except KeyboardInterrupt:
        fail(f"stopped; nothing is lost. {_how_to_go_on(kind)}", 130)
    finally:
        postgres.close()
    if as_json:
        print_json(result)


def _kind(to: str) -> "PlaceKind":
    if to in ("postgres", "file"):
        return cast("PlaceKind", to)
    if "://" in to or "=" in to:  # not told back: it may have a password
        raise BadInput(
            "The address of a database may hold a password, and every user of this machine can read arguments.",
            "Set TRADER_DATABASE_URL to it, in the environment or in the .env of the home, and give `--to postgres`. "
            "Change a password that was given as an argument.",
        )
    raise BadInput(f"--to {to!r} is no place.", "Give `--to postgres`, or `--to file` for the home's file.")


def _postgres(context: Context) -> "PostgresDatabase":
    from mcp_server.storage.postgres.database import PostgresDatabase

    if not isinstance(database := context.journal_database, PostgresDatabase):
        raise BadInput(
            "TRADER_DATABASE_URL is not set, so there is no Postgres to move the journal to, or back from.",
            "Set it in the environment or in the .env of the home.",
        )
    return database


def _take_back(moving: "JournalMove", *, dry_run: bool, yes: bool) -> dict[str, Any]:
    name = moving.target.name
    typer.echo(f"A move of the journal away from {name} has not ended. It would go on there again.", err=True)
    if not dry_run:
        confirm("Take the move back?", yes=yes)
        moving.take_back()
        typer.echo(f"The journal goes on in {name}, where all of it is.", err=True)
    return {"from": moving.source.name, "to": name, "moved": False, "taken_back": not dry_run}


def _move(moving: "JournalMove", *, dry_run: bool, yes: bool, quiet: bool) -> dict[str, Any]:
    """Show what is to be moved, ask, and move it; return what `--json` tells."""
    sizes = moving.sizes()
    result = {"from": moving.source.name, "to": moving.target.name, "moved": not dry_run}
    typer.echo(f"From {moving.source.name} to {moving.target.name}: {_listed(sizes)}", err=True)
    if dry_run:
        return {**result, "tables": {name: {"rows": of.rows, "bytes": of.bytes} for name, of in sizes.items()}}
    confirm("Move the journal? Until all of it is there, nothing is recorded.", yes=yes)
    begun = False

    def told(table: str, done: int, of: int) -> None:
        nonlocal begun
        begun = True
        tell(table, done, of)

    try:
        with _progress(quiet=quiet) as tell:
            sums = moving.move(told)
    except TraderError as error:
        fail(f"{error} {_how_to_go_on(moving.target.kind)}" if begun else error, 2)
    typer.echo(f"Moved, and compared by counts and checksums. {THEN[moving.target.kind]}", err=True)
    return {**result, "tables": {name: {"rows": of.rows, "checksum": of.digest} for name, of in sums.items()}}


def _listed(sizes: "Mapping[str, TableSize]") -> str:
    rows, size = sum(of.rows for of in sizes.values()), sum(of.bytes for of in sizes.values())
    seconds = rows / ROWS_A_SECOND + size / BYTES_A_SECOND
    took = f"{seconds / 60:.0f} minutes" if seconds > 90 else f"{max(seconds, 1):.0f} s"
    parts = [f"{name}: {of.rows:,}" for name, of in sizes.items() if of.rows]
    return f"{', '.join(parts) or 'no row'} ({size / 1e6:.1f} MB). It takes about {took}."


def _how_to_go_on(kind: str) -> str:
    other = "file" if kind == "postgres" else "postgres"
    return (
        f"To go on: `claude-trader journal move --to {kind}`. "
        f"To leave the journal where it was: `claude-trader journal move --to {other}`."
    )


@contextmanager
def _progress(*, quiet: bool) -> "Iterator[Tell]":
    """Give what shows how far each table is: a bar on a terminal, else a line once a table is done."""
    from runner.backtest.progress import bars
    from runner.cli import show

    console = show.console(stderr=True, quiet=quiet)
    with bars(console) as shown:

        def tell(table: str, done: int, of: int) -> None:
            shown.tell(table, done, of)
            if done == of and not console.is_terminal:
                console.print(show.plain(f"{table}: {of:,} row{'' if of == 1 else 's'}"))

        yield tell
