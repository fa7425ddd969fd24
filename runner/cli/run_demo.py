"""The demo: an example strategy over simulated days, with the same server, engine and journal as a real run."""

import re
import shlex
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from rich.console import Console
from rich.text import Text

from mcp_server.domain.outcome import Ended
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.domain.text import counted, exact_duration, minute, number
from mcp_server.errors import Misconfigured, Retryable
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home, examples_folder, unwritable
from mcp_server.storage.journal.entries import Entry
from mcp_server.storage.journal.runs import Journal
from mcp_server.storage.strategies.folders import StrategyFolders
from runner.backtest.demo import DAYS, demo_backtest
from runner.cli import show
from runner.cli.show_signals import COLOURS
from runner.execute import Runner
from runner.installed import install, typed, unnamed
from runner.settings import RunnerSettings
from runner.tool_server.client import connected
from runner.tool_server.server import tool_server

EXAMPLE = "rsi-reversion"
FIRST = datetime(2026, 4, 28, 4, tzinfo=UTC)
"""The demo's first moment: the simulated market is the same for everyone, so everyone sees the same days."""

EVERY_HOURS = 4

FOLDER = ".demo"
MARKER = "made-by-claude-trader-demo.txt"
_RECORD = re.compile(r"[0-9a-f]{32}(\.\w+)?")
"""The name of a file in `running/` or `outbox/`: the key of its run."""


async def run_demo(settings: RunnerSettings, days: int, console: Console | None = None) -> None:
    """Run the example as of every fourth hour of some simulated days, and show each run as it ends.

    Raises:
        TraderError: the home cannot be written, another demo is using it, or the local server does not start.
    """
    console = console or show.console()
    with _own_home(settings.home) as home:
        others = dict.fromkeys(("server_url", "token", "as_of", "database_url"))
        own = settings.model_copy(update={"home": home.root, **others})
        strategy = StrategyFolders(home, examples_folder()).read(EXAMPLE)
        database = Database(home.database)
        journal = Journal(database, home)
        _show_strategy(console, strategy, days)
        async with tool_server(own) as address, connected(address) as tools:
            runner = Runner(own, journal, database, lambda: nullcontext(address), lambda: nullcontext(tools))
            for number in range(days * 24 // EVERY_HOURS):
                as_of = FIRST + timedelta(hours=EVERY_HOURS * number)
                _show_run(console, await runner.run(strategy, trigger="replay", as_of=as_of))
            scored = await tools.call("get_performance", {"strategy_name": EXAMPLE, "runs": "replay"})
            backtested = await demo_backtest(tools, database, strategy, FIRST + timedelta(days=days))
        _show_journal(console, journal.entries(limit=10_000, outcomes="all"))
        _show_score(console, scored)
        _show_backtest(console, backtested)
        show_next(console, home)


@contextmanager
def _own_home(users: Path) -> Iterator[Home]:
    """Give this demo a home of its own below the user's: without what an earlier demo left, and locked for others."""
    home = Home(users / FOLDER)
    try:
        users.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = FileLock(users / f"{FOLDER}.lock")
        lock.acquire(timeout=0)
    except Timeout:
        raise Retryable(
            f"Another demo is running in {str(home.root)!r}.",
            "Let it end and try again, or set TRADER_HOME to another folder.",
        ) from None
    except OSError as error:
        raise unwritable(users, error) from None
    try:
        _take(home)
        yield home
    finally:
        lock.release()


def _take(home: Home) -> None:
    """Make the demo's folder, or remove the last demo's journal from it; whatever else lies there stays."""
    marker = home.root / MARKER
    log = home.database.with_name(f"{home.database.name}.wal")
    try:
        for place in (home.root, marker, home.database, log, home.strategies, home.outbox, home.running):
            if place.is_symlink():
                raise _foreign(place)
        if not _is_own(home.root, marker):
            raise _foreign(home.root)
        if (home.strategies / EXAMPLE).exists():
            raise _foreign(home.strategies / EXAMPLE)
        home.root.mkdir(exist_ok=True)
        marker.write_text("The next `claude-trader demo` removes the journal of this one, and nothing else.\n", "utf-8")
        for file in (home.database, log, *_records(home)):
            file.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(home.root, error) from None
    home.prepare()


def _is_own(folder: Path, marker: Path) -> bool:
    """Return whether a demo made this folder, or may make it."""
    return not folder.exists() or (folder.is_dir() and (marker.is_file() or not any(folder.iterdir())))


def _foreign(place: Path) -> Misconfigured:
    return Misconfigured(
        f"{str(place)!r} was not made by a demo, so it is left alone.",
        "Move it elsewhere, or set TRADER_HOME to another folder, and try again.",
    )


def _records(home: Home) -> list[Path]:
    folders = [folder for folder in (home.outbox, home.running) if folder.is_dir()]
    return [file for folder in folders for file in folder.iterdir() if _RECORD.fullmatch(file.name) and file.is_file()]


def _show_strategy(console: Console, strategy: Strategy, days: int) -> None:
    config = strategy.config
    console.print(show.plain(strategy.name, "bold") + show.plain(f"  {config.description.split('. ')[0]}."))
    if config.rules:
        console.print(show.plain(f"buy:  {config.rules.buy or ''}\nsell: {config.rules.sell or ''}", "dim"))
    about = (
        f"{days} days of {config.trading_pair} on an invented market, with a run every {EVERY_HOURS} hours. "
        "It needs no key and no network. Each run sees only closed candles. Times are UTC.\n"
    )
    console.print(show.plain(about, "dim"))


def _show_run(console: Console, ended: Ended) -> None:
    line = show.plain(f"{minute(ended.as_of)}  ", "dim")
    signal = ended.outcome.signal
    if signal is None:
        console.print(Text.assemble(line, (str(ended.outcome.status), "yellow"), "  ", show.plain(ended.outcome.error)))
        return
    line = Text.assemble(line, (f"{signal.signal:<4}", COLOURS[signal.signal]), f"  {number(signal.price):>12}")
    console.print(line if signal.signal == "HOLD" else Text.assemble(line, "  ", show.plain(signal.reasoning)))


def _show_score(console: Console, answer: dict[str, Any]) -> None:
    horizon = exact_duration(answer["horizon_s"])
    console.print(Text(f"\nWere the signals right? Each one judged after {horizon}", "bold"))
    if answer["judged"] and answer["base_rate"] is not None:
        share = f"{100 * answer['base_rate']:.0f} %"
        right = f"{answer['right']} of {counted(answer['judged'], 'signal')} gained after costs"
        console.print(show.plain(f"{right}; any such signal would have, in {share} of cases."))
    console.print(show.plain(answer["summary"][0]))


def _show_backtest(console: Console, result: str) -> None:
    console.print(Text(f"\nWas the rule any good? A backtest over {DAYS} days", "bold"))
    console.print(show.plain(result))
    meaning = f"The market is invented, so that says nothing about a real one; and in {DAYS} days all may be luck.\n"
    console.print(show.plain(meaning))


def _show_journal(console: Console, entries: list[Entry]) -> None:
    console.print()
    trades = [entry for entry in entries if entry.signal in ("BUY", "SELL")]
    show.journal(console, trades or entries[:10], "The journal: every BUY and SELL, newest first")
    counts = Counter(entry.signal or entry.status for entry in entries)
    console.print(f"{len(entries)} runs: {', '.join(f'{count} {name}' for name, count in counts.most_common())}.")


def show_next(console: Console, home: Home) -> None:
    """Show what can be typed after the demo, and where its journal lies."""
    console.print(Text("What to try next", "bold"))
    for command, purpose in _next_commands():
        console.print(Text.assemble("  ", show.plain(command, "cyan")), soft_wrap=True)
        console.print(Text.assemble("      ", show.plain(purpose, "dim")), soft_wrap=True)
    console.print(show.plain(f"\nThis demo's journal: {home.database}", "dim"), soft_wrap=True)


def _next_commands() -> list[tuple[str, str]]:
    """Return commands as they can be typed here, each with what it does."""
    trader = typed("claude-trader")
    server = shlex.quote(unnamed("claude-trader-mcp") or "claude-trader-mcp")
    needs = f"needs ANTHROPIC_API_KEY, and the extra of `{install('[claude]')}`"
    return [
        (f"{trader} backtest {EXAMPLE}", "every figure of the backtest, each with its control, into your own journal"),
        (f"{trader} run {EXAMPLE}", f"the same strategy now, into your own journal; `{trader} signals` shows it"),
        (f"{trader} score", "whether the signals of what runs on your schedule were right, and what that proves"),
        (f"claude mcp add claude-trader -- {server}", "then tell Claude your idea and let it write a strategy"),
        (f"{trader} run btc-two-analysts", f"two Claude sub-agents on real bitcoin prices; {needs}"),
    ]
