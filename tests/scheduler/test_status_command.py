"""`claude-trader status` as a person sees it: whole where it matters, quick whatever others do, and without secrets."""

import os
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from rich.console import Console

from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.errors import Retryable
from mcp_server.overview import Overview, RunnerState, StrategyState, own_strategies
from mcp_server.storage.heartbeat import Beat
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.journal.budget import Spent
from mcp_server.storage.journal.slot_history import LastSlot
from mcp_server.storage.strategies.folders import StrategyFolders
from runner.cli.show_status import rendered
from tests.rigs.journal_databases import away, journal_database, with_journal
from tests.rigs.running_up import write_strategy
from tests.rigs.terminal import CTRL_C, Terminal
from tests.runner.conftest import Command, trader

__all__ = ["trader"]

NOW = datetime(2026, 4, 2, 12, tzinfo=UTC)
CRON = "30 9 * * mon-fri America/Argentina/Buenos_Aires"


def _state(
    name: str, schedule: str, ago: timedelta, status: str, slots: int = 1, signal: str | None = None
) -> StrategyState:
    why = None if signal else "Nothing ran at the time: the runner was started at 2026-04-02 11:00:00 UTC."
    last = LastSlot(NOW - ago, slots, status, signal, why)
    return StrategyState(name, "active", schedule, "rules", NOW + timedelta(minutes=45), last, None)


STATES = [
    _state(
        "a-name-of-the-greatest-length-that-anyone-would-ever-give-to-one", CRON, timedelta(hours=3), "skipped_overlap"
    ),
    _state("yesterday", "1h", timedelta(days=1), "missed", 12_345),
    _state("last-year", "1d", timedelta(days=400), "success", signal="HOLD"),
]


def shown(width: int, states: list[StrategyState]) -> list[str]:
    beat = Beat(4711, NOW - timedelta(hours=5), NOW, 2, page="Open http://127.0.0.1:8000/ in a browser.")
    status = Overview(
        NOW,
        RunnerState(NOW, beat),
        states,
        Spent(Decimal("1.25"), Decimal("0.5")),
        Spent(Decimal(30), Decimal(0)),
        Decimal(5),
        None,
    )
    console = Console(width=width, file=open(os.devnull, "w"), record=True)  # noqa: SIM115 (it is thrown away)
    with console.file:
        console.print(rendered(status, width))
        return console.export_text().splitlines()


def test_of_the_strategies_only_your_own_are_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, one = list[str](), StrategyFolders.read

    def noted(folders: StrategyFolders, name: str) -> Strategy:
        read.append(name)
        return one(folders, name)

    write_strategy(home, "mine", interval="1h")
    monkeypatch.setattr(StrategyFolders, "read", noted)
    (listed,) = own_strategies(StrategyFolders(Home(home), examples_folder()))
    assert (listed.name, listed.example, read) == ("mine", False, ["mine"])


@pytest.mark.parametrize("width", [70, 80, 120])
def test_when_and_how_are_shown_whole_however_narrow_the_terminal(width: int) -> None:
    lines = shown(width, STATES)
    assert max(len(line.rstrip()) for line in lines) <= width
    (long,) = [line for line in lines if "a-name-of" in line]
    for whole in ("in 45 min", "09:00", "skipped_overlap"):
        assert whole in long
    assert any("04-01 12:00" in line and "missed x12345" in line for line in lines)
    assert any("2025-02-26" in line and "HOLD" in line for line in lines)
    assert ("Nothing ran at" in long) == (width == 120)


def test_it_tells_where_the_page_is() -> None:
    assert "Open http://127.0.0.1:8000/ in a browser." in map(str.strip, shown(80, STATES))


@pytest.mark.parametrize("schedule", ["1h", CRON])
@pytest.mark.parametrize("name", ["a", "x" * 64])
@pytest.mark.parametrize(("status", "slots", "signal"), [("missed", 12_345, None), ("success", 1, "BUY")])
def test_no_header_is_cut_in_80_columns(name: str, schedule: str, status: str, slots: int, signal: str | None) -> None:
    lines = shown(80, [_state(name, schedule, timedelta(hours=30), status, slots, signal)])
    (head,) = [line for line in lines if "schedule" in line]
    assert head.split()[:5] == ["strategy", "schedule", "next", "last", "outcome"]


def test_runs_of_unknown_cost_are_told_beside_what_is_known() -> None:
    status = Overview(NOW, RunnerState(NOW, None), [], Spent(Decimal("1.25"), Decimal(0), 2), None, Decimal(5), None)
    console = Console(width=120, file=open(os.devnull, "w"), record=True)  # noqa: SIM115 (it is thrown away)
    with console.file:
        console.print(rendered(status, 120))
    assert "spent today 1.25 USD and 2 runs of unknown cost of 5.00 a day" in console.export_text()
    assert status.as_json()["spent_today_usd"] is None


@pytest.mark.parametrize("away", [True, False])
def test_a_journal_that_the_runner_cannot_use_either_is_told_of_once(away: bool) -> None:
    held, other = "No slot is claimed since 11:00:30 UTC: The database h/j is away.", "dip is broken: why"
    beat = Beat(4711, NOW, NOW, 0, (held, other), journal_away=away)
    own = Retryable("The database h/j could not be used.", "Try again.")
    status = Overview(NOW, RunnerState(NOW, beat), [], None, None, Decimal(5), own)
    assert status.problems == ([held, other] if away else [held, other, str(own)])
    to_mend = [problem.problem for problem in status.to_mend()]
    assert to_mend == ([own.problem, other] if away else [own.problem, held, other])
    known = Overview(NOW, RunnerState(NOW, beat), [], None, None, Decimal(5), None)
    assert known.problems == [held, other], "it can be used again, and the runner has not said so yet"


@pytest.mark.usefixtures("kept_in")
def test_it_is_quick_and_says_who_keeps_it_from_the_journal(trader: Command, home: Path) -> None:
    write_strategy(home, "dip")
    journal_database(home).write(lambda _: None)
    with away(home) as why:
        began = time.monotonic()
        done = trader("status")
        assert time.monotonic() - began < 8, "the program's start and two seconds"
    assert done.code == 1
    assert why in " ".join(done.out.split())
    assert "unknown" in done.out
    assert "never" not in done.out


@pytest.mark.usefixtures("kept_in")
def test_watching_refreshes_until_ctrl_c(home: Path) -> None:
    write_strategy(home, "dip")
    environment = {**os.environ, "TRADER_HOME": str(home), "TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    with Terminal(["status", "--watch"], with_journal(home, environment), home) as terminal:
        terminal.until("dip")
        write_strategy(home, "another")
        terminal.until("another")
        terminal.type(CTRL_C)
        assert terminal.end() == 130
    assert "Traceback" not in terminal.shown


def test_watching_as_json_is_refused(trader: Command) -> None:
    done = trader("status", "--watch", "--json")
    assert (done.code, done.json["status"]) == (2, "error")
