"""Show strategies in a terminal: the list, and what a check found."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mcp_server.domain.text import counted, dollars
from runner.cli.show import plain

if TYPE_CHECKING:
    from mcp_server.domain.strategy.finding import Finding
    from runner.check_folder import CheckedFolder

_COLOURS = {"error": "bold red", "warning": "yellow"}


def listed(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """Show every strategy on a line of its own; the rows are those of `listed_rows`."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for column in ("name", "where", "engine", "market", "schedule", "status"):  # the short ones are never cut
        table.add_column(column, no_wrap=column in ("where", "engine", "status"), overflow="fold")
    for row in rows:
        if "problem" in row:
            table.add_row(plain(row["name"]), row["origin"], "", "", "", Text("broken", "bold red"))
            continue
        facts = (row["engine"], row["trading_pair"], row["schedule"], row["status"] or "")
        table.add_row(plain(row["name"]), row["origin"], *(plain(fact) for fact in facts))
    console.print(table)
    if any("problem" in row for row in rows):
        console.print(plain("`claude-trader strategies check NAME` lists what is wrong with a broken one.", "dim"))
    console.print(plain("`claude-trader strategies add NAME` copies an example into your home.", "dim"))
    console.print(plain("`claude-trader up` schedules what is active there.", "dim"))


def checked(console: Console, folder: "CheckedFolder") -> None:
    """Show what a check found, and what the strategy will cost."""
    errors = sum(finding.severity == "error" for finding in folder.findings)
    warnings = len(folder.findings) - errors
    verdict = Text("broken", "bold red") if errors else Text("valid", "bold green")
    console.print(verdict + plain(f"  {folder.name}  {counted(errors, 'error')}, {counted(warnings, 'warning')}"))
    findings(console, folder.findings)
    if held := folder.answer.get("held"):
        console.print(plain(f"  rules held: {held}", "dim"), soft_wrap=True)
    if basis := folder.answer.get("basis"):
        console.print(plain(f"  cost: {_cost(folder.answer)}{basis}", "dim"), soft_wrap=True)


def findings(console: Console, results: Sequence["Finding"]) -> None:
    """Show each finding on a line of its own."""
    for finding in results:
        console.print(Text(f"  {finding.severity}  ", _COLOURS[finding.severity]) + plain(str(finding)), soft_wrap=True)


def _cost(answer: Mapping[str, Any]) -> str:
    day, month = answer.get("usd_per_day"), answer.get("usd_per_month")
    if day is None or month is None or not (day or month):  # `basis` says it all
        return ""
    return f"${dollars(day)} a day, ${dollars(month)} a month: "
