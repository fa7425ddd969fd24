"""What a person sees of a checkup."""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mcp_server.domain.text import counted
from runner.cli.show import plain
from runner.doctor.findings import Diagnosis

_MARKS = {
    "ok": Text("✔", "bold green"),
    "warning": Text("!", "bold yellow"),
    "error": Text("✘", "bold red"),
    "skipped": Text("·", "dim"),
}


def checkup(console: Console, findings: Sequence[Diagnosis]) -> None:
    """Show every finding with its remedy below it, and a verdict at the end."""
    table = Table(box=box.SIMPLE, show_header=False, pad_edge=False)
    table.add_column(width=1)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        sentence = plain(finding.sentence, "dim" if finding.status == "skipped" else "")
        if finding.remedy:
            sentence += plain(f"\n→ {finding.remedy}", "cyan")
        table.add_row(_MARKS[finding.status], plain(finding.check, "bold"), sentence)
    console.print(table)
    errors = sum(finding.status == "error" for finding in findings)
    warnings = sum(finding.status == "warning" for finding in findings)
    console.print(plain(_verdict(errors, warnings), "bold red" if errors else "yellow" if warnings else "bold green"))


def _verdict(errors: int, warnings: int) -> str:
    if not errors and not warnings:
        return "All is well."
    parts = [counted(number, noun) for number, noun in ((errors, "error"), (warnings, "warning")) if number]
    return f"{' and '.join(parts)}; each is followed by what to do."


def as_json(findings: Sequence[Diagnosis]) -> dict[str, Any]:
    """Return a checkup as JSON values."""
    checks = [
        {"check": finding.check, "status": finding.status, "said": finding.sentence}
        | ({"remedy": finding.remedy} if finding.remedy else {})
        for finding in findings
    ]
    return {"ok": all(finding.status != "error" for finding in findings), "checks": checks}
