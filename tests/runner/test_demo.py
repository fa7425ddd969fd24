"""`claude-trader demo`: what a person sees first."""

import io
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock
from rich.console import Console

from mcp_server.storage.home import Home
from runner.cli.run_demo import show_next
from tests.rigs.typed_page import blocks, missing
from tests.runner.conftest import Command, Done, trader_in

TUTORIAL = blocks((Path(__file__).parents[2] / "docs" / "tutorial.md").read_text("utf-8"))
PROGRAMS = Path(sys.executable).parent
ELSEWHERE = "/usr/bin:/bin"


def quick(home: Path, folder: Path | None = None) -> Command:
    """Return what runs the demo, whose backtest is proven at few candles."""
    return trader_in(home, folder, "tests.rigs.quick_backtests")


@pytest.fixture
def trader(home: Path) -> Command:
    return quick(home)


@dataclass(frozen=True)
class Shown:
    """A demo, and the home that it ran in."""

    home: Path
    done: Done


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """What a demo of eight days says; each takes seconds."""
    home = tmp_path_factory.mktemp("home")
    return Shown(home, quick(home)("demo"))


def of_the_user(home: Path) -> list[Path]:
    """Name files that no demo made, also where demos have theirs."""
    own = home / ".demo"
    return [home / "demo" / "mine.txt", own / "mine.txt", own / "outbox" / "mine.txt", own / "strategies" / "b" / "x"]


def again(home: Path) -> Done:
    """Run a demo of two days, after the user put files there, set a moment, and a demo was killed.

    PATH lacks this environment's programs.
    """
    for file in of_the_user(home):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("mine")
    (home / ".demo" / "made-by-claude-trader-demo.txt").touch()
    (home / ".demo" / "outbox" / f"{'a' * 32}.json").write_text("left by a demo that was killed")
    (home / ".env").write_text("TRADER_AS_OF=2020-01-01T00:00Z\n")
    return quick(home)("demo", "--days", "2", PATH=ELSEWHERE, TRADER_AS_OF="2019-01-01T00:00Z")


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """A demo of two days in a home in which another was killed."""
    home = tmp_path_factory.mktemp("second")
    return Shown(home, again(home))


def signals(done: Done) -> list[str]:
    return re.findall(r"^2026-0\d-\d\d \d\d:00  (?:BUY|SELL|HOLD).*", done.out, re.MULTILINE)


def test_a_demo_of_two_days_shows_signals_with_reasons_the_journal_and_what_to_try_next(second: Shown) -> None:
    done = second.done
    assert (done.code, done.err) == (0, "")
    assert len(signals(done)) == 12
    assert "BUY because crosses_above(rsi_14, 35) (prev(rsi_14, 1) = " in done.out
    assert "12 runs: 10 HOLD, 2 BUY." in done.out
    assert re.search(
        r"\n2 of 2 signals gained after costs; any such signal would have, in \d\d % of cases\.\n", done.out
    )
    headings = ("The journal", "Were the signals right?", "A backtest over 120 days", "What to try next")
    places = [done.out.index(heading) for heading in headings]
    assert places == sorted(places)
    assert "The market is invented, so that says nothing about a real one" in done.out
    assert not (second.home / "claude_trader.duckdb").exists(), "the demo leaves the user's own journal alone"


@pytest.mark.long
def test_the_demo_shows_signals_with_reasons_the_journal_and_what_to_try_next(shown: Shown) -> None:
    done, home = shown.done, shown.home
    assert (done.code, done.err) == (0, "")
    told = [line.split()[2] for line in signals(done)]
    assert (len(told), set(told)) == (48, {"BUY", "SELL", "HOLD"})
    assert "BUY because crosses_above(rsi_14, 35) (prev(rsi_14, 1) = " in done.out
    assert "The journal: every BUY and SELL, newest first" in done.out
    assert re.search(r"48 runs: \d+ HOLD, \d+ BUY, \d+ SELL\.", done.out)
    backtest, score = done.out.index("A backtest over 120 days"), done.out.index("Were the signals right?")
    assert done.out.index("The journal") < score < backtest < done.out.index("What to try next")
    right = r"\n4 of 6 signals gained after costs; any such signal would have, in \d\d % of cases\.\n"
    assert re.search(right, done.out[score:backtest])
    assert "\nOnly 6 judged signals are too few to say." in done.out[score:backtest]
    assert "After fees and slippage it " in done.out[backtest:]
    assert "The market is invented, so that says nothing about a real one" in done.out[backtest:]
    assert missing(TUTORIAL[0].shown, done.out) == []
    assert not (home / "claude_trader.duckdb").exists(), "the demo leaves the user's own journal alone"


@pytest.mark.long
def test_the_demo_can_be_run_again_and_says_the_same_of_its_own_days_whatever_moment_is_set(
    shown: Shown, second: Shown
) -> None:
    """In `make test` a demo is run where another was killed, with a moment set."""
    assert signals(again(shown.home)) == signals(second.done) == signals(shown.done)[:12]


def test_the_demo_in_a_home_that_cannot_be_written_says_so(trader: Command) -> None:
    done = trader("demo", TRADER_HOME="/proc/claude-trader")
    assert done.code == 1
    assert "cannot be written: '/proc/claude-trader" in done.err


def test_the_demo_deletes_nothing_but_its_own(second: Shown) -> None:
    assert second.done.code == 0
    assert [file.read_text() for file in of_the_user(second.home)] == ["mine"] * 4
    outbox = second.home / ".demo" / "outbox"
    assert list(outbox.iterdir()) == [outbox / "mine.txt"]


def test_a_folder_of_the_demos_name_that_no_demo_made_is_left_alone(trader: Command, home: Path) -> None:
    (home / ".demo").mkdir()
    (home / ".demo" / "claude_trader.duckdb").write_text("mine")
    done = trader("demo")
    assert done.code == 1
    assert "Move it elsewhere" in done.err
    assert (home / ".demo" / "claude_trader.duckdb").read_text() == "mine"
    assert [file.name for file in (home / ".demo").iterdir()] == ["claude_trader.duckdb"]


@pytest.mark.parametrize("place", ["", "claude_trader.duckdb", "outbox", "running", "made-by-claude-trader-demo.txt"])
def test_the_demo_follows_no_link(trader: Command, home: Path, tmp_path: Path, place: str) -> None:
    target = tmp_path / "target"
    if place.count("."):
        target.write_text("mine")
    else:
        target.mkdir()
        (target / ("a" * 32)).write_text("mine")
    if place:
        (home / ".demo").mkdir()
        (home / ".demo" / "made-by-claude-trader-demo.txt").touch()
        (home / ".demo" / place).unlink(missing_ok=True)
    (home / ".demo" / place).symlink_to(target)
    done = trader("demo")
    assert done.code == 1
    assert "was not made by a demo" in done.err
    assert (target if target.is_file() else target / ("a" * 32)).read_text() == "mine"


def test_a_second_demo_at_the_same_time_says_that_one_is_running(trader: Command, home: Path) -> None:
    with FileLock(home / ".demo.lock"):
        done = trader("demo")
    assert (done.code, done.out) == (1, "")
    assert "Another demo is running in" in done.err
    assert "try again" in done.err
    assert not (home / ".demo").exists()


def test_what_to_try_next_can_be_typed_as_it_stands(second: Shown) -> None:
    bare = second.done.out
    assert f"  {PROGRAMS}/claude-trader run rsi-reversion\n" in bare
    assert f"  claude mcp add claude-trader -- {PROGRAMS}/claude-trader-mcp\n" in bare
    assert "[claude]'`" in bare


def test_what_to_try_next_is_a_name_alone_where_that_starts_it(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("PATH", f"{PROGRAMS}:{ELSEWHERE}")
    shown = io.StringIO()
    show_next(Console(file=shown), Home(home))
    named = shown.getvalue()
    assert "  claude-trader run rsi-reversion\n" in named
    assert "  claude mcp add claude-trader -- claude-trader-mcp\n" in named


def test_below_the_current_folder_a_program_is_named_by_its_relative_path(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setenv("PATH", ELSEWHERE)
    monkeypatch.chdir(PROGRAMS.parents[1])
    shown = io.StringIO()
    show_next(Console(file=shown, width=80), Home(home))
    relative = f"{PROGRAMS.parent.name}/{PROGRAMS.name}"
    assert f"  {relative}/claude-trader run btc-two-analysts\n" in shown.getvalue()
    assert f"`{relative}/claude-trader signals`" in shown.getvalue()


@pytest.mark.long
def test_a_demo_can_be_shown_where_there_is_only_ascii(home: Path) -> None:
    """In `make test` the commands of `test_windows.py` are."""
    done = quick(home)("demo", "--days", "1", PATH=ELSEWHERE, COLUMNS="80", PYTHONIOENCODING="ascii")
    assert (done.code, done.err) == (0, "")
    assert "This demo's journal: " in done.out
