"""`claude-trader notify`: tries out where notifications go."""

import anyio
import typer

from mcp_server.errors import BadInput, Misconfigured
from mcp_server.storage.home import Home
from runner.cli.context import Json, print_json
from runner.notify.events import FIELDS, Kind
from runner.notify.service import Service, services
from runner.notify.wording import Worded, worded
from runner.settings import RunnerSettings


def notify(
    kind: str = typer.Argument(
        "test", metavar="EVENT", help="Send the text of this event instead: signal, failure, paused, budget …"
    ),
    as_json: Json = False,
) -> None:
    """Send a test notification to each address in TRADER_NOTIFY, and show which services accepted it.

    Exit codes: 0: every service accepted it. 1: one did not, or no address is set. 2: invalid usage.
    """
    settings = RunnerSettings.load()
    if kind not in FIELDS:
        raise BadInput(f"Unknown event {kind!r}.", f"Use one of {', '.join(FIELDS)}.")
    if not (known := services(settings.notify)):
        raise Misconfigured(
            "TRADER_NOTIFY is not set.", "Set it to an address of apprise, like ntfy://ntfy.sh/your-topic."
        )
    chosen: Kind = kind  # type: ignore[assignment]
    message = worded(chosen, {name: f"({name})" for name in FIELDS[chosen]}, Home(settings.home).templates)
    results = anyio.run(_send, known, message)
    if as_json:
        print_json({"results": [{"address": name, "result": result, "why": why} for name, result, why in results]})
    else:
        for name, result, why in results:
            typer.echo(f"{name}: {result}{f', {why}' if why else ''}")
        if message.problem:
            typer.echo(message.problem, err=True)
    raise typer.Exit(0 if all(result == "sent" for _, result, _ in results) else 1)


async def _send(known: list[Service], message: Worded) -> list[tuple[str, str, str]]:
    results: dict[str, tuple[str, str, str]] = {}

    async def one(service: Service) -> None:
        results[service.id] = (service.name, *await service.send(message.title, message.body))

    async with anyio.create_task_group() as group:
        for service in known:
            group.start_soon(one, service)
    return [results[service.id] for service in known]
