"""`claude-trader notify`: tries out where notifications go."""

from typing import TYPE_CHECKING

import typer

from mcp_server.errors import BadInput, Misconfigured
from runner.cli.context import Context, Json, print_json

if TYPE_CHECKING:
    from runner.notify.events import Kind
    from runner.notify.service import Service
    from runner.notify.wording import Worded

EPILOG = "Example: `claude-trader notify signal`"


def notify(
    kind: str = typer.Argument(
        "test", metavar="EVENT", help="Send the text of this event instead: signal, failure, paused, budget …"
    ),
    as_json: Json = False,
) -> None:
    """Send a test notification to each address in TRADER_NOTIFY, and show which services accepted it.

    Exit codes: 0: every service accepted it. 1: one did not, or no address is set. 2: invalid usage.
    """
    import anyio

    from runner.notify.events import FIELDS
    from runner.notify.service import services
    from runner.notify.wording import worded

    context = Context()
    settings = context.settings
    if kind not in FIELDS:
        raise BadInput(f"Unknown event {kind!r}.", f"Use one of {', '.join(FIELDS)}.")
    if not (known := services(settings.notify)):
        raise Misconfigured(
            "TRADER_NOTIFY is not set.", "Set it to an address of apprise, like ntfy://ntfy.sh/your-topic."
        )
    chosen: Kind = kind  # type: ignore[assignment]
    message = worded(chosen, {name: f"({name})" for name in FIELDS[chosen]}, context.home.templates)
    results = anyio.run(_send, known, message)
    if as_json:
        print_json({"results": [{"address": name, "result": result, "why": why} for name, result, why in results]})
    else:
        for name, result, why in results:
            typer.echo(f"{name}: {result}{f', {why}' if why else ''}")
        if message.problem:
            typer.echo(message.problem, err=True)
    raise typer.Exit(0 if all(result == "sent" for _, result, _ in results) else 1)


async def _send(known: list["Service"], message: "Worded") -> list[tuple[str, str, str]]:
    import anyio

    results: dict[str, tuple[str, str, str]] = {}

    async def one(service: "Service") -> None:
        results[service.id] = (service.name, *await service.send(message.title, message.body))

    async with anyio.create_task_group() as group:
        for service in known:
            group.start_soon(one, service)
    return [results[service.id] for service in known]
