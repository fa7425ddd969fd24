"""What a person sees of a design in a terminal: what the agent says and does, and what came of it."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.text import Text

from mcp_server.domain.text import cost
from runner.cli.show import plain


def told(console: Console, kind: str, text: str) -> None:
    """Show one thing as it happens: what the agent `said`, `did`, or a check `found`."""
    if kind == "said":
        console.print(plain(text))
    elif kind == "did":
        console.print(plain(f"· {text}", "dim"), soft_wrap=True)
    else:
        console.print(plain(f"  {text}", "red" if text.startswith("error") else "yellow"), soft_wrap=True)


def designed(console: Console, said: Mapping[str, Any]) -> None:
    """Show the strategy that was written with its findings and the command that runs it, or why there is none."""
    console.print()
    spent = said["cost_usd"]
    paid = plain(f"The design: {cost(None if spent is None else Decimal(str(spent)))}.", "dim")
    if said["status"] != "written":
        console.print(Text("Nothing was written", "bold yellow") + plain(f"  {said['why']}"))
        _findings(console, said, "The last check found:")
        console.print(paid)
        return
    again = f", in place of version {said['replaced']}" if said.get("replaced") else ""
    console.print(Text("Written", "bold green") + plain(f"  {said['name']}  version {said['version']}{again}"))
    if said.get("description"):
        console.print(plain(said["description"]))
    console.print(plain(f"{said.get('trading_pair') or ''}  {said['engine']}  {said['schedule']}".strip()))
    for name, condition in (said.get("rules") or {}).items():
        if name in ("buy", "sell"):
            console.print(plain(f"  {name}: {condition}"))
    for name, tools in (said.get("agents") or {}).items():
        console.print(plain(f"  {name}: {', '.join(tools)}"))
    if said.get("held"):
        console.print(plain(f"Its rules held lately: {said['held']}"))
    if said.get("basis"):
        console.print(plain(f"It will cost: {said['basis']}"))
    _findings(console, said, "Findings:")
    if said.get("why"):
        console.print(plain(f"Mind: {said['why']}", "yellow"))
    console.print(paid)
    if said["run"]:
        console.print(plain(f"Run it: {said['run']}", "cyan"), soft_wrap=True)


def _findings(console: Console, said: Mapping[str, Any], title: str) -> None:
    if not said["findings"]:
        console.print(plain("Findings: none"))
        return
    console.print(plain(title))
    for finding in said["findings"]:
        console.print(plain(f"  {finding}", "red" if finding.startswith("error") else "yellow"), soft_wrap=True)
