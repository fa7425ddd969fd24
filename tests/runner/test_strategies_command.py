"""`claude-trader strategies`: list, add, check, pause, resume."""

import json
from pathlib import Path

import pytest

from mcp_server.storage.home import Home
from tests.runner.conftest import Command
from tests.structure.test_strategy_format import EXAMPLES


def test_an_example_is_added_changed_paused_and_resumed(trader: Command, home: Path) -> None:
    listed = trader("strategies", "--json").json["strategies"]
    assert [(row["name"], row["origin"], row["status"]) for row in listed] == [
        (name, "example", None) for name in EXAMPLES
    ]
    added = trader("strategies", "add", "rsi-reversion")
    assert (added.code, added.err) == (0, "")
    assert "Is it any good? `claude-trader backtest rsi-reversion`. Run it once with" in added.out
    again = trader("strategies", "add", "rsi-reversion")
    assert (again.code, "already" in again.err) == (2, True)

    file = Home(home).strategies / "rsi-reversion" / "config.json"
    by_hand = {**json.loads(file.read_text()), "horizon": "12h"}
    file.write_text(json.dumps(by_hand))
    paused = trader("strategies", "pause", "rsi-reversion", "--json")
    assert (paused.json["status"], paused.json["was"]) == ("paused", "active")
    assert json.loads(file.read_text()) == {**by_hand, "status": "paused"}
    assert "paused already" in trader("strategies", "pause", "rsi-reversion").out
    (row,) = [row for row in trader("strategies", "--json").json["strategies"] if row["origin"] == "home"]
    assert (row["name"], row["status"], row["engine"]) == ("rsi-reversion", "paused", "rules")
    assert trader("strategies", "resume", "rsi-reversion").out == "rsi-reversion is active now.\n"


def test_the_list_for_a_person_shows_what_is_broken(trader: Command, home: Path) -> None:
    folder = Home(home).strategies / "mine"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{")
    shown = trader("strategies")
    assert shown.code == 0
    (line,) = [line for line in shown.out.splitlines() if line.split()[:2] == ["mine", "home"]]
    assert line.split()[2:] == ["broken"]
    assert "strategies check NAME" in shown.out


def test_the_list_fits_a_terminal_of_80_columns_and_cuts_no_name(trader: Command, home: Path) -> None:
    long = "a-very-long-name-" * 3 + "of-a-strategy"
    folder = Home(home).strategies / long
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"trading_pair": "BTC/USD", "interval": "1h", "rules": {"buy": "close > 1"}}')
    shown = trader("strategies", COLUMNS="80").out
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown
    assert {"example", "claude", "rules", "active", "home"} <= set(shown.split())
    assert not [line for line in shown.splitlines() if " example " in line and "active" in line]
    assert long in "".join(line.split()[0] for line in shown.splitlines() if line.strip())


def test_json_asked_of_the_group_is_answered_by_what_is_asked_of_it(trader: Command, home: Path) -> None:
    assert trader("strategies", "--json", "check", "rsi-reversion").json["valid"]
    assert trader("strategies", "--json", "add", "rsi-reversion").json["status"] == "active"
    assert trader("strategies", "--json", "pause", "rsi-reversion").json["was"] == "active"


def test_a_check_without_a_name_looks_at_every_strategy_of_the_home(trader: Command, home: Path) -> None:
    trader("strategies", "add", "rsi-reversion")
    folder = Home(home).strategies / "mine"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"trading_pair": "BTC/USD", "interval": "7m"}')
    done = trader("strategies", "check")
    assert done.code == 1
    assert "broken  mine  " in done.out
    assert "valid  rsi-reversion  0 errors, 0 warnings\n  rules held: buy " in done.out
    assert "  cost: 6 runs a day; rules cost nothing\n" in done.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["strategies", "check", "rsi-revertion"], "Did you mean 'rsi-reversion'"),
        (["strategies", "add", "../etc"], "Unknown strategy '../etc'"),
        (["strategies", "pause", "rsi-reversion"], "is an example"),
        (["strategies", "resume", "nothing-like-it"], "Unknown strategy 'nothing-like-it'"),
        (["strategies", "remove"], "Missing argument"),
    ],
)
def test_wrong_use_ends_with_two_and_says_what_was_expected(trader: Command, arguments: list[str], said: str) -> None:
    done = trader(*arguments)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err


def test_each_command_teaches_how_it_is_used(trader: Command) -> None:
    for arguments in (
        ["build"],
        ["strategies"],
        *(["strategies", name] for name in ("add", "check", "pause", "resume", "remove", "restore")),
    ):
        done = trader(*arguments, "--help")
        assert done.code == 0
        assert "Usage" in done.out
        assert len(done.out.splitlines()) > 8
