"""`claude-trader journal`: care for the journal."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mcp_server.domain.text import counted
from mcp_server.domain.timeframes import parse_moment
from mcp_server.errors import BadInput
from runner.cli.context import Context, Json, Yes, confirm, print_json
from runner.cli.help import Helpful
from runner.cli.journal_move import EPILOG, move

if TYPE_CHECKING:
    from mcp_server.storage.journal.prune import Prunable

app = Helpful(
    help="Care for the journal: make it smaller, or move it into Postgres and back.",
    epilog="Example: `claude-trader journal prune --before 2026-01-01` · `claude-trader journal move --to postgres`",
    no_args_is_help=True,
)


@app.callback()
def journal() -> None:
    """Care for the journal: make it smaller, or move it into Postgres and back."""


app.command(epilog=EPILOG)(move)


@app.command(
    epilog="Example: `claude-trader journal prune --before 2026-01-01` · `claude-trader backup` first keeps a copy"
)
def prune(
    before: Annotated[
        datetime,
        typer.Option(
            parser=lambda text: parse_moment(text, name="--before"),
            metavar="TIME",
            help="Prune runs that ended before this time (UTC), for example 2026-01-01.",
        ),
    ],
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Remove what old runs leave behind them, and give its room back to the disk. It says what goes, and asks.

    What goes: how each run came to its end (sub-agents, tool calls, conditions), and its report; copies of the journal
    from before an upgrade; notifications that ended more than 90 days ago. What stays: every run, slot, signal, outcome
    and cost, replays, cassettes, candles. So scores, budgets and schedules do not change. Nothing has to be stopped;
    other programs wait while the file is copied, for which the disk needs room.
    """
    from mcp_server.storage.journal.prune import prunable, prune
    from runner.notify.notice_store import NoticeStore

    if before > datetime.now(UTC):
        raise BadInput(f"--before {before.isoformat()} is in the future.", "Give a time in the past.")
    context = Context()
    goes, size = prunable(context.journal_database, context.home, before), _size(context)
    notices, now = NoticeStore(context.home), datetime.now(UTC)
    old = len(notices.old(now))
    result: dict[str, Any] = {
        "before": before.isoformat(),
        "traces": goes.traces,
        "trace_bytes": goes.trace_bytes,
        "reports": goes.reports,
        "report_bytes": goes.report_bytes,
        "copies": goes.copies,
        "copy_bytes": goes.copy_bytes,
        "notices": old,
        "bytes_before": size,
    }
    something, left = bool(goes.traces or goes.reports or goes.copies or old), list[Path]()
    if something:
        typer.echo(
            f"Of before {before:%Y-%m-%d %H:%M} UTC these go: {_listed(goes, old)}. Every record stays.", err=True
        )
        confirm("Remove them? This cannot be undone.", yes=yes)
        left = prune(context.journal_database, context.home, before)
        notices.forget(now)
    if left:
        shown = ", ".join(repr(str(file)) for file in left[:3])
        typer.echo(f"{counted(len(left), 'file')} could not be removed, and may be open elsewhere: {shown}.", err=True)
    if as_json:
        print_json({**result, "bytes_after": _size(context), "left": [str(file) for file in left]})
    elif something and context.journal_database.path is None:
        typer.echo("Done. Postgres uses the room again; `VACUUM FULL executions` gives it back to the disk.")
    elif something:
        typer.echo(f"Done. The journal had {size / 1e6:.1f} MB and has {_size(context) / 1e6:.1f} MB now.")
    else:
        typer.echo("Nothing is to be removed: no run before that has a trace or a report.")


def _listed(goes: "Prunable", notices: int) -> str:
    parts = [
        f"{counted(goes.traces, 'trace')} of runs ({goes.trace_bytes / 1e6:.1f} MB)",
        f"{counted(goes.reports, 'file')} of reports ({goes.report_bytes / 1e6:.1f} MB)",
    ]
    if goes.copies:
        parts.append(f"{counted(goes.copies, 'file')} from before an upgrade ({goes.copy_bytes / 1e6:.1f} MB)")
    if notices:
        parts.append(f"{counted(notices, 'notification')} that ended more than 90 days ago")
    return ", ".join(parts)


def _size(context: Context) -> int:
    """Return the bytes of the file, or of what Postgres has for the runs."""
    path = context.journal_database.path
    if path is not None:
        return path.stat().st_size if path.exists() else 0
    query = "SELECT pg_total_relation_size('executions')"
    row = context.journal_database.read(lambda connection: connection.execute(query).fetchone())
    return int(row[0]) if row else 0
