"""`claude-trader strategies`: list, add an example, check, pause and resume."""

from typing import Annotated, Any

import anyio
import typer

from mcp_server.domain.strategy.format import StatusName
from mcp_server.errors import BadInput
from runner.cli.context import Context, fail, print_json

app = typer.Typer(
    help="List the strategies of the home and the examples; add, check, pause or resume one.",
    epilog="A strategy is two files in a folder: `strategies/NAME/` of the home. `claude-trader build` writes one.",
    invoke_without_command=True,
    rich_markup_mode="markdown",
)

Name = Annotated[str, typer.Argument(help="A strategy of the home.")]


def _also_before(context: typer.Context, value: bool) -> bool:
    """Take `--json` from before the command too: `strategies --json check`."""
    return value or bool(context.parent and context.parent.params.get("as_json"))


Json = Annotated[bool, typer.Option("--json", callback=_also_before, help="Print one JSON object on standard output.")]


@app.callback()
def strategies(context: typer.Context, as_json: Json = False) -> None:
    """List the strategies of the home and the examples; add, check, pause or resume one."""
    if context.invoked_subcommand is not None:
        return
    from runner.cli import show
    from runner.cli.show_strategies import listed, row_json

    found = Context().strategies.all()
    if as_json:
        print_json({"strategies": [row_json(each) for each in found]})
    else:
        listed(show.console(), found)


@app.command()
def add(name: Annotated[str, typer.Argument(help="An example, as the list shows it.")], as_json: Json = False) -> None:
    """Copy an example into the home, where it can be changed and scheduled."""
    strategy = Context().strategies.add(name)
    if as_json:
        print_json({"name": name, "version": strategy.version, "status": strategy.config.status})
    else:
        then = f"`claude-trader run {name}` runs it once, `claude-trader up` whenever it comes due."
        typer.echo(f"{name} is in the home now, {strategy.config.status}. {then}")


@app.command()
def check(
    name: Annotated[str | None, typer.Argument(help="A strategy of the home, or an example. Default: all.")] = None,
    as_json: Json = False,
) -> None:
    """Check a strategy and write nothing: every finding, how often its rules held lately, what it will cost.

    Ends with 0 when there is no error (warnings are shown), with 1 when there is one.
    """
    from runner.check_folder import CheckedFolder, check_folder
    from runner.cli import show
    from runner.cli.show_strategies import checked
    from runner.tool_server.client import connected, tool_server

    parts = Context()
    known = parts.strategies.names()
    names = [name] if name else [each for each, example in known.items() if not example] or list(known)
    if name and name not in known:
        parts.strategies.content(name)  # raises, and names the nearest

    async def look() -> list[CheckedFolder]:
        async with tool_server(parts.settings) as address, connected(address) as tools:
            return [await check_folder(parts.strategies, each, tools) for each in names]

    try:
        done = anyio.run(look)
    except KeyboardInterrupt:
        fail("stopped", 130)
    if as_json:
        answers: list[dict[str, Any]] = [each.as_json() for each in done]
        print_json(answers[0] if name else {"strategies": answers})
    else:
        for each in done:
            checked(show.console(), each)
    raise typer.Exit(0 if all(each.valid for each in done) else 1)


@app.command()
def pause(name: Name, as_json: Json = False) -> None:
    """Keep a strategy from being scheduled until it is resumed; `run` still runs it."""
    _set_status(name, "paused", as_json)


@app.command()
def resume(name: Name, as_json: Json = False) -> None:
    """Let a paused or stopped strategy be scheduled again."""
    _set_status(name, "active", as_json)


def _set_status(name: str, status: StatusName, as_json: bool) -> None:
    parts = Context()
    if parts.strategies.is_example(name):
        raise BadInput(f"{name!r} is an example, and never scheduled. `claude-trader strategies add {name}` copies it.")
    strategy, was = parts.strategies.set_status(name, status)
    if as_json:
        print_json({"name": name, "status": status, "was": was, "version": strategy.version})
    else:
        typer.echo(f"{name} is {status} now." if was != status else f"{name} is {status} already.")
