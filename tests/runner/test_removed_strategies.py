"""`claude-trader strategies remove` and `restore`."""

import os
import pty
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mcp_server.storage.home import Home
from mcp_server.storage.journal.rows import Run
from mcp_server.storage.strategies.folders import StrategyFolders
from mcp_server.storage.strategies.removed import RemovedStrategies
from tests.runner.conftest import LIMIT_S, Command
from tests.storage.outcome_homes import OutcomeHome, signalled

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def mine(trader: Command, home: Path) -> Path:
    """A strategy of the home, with a note of its owner beside its files."""
    trader("strategies", "add", "rsi-reversion")
    folder = Home(home).strategies / "rsi-reversion"
    (folder / "notes.txt").write_text("mine")
    return folder


def listed(trader: Command) -> dict[str, str]:
    return {row["name"]: row["origin"] for row in trader("strategies", "--json").json["strategies"]}


def test_a_strategy_is_removed_and_restored_with_all_of_its_files_and_its_record_stays(
    trader: Command, home: Path, mine: Path
) -> None:
    stored = OutcomeHome(home)
    strategy = stored.folders.read("rsi-reversion")
    stored.run(strategy, NOW, signalled("BUY"))
    done = trader("strategies", "remove", "rsi-reversion", "--yes")
    assert (done.code, done.err) == (0, "")
    assert "Its record stays" in done.out
    assert "The example rsi-reversion is listed again." in done.out
    assert listed(trader)["rsi-reversion"] == "example"
    assert not mine.exists()
    assert [row["signal"] for row in trader("signals", "rsi-reversion", "--json").json["signals"]] == ["BUY"]
    assert stored.folders.read_version("rsi-reversion", strategy.version) == strategy, "its runs can still be judged"

    back = trader("strategies", "restore", "rsi-reversion", "--json").json
    assert back == {"name": "rsi-reversion", "version": strategy.version, "status": "active"}
    assert (mine / "notes.txt").read_text() == "mine"
    again = trader("strategies", "restore", "rsi-reversion")
    assert (
        again.code,
        "No strategy 'rsi-reversion' was removed. Nothing that was removed is left to restore." in again.err,
    ) == (2, True)


def test_the_one_that_was_removed_last_is_restored_and_never_over_another(
    trader: Command, home: Path, mine: Path
) -> None:
    trader("strategies", "remove", "rsi-reversion", "--yes")
    trader("strategies", "add", "rsi-reversion")
    refused = trader("strategies", "restore", "rsi-reversion")
    assert (refused.code, "has a strategy 'rsi-reversion' already" in refused.err) == (2, True)
    trader("strategies", "pause", "rsi-reversion")
    assert trader("strategies", "remove", "rsi-reversion", "--yes", "--json").json["status"] == "removed"
    assert trader("strategies", "restore", "rsi-reversion", "--json").json["status"] == "paused"
    trader("strategies", "remove", "rsi-reversion", "--yes")
    nearest = trader("strategies", "restore", "rsi-revertion")
    assert (nearest.code, "Did you mean 'rsi-reversion'" in nearest.err) == (2, True)


def test_a_broken_strategy_can_be_removed(trader: Command, mine: Path) -> None:
    (mine / "config.json").write_text("{")
    assert trader("strategies", "remove", "rsi-reversion", "--yes").code == 0
    assert not mine.exists()
    assert trader("strategies", "restore", "rsi-reversion").code == 2, "it is back, and broken"
    assert (mine / "config.json").read_text() == "{"


def test_nothing_is_removed_while_a_run_is_under_way(trader: Command, home: Path, mine: Path) -> None:
    stored = OutcomeHome(home)
    strategy = stored.folders.read("rsi-reversion")
    claimed = stored.journal.claim(Run(strategy, "manual", NOW, "rules", NOW, "kraken"))
    refused = trader("strategies", "remove", "rsi-reversion", "--yes")
    assert (refused.code, "is running now: run 1" in refused.err) == (1, True)
    assert mine.exists()
    stored.journal.finish(claimed, signalled("HOLD"), NOW)
    assert trader("strategies", "remove", "rsi-reversion", "--yes").code == 0


def test_a_run_that_was_killed_keeps_nothing_from_being_removed(trader: Command, home: Path, mine: Path) -> None:
    stored = OutcomeHome(home)
    stored.run(stored.folders.read("rsi-reversion"), NOW, signalled("BUY"))
    stored.database.write(lambda c: c.execute("UPDATE executions SET status = 'running', run_key = 'of another home'"))
    assert trader("strategies", "remove", "rsi-reversion", "--yes").code == 0
    assert trader("signals", "--all", "--json").json["signals"][0]["status"] == "error"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("btc-two-analysts", "is an example, which cannot be removed"),
        ("rsi-revertion", "Did you mean 'rsi-reversion'"),
        ("../rsi-reversion", "Unknown strategy"),
        ("rsi-reversion", "Confirm with --yes"),
    ],
)
def test_what_cannot_be_removed_stays(trader: Command, mine: Path, name: str, problem: str) -> None:
    refused = trader("strategies", "remove", name)
    assert (refused.code, problem in refused.err) == (2, True)
    assert mine.exists()


def test_a_link_is_left_to_its_owner(trader: Command, home: Path, mine: Path) -> None:
    mine.rename(home / "elsewhere")
    mine.symlink_to(home / "elsewhere")
    refused = trader("strategies", "remove", "rsi-reversion", "--yes")
    assert (refused.code, "symbolic link" in refused.err) == (1, True)
    assert mine.is_symlink()


@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 1), (b"y\n", 0)])
def test_at_a_terminal_it_asks_first(home: Path, mine: Path, answer: bytes, code: int) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "runner", "strategies", "remove", "rsi-reversion"]
    variables = {**os.environ, "TRADER_HOME": str(home)}
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, env=variables) as process:
        os.write(ours, answer)
        assert process.wait(LIMIT_S) == code
    os.close(theirs)
    os.close(ours)
    assert mine.exists() is bool(code)


def test_no_tool_and_no_write_meets_what_was_removed(trader: Command, home: Path, mine: Path) -> None:
    trader("strategies", "remove", "rsi-reversion", "--yes")
    folders = StrategyFolders(Home(home), home / "no-examples")
    assert folders.names() == {}
    assert folders.all() == []


def test_a_run_that_begins_while_somebody_thinks_about_it_keeps_the_strategy(home: Path, mine: Path) -> None:
    stored = OutcomeHome(home)
    strategy = stored.folders.read("rsi-reversion")
    stored.run(strategy, NOW, signalled("BUY"))
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "runner", "strategies", "remove", "rsi-reversion"]
    variables = {**os.environ, "TRADER_HOME": str(home)}
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, env=variables) as process:
        asked = b""
        while b"[y/N]" not in asked:
            asked += os.read(ours, 1_000)
        claimed = stored.journal.claim(Run(strategy, "manual", NOW, "rules", NOW, "kraken"))
        os.write(ours, b"y\n")
        assert process.wait(LIMIT_S) == 1
    os.close(theirs)
    os.close(ours)
    assert mine.exists()
    stored.journal.finish(claimed, signalled("HOLD"), NOW)


def test_a_run_that_is_under_way_when_its_strategy_goes_is_recorded(home: Path, mine: Path) -> None:
    stored = OutcomeHome(home)
    strategy = stored.folders.read("rsi-reversion")
    claimed = stored.journal.claim(Run(strategy, "manual", NOW, "rules", NOW, "kraken"))
    RemovedStrategies(Home(home).strategies, stored.folders).remove("rsi-reversion", NOW)
    stored.journal.finish(claimed, signalled("HOLD"), NOW)
    assert stored.rows("SELECT status, strategy_version FROM executions") == [("success", strategy.version)]
    assert stored.folders.read_version("rsi-reversion", strategy.version) == strategy


KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.strategies.folders import StrategyFolders
from mcp_server.storage.strategies.removed import RemovedStrategies
real = Path.rename
def killed(path, target):
    if path.name == sys.argv[2] or Path(target).name == sys.argv[2] and ".removed" in str(path):
        if sys.argv[4] == "after":
            real(path, target)
        os.kill(os.getpid(), signal.SIGKILL)
    return real(path, target)
Path.rename = killed
home = Home(Path(sys.argv[1]))
removed = RemovedStrategies(home.strategies, StrategyFolders(home, examples_folder()))
removed.restore(sys.argv[2]) if sys.argv[3] == "restore" else removed.remove(sys.argv[2], datetime.now(UTC))
"""


@pytest.mark.parametrize("act", ["remove", "restore"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_moment_a_strategy_is_there_or_removed_and_whole(
    home: Path, mine: Path, act: str, when: str
) -> None:
    folders = StrategyFolders(Home(home), home / "no-examples")
    strategy = folders.read("rsi-reversion")
    removed = RemovedStrategies(Home(home).strategies, folders)
    if act == "restore":
        removed.remove(strategy.name, NOW)
    command = [sys.executable, "-c", KILLED, str(home), strategy.name, act, when]
    assert subprocess.run(command, timeout=LIMIT_S, check=False).returncode == -signal.SIGKILL
    is_there = (act == "remove") == (when == "before")
    assert mine.exists() is is_there
    if not is_there:
        assert removed.restore(strategy.name) == strategy
    assert (mine / "notes.txt").read_text() == "mine"
    assert folders.names() == {strategy.name: False}
    removed.remove(strategy.name, NOW)
    assert folders.names() == {}
