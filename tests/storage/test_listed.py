"""The list of strategies keeps what it has checked, and never shows a row that another check would not give."""

import json
import os
import subprocess
import sys
import zoneinfo
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.strategies import listed
from mcp_server.storage.strategies.listed import KEPT, ROWS, Row, listed_rows

RULES = {"trading_pair": "BTC/USD", "interval": "1h", "rules": {"buy": "close > 1"}}
IN_PARIS = RULES | {"interval": None, "cron": "0 9 * * *", "timezone": "Europe/Paris"}
IN_PARIS["rules"] = {"buy": "close > 1", "timeframe": "1h"}
AGENT = {"price": {"description": "Looks.", "prompt": "Look."}}
MARK = "KEPT/ROW"


def put(home: Path, config: Any = RULES, agents: Any = None) -> Path:
    """Write the strategy `mine`, in place as an editor may; return its folder."""
    folder = home / "strategies" / "mine"
    folder.mkdir(parents=True, exist_ok=True)
    text = config if isinstance(config, str) else json.dumps({k: v for k, v in config.items() if v is not None})
    (folder / "config.json").write_text(text)
    if agents is not None:
        (folder / "agents.json").write_text(json.dumps(agents))
    return folder


def row(home: Path) -> Row:
    """List the strategies; return the row of `mine`."""
    return next(row for row in listed_rows(Home(home), examples_folder()) if row["name"] == "mine")


def mark(home: Path, change: Callable[[Any], None] | None = None) -> None:
    """List, and change what was kept, so that a row that is not checked anew is told from one that is."""
    row(home)
    kept = json.loads((home / KEPT).read_text())
    for entry in kept[ROWS].values():
        entry[0]["trading_pair" if "trading_pair" in entry[0] else "problem"] = MARK
        if change is not None:
            change(entry)
    (home / KEPT).write_text(json.dumps(kept))


def times_of(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_atime_ns, status.st_mtime_ns


def test_a_strategy_that_has_not_changed_is_not_checked_again(home: Path) -> None:
    put(home)
    mark(home)
    assert row(home)["trading_pair"] == MARK


def test_a_broken_one_is_not_checked_again_either(home: Path) -> None:
    put(home, "{")
    mark(home)
    assert row(home)["problem"] == MARK


@pytest.mark.parametrize("later_s", [0, -3600], ids=["within the clock's tick", "with the clock set back"])
def test_an_edit_of_the_same_size_is_seen_at_once(home: Path, later_s: int) -> None:
    file = put(home) / "config.json"
    times = times_of(file)
    mark(home)
    put(home, RULES | {"trading_pair": "ETH/USD"})
    os.utime(file, ns=(times[0], times[1] + later_s * 10**9))
    assert row(home)["trading_pair"] == "ETH/USD"


def test_an_edit_of_the_sub_agents_is_seen_at_once(home: Path) -> None:
    file = put(home, RULES, AGENT) / "agents.json"
    before, times = row(home), times_of(file)
    put(home, RULES, {"price": {"description": "Looks.", "prompt": "Loop."}})
    os.utime(file, ns=times)
    assert row(home)["version"] != before["version"]
    file.unlink()
    assert row(home)["engine"] == "rules"


def test_what_breaks_and_is_mended_is_seen_at_once(home: Path) -> None:
    put(home)
    assert "problem" not in row(home)
    put(home, "{")
    assert "not JSON" in row(home)["problem"]
    put(home)
    assert row(home)["trading_pair"] == "BTC/USD"


def test_of_two_that_hold_the_same_each_has_its_own_row(home: Path) -> None:
    put(home, "{").rename(home / "strategies" / "other")
    put(home, "{")
    for _ in range(2):
        rows = [row for row in listed_rows(Home(home), examples_folder()) if row["origin"] == "home"]
        assert [row["name"] for row in rows] == ["mine", "other"]
        assert [row["name"] in row["problem"] for row in rows] == [True, True]


@pytest.mark.parametrize("what", ["a library", "the code", "a new file of the code", "the size of the code", "Python"])
def test_another_program_checks_anew(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    put(home)
    library, code = tmp_path / "library", tmp_path / "code" / "format.py"
    library.mkdir()
    code.parent.mkdir()
    code.write_text("1")
    monkeypatch.setattr(listed, "CODE", (code.parent,))
    monkeypatch.syspath_prepend(library)
    mark(home)
    times = times_of(code)
    if what == "a library":
        (library / "pydantic-99.0.dist-info").mkdir()
    elif what == "the code":
        os.utime(code, ns=(times[0], times[1] + 1))
    elif what == "a new file of the code":
        code.with_name("more.py").write_text("")
    elif what == "the size of the code":
        code.write_text("12")
        os.utime(code, ns=times)
    else:
        monkeypatch.setattr(sys, "version", "4.0")
    assert row(home)["trading_pair"] == "BTC/USD"


def test_a_time_zone_that_is_not_known_any_more_is_checked_anew(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(home, IN_PARIS)
    mark(home)
    assert row(home)["trading_pair"] == MARK

    def unknown(name: str) -> None:
        raise zoneinfo.ZoneInfoNotFoundError(name)

    monkeypatch.setattr(zoneinfo, "ZoneInfo", unknown)
    assert row(home)["trading_pair"] == "BTC/USD"


def test_a_strategy_that_its_time_zone_breaks_is_checked_each_time(home: Path) -> None:
    put(home, IN_PARIS | {"timezone": "Europe/Atlantis"})
    assert "timezone" in row(home)["problem"]
    assert "Atlantis" not in (home / KEPT).read_text()


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: entry[0].pop("version"),
        lambda entry: entry[0].update(version=3),
        lambda entry: entry.pop(),
        lambda entry: entry.clear(),
    ],
)
def test_a_row_that_is_damaged_is_checked_anew(home: Path, damage: Callable[[Any], None]) -> None:
    put(home)
    mark(home, damage)
    assert row(home)["trading_pair"] == "BTC/USD"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"checked_by": 1, "rows": 2}'])
def test_a_file_of_rows_that_is_damaged_is_written_anew(home: Path, content: str) -> None:
    put(home)
    (home / KEPT).write_text(content)
    assert row(home)["trading_pair"] == "BTC/USD"
    mark(home)
    assert row(home)["trading_pair"] == MARK


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
def test_a_link_in_place_of_a_file_is_refused_though_what_it_leads_to_was_checked(home: Path) -> None:
    file = put(home) / "config.json"
    row(home)
    file.symlink_to(file.rename(home / "elsewhere.json"))
    assert "symbolic link" in row(home)["problem"]


def test_a_home_without_strategies_is_left_as_it_is(home: Path) -> None:
    before = sorted(home.iterdir())
    assert listed_rows(Home(home), examples_folder())
    assert sorted(home.iterdir()) == before


def test_a_list_that_was_checked_before_takes_neither_pydantic_nor_locks(home: Path) -> None:
    put(home)
    code = "import sys, runner.__main__ as p\ntry: p.run_command_line()\nexcept SystemExit: print(*sys.modules)"
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code, "strategies"], env={**os.environ, "TRADER_HOME": str(home)},
            stdout=subprocess.PIPE, text=True, timeout=100, check=True,
        )  # fmt: skip
        modules = set(done.stdout.splitlines()[-1].split())
    assert "mine" in done.stdout
    assert sorted(modules & {"pydantic", "croniter", "filelock", "duckdb", "asyncio"}) == []
