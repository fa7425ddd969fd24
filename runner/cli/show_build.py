"""Show a design in a terminal: what the agent says and does, and the result."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.text import Text

from mcp_server.domain.text import cost
from runner.cli.show import plain


def progress(console: Console, kind: str, text: str) -> None:
    """Show one step as it happens: what the agent `said` or `did`, or what a check `found`."""
    if kind == "said":
        console.print(plain(text))
    elif kind == "did":
        console.print(plain(f"· {text}", "dim"), soft_wrap=True)
    else:
        console.print(plain(f"  {text}", "red" if text.startswith("error") else "yellow"), soft_wrap=True)


def designed(console: Console, design: Mapping[str, Any]) -> None:
    """Show the strategy that was written with its findings and the command that runs it, or why there is none."""
    console.print()
    spent = design["cost_usd"]
    paid = plain(f"The design: {cost(None if spent is None else Decimal(str(spent)))}.", "dim")
    if design["status"] != "written":
        console.print(Text("Nothing was written", "bold yellow") + plain(f"  {design['why']}"))
        _findings(console, design, "The last check found:")
        console.print(paid)
        return
    again = f", in place of version {design['replaced']}" if design.get("replaced") else ""
    console.print(Text("Written", "bold green") + plain(f"  {design['name']}  version {design['version']}{again}"))
    if design.get("description"):
        console.print(plain(design["description"]))
    console.print(plain(f"{design.get('trading_pair') or ''}  {design['engine']}  {design['schedule']}".strip()))
    for name, condition in (design.get("rules") or {}).items():
        if name in ("buy", "sell"):
            console.print(plain(f"  {name}: {condition}"))
    for name, tools in (design.get("agents") or {}).items():
        console.print(plain(f"  {name}: {', '.join(tools)}"))
    if design.get("held"):
        console.print(plain(f"Its rules held lately: {design['held']}"))
    if design.get("basis"):
        console.print(plain(f"It will cost: {design['basis']}"))
    _findings(console, design, "Findings:")
    if design.get("why"):
        console.print(plain(f"Note: {design['why']}", "yellow"))
    console.print(paid)
    commands = {"Run it:": design["run"], "Is it any good?": design.get("backtest")}
    for line in [f"{title} {command}" for title, command in commands.items() if command]:
        console.print(plain(line, "cyan"), soft_wrap=True)


def _findings(console: Console, design: Mapping[str, Any], title: str) -> None:
    if not design["findings"]:
        console.print(plain("Findings: none"))
        return
    console.print(plain(title))
    for finding in design["findings"]:
        console.print(plain(f"  {finding}", "red" if finding.startswith("error") else "yellow"), soft_wrap=True)
