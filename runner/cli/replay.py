"""`claude-trader replay`: what would a strategy by Claude have said, for a price that is known beforehand?"""

from __future__ import annotations

import shlex
import sys
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

import anyio
import typer

from mcp_server.domain.timeframes import Timeframe, parse_moment
from mcp_server.errors import BadInput, NotSupported
from runner.cli.context import Context, Json, fail, print_json, strategy_names

if TYPE_CHECKING:
    from runner.cli.show_replay import Progress
    from runner.replay.replayed import Replayed, ReplayRequest

EPILOG = (
    "Example: `claude-trader replay btc-two-analysts --from 2026-08-01 --to 2026-08-21 --every 4h --max-usd 5`; "
    "`--rerun` in place of `--max-usd 5` repeats it for nothing"
)

REFUSED = ("price", "contamination")
"""What a replay is refused for; any other reason stops one that goes on with the same command."""


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(0)
    if not (amount.is_finite() and amount > 0):
        raise BadInput(f"--max-usd {text!r} is no amount above 0.", "Write it like 5 or 2.50.")
    return amount


def replay(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A strategy by Claude: yours, or an example of `claude-trader strategies`.",
            autocompletion=strategy_names,
        ),
    ],
    since: Annotated[
        datetime,
        typer.Option(
            "--from",
            parser=partial(parse_moment, name="--from"),
            metavar="TIME",
            help="The first moment, for example 2026-08-01.",
        ),
    ],
    until: Annotated[
        datetime,
        typer.Option(
            "--to",
            parser=partial(parse_moment, name="--to"),
            metavar="TIME",
            help="The last moment, for example 2026-08-21.",
        ),
    ],
    every: Annotated[
        Timeframe | None,
        typer.Option(
            metavar="LENGTH", help="Take the closes of candles of this length, such as 4h. Default: its schedule."
        ),
    ] = None,
    max_usd: Annotated[
        Decimal | None,
        typer.Option(parser=_amount, metavar="USD", help="What the whole replay may cost. Needed unless --rerun."),
    ] = None,
    rerun: Annotated[
        bool,
        typer.Option("--rerun", help="Use only what is recorded: it asks nothing, costs nothing and needs no key."),
    ] = False,
    contaminated: Annotated[
        bool, typer.Option("--contaminated", help="Also replay moments of which the model may know what came next.")
    ] = False,
    without: Annotated[
        list[str] | None,
        typer.Option(
            metavar="AGENT", help="Leave out this sub-agent, to find out what it is good for. Give it several times."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a strategy by Claude at past moments: it sees what there was to see by then, and the date of then.

    Five moments run first and tell the price of all. It goes on where the whole stays below --max-usd. Replies are
    recorded: the same command goes on after a stop, and --rerun repeats everything for nothing. Moments before the
    model's knowledge ends are refused, as it may remember what came next. A backtest of rules costs nothing: try that
    first.

    Exit codes: 0: done. 1: it stopped before its end, or a rerun drifted. 2: refused, or invalid usage. 130: Ctrl-C.
    """
    try:  # the imports too: Ctrl-C ends it in the same way from its first moment on
        from runner.cli import show
        from runner.cli.show_replay import beforehand, progress

        context = Context()
        request = _request(context, name, since, until, every, max_usd, rerun, contaminated, without or [])
        console = show.console(stderr=True, quiet=as_json)
        console.print(show.plain(beforehand(request, context.settings.exchange)))
        with progress(console) as shown:
            replayed = anyio.run(_replayed, context, request, shown)
    except KeyboardInterrupt:
        fail(f"stopped; what was asked is recorded and is not asked again. To go on: {_same_command()}", 130)
    except NotSupported as error:
        fail(error, 2)
    _show(context, request, replayed, as_json=as_json)
    raise typer.Exit(_code(replayed))


def _request(
    context: Context,
    name: str,
    since: datetime,
    until: datetime,
    every: str | None,
    max_usd: Decimal | None,
    rerun: bool,
    contaminated: bool,
    without: list[str],
) -> ReplayRequest:
    """Return what is to be replayed.

    Raises:
        BadInput: the options do not fit together, or do not fit the strategy.
    """
    from runner.claude.cassette.ablation import without_agents
    from runner.replay.moments import moments
    from runner.replay.replayed import ReplayRequest

    if rerun and max_usd is not None:
        raise BadInput("--rerun asks nothing, so it has no use for --max-usd.", "Leave one of them out.")
    if not rerun and max_usd is None:
        raise BadInput(
            "--max-usd is missing: a replay asks Claude, which costs money.",
            "Say what it may cost at most, for example --max-usd 5; or repeat what is recorded with --rerun.",
        )
    strategy = context.strategies.read(name)
    if strategy.engine != "claude":
        raise BadInput(
            f"Strategy {name!r} is decided by rules, and no model is asked.",
            f"A backtest tells what they would have said, for nothing: claude-trader backtest {name}",
        )
    now = min(datetime.now(UTC), context.settings.as_of or datetime.max.replace(tzinfo=UTC))
    return ReplayRequest(
        strategy=without_agents(strategy, without),
        since=since,
        until=until,
        every=every,
        moments=moments(strategy.config, since, until, now, every),
        max_usd=max_usd or Decimal(0),
        without=tuple(sorted(set(without))),
        whole=strategy if without else None,
        contaminated=contaminated,
        rerun=rerun,
    )


async def _replayed(context: Context, request: ReplayRequest, shown: Progress) -> Replayed:
    from runner.replay.replay import ReplayParts, replay

    parts = ReplayParts(context.settings, context.home, context.journal_database, context.journal)
    return await replay(request, parts, shown)


def _show(context: Context, request: ReplayRequest, replayed: Replayed, *, as_json: bool) -> None:
    from runner.cli import show
    from runner.cli.show_replay import as_object, summary

    if as_json:
        print_json(as_object(request, replayed, refused=replayed.stopped_by in REFUSED))
        return
    if replayed.stopped_by in REFUSED:
        fail(replayed.stopped_because, 2)
    more = "MORE" if replayed.stopped_by == "cap" else None
    go_on = _same_command(more) if replayed.stopped_by else None
    version = request.terms(context.settings.exchange).decision_version
    summary(show.console(), request, replayed, go_on, context.home.cassettes / request.strategy.name / version)


def _code(replayed: Replayed) -> int:
    if replayed.stopped_by == "interrupted":
        return 130
    if replayed.stopped_by in REFUSED:
        return 2
    return 1 if replayed.stopped_by or replayed.drift else 0


def _same_command(max_usd: str | None = None) -> str:
    """Return what was typed; with another `--max-usd` where given."""
    typed = ["claude-trader", *sys.argv[1:]]
    if max_usd is not None:
        pairs = pairwise(typed)
        typed = typed[:1] + [max_usd if before == "--max-usd" else argument for before, argument in pairs]
        typed = [f"--max-usd={max_usd}" if argument.startswith("--max-usd=") else argument for argument in typed]
    return shlex.join(typed)
