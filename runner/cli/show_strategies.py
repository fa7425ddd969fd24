"""What a person sees of strategies in a terminal: the list, and what a check found."""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mcp_server.domain.strategy.finding import Finding
from mcp_server.storage.strategies.folders import ListedStrategy
from runner.check_folder import CheckedFolder
from runner.cli.show import plain

_COLOURS = {"error": "bold red", "warning": "yellow"}


def listed(console: Console, found: Sequence[ListedStrategy]) -> None:
    """Show every strategy, one line each; a broken one with how many things are wrong."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for column in ("name", "where", "engine", "market", "schedule", "status"):  # the short ones are never cut
        table.add_column(column, no_wrap=column in ("where", "engine", "status"), overflow="fold")
    for each in found:
        where = "example" if each.example else "home"
        if each.strategy is None:
            table.add_row(plain(each.name), where, "", "", "", Text("broken", "bold red"))
            continue
        config = each.strategy.config
        facts = (each.strategy.engine, config.trading_pair, each.strategy.schedule, config.status)
        table.add_row(plain(each.name), where, *(plain(fact) for fact in facts))
    console.print(table)
    if any(each.strategy is None for each in found):
        console.print(plain("`claude-trader strategies check NAME` lists what is wrong with a broken one.", "dim"))
    console.print(plain("`claude-trader strategies add NAME` copies an example into your home.", "dim"))


def row_json(found: ListedStrategy) -> dict[str, Any]:
    """Give one row of the list as JSON values."""
    said: dict[str, Any] = {"name": found.name, "origin": "example" if found.example else "home"}
    if found.strategy is None:
        return {**said, "problem": found.problem}
    config = found.strategy.config
    return {
        **said,
        "engine": found.strategy.engine,
        "trading_pair": config.trading_pair,
        "schedule": found.strategy.schedule,
        "status": config.status,
        "version": found.strategy.version,
        "description": config.description,
    }


def checked(console: Console, done: CheckedFolder) -> None:
    """Show what a check found, and what the strategy will cost."""
    errors = sum(each.severity == "error" for each in done.findings)
    warnings = len(done.findings) - errors
    verdict = Text("broken", "bold red") if errors else Text("valid", "bold green")
    console.print(verdict + plain(f"  {done.name}  {_counted(errors, 'error')}, {_counted(warnings, 'warning')}"))
    findings(console, done.findings)
    if held := done.said.get("held"):
        console.print(plain(f"  rules held: {held}", "dim"), soft_wrap=True)
    if basis := done.said.get("basis"):
        console.print(plain(f"  cost: {_cost(done.said)}{basis}", "dim"), soft_wrap=True)


def findings(console: Console, found: Sequence[Finding]) -> None:
    """Show findings, one each line."""
    for each in found:
        console.print(Text(f"  {each.severity}  ", _COLOURS[each.severity]) + plain(str(each)), soft_wrap=True)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _cost(said: Any) -> str:
    day, month = said.get("usd_per_day"), said.get("usd_per_month")
    known = day is not None and month is not None and (day or month)  # else what it rests on says all
    return f"${day:.2f} a day, ${month:.2f} a month: " if known else ""
