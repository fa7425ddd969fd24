"""`claude-trader strategies`: list, add an example, check, pause, resume, remove and restore."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mcp_server.errors import BadInput, Retryable
from runner.cli.context import Context, Yes, confirm, fail, print_json, strategy_names
from runner.cli.help import Helpful

if TYPE_CHECKING:
    from mcp_server.domain.strategy.format import StatusName
    from mcp_server.storage.strategies.removed import RemovedStrategies

app = Helpful(
    help="List your strategies and the examples; add, check, pause, resume, remove or restore one.",
    epilog="A strategy is a folder `strategies/NAME/` in your home (TRADER_HOME) with one or two JSON files. "
    "`claude-trader build` writes one for you. Example: `claude-trader strategies add rsi-reversion`",
    invoke_without_command=True,
)

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="One of your strategies, for example my-strategy.", autocompletion=strategy_names
    ),
]


def _also_before(context: typer.Context, value: bool) -> bool:
    """Accept `--json` before the command too: `strategies --json check`."""
    return value or bool(context.parent and context.parent.params.get("as_json"))


Json = Annotated[
    bool,
    typer.Option("--json", callback=_also_before, help="Print the result as one JSON object."),
]


@app.callback()
def strategies(context: typer.Context, as_json: Json = False) -> None:
    """List your strategies and the examples; add, check, pause, resume, remove or restore one."""
    if context.invoked_subcommand is not None:
        return
    from mcp_server.storage.home import examples_folder
    from mcp_server.storage.strategies.listed import listed_rows

    rows = listed_rows(Context().home, examples_folder())
    if as_json:
        print_json({"strategies": rows})
        return
    from runner.cli import show
    from runner.cli.show_strategies import listed

    listed(show.console(), rows)


@app.command()
def add(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="An example, for instance rsi-reversion.", autocompletion=strategy_names),
    ],
    as_json: Json = False,
) -> None:
    """Copy an example into your home. There you can change it, and `claude-trader up` runs it on schedule."""
    strategy = Context().strategies.add(name)
    if as_json:
        print_json({"name": name, "version": strategy.version, "status": strategy.config.status})
    else:
        proof = f" Is it any good? `claude-trader backtest {name}`." if strategy.config.rules else ""
        then = f"Run it once with `claude-trader run {name}`, or on schedule with `claude-trader up`."
        typer.echo(f"{name} is now in your home, {strategy.config.status}.{proof} {then}")


@app.command()
def check(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="Your strategy or an example. Default: all of yours.", autocompletion=strategy_names
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a strategy: list every error and warning, how often its rules held lately, and what it will cost.

    It changes nothing. Exit codes: 0: no error (there may be warnings). 1: at least one error. 2: invalid usage.
    """
    import anyio

    from runner.check_folder import CheckedFolder, check_folder
    from runner.cli import show
    from runner.cli.show_strategies import checked
    from runner.tool_server.client import connected
    from runner.tool_server.server import tool_server

    context = Context()
    known = context.strategies.names()
    names = [name] if name else [own for own, example in known.items() if not example] or list(known)
    if name and name not in known:
        context.strategies.content(name)  # raises, and names the nearest

    async def check_all() -> list[CheckedFolder]:
        async with tool_server(context.settings) as address, connected(address) as tools:
            return [await check_folder(context.strategies, folder, tools) for folder in names]

    try:
        checks = anyio.run(check_all)
    except KeyboardInterrupt:
        fail("stopped", 130)
    if as_json:
        answers: list[dict[str, Any]] = [folder.as_json() for folder in checks]
        print_json(answers[0] if name else {"strategies": answers})
    else:
        for folder in checks:
            checked(show.console(), folder)
    raise typer.Exit(0 if all(folder.valid for folder in checks) else 1)


@app.command()
def pause(name: Name, as_json: Json = False) -> None:
    """Stop scheduling a strategy until you resume it. `claude-trader run` still runs it."""
    _set_status(name, "paused", as_json)


@app.command()
def resume(name: Name, as_json: Json = False) -> None:
    """Schedule a paused or stopped strategy again."""
    _set_status(name, "active", as_json)


@app.command()
def remove(name: Name, yes: Yes = False, as_json: Json = False) -> None:
    """Remove a strategy from your home. What it has recorded stays: signals, costs, reports and earlier versions.

    Its folder is moved aside whole, and `claude-trader strategies restore NAME` brings it back. `claude-trader up`
    stops scheduling it within seconds. While a run of it is under way, nothing is removed.
    """
    context = Context()
    removed = _removed(context)
    removed.check(name)
    _check_idle(context, name)
    confirm(f"Remove {name}? Its record stays, and it can be restored.", yes=yes)
    _check_idle(context, name)  # a run may have begun while somebody thought about it
    removed.remove(name, datetime.now(UTC))
    if as_json:
        print_json({"name": name, "status": "removed"})
    else:
        example = f" The example {name} is listed again." if context.strategies.names().get(name) else ""
        back = f"`claude-trader strategies restore {name}` brings it back."
        typer.echo(f"{name} is removed. Its record stays: `claude-trader signals {name}`. {back}{example}")


@app.command()
def restore(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A strategy that you have removed.")],
    as_json: Json = False,
) -> None:
    """Bring back a removed strategy as it was when it was removed, the last one of its name."""
    strategy = _removed(Context()).restore(name)
    if as_json:
        print_json({"name": name, "version": strategy.version, "status": strategy.config.status})
    else:
        typer.echo(f"{name} is back, {strategy.config.status}.")


def _removed(context: Context) -> "RemovedStrategies":
    from mcp_server.storage.strategies.removed import RemovedStrategies

    return RemovedStrategies(context.home.strategies, context.strategies)


def _check_idle(context: Context, name: str) -> None:
    """Raise `Retryable` while a run of a strategy is under way; what was killed is none."""
    if not context.journal_database.exists():
        return
    context.journal.settle()
    context.journal.end_orphans()
    if runs := context.journal.under_way(name):
        raise Retryable(f"{name!r} is running now: run {runs[0]}.", "Remove it when that has ended.")


def _set_status(name: str, status: "StatusName", as_json: bool) -> None:
    context = Context()
    if context.strategies.is_example(name):
        remedy = f"`claude-trader strategies add {name}` copies it into your home."
        raise BadInput(f"{name!r} is an example, which is never scheduled.", remedy)
    strategy, before = context.strategies.set_status(name, status)
    if as_json:
        print_json({"name": name, "status": status, "was": before, "version": strategy.version})
    else:
        typer.echo(f"{name} is {status} now." if before != status else f"{name} is {status} already.")
