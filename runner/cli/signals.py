"""`claude-trader signals`: recorded signals as a table, as JSON, or as CSV for a spreadsheet."""

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mcp_server.domain.text import cleaned
from mcp_server.errors import BadInput, NotFound
from runner.cli.context import MOST_SHOWN, Context, Json, print_json, strategy_names

if TYPE_CHECKING:
    from mcp_server.storage.journal.entries import Entry
    from mcp_server.storage.journal.runs import Journal

EPILOG = "Example: `claude-trader signals rsi-reversion --all` · `claude-trader signals --csv > signals.csv`"

SHOWN = 20
AT_ONCE = 1_000
"""Rows of one read: a journal of many years neither fills the memory nor keeps other programs waiting."""

FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # noqa: RUF001 - spreadsheets of Japanese systems take these, too
"""How a text begins that a spreadsheet would compute instead of showing."""


def signals(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A strategy. Default: all.", autocompletion=strategy_names)
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=10_000,
            help=f"Show the N newest. Default: {SHOWN}; with --csv all.",
            show_default=False,
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Include runs without a signal, with the reason.")] = False,
    replayed: Annotated[bool, typer.Option("--replayed", help="Show those of replays instead.")] = False,
    as_json: Json = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV with a header, for a spreadsheet; its columns are those of --json.")
    ] = False,
) -> None:
    """List recorded signals, newest first, with time, price, confidence and reason.

    The table shortens long reasons to fit the terminal; `--json` and `--csv` show them whole.
    """
    if as_json and as_csv:
        raise BadInput("--json and --csv were both given.", "Give one of them.")
    context = Context()
    journal = _journal(context)
    journal.settle()
    outcomes: Literal["signals", "all"] = "all" if every else "signals"
    if as_csv:
        from runner.cli import show_signals as show

        _check_name(context, journal, name, replayed=replayed)
        typer.echo(_line(show.entry_keys(replayed=replayed)), nl=False)
        for page in _pages(journal, name, limit, outcomes, replayed):
            rows = [show.entry_json(entry, replayed=replayed) for entry in page]
            typer.echo(b"".join(_line([_cell(value) for value in row.values()]) for row in rows), nl=False)
        return
    entries = journal.entries(name, limit=limit or SHOWN, outcomes=outcomes, replayed=replayed)
    if not entries and not as_json:
        if not replayed and journal.entries(name, limit=1, outcomes="all", replayed=True):
            typer.echo("Nothing is recorded yet but runs of replays: --replayed lists them.")
            return
        _check_name(context, journal, name, replayed=replayed)
        command, effect = ("replay", "runs one at past moments") if replayed else ("run", "runs a strategy once")
        if (left := context.left_in_file()) is not None:
            typer.echo(f"Nothing is recorded yet. {left}")
            return
        more = "" if every else " --all also lists runs without a signal."
        typer.echo(f"Nothing is recorded yet. `claude-trader {command} NAME` {effect}, and records the result.{more}")
        return
    from runner.cli import show_signals

    if as_json:
        print_json({"signals": [show_signals.entry_json(entry, replayed=replayed) for entry in entries]})
    else:
        title = "Journal" if every else "Signals"
        _show(entries, f"{title} of replays" if replayed else title)


def _show(entries: list["Entry"], title: str) -> None:
    """Show the table, in colour on a terminal; rich takes a fourth of the time, so elsewhere it is not imported."""
    from runner.cli import show_signals

    if show_signals.on_terminal():
        from runner.cli import show

        show.journal(show.console(), entries, title)
        return
    show_signals.replace_what_is_lacking()
    for line in show_signals.table(entries, title, show_signals.width()):
        typer.echo("".join(text for text, _ in line))


class EmptyJournal:
    """The record of a home in which nothing has run yet: it has no file, and a listing makes none."""

    def settle(self) -> None:
        """Enter nothing."""

    def entries(self, *_: Any, **__: Any) -> list["Entry"]:
        """Return no runs."""
        return []


def _journal(context: Context) -> "Journal | EmptyJournal":
    """Return the record; of a home that cannot be looked into it is opened too, which tells what is wrong."""
    if context.database_url is not None:
        return context.journal
    try:
        context.home.database.lstat()
    except FileNotFoundError:
        if not any(context.home.outbox.glob("*.json")):
            return EmptyJournal()
    except OSError:
        pass
    return context.journal


def _check_name(context: Context, journal: "Journal | EmptyJournal", name: str | None, *, replayed: bool) -> None:
    """Raise `NotFound` where a name is neither a strategy's nor in the journal, in which removed strategies stay."""
    if name is None:
        return
    known = context.strategies.names()
    if name not in known and not journal.entries(name, limit=1, outcomes="all", replayed=replayed):
        from mcp_server.domain.error_hints import nearest

        raise NotFound(f"Unknown strategy {name!r}.", nearest(name, known))


def _pages(
    journal: "Journal | EmptyJournal",
    name: str | None,
    limit: int | None,
    outcomes: Literal["signals", "all"],
    replayed: bool,
) -> Iterator[list["Entry"]]:
    """Yield the newest runs, `limit` or all of them, some at a time."""
    left, before = limit, None
    while left is None or left > 0:
        size = AT_ONCE if left is None else min(AT_ONCE, left)
        page = journal.entries(name, limit=size, outcomes=outcomes, before=before, replayed=replayed)
        yield page
        if len(page) < size:
            return
        before = page[-1].execution_id
        left = None if left is None else left - size


def _line(cells: list[Any]) -> bytes:
    """Return one record as RFC 4180 has it: it ends in CR LF, also where that is not how lines end here."""
    import csv

    line = io.StringIO(newline="")
    csv.writer(line).writerow(cells)
    return line.getvalue().encode()


def _cell(value: Any) -> Any:
    """Return a value as a spreadsheet shows it: a text is never a formula, and what is unknown is empty."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return value
    text = cleaned(value, MOST_SHOWN, lines=True).strip()
    return f"'{text}" if text.startswith(FORMULA) else text
