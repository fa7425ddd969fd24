"""What `score` shows of all strategies: a line each, and what the columns mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.text import Text

from mcp_server.domain.text import change, cleaned, share
from runner.cli.show import plain
from runner.cli.show_score import KINDS, STYLES, UNDEFINED, usd

GAP, MOST_NAME, LEAST_NAME = "  ", 40, 8
TITLES = ("strategy", "signals", "judged", "right/base", "net ± 95 %", "cost", "evidence")
EVIDENCE = {
    "too_few": "too few",
    "none_yet": "none yet",
    "skill": "skill",
    "no_skill": "no skill",
    "unknown": "unknown",
    "contaminated": "left out",
}
MEANING = (
    "signals: BUY, SELL and HOLD, which is never judged. right/base: the share of",
    "judged signals that gained after costs, and of any such signals, without skill.",
    "net: what a signal brought on average, after costs, give or take. evidence:",
    "whether it shows skill; below 30 judged it is too few to say. $1+: at least so",
    "much, as the cost of some runs is not known.",
)

Row = Mapping[str, Any]


def scores(console: Console, answer: Mapping[str, Any]) -> None:
    """Show the answer about several records; records of different kinds stand apart."""
    rows = [{"kind": answer["kind"], **dict(zip(answer["columns"], row, strict=True))} for row in answer["rows"]]
    rows.sort(key=lambda row: [*KINDS].index(row["kind"]))
    lines = [_cells(row) for row in rows]
    widths = _widths(lines, console.width)
    for kind, of_kind in groupby(zip(rows, lines, strict=True), key=lambda pair: pair[0]["kind"]):
        console.print(Text(f"{KINDS[kind].capitalize()} ({kind})", "italic"))
        console.print(_line([Text(title, "bold") for title in TITLES], widths))
        console.print(Text("─" * (sum(widths) + len(GAP) * (len(widths) - 1)), "dim"))
        for _, cells in of_kind:
            console.print(_line(cells, widths))
        console.print()
    for line in (*MEANING, _every_figure(rows)) if rows else ():
        console.print(plain(line, "dim"))
    if note := answer.get("note"):
        console.print(plain(f"\n{note}" if rows else note))
    elif not rows:
        console.print("Nothing is recorded yet. `claude-trader up` runs your strategies, and records each signal.")


def _every_figure(rows: Sequence[Row]) -> str:
    """Say how to see more; runs that are not on schedule are only shown if their kind is named."""
    kinds = list(dict.fromkeys("manual" if row["kind"] == "host" else row["kind"] for row in rows))
    runs = "" if kinds in ([], ["live"]) else f" --runs {kinds[0] if len(kinds) == 1 else 'KIND'}"
    return f"`claude-trader score NAME{runs}` shows every figure of a strategy."


def _cells(row: Row) -> list[Text]:
    cost = UNDEFINED if row["cost_usd"] is None else usd(row["cost_usd"])
    cost += "+" if row.get("cost_unknown") and row["cost_usd"] is not None else ""
    evidence = Text(EVIDENCE[row["evidence"]], STYLES.get(row["evidence"], "dim"))
    figures = [f"{row['signals']:,}", f"{row['judged']:,}", _right(row), _net(row), cost]
    return [plain(cleaned(row["strategy_name"], MOST_NAME)), *map(Text, figures), evidence]


def _widths(lines: Sequence[Sequence[Text]], width: int) -> list[int]:
    """Return the width of each column; a name is cut where the terminal is too narrow."""
    widths = [max(len(title), *(line[at].cell_len for line in lines), 0) for at, title in enumerate(TITLES)]
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - width
    return [max(widths[0] - max(excess, 0), LEAST_NAME), *widths[1:]]


def _line(cells: Sequence[Text], widths: Sequence[int]) -> Text:
    shown = []
    for at, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        shown.append(cell.copy())
        shown[-1].truncate(width, overflow="ellipsis")
        shown[-1].align("left" if at in (0, len(widths) - 1) else "right", width)
    return Text(GAP).join(shown)


def _right(row: Row) -> str:
    right, base = (
        UNDEFINED if rate is None else share(rate).removesuffix(" %") for rate in (row["hit_rate"], row["base_rate"])
    )
    return UNDEFINED if row["hit_rate"] is None else f"{right}/{base} %"


def _net(row: Row) -> str:
    if row["mean_net_pct"] is None:
        return UNDEFINED
    bounds = row["mean_net_ci95"]
    off = "" if bounds is None else f" ± {(bounds[1] - bounds[0]) / 2:.2f}"
    return f"{change(row['mean_net_pct']).removesuffix(' %')}{off} %"
