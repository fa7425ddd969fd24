"""`claude-trader score`: was it right? Every signal judged by what the market did, and what that is evidence of."""

import re
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mcp_server.domain.strategy.limits import NAME_PATTERN
from mcp_server.domain.timeframes import iso, parse_moment, to_ms
from mcp_server.errors import BadInput, NotFound, TraderError
from runner.cli.context import Context, Json, fail, print_json, strategy_names

if TYPE_CHECKING:
    from runner.settings import RunnerSettings

EPILOG = "Example: `claude-trader score rsi-reversion --runs replay --since 2026-01-01`"

Runs = Literal["live", "manual", "replay", "all"]

MOST_COMPARED = 2


def score(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="A strategy, with every figure. Default: all, in a table.",
            autocompletion=strategy_names,
        ),
    ] = None,
    runs: Annotated[
        Runs,
        typer.Option(
            help="live: runs on schedule. manual: `claude-trader run`. replay: replayed. all: each kind apart."
        ),
    ] = "live",
    replay: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Only the runs of this replay. A second --replay: compare it with that one."),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            parser=partial(parse_moment, name="--since"),
            metavar="TIME",
            help="Only runs as of this time or later, for example 2026-01-01. Default: all of them.",
        ),
    ] = None,
    as_of: Annotated[
        datetime | None,
        typer.Option(
            "--as-of",
            parser=partial(parse_moment, name="--as-of"),
            metavar="TIME",
            help="Pretend that now is this time in the past, for example 2026-01-31T12:00Z. Default: now.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Find out whether a strategy's signals were right: each is judged once its horizon is over, after costs.

    First you read whether there is evidence of skill yet. Beside the figures stands what they are measured against:
    how often any such moment would have been right, holding, the strategy's own rules, what it cost in dollars. You
    may look as often as you like: looking makes nothing look better.

    Exit codes: 0: done. 2: invalid usage, or it cannot be told.
    """
    try:
        import anyio

        from mcp_server.domain.error_hints import nearest
        from runner.cli import show

        context = Context()
        if name is not None and not re.fullmatch(NAME_PATTERN, name):
            raise NotFound(f"Unknown strategy {name!r}.", nearest(name, context.strategies.names()))
        moment = _checked(since, as_of, context.settings)
        aside = show.console(stderr=True, quiet=as_json or not sys.stderr.isatty())
        asked = {"strategy_name": name, **_which(runs, replay or ()), "since": _text(since), "as_of": _text(moment)}
        with aside.status("Starting") as status:
            answer = anyio.run(_asked, context.settings, asked, status.update)
    except KeyboardInterrupt:
        fail("stopped; what was judged by then stays", 130)
    except TraderError as error:
        fail(error, 2)
    if as_json:
        print_json(answer)
        return
    from runner.cli.show_score import score as show_score
    from runner.cli.show_scores import scores as show_scores

    (show_scores if "rows" in answer else show_score)(show.console(), answer)
    if answer.get("rows") == [] and (left := context.left_in_file()) is not None:
        show.console().print(show.plain(str(left)))


def _which(runs: Runs, replays: Sequence[str]) -> dict[str, str]:
    """Return which runs are asked for.

    Raises:
        BadInput: --replay and --runs name different ones, or there are too many replays.
    """
    if not replays:
        return {"runs": runs}
    if len(replays) > MOST_COMPARED:
        raise BadInput(f"--replay was given {len(replays)} times.", "Compare two replays at a time.")
    if runs in ("manual", "all"):
        raise BadInput(f"A replay has no runs of the kind {runs!r}.", "Leave out --runs, or --replay.")
    return {"runs": "replay", "replay": ",".join(replays)}


def _checked(since: datetime | None, as_of: datetime | None, settings: "RunnerSettings") -> datetime | None:
    """Return the moment to answer for, None for now.

    Raises:
        BadInput: a time is in the future, or --since is not before the as-of.
    """
    now = datetime.now(UTC)
    for option, moment in (("--since", since), ("--as-of", as_of)):
        if moment is not None and moment > now:
            raise BadInput(f"{option} {_text(moment)} is in the future.", "Give a time in the past, or leave it out.")
    limits = [moment for moment in (as_of, settings.as_of) if moment is not None]
    end = min(limits, default=None)
    if since is not None and end is not None and since >= end:
        raise BadInput(f"--since {_text(since)} is not before {_text(end)}, the as-of.", "Give an earlier time.")
    return end


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else iso(to_ms(moment))


async def _asked(settings: "RunnerSettings", arguments: dict[str, Any], tell: Callable[[str], None]) -> dict[str, Any]:
    from runner.tool_server.client import connected
    from runner.tool_server.server import tool_server

    async with tool_server(settings) as address, connected(address) as tools:
        return await tools.call("get_performance", arguments, tell)
