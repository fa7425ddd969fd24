"""What a person sees of the scheduler's state in a terminal."""

from datetime import timedelta

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from mcp_server.domain.text import cleaned, minute
from mcp_server.storage.journal.budget import Spent
from mcp_server.storage.journal.slot_history import LastSlot
from runner.cli.show import COLOURS, plain
from runner.status import Overview, Row

QUIET = {"skipped_gate", "success", "running"}

NEVER_CUT = ("next", "last", "outcome")
"""The columns that are shown whole, however narrow the terminal."""

SPACES = 14
"""Between all columns together."""

MOST_NAME, MOST_SCHEDULE, LEAST_WHY, LEAST_NAMES = 28, 24, 12, 16


def status(console: Console, found: Overview) -> None:
    """Show it once."""
    console.print(rendered(found, console.width))


def rendered(found: Overview, width: int) -> RenderableType:
    """Give it as what rich can show, also again and again."""
    parts: list[RenderableType] = [_head(found), plain(_money(found), "dim")]
    parts += [Text("! ", "bold yellow") + plain(problem) for problem in _problems(found)]
    if found.rows:
        parts.append(_table(found, width))
    else:
        parts.append(
            Text("The home has no strategy yet. `claude-trader strategies add NAME` copies an example into it.")
        )
    return Group(*parts)


def _head(found: Overview) -> Text:
    if found.alive and found.beat is not None:
        since = _ago(found.now - found.beat.started_at)
        going_on = f", {found.beat.running} under way" if found.beat.running else ""
        return Text("up", "bold green") + Text(f" for {since} (process {found.beat.pid}){going_on}")
    if found.beat is not None:
        last = _ago(found.now - found.beat.beat_at)
        return Text("not running", "bold red") + Text(
            f": its last sign of life was {last} ago. `claude-trader up` starts it."
        )
    return Text("not running", "bold red") + Text(": nothing is run on a schedule. `claude-trader up` starts it.")


def _problems(found: Overview) -> list[str]:
    told = list(found.beat.problems) if found.alive and found.beat else []
    return [*told, *([found.unknown] if found.unknown else [])]


def _money(found: Overview) -> str:
    of = f"of {found.budget_usd_per_day:.2f} a day"
    return f"spent today {_usd(found.today)} {of} · this month {_usd(found.month)} · {minute(found.now)} UTC"


def _usd(spent: Spent | None) -> str:
    if spent is None:
        return "unknown"
    more = f" (+ up to {spent.reserved:.2f} by what runs)" if spent.reserved else ""
    return f"{spent.ended:.2f} USD{more}"


def _table(found: Overview, width: int) -> Table:
    rows = sorted(found.rows, key=lambda row: (row.due is None, row.due or found.now, row.name))
    whole = [[_next(row, found), _last(row.last, found), _outcome(row)] for row in rows]
    uncut = sum(max(len(title), *(len(cells[place]) for cells in whole)) for place, title in enumerate(NEVER_CUT))
    room = max(width - uncut - SPACES, LEAST_NAMES)
    schedule = min(max(len("schedule"), *(len(row.schedule) for row in rows)), max(room // 3, 8), MOST_SCHEDULE)
    name = min(max(len("strategy"), *(len(row.name) for row in rows)), room - schedule, MOST_NAME)
    why = room - schedule - name - 3
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("strategy", no_wrap=True, max_width=name)
    table.add_column("schedule", no_wrap=True, max_width=schedule)
    for title in NEVER_CUT:
        table.add_column(title, no_wrap=True)
    if why >= LEAST_WHY:
        table.add_column("why", no_wrap=True, max_width=why)
    for row, cells in zip(rows, whole, strict=True):
        more = [plain(_why(row))] if why >= LEAST_WHY else []
        table.add_row(plain(row.name), row.schedule, *cells, *more)
    return table


def _next(row: Row, found: Overview) -> Text:
    if row.due is None:
        return Text(row.status, "yellow" if row.status == "broken" else "dim")
    return Text(f"in {_ago(row.due - found.now)}", "" if found.alive else "dim")


def _last(last: LastSlot | None, found: Overview) -> Text:
    """Write a slot as shortly as it can be told apart: an hour of today, a day of this year."""
    if last is None:
        return Text("unknown" if found.unknown else "never", "dim")
    said = minute(last.slot)
    if last.slot.date() == found.now.date():
        return Text(said[-5:])
    return Text(said[5:] if last.slot.year == found.now.year else said[:10])


def _outcome(row: Row) -> Text:
    if row.last is None:
        return Text("")
    if row.last.signal:
        return Text(row.last.signal, COLOURS[row.last.signal])
    more = f" x{row.last.slots}" if row.last.slots > 1 else ""
    return Text(f"{row.last.status}{more}", "dim" if row.last.status in QUIET else "yellow")


def _why(row: Row) -> str:
    return cleaned(row.problem or (row.last.error if row.last else None) or "", 1_000)


def _ago(length: timedelta) -> str:
    seconds = max(0, round(length.total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
