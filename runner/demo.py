"""The demo: an example strategy over simulated days, through the same server, engine and journal as a real run."""

import shutil
from collections import Counter
from datetime import UTC, datetime, timedelta

from rich.console import Console
from rich.markup import escape

from mcp_server.domain.outcome import Outcome
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home, examples_folder, unwritable
from mcp_server.storage.journal import Entry, Journal, Run
from mcp_server.storage.strategies import StrategyFolders
from runner import show
from runner.execute import by_rules
from runner.server import connected, tool_server
from runner.settings import Settings

EXAMPLE = "rsi-reversion"
FIRST = datetime(2026, 4, 28, 4, tzinfo=UTC)
"""The demo's first moment: the simulated market is the same for everyone, so everyone sees the same days."""

EVERY_HOURS = 4


async def run_demo(settings: Settings, days: int, console: Console) -> None:
    """Run the example as of every fourth hour of some simulated days, and show what it says as it says it.

    Raises:
        TraderError: the home cannot be written, or the local server does not start.
    """
    home = _fresh_home(settings)
    own = settings.model_copy(update={"home": home.root, "server_url": None, "token": None})
    strategy = StrategyFolders(home, examples_folder()).read(EXAMPLE)
    journal = Journal(Database(home.database), home)
    config = strategy.config
    console.print(f"[bold]{escape(strategy.name)}[/]  {escape(config.description.split('. ')[0])}.")
    if config.rules:
        console.print(f"[dim]buy:  {escape(config.rules.buy or '')}\nsell: {escape(config.rules.sell or '')}[/]")
    console.print(
        f"[dim]{days} days of {config.trading_pair} on a simulated exchange, looked at every {EVERY_HOURS} hours. "
        "No key, no network; closed candles only.[/]\n"
    )
    async with tool_server(own) as address, connected(address) as tools:
        for slot in range(days * 24 // EVERY_HOURS):
            as_of = FIRST + timedelta(hours=EVERY_HOURS * slot)
            claimed = journal.claim(Run(strategy, "replay", as_of, "rules", datetime.now(UTC)))
            outcome = await by_rules(tools, strategy, as_of)
            journal.finish(claimed, outcome, datetime.now(UTC))
            _tell(console, as_of, outcome)
    _close(console, journal.entries(limit=10_000, outcomes="all"), home)


def _fresh_home(settings: Settings) -> Home:
    """Give the demo a home of its own below the user's, emptied of the demo before."""
    home = Home(settings.home / "demo")
    try:
        shutil.rmtree(home.root, ignore_errors=False)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise unwritable(home.root, error) from None
    home.prepare()
    return home


def _tell(console: Console, as_of: datetime, outcome: Outcome) -> None:
    moment = f"[dim]{show.minute(as_of)}[/]"
    if outcome.signal is None:
        console.print(f"{moment}  [yellow]{outcome.status}[/]  {escape(outcome.error or '')}")
        return
    signal = outcome.signal
    line = f"{moment}  [{show.COLOURS[signal.signal]}]{signal.signal:<4}[/]  {show.number(signal.price):>12}"
    if signal.signal == "HOLD":
        console.print(line)
    else:
        console.print(f"{line}  {escape(signal.reasoning)}")


def _close(console: Console, entries: list[Entry], home: Home) -> None:
    console.print()
    said = [entry for entry in entries if entry.signal in ("BUY", "SELL")]
    show.journal(console, said or entries[:10], "The journal: every BUY and SELL, newest first")
    counted = Counter(entry.signal or str(entry.status) for entry in entries)
    console.print(f"{len(entries)} runs: {', '.join(f'{count} {name}' for name, count in counted.most_common())}.\n")
    console.print("[bold]What to try next[/]")
    for command, what in _NEXT:
        console.print(f"  [cyan]{command}[/]\n      [dim]{what}[/]")
    console.print(f"\n[dim]This demo's journal: {escape(str(home.database))}[/]")


_NEXT = (
    (
        "claude-trader run rsi-reversion",
        "the same strategy now, into your own journal; `claude-trader signals` shows it",
    ),
    ("claude mcp add claude-trader -- claude-trader-mcp", "then tell Claude your idea and let it write a strategy"),
    ("claude-trader run btc-two-analysts", "two Claude sub-agents on real bitcoin prices; needs ANTHROPIC_API_KEY"),
)
