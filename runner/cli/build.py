"""`claude-trader build`: from an idea to a strategy, by talking."""

import sys
from decimal import Decimal
from functools import partial
from typing import Annotated, Any

import anyio
import typer

from mcp_server.errors import BadInput
from runner.cli.context import Context, Json, fail, print_json

MOST_IDEA = 10_000


def build(
    idea: Annotated[str, typer.Argument(help="What the strategy should do, in your own words.", metavar='"IDEA"')],
    yes: Annotated[bool, typer.Option("--yes", help="Ask no questions; list the assumptions instead.")] = False,
    budget: Annotated[
        float, typer.Option(metavar="USD", min=0.01, max=100, help="Spend at most this much, in US dollars.")
    ] = 1.0,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="An alias such as sonnet, or an id such as claude-….")
    ] = None,
    as_json: Json = False,
) -> None:
    """Turn an idea into a strategy: Claude asks what is unclear, looks at the market, and writes a checked strategy.

    Example: `claude-trader build "buy BTC when the 4h RSI turns up from below 30"`. It needs a key for Claude.

    It never overwrites an existing strategy.

    Exit codes: 0: a strategy was written. 1: none was written. 2: invalid usage. 130: stopped by Ctrl-C.
    """
    from mcp_server.domain.strategy.checks.agents import model_finding
    from runner.build import build as design
    from runner.build import outcome
    from runner.claude.building import Building
    from runner.cli import show
    from runner.cli.ask import ask_line
    from runner.cli.show_build import designed, progress

    if not idea.strip() or len(idea) > MOST_IDEA:
        raise BadInput(f"The idea is empty or longer than {MOST_IDEA} characters.", "Describe it in a few sentences.")
    if not yes and not sys.stdin.isatty():
        raise BadInput("There is no terminal to ask you at.", "Add --yes, and Claude decides by itself.")
    if model is not None and (finding := model_finding("--model", model)) and finding.severity == "error":
        raise BadInput(f"{finding.place}: {finding.problem}", finding.remedy)
    context, building = Context(), Building()
    aside = show.console(stderr=True)
    ask = None if yes else partial(ask_line, show=lambda line: aside.print(show.plain(line, "bold cyan")))
    work = partial(
        design,
        context.settings,
        idea,
        building,
        budget_usd=Decimal(str(budget)),
        model=model,
        ask=ask,
        tell=partial(progress, aside),
    )
    try:
        anyio.run(work)
    except KeyboardInterrupt:
        building.why = "It was stopped, so what it cost is not known."
        stopped = outcome(building, context.strategies)
        if as_json:
            print_json(stopped)
            raise typer.Exit(130) from None
        left = f"{stopped['name']!r} was written before, and stays" if building.written else "nothing was written"
        fail(f"stopped; {left}; what it cost is not known", 130)
    design_json: dict[str, Any] = outcome(building, context.strategies)
    if as_json:
        print_json(design_json)
    else:
        designed(show.console(), design_json)
    raise typer.Exit(0 if building.written else 1)
