"""Show the scheduler's state in a terminal."""

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mcp_server.domain.text import cleaned, counted, dollars, duration, minute
from mcp_server.overview import Overview, RunnerState, StrategyState
from mcp_server.storage.journal.budget import Spent
from mcp_server.storage.journal.slot_history import LastSlot
from mcp_server.storage.news.standing import NewsStanding
from runner.cli.show import plain
from runner.cli.show_signals import COLOURS

QUIET = {"skipped_gate", "success", "running"}

NEVER_CUT = ("next", "last", "outcome")
"""The columns that are shown whole, however narrow the terminal."""

SPACES = 14
"""Between all columns together."""

MOST_NAME, MOST_SCHEDULE, LEAST_WHY, LEAST_NAMES = 28, 24, 12, 16


def rendered(overview: Overview, width: int, news: NewsStanding | None = None) -> RenderableType:
    """Return it as what rich can show, once or again and again; without `news` nothing is said of it."""
    parts: list[RenderableType] = [_head(overview.runner), plain(_money(overview), "dim")]
    if (alive := overview.runner.alive) is not None and alive.page:
        parts.append(plain(alive.page, "dim"))
    if news is not None and (line := _news(news, overview)):
        parts.append(plain(line, "dim"))
    parts += [Text("! ", "bold yellow") + plain(problem) for problem in overview.problems]
    if overview.strategies:
        parts.append(_table(overview, width))
    else:
        parts.append(
            Text("Your home has no strategy yet. `claude-trader strategies add NAME` copies an example into it.")
        )
    return Group(*parts)


def _head(runner: RunnerState) -> Text:
    if (alive := runner.alive) is not None:
        since = duration(runner.now - alive.started_at)
        runs = f", {alive.running} under way" if alive.running else ""
        return Text("up", "bold green") + Text(f" for {since} (process {alive.pid}){runs}")
    stopped = Text("not running", "bold red")
    if runner.beat is not None and runner.no_space is not None:
        ago = duration(runner.now - runner.beat.beat_at)
        return Text("unknown", "bold red") + Text(f": it last reported {ago} ago, and cannot report on a full disk.")
    if runner.beat is not None:
        ago = duration(runner.now - runner.beat.beat_at)
        return stopped + Text(f": it last reported {ago} ago. `claude-trader up` starts it.")
    return stopped + Text(": no strategy runs on schedule. `claude-trader up` starts the scheduler.")


def _money(overview: Overview) -> str:
    budget = f"of {dollars(overview.budget_usd_per_day or 0)} a day"
    today, month = _usd(overview.today), _usd(overview.month)
    return f"spent today {today} {budget} · this month {month} · {minute(overview.now)} UTC"


def _news(news: NewsStanding, overview: Overview) -> str:
    """Return a line on what collects news; empty where nothing does, and nothing ever did."""
    last = f"last at {minute(news.read_at)} UTC" if news.read_at else "none yet"
    if not news.collecting:
        return f"news: not being collected, {last}" if news.since or overview.runner.alive else ""
    failing = [f"{source} ({status})" for source, status in news.failing.items()]
    return f"news: {last}" + (f" · not answering: {', '.join(failing)}" if failing else "")


def _usd(spent: Spent | None) -> str:
    if spent is None:
        return "unknown"
    more = f" (+ up to {dollars(spent.reserved)} for runs under way)" if spent.reserved else ""
    unknown = f" and {counted(spent.unpriced, 'run')} of unknown cost" if spent.unpriced else ""
    return f"{dollars(spent.ended)} USD{more}{unknown}"


def _table(overview: Overview, width: int) -> Table:
    states = sorted(overview.strategies, key=lambda state: (state.due is None, state.due or overview.now, state.name))
    uncut = [[_next(state, overview), _last(state.last, overview), _outcome(state)] for state in states]
    taken = sum(max(len(title), *(len(cells[place]) for cells in uncut)) for place, title in enumerate(NEVER_CUT))
    room = max(width - taken - SPACES, LEAST_NAMES)
    schedule = min(max(len("schedule"), *(len(state.schedule) for state in states)), max(room // 3, 8), MOST_SCHEDULE)
    name = min(max(len("strategy"), *(len(state.name) for state in states)), room - schedule, MOST_NAME)
    why = room - schedule - name - 3
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("strategy", no_wrap=True, max_width=name)
    table.add_column("schedule", no_wrap=True, max_width=schedule)
    for title in NEVER_CUT:
        table.add_column(title, no_wrap=True)
    if why >= LEAST_WHY:
        table.add_column("why", no_wrap=True, max_width=why)
    for state, cells in zip(states, uncut, strict=True):
        more = [plain(_why(state))] if why >= LEAST_WHY else []
        table.add_row(plain(state.name), state.schedule, *cells, *more)
    return table


def _next(state: StrategyState, overview: Overview) -> Text:
    if state.due is None and state.status == "active":
        return Text("not scheduled", "yellow")
    if state.due is None:
        return Text(state.status, "yellow" if state.status == "broken" else "dim")
    return Text(f"in {duration(state.due - overview.now)}", "" if overview.runner.alive else "dim")


def _last(last: LastSlot | None, overview: Overview) -> Text:
    """Return a slot's time, without the date if it is today, without the year if it is this year."""
    if last is None:
        return Text("unknown" if overview.unknown else "never", "dim")
    written = minute(last.slot)
    if last.slot.date() == overview.now.date():
        return Text(written[-5:])
    return Text(written[5:] if last.slot.year == overview.now.year else written[:10])


def _outcome(state: StrategyState) -> Text:
    if state.last is None:
        return Text("")
    if state.last.signal:
        return Text(state.last.signal, COLOURS.get(state.last.signal, ""))
    more = f" x{state.last.slots}" if state.last.slots > 1 else ""
    return Text(f"{state.last.status}{more}", "dim" if state.last.status in QUIET else "yellow")


def _why(state: StrategyState) -> str:
    return cleaned(state.problem or (state.last.error if state.last else None) or "", 1_000)
