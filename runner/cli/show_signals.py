"""What `signals` shows: the rows of the journal as a table, or as JSON values. It needs rich on a terminal alone."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, Any

from mcp_server.domain.text import cleaned, minute, number, percent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mcp_server.storage.journal.entries import Entry

Piece = tuple[str, str]
"""A text, and the style that it has on a terminal."""

GAP, BELOW = "  ", "       "
RIGHT = ("run", "price", "conf.")
MOST_NAME, LEAST_WHY = 24, 24
ENTRY_KEYS: tuple[str, ...] = (
    "execution_id",
    "strategy",
    "engine",
    "trigger",
    "status",
    "as_of",
    "started_at",
    "completed_at",
)
ENTRY_KEYS += ("signal", "confidence", "price", "reasoning", "error", "cost_usd", "scheduled_at", "slots")
REPLAYED_KEYS = ("replay_id", "contaminated", "knowledge_cutoff", "recorded_usd")
COLOURS = {"BUY": "bold green", "SELL": "bold red", "HOLD": "dim"}

LIKE_A_TERMINAL = ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
"""Variables by which rich is told to write as to a terminal, or not to."""

WIDTH = 80
"""That of what is no terminal, and has none beside it."""


def replace_what_is_lacking() -> None:
    """Show a character that the terminal lacks as `?`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def on_terminal() -> bool:
    """Return whether standard output is a terminal, or rich is to decide that."""
    return any(map(os.environ.get, LIKE_A_TERMINAL)) or (sys.stdout is not None and sys.stdout.isatty())


def width() -> int:
    """Return how many cells a line may have, as rich has it: what COLUMNS says, else the terminal beside, else 80."""
    if (columns := os.environ.get("COLUMNS", "")).isdecimal():
        return int(columns)
    for descriptor in range(3):
        try:
            return os.get_terminal_size(descriptor).columns or WIDTH
        except (OSError, ValueError, AttributeError):
            continue
    return WIDTH


def table(entries: Sequence[Entry], title: str, room: int) -> Iterator[list[Piece]]:
    """Yield the lines of the journal, newest first, each of at most `room` cells.

    The reason stands below a run where there is no room beside it.
    """
    rows = [_cells(entry) for entry in entries]
    needless = [name for name, needed in _needed(entries).items() if not needed]
    rows = [{name: cell for name, cell in row.items() if name not in needless} for row in rows]
    widths = _widths(rows, room)
    left = room - sum(widths.values()) - len(GAP) * len(widths)
    beside = left >= LEAST_WHY
    yield [(cleaned(title, room), "italic")]
    yield [*_line({name: (name, "bold") for name in widths}, widths), (GAP + "why" if beside else "", "")]
    yield [("─" * min(room, sum(widths.values()) + len(GAP) * len(widths) + 20), "dim")]
    for entry, row in zip(entries, rows, strict=True):
        why = (entry.why or "").removeprefix(f"{entry.signal} because ")
        if entry.engine == "host":
            why = f"decided in a chat: {why}" if why else "waits for its answer from a chat"
        line = _line(row, widths)
        if beside:
            yield [*line, (GAP + _cut(cleaned(why, left), left), "")]
            continue
        yield line
        if why:
            yield [(BELOW + _cut(cleaned(why, room - len(BELOW)), room - len(BELOW)), "dim")]
    yield []


def _needed(entries: Sequence[Entry]) -> dict[str, bool]:
    """Return which of the columns that may be left out tell something of these runs."""
    labelled = any(entry.replay_id or entry.contaminated for entry in entries)
    return {"strategy": len({entry.strategy for entry in entries}) > 1, "replay": labelled}


def _cells(entry: Entry) -> dict[str, Piece]:
    label = (entry.replay_id or "by hand", "contaminated" if entry.contaminated else "")
    labelled = " ".join(filter(None, label)) if entry.replay_id or entry.contaminated else ""
    signal = (entry.signal, COLOURS.get(entry.signal, "")) if entry.signal else (str(entry.status), "yellow")
    return {
        "run": (str(entry.execution_id), "dim"),
        "as of (UTC)": (minute(entry.as_of), ""),
        "strategy": (cleaned(entry.strategy, MOST_NAME), ""),
        "outcome": signal,
        "replay": (cleaned(labelled, 1_000), ""),
        "price": (number(entry.price), ""),
        "conf.": (percent(entry.confidence), ""),
    }


def _widths(rows: Sequence[dict[str, Piece]], room: int) -> dict[str, int]:
    """Return the width of each column: a name of a strategy may be cut; the last columns go where all is too narrow."""
    widths = {name: max(len(name), *(_room_of(row[name][0]) for row in rows)) for name in rows[0]}
    while (excess := sum(widths.values()) + len(GAP) * (len(widths) - 1) - room) > 0:
        if widths.get("strategy", 0) > len("strategy"):
            widths["strategy"] = max(widths["strategy"] - excess, len("strategy"))
        elif len(widths) == 1:
            break
        else:
            widths.popitem()
    return widths


def _line(cells: dict[str, Piece], widths: dict[str, int]) -> list[Piece]:
    shown: list[Piece] = []
    for name, cells_wide in widths.items():
        text, style = cells[name]
        text = _cut(text, cells_wide)
        padding = " " * (cells_wide - _room_of(text))
        shown += [(GAP, "")] if shown else []
        shown.append((padding + text if name in RIGHT else text + padding, style))
    return shown


def _cut(text: str, room: int) -> str:
    """Return as much of a text as has room, and an ellipsis where that is not all."""
    if _room_of(text) <= room:
        return text
    if _is_narrow(text):
        return text[: max(room - 1, 0)] + "…"
    from rich.cells import set_cell_size

    return set_cell_size(text, room - 1) + "…"


def _room_of(text: str) -> int:
    """Return how many cells a cleaned text takes; rich's table of them is read only where it may be needed."""
    if _is_narrow(text):
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _is_narrow(text: str) -> bool:
    """Return whether each character surely takes one cell, as an ellipsis at the end does."""
    return text.removesuffix("…").isascii()


def entry_keys(*, replayed: bool) -> list[str]:
    """Return the keys of `entry_json`: always the same, and of a replay's row its label too."""
    return [*ENTRY_KEYS, *(REPLAYED_KEYS if replayed else ())]


def entry_json(entry: Entry, *, replayed: bool = False) -> dict[str, Any]:
    """Return one row of the journal as JSON values, by `entry_keys`."""
    values = {name: getattr(entry, name) for name in entry_keys(replayed=replayed)}
    for key in ("as_of", "started_at", "completed_at", "scheduled_at"):
        values[key] = None if values[key] is None else values[key].isoformat()
    for key in ("confidence", "cost_usd", "recorded_usd"):
        if values.get(key) is not None:
            values[key] = float(values[key])
    return values
