"""The commands under rules of Windows: nothing that is open is moved or removed, nothing is in UTF-8 by itself."""

import json
import os
import re
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from mcp_server.domain.strategy.parse import InvalidStrategy, parse_strategy
from mcp_server.errors import Misconfigured
from mcp_server.storage.home import Home, unwritable
from mcp_server.storage.strategies import exchange_folders, folders
from mcp_server.storage.strategies.folders import StrategyFolders
from tests.runner.conftest import LIMIT_S

CONSOLE = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C", "PYTHONIOENCODING": "cp1252"}
"""A console of Western Europe, and files that are in ASCII where a program does not say how."""

A_LIFE = """
import io, json, os, sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tests.rigs import windows_rules
windows_rules.install()
from mcp_server.errors import TraderError
from mcp_server.storage.home import examples_folder
from mcp_server.storage.journal.prune import prunable
from mcp_server.storage.strategies.folders import StrategyFolders
from mcp_server.storage.strategies.removed import RemovedStrategies
from runner.cli.journal import prune
from tests.storage.outcome_homes import Home, OutcomeHome, signalled

THEN, NOW = datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
home = Home(Path(sys.argv[1]))
own = StrategyFolders(home, examples_folder())
removed = RemovedStrategies(home.strategies, own)
done = {}

def tried(act, *arguments):
    try:
        return act(*arguments)
    except TraderError as error:
        return error.remedy

strategy = own.add("rsi-reversion")
folder = home.strategies / strategy.name
stored = OutcomeHome(home.root)
stored.run(strategy, THEN, replace(signalled("BUY"), trace={"noise": "x" * 9_000}))
done["running"] = [file.name for file in home.running.iterdir()]
own.set_status(strategy.name, "paused")
with (folder / "config.json").open():
    done["open"] = [tried(own.set_status, strategy.name, "active"), tried(removed.remove, strategy.name, NOW)]
    done["meanwhile"] = own.read(strategy.name).config.status
removed.remove(strategy.name, NOW)
done["restored"] = removed.restore(strategy.name).config.status

reports = home.analysis / strategy.name
reports.mkdir(parents=True)
for name in ("a.md", "b.md"):
    (reports / name).write_text("old")
    os.utime(reports / name, (THEN.timestamp(),) * 2)
with (reports / "a.md").open(), redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
    prune(NOW, yes=True, as_json=True)
done["left"], done["told"] = json.loads(out.getvalue())["left"], err.getvalue()
done["reports"] = [file.name for file in reports.iterdir()]
done["traces"] = prunable(stored.database, home, NOW).traces
done["rows"] = stored.rows("SELECT count(*) FROM executions")[0][0]
sys.stdout.write(json.dumps(done))
"""


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("home")
    done = subprocess.run(
        [sys.executable, "-c", A_LIFE, str(home)],
        env={**os.environ, **CONSOLE, "TRADER_HOME": str(home)},
        capture_output=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {"home": home, **json.loads(done.stdout)}


def test_a_run_ends_and_leaves_nothing_that_says_it_is_under_way(life: dict[str, Any]) -> None:
    assert life["running"] == []


def test_a_strategy_of_which_a_file_is_open_stays_as_it_is_and_the_error_says_what_to_close(
    life: dict[str, Any],
) -> None:
    assert all("Close whatever has it open" in remedy for remedy in life["open"])
    assert (life["meanwhile"], life["restored"]) == ("paused", "paused")


def test_prune_replaces_the_journal_and_names_the_report_that_is_open(life: dict[str, Any]) -> None:
    report = str(life["home"] / "analysis" / "rsi-reversion" / "a.md")
    assert (life["left"], life["reports"]) == ([report], ["a.md"])
    assert f"1 file could not be removed, and may be open elsewhere: {report!r}" in life["told"]
    assert (life["traces"], life["rows"]) == (0, 1)


def test_every_name_in_a_home_is_one_on_windows_and_macos_too(life: dict[str, Any]) -> None:
    names = [str(path.relative_to(life["home"])) for path in life["home"].rglob("*")]
    assert len({name.casefold() for name in names}) == len(names) > 8
    for name in names:
        assert not re.search(r'[<>:"\\|?*\x00-\x1f]|[. ]$|[. ]/', name), name
        assert unicodedata.normalize("NFD", name) == name


def test_what_a_console_of_western_europe_cannot_show_ends_no_command(life: dict[str, Any]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.rigs.windows_rules", "status"],
        env={**os.environ, **CONSOLE, "TRADER_HOME": str(life["home"])},
        capture_output=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, b""), "the scheduler is not running"
    text = done.stdout.decode("cp1252")
    assert "rsi-reversion" in text
    assert "·" in text


def rules(name: str, buy: str = "close > 0") -> Any:
    return parse_strategy(name, {"trading_pair": "BTC/USD", "interval": "1h", "rules": {"buy": buy}}, None)


@pytest.fixture
def own(home: Path, monkeypatch: pytest.MonkeyPatch) -> StrategyFolders:
    """Folders of a home where two are not exchanged in one step."""
    monkeypatch.setattr(exchange_folders, "_renameat2", lambda one, other: False)
    return StrategyFolders(Home(home), home / "no-examples")


def test_a_strategy_is_there_again_after_a_kill_between_the_two_steps_of_a_write(
    own: StrategyFolders, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own.write(rules("mine"))
    (Home(home).strategies / "mine" / "notes.txt").write_text("kept")
    real, moves = Path.rename, list[str]()

    class Killed(BaseException):
        pass

    def rename(path: Path, target: Path) -> Path:
        moves.append(path.name)
        if moves[-2:-1] == ["mine"]:
            raise Killed
        return real(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", rename)
        patched.setattr("shutil.rmtree", lambda *_, **__: None)
        with pytest.raises(Killed):
            own.write(rules("mine", "close > 1"))
    assert own.names() == {}
    own.write(rules("other"))
    assert own.names() == {"mine": False, "other": False}
    assert own.read("mine") == rules("mine")
    assert (Home(home).strategies / "mine" / "notes.txt").read_text() == "kept"
    own.write(rules("mine", "close > 2"))
    assert sorted(path.name for path in Home(home).strategies.glob(".*ing-*")) == []


def test_a_write_that_fails_between_its_two_steps_puts_the_strategy_back(
    own: StrategyFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    own.write(rules("mine"))
    real, moves = Path.rename, list[str]()

    def rename(path: Path, target: Path) -> Path:
        moves.append(path.name)
        if moves[-2:-1] == ["mine"]:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(Misconfigured):
        own.write(rules("mine", "close > 1"))
    assert own.read("mine") == rules("mine")


@pytest.mark.parametrize(("name", "refused"), [("con", True), ("com1", True), ("console", False), ("com10", False)])
def test_a_name_that_windows_keeps_for_a_device_is_refused_there(
    own: StrategyFolders, monkeypatch: pytest.MonkeyPatch, name: str, refused: bool
) -> None:
    own.write(rules(name))  # elsewhere it is a name like any other
    monkeypatch.setattr(folders, "ON_WINDOWS", True)
    if refused:
        with pytest.raises(InvalidStrategy, match="for a device"):
            own.write(rules(name, "close > 1"))
    else:
        own.write(rules(name, "close > 1"))


def test_a_config_with_line_ends_of_windows_is_the_same_version(own: StrategyFolders, home: Path) -> None:
    own.write(rules("mine"))
    config = Home(home).strategies / "mine" / "config.json"
    config.write_bytes(config.read_bytes().replace(b"\n", b"\r\n"))
    assert own.read("mine").version == rules("mine").version


def test_what_windows_says_of_a_file_that_is_open_is_told_from_a_lack_of_access() -> None:
    denied = PermissionError(13, "Permission denied")
    assert "write access" in unwritable(Path("x"), denied).remedy
    denied.winerror = 32  # type: ignore[attr-defined]
    assert "Close whatever has it open" in unwritable(Path("x"), denied).remedy
