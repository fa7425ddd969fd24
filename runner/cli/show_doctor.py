"""What a person sees of a checkup."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from runner.cli.show import plain
from runner.doctor.findings import Diagnosis

_MARKS = {
    "ok": Text("✔", "bold green"),
    "warning": Text("!", "bold yellow"),
    "error": Text("✘", "bold red"),
    "skipped": Text("·", "dim"),
}


def checkup(console: Console, found: Sequence[Diagnosis]) -> None:
    """Show every finding, its remedy below it, and a sentence at the end."""
    table = Table(box=box.SIMPLE, show_header=False, pad_edge=False)
    table.add_column(width=1)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for each in found:
        said = plain(each.said, "dim" if each.status == "skipped" else "")
        if each.remedy:
            said += plain(f"\n→ {each.remedy}", "cyan")
        table.add_row(_MARKS[each.status], plain(each.check, "bold"), said)
    console.print(table)
    errors = sum(each.status == "error" for each in found)
    warnings = sum(each.status == "warning" for each in found)
    console.print(plain(_verdict(errors, warnings), "bold red" if errors else "yellow" if warnings else "bold green"))


def _verdict(errors: int, warnings: int) -> str:
    if not errors and not warnings:
        return "All is well."
    parts = [
        f"{number} {what}{'' if number == 1 else 's'}" for number, what in ((errors, "error"), (warnings, "warning"))
    ]
    return f"{' and '.join(part for part in parts if not part.startswith('0 '))}; below each is what to do."


def as_json(found: Sequence[Diagnosis]) -> dict[str, Any]:
    """Give a checkup as JSON values."""
    checks = [{name: value for name, value in asdict(each).items() if name != "remedy" or value} for each in found]
    return {"ok": all(each.status != "error" for each in found), "checks": checks}
