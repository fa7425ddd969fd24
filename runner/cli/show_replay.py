"""What `replay` shows: what it is about to do, how far it is, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.text import Text

from mcp_server.domain.scoring.terms import terms_of
from mcp_server.domain.scoring.window import independent_before, most_apart, window_shows
from mcp_server.domain.text import counted, dollars, minute
from mcp_server.domain.timeframes import iso, to_ms
from runner.cli.show import plain
from runner.cli.show_signals import COLOURS

if TYPE_CHECKING:
    from pathlib import Path

    from mcp_server.domain.outcome import SignalName
    from runner.replay.replayed import Replayed, ReplayProgress, ReplayRequest

    Progress = Callable[[ReplayProgress], None]

LABEL, VALUE, QUESTION = 21, 12, 15
MOST_KINDS = 5
"""So many kinds of drift are shown; `--json` has them all."""

STEPS = {
    "wake": "Looking which moments are worth asking",
    "models": "Asking what the models may know",
    "pilots": "Running a few for the price",
    "runs": "Running the rest",
    "rerun": "Running again",
}

SIGNALS: tuple[SignalName, ...] = ("BUY", "SELL", "HOLD")
MEANINGS = {
    "success": "a signal",
    "abstained": "it could not decide: see run by run",
    "error": "it failed: see run by run, below",
    "timeout": "it took too long",
    "drift": "a request is not on its cassette",
    "skipped_budget": "the budget had no room",
}


def beforehand(request: ReplayRequest, default_exchange: str) -> str:
    """Return what is about to be replayed, and what so many moments can show at all."""
    terms = terms_of(request.strategy, "claude", default_exchange)
    apart = most_apart(request.moments, terms.timeframe, terms.horizon_s)
    first, last = minute(request.moments[0]), minute(request.moments[-1])
    can_show = window_shows(apart, independent_before(terms.timeframe, terms.horizon_s))
    return f"{counted(len(request.moments), 'moment')} from {first} to {last} UTC. {can_show}"


@contextmanager
def progress(console: Console) -> Iterator[Progress]:
    """Give what shows each step; the bar needs a terminal, and what is news is a line of its own."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    class TwoLines(Bars):
        """The money and the signals have a line of their own: beside the bar they would be cut off."""

        def get_renderables(self) -> Iterator[RenderableType]:
            yield from super().get_renderables()
            yield from (plain(task.fields["about"], "dim") for task in self.tasks if task.fields["about"])

    columns = (TextColumn("{task.description}"), BarColumn(None), MofNCompleteColumn(), TimeRemainingColumn())
    silent = console.quiet or not console.is_terminal
    with TwoLines(*columns, console=console, transient=True, expand=True, disable=silent) as shown:
        task, step = shown.add_task("Starting the tools", total=None, about=""), ""

        def tell(news: ReplayProgress) -> None:
            nonlocal step
            if news.note:
                console.print(plain(news.note))
            if news.step != step:
                step = news.step
                shown.reset(task, total=news.of, description=STEPS[step])
            shown.update(task, completed=news.done, total=news.of, about=_about(news))

        yield tell


def _about(news: ReplayProgress) -> str:
    """Return what a replay has cost and said so far."""
    signals = ", ".join(f"{news.signals[name]} {name}" for name in SIGNALS if news.signals.get(name))
    money = (
        f"${dollars(news.spent_usd)} spent, ${dollars(news.left_usd)} left" if news.spent_usd or news.left_usd else ""
    )
    return " · ".join(filter(None, (money, signals)))


def summary(console: Console, request: ReplayRequest, replayed: Replayed, go_on: str | None, cassette: Path) -> None:
    """Show what came of a replay; `go_on` is the command that goes on with one that stopped."""
    title = f"  {request.strategy.config.trading_pair}  {minute(request.since)} to {minute(request.until)} UTC"
    about = ("rerun " if request.rerun else "replay ") + replayed.replay_id
    about += f", without {', '.join(request.without)}" if request.without else ""
    console.print(plain(request.strategy.name, "bold") + plain(title))
    console.print(plain(about))
    if replayed.stopped_because:
        console.print(plain(replayed.stopped_because, "yellow"))
    console.print()
    for label, value, meaning in _figures(request, replayed):
        console.print(
            Text(f"  {label:<{LABEL}}", COLOURS.get(label, ""))
            + plain(f"{value:>{VALUE}}")
            + plain(f"  {meaning}", "dim")
        )
    _drift(console, replayed)
    for note in replayed.notes:
        console.print(plain(f"\n{note}"))
    lines = {
        "Run by run": f"claude-trader signals {request.strategy.name} --all --replayed",
        "Word for word": str(cassette),
        **({"To go on": go_on} if go_on else {"Was it right?": f"claude-trader score --replay {replayed.replay_id}"}),
    }
    console.print()
    for question, reply in lines.items():
        console.print(plain(f"{question:<{QUESTION}}", "bold") + plain(reply), soft_wrap=True)


def _figures(request: ReplayRequest, replayed: Replayed) -> Iterator[tuple[str, str, str]]:
    yield "moments", f"{replayed.moments:,}", f"{replayed.left:,} are still to be run" if replayed.left else ""
    for name in SIGNALS:
        yield f"  {name}", f"{replayed.signals.get(name, 0):,}", ""
    for status, count in replayed.by_status.items():
        if count and status != "success":
            yield f"  {status}", f"{count:,}", MEANINGS.get(status, "")
    if replayed.asleep:
        yield "  skipped_gate", f"{replayed.asleep:,}", "`wake` did not hold, so nothing was asked"
    if replayed.contaminated:
        yield (
            "contaminated",
            f"{replayed.contaminated:,}",
            "may be remembered: no evidence of skill",
        )
    asked, recorded = replayed.requests_asked, replayed.requests_from_cassette
    yield "requests", f"{asked:,}", f"this time; {recorded:,} more from the cassette"
    limit = "" if request.rerun else f"of the {dollars(request.max_usd)} USD that it may cost"
    yield "spent", f"${dollars(replayed.spent_usd)}", limit
    yield "recorded", f"${dollars(replayed.recorded_usd)}", "what all replies cost when they were asked"


def _drift(console: Console, replayed: Replayed) -> None:
    """Show what differed, the most frequent first: moments that differ alike are told once."""
    if not replayed.drifts:
        return
    kinds = sorted(replayed.drifts.items(), key=lambda kind: -kind[1])
    console.print(Text("\nWhat is not on the cassette", "bold"))
    for lines, count in kinds[:MOST_KINDS]:
        console.print(plain(f"  {counted(count, 'moment')}: ") + plain(lines.replace("\n", "\n    ")))
    if len(kinds) > MOST_KINDS:
        console.print(plain(f"  and {counted(len(kinds) - MOST_KINDS, 'other kind')}; --json has them all"))


def as_object(request: ReplayRequest, replayed: Replayed, *, refused: bool) -> dict[str, Any]:
    """Return what came of a replay as the JSON object of `replay --json`."""
    status = "refused" if refused else "stopped" if replayed.stopped_by else "done"
    low_high = replayed.estimated_usd
    return {
        "status": status,
        "replay_id": replayed.replay_id,
        "strategy": request.strategy.name,
        "version": request.strategy.version,
        "from": iso(to_ms(request.since)),
        "to": iso(to_ms(request.until)),
        "every": request.every,
        "without": list(request.without),
        "rerun": request.rerun,
        "moments": replayed.moments,
        "left": replayed.left,
        "signals": {name: replayed.signals.get(name, 0) for name in SIGNALS},
        "by_status": {str(status): count for status, count in replayed.by_status.items()},
        "asleep": replayed.asleep,
        "contaminated": replayed.contaminated,
        "runs": replayed.runs,
        "requests_asked": replayed.requests_asked,
        "requests_from_cassette": replayed.requests_from_cassette,
        "estimated_usd": None if low_high is None else [float(bound) for bound in low_high],
        "spent_usd": float(replayed.spent_usd),
        "max_usd": None if request.rerun else float(request.max_usd),
        "recorded_usd": float(replayed.recorded_usd),
        "drifts": [{"moments": count, "what": lines} for lines, count in replayed.drifts.items()],
        "notes": list(replayed.notes),
        "stopped_by": replayed.stopped_by,
        "stopped_because": replayed.stopped_because or None,
    }
