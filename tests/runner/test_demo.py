"""`claude-trader demo`: what a person sees first."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from tests.runner.conftest import Command


def test_the_demo_shows_signals_with_reasons_the_journal_and_what_to_try_next(trader: Command, home: Path) -> None:
    done = trader("demo")
    assert (done.code, done.err) == (0, "")
    told = re.findall(r"^2026-0\d-\d\d \d\d:00  (BUY|SELL|HOLD)", done.out, re.MULTILINE)
    assert (len(told), set(told)) == (48, {"BUY", "SELL", "HOLD"})
    assert "BUY because crosses_above(rsi_14, 35) (prev(rsi_14, 1) = " in done.out
    assert "The journal: every BUY and SELL, newest first" in done.out
    assert re.search(r"48 runs: \d+ HOLD, \d+ BUY, \d+ SELL\.", done.out)
    assert done.out.index("What to try next") > done.out.index("The journal")
    assert not (home / "claude_trader.duckdb").exists(), "the demo leaves the user's own journal alone"


def test_the_demo_can_be_run_again_and_says_the_same(trader: Command) -> None:
    first, second = (trader("demo", "--days", "1") for _ in range(2))
    assert first.out == second.out
    assert first.code == 0


def test_the_demo_in_a_home_that_cannot_be_written_says_so(trader: Command) -> None:
    done = trader("demo", TRADER_HOME="/proc/claude-trader")
    assert done.code == 1
    assert "cannot be written: '/proc/claude-trader" in done.err


def test_the_demo_deletes_nothing_but_its_own(trader: Command, home: Path) -> None:
    assert trader("demo", "--days", "1").code == 0
    own = home / ".demo"
    kept = [home / "demo" / "mine.txt", own / "mine.txt", own / "outbox" / "mine.txt", own / "strategies" / "b" / "x"]
    for file in kept:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("mine")
    (own / "outbox" / f"{'a' * 32}.json").write_text("left by a demo that was killed")
    done = trader("demo", "--days", "1")
    assert (done.code, done.err) == (0, "")
    assert "6 runs: " in done.out
    assert [file.read_text() for file in kept] == ["mine"] * len(kept)
    assert list((own / "outbox").iterdir()) == [own / "outbox" / "mine.txt"]


def test_a_folder_of_the_demos_name_that_no_demo_made_is_left_alone(trader: Command, home: Path) -> None:
    (home / ".demo").mkdir()
    (home / ".demo" / "claude_trader.duckdb").write_text("mine")
    done = trader("demo")
    assert done.code == 1
    assert "was not made by a demo, so it is left alone. Move it elsewhere" in done.err
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
    assert "Let it end and try again" in done.err
    assert not (home / ".demo").exists()


def test_the_demo_asks_of_its_own_days_whatever_moment_is_set(trader: Command, home: Path) -> None:
    (home / ".env").write_text("TRADER_AS_OF=2020-01-01T00:00Z\n")
    plain = trader("demo", "--days", "1")
    done = trader("demo", "--days", "1", TRADER_AS_OF="2019-01-01T00:00Z")
    assert (plain.code, done.code) == (0, 0)
    assert plain.out == done.out
    assert len(re.findall(r"^2026-0\d-\d\d \d\d:00  (?:BUY|SELL|HOLD)", done.out, re.MULTILINE)) == 6


def test_what_to_try_next_can_be_typed_as_it_stands(trader: Command) -> None:
    programs = Path(sys.executable).parent
    elsewhere = "/usr/bin:/bin"
    bare = trader("demo", "--days", "1", PATH=elsewhere).out
    assert f"  {programs}/claude-trader run rsi-reversion\n" in bare
    assert f"  claude mcp add claude-trader -- {programs}/claude-trader-mcp\n" in bare
    assert "[claude]'`" in bare
    named = trader("demo", "--days", "1", PATH=f"{programs}:{elsewhere}").out
    assert "  claude-trader run rsi-reversion\n" in named
    assert "  claude mcp add claude-trader -- claude-trader-mcp\n" in named


def test_below_the_current_folder_a_program_is_named_by_its_relative_path(home: Path) -> None:
    programs = Path(sys.executable).parent
    environment = {**os.environ, "PATH": "/usr/bin:/bin", "TRADER_HOME": str(home), "COLUMNS": "80"}
    done = subprocess.run(
        [sys.executable, "-m", "runner", "demo", "--days", "1"],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        cwd=programs.parents[1],
    )
    relative = f"{programs.parent.name}/{programs.name}"
    assert f"  {relative}/claude-trader run btc-two-analysts\n" in done.stdout
    assert f"`{relative}/claude-trader signals`" in done.stdout


def test_a_terminal_that_knows_only_ascii_sees_the_demo_to_its_end(trader: Command) -> None:
    done = trader("demo", "--days", "2", PYTHONIOENCODING="ascii", COLUMNS="70")
    assert (done.code, done.err) == (0, "")
    assert "This demo's journal: " in done.out
