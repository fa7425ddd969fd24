"""`claude-trader journal`: care for the journal's file."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from mcp_server.domain.text import counted
from mcp_server.domain.timeframes import parse_moment
from mcp_server.errors import BadInput
from runner.cli.context import Context, Json, Yes, confirm, print_json
from runner.cli.help import Helpful

app = Helpful(
    help="Care for the journal: make its file smaller.",
    epilog="Example: `claude-trader journal prune --before 2026-01-01`",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@app.callback()
def journal() -> None:
    """Care for the journal: make its file smaller."""


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

    What goes: how each run came to its end (sub-agents, tool calls, conditions), and its report. What stays: every run,
    slot, signal, outcome and cost, replays, cassettes, candles. So scores, budgets and schedules do not change.
    Nothing has to be stopped; other programs wait while the file is copied.
    """
    from mcp_server.storage.journal.prune import prunable, prune

    if before > datetime.now(UTC):
        raise BadInput(f"--before {before.isoformat()} is in the future.", "Give a time in the past.")
    context = Context()
    goes, size = prunable(context.database, context.home, before), _size(context)
    result: dict[str, Any] = {
        "before": before.isoformat(),
        "traces": goes.traces,
        "trace_bytes": goes.trace_bytes,
        "reports": goes.reports,
        "report_bytes": goes.report_bytes,
        "bytes_before": size,
    }
    if goes.traces or goes.reports:
        traces = f"{counted(goes.traces, 'trace')} of runs ({goes.trace_bytes / 1e6:.1f} MB)"
        reports = f"{counted(goes.reports, 'file')} of reports ({goes.report_bytes / 1e6:.1f} MB)"
        typer.echo(
            f"Of before {before:%Y-%m-%d %H:%M} UTC these go: {traces}, {reports}. Every record stays.", err=True
        )
        confirm("Remove them? This cannot be undone.", yes=yes)
        prune(context.database, context.home, before)
    if as_json:
        print_json({**result, "bytes_after": _size(context)})
    elif goes.traces or goes.reports:
        typer.echo(f"Done. The journal had {size / 1e6:.1f} MB and has {_size(context) / 1e6:.1f} MB now.")
    else:
        typer.echo("Nothing is to be removed: no run before that has a trace or a report.")


def _size(context: Context) -> int:
    path = context.database.path
    return path.stat().st_size if path.exists() else 0
