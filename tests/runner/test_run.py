"""`claude-trader run` and what it leaves behind, with the rules engine and a server of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from mcp_server.domain.outcome import Status
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal.entries import Entry
from mcp_server.storage.journal.runs import Journal
from tests.acceptance.test_http import serving
from tests.rigs.processes import left
from tests.runner.conftest import Command, trader_in
from tests.storage.test_database import held_by_a_shell

KEYS = ["status", "signal", "confidence", "reasoning", "as_of", "price", "engine", "cost_usd", "execution_id"]
KEYS += ["recorded_usd", "knowledge_cutoff", "contaminated", "cassette"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A tool server for runs of an example to which it is all one who started theirs; each saves a second so."""
    with serving(tmp_path_factory.mktemp("server")) as one:
        yield {"TRADER_SERVER_URL": one.url}


def journal(home: Path) -> list[Entry]:
    return Journal(Database(Home(home).database, prepare=Home(home).prepare), Home(home)).entries(outcomes="all")


def put(home: Path, name: str, config: dict[str, Any], agents: dict[str, Any] | None = None) -> None:
    folder = home / "strategies" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    if agents:
        (folder / "agents.json").write_text(json.dumps(agents))


def test_a_run_says_its_signal_and_leaves_one_row(trader: Command, home: Path) -> None:
    done = trader("run", "rsi-reversion", "--as-of", "2026-04-28T20:00Z", "--json")
    assert (done.code, done.err) == (0, "")
    assert list(done.json) == KEYS
    assert (done.json["signal"], done.json["status"], done.json["cost_usd"]) == ("BUY", "success", 0)
    assert (done.json["contaminated"], done.json["knowledge_cutoff"]) == (None, None), "rules know no sequel"
    assert "crosses_above(rsi_14, 35)" in done.json["reasoning"]
    (entry,) = journal(home)
    assert (entry.signal, entry.trigger, entry.as_of.isoformat()) == ("BUY", "manual", "2026-04-28T20:00:00+00:00")
    assert (entry.price, entry.execution_id) == (done.json["price"], done.json["execution_id"])


def test_the_same_run_for_a_person(trader: Command, server: dict[str, str]) -> None:
    done = trader("run", "rsi-reversion", "--as-of", "2026-04-28T20:00Z", **server)
    assert done.code == 0
    assert done.out.startswith("BUY  rsi-reversion  BTC/USDT  as of 2026-04-28 20:00 UTC\nprice ")
    assert "execution 1 · rules · " in done.out
    shown = trader("signals", "rsi-reversion")
    assert "2026-04-28 20:00  BUY" in shown.out


def test_a_rule_on_the_level_of_a_running_total_abstains_with_the_reason(trader: Command, home: Path) -> None:
    """The total begins at another candle at each run; the strategy is older than the check of it."""
    rules = {"indicators": ["obv"], "buy": "obv > 0"}
    put(home, "level", {"trading_pair": "BTC/USD", "exchange": "simulated", "interval": "1h", "rules": rules})
    done = trader("run", "level", "--json")
    assert (done.code, done.json["status"], done.json["signal"]) == (1, "abstained", None)
    assert "'obv > 0' depends on where a running total begins" in done.json["error"]


def test_rules_that_cannot_decide_end_without_a_signal_and_never_as_hold(trader: Command, home: Path) -> None:
    rules = {"buy": "close > 0", "sell": "close > 0"}
    put(home, "torn", {"trading_pair": "BTC/USD", "exchange": "simulated", "interval": "1h", "rules": rules})
    done = trader("run", "torn", "--json")
    assert (done.code, done.json["status"], done.json["signal"], done.json["confidence"]) == (
        1,
        "abstained",
        None,
        None,
    )
    assert "both" in done.json["error"]
    assert [entry.status for entry in journal(home)] == [Status.ABSTAINED]
    assert "Nothing is recorded" in trader("signals").out
    assert "abstained" in trader("signals", "--all").out


def test_an_exchange_that_does_not_exist_is_an_error_with_a_row(trader: Command, home: Path) -> None:
    config = {"trading_pair": "BTC/USD", "exchange": "coinbse", "interval": "1h", "rules": {"buy": "close > 0"}}
    put(home, "lost", config)
    done = trader("run", "lost", "--json")
    assert (done.code, done.json["status"], done.json["signal"]) == (1, "error", None)
    assert "Did you mean 'coinbase'" in done.json["error"]
    assert done.json["cost_usd"] == 0, "rules are free, also when they fail"
    assert [entry.why for entry in journal(home)] == [done.json["error"]]


def test_a_tool_server_that_is_not_there_is_an_error_with_a_row(trader: Command, home: Path) -> None:
    done = trader("run", "rsi-reversion", "--json", TRADER_SERVER_URL="http://127.0.0.1:9/mcp")
    assert (done.code, done.json["status"]) == (1, "error")
    assert "tool server cannot be reached" in done.json["error"]
    assert "TRADER_SERVER_URL" in done.json["error"]
    assert [entry.status for entry in journal(home)] == [Status.ERROR]


def test_a_run_uses_the_server_that_is_named_with_its_token(trader: Command, home: Path) -> None:
    with serving(home, TRADER_TOKEN="s3cret-token") as server:
        right = trader("run", "rsi-reversion", "--json", TRADER_SERVER_URL=server.url, TRADER_TOKEN="s3cret-token")
        wrong = trader("run", "rsi-reversion", "--json", TRADER_SERVER_URL=server.url, TRADER_TOKEN="guess")
    assert (right.code, right.json["status"]) == (0, "success")
    assert (wrong.code, wrong.json["status"]) == (1, "error")
    assert "TRADER_TOKEN" in wrong.json["error"]
    assert "guess" not in wrong.out + wrong.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "rsi-revertion"], "Did you mean 'rsi-reversion'"),
        (["run", "rsi-reversion", "--as-of", "soon"], "--as-of 'soon' is not a time"),
        (["run", "rsi-reversion", "--engine", "claude"], "has no sub-agents"),
        (["run", "rsi-reversion", "--engine", "magic"], "magic"),
        (["run"], "Missing argument"),
        (["import-candles", "none.csv", "--exchange", "kraken", "--symbol", "BTC/USD", "--timeframe", "1h"], "no file"),
    ],
)
def test_wrong_use_ends_with_two_and_says_what_was_expected(
    trader: Command, home: Path, arguments: list[str], said: str
) -> None:
    done = trader(*arguments)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err
    assert not Home(home).database.exists() or journal(home) == []


def test_a_broken_config_is_named_and_nothing_runs(trader: Command, home: Path) -> None:
    put(home, "mine", {"trading_pair": "BTC/USD", "intervall": "1h"})
    file = home / "strategies" / "mine" / "config.json"
    done = trader("run", "mine")
    assert done.code == 2
    assert "config.json intervall: not a known key. Did you mean 'interval'" in done.err
    file.write_text("{")
    done = trader("run", "mine", "--json")
    assert done.code == 2
    assert f"{str(file)!r} is not JSON at line 1, column 2" in done.json["error"]
    assert file.read_text() == "{"


def test_a_home_that_cannot_be_written_is_named(trader: Command) -> None:
    done = trader("run", "rsi-reversion", TRADER_HOME="/proc/claude-trader")
    assert done.code == 1
    assert "cannot be written: '/proc/claude-trader'" in done.err
    assert "TRADER_HOME" in done.err


def test_a_setting_that_makes_no_sense_is_named(trader: Command) -> None:
    done = trader("run", "rsi-reversion", TRADER_SERVER_URL="localhost:8000")
    assert done.code == 1
    assert "TRADER_SERVER_URL: the value does not fit" in done.err


def test_the_env_file_of_the_home_is_read(trader: Command, home: Path) -> None:
    (home / ".env").write_text("TRADER_SERVER_URL=http://127.0.0.1:9/mcp\n")
    done = trader("run", "rsi-reversion", "--json")
    assert "tool server cannot be reached" in done.json["error"]


def test_a_shell_that_holds_the_database_stops_no_outcome_from_being_kept(
    trader: Command, home: Path, server: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_server.storage.database_file.PATIENCE_S", 0.5)
    assert trader("run", "rsi-reversion", **server).code == 0
    with held_by_a_shell(Home(home).database) as pid:
        done = trader("run", "rsi-reversion")
        assert done.code == 1
        assert f"is in use: process {pid}" in done.err
        assert "Close that" in done.err
    assert len(journal(home)) == 1
    assert trader("run", "rsi-reversion", **server).code == 0
    assert len(journal(home)) == 2


def test_a_claude_strategy_without_credentials_says_both_ways_on_and_leaves_a_row(trader: Command, home: Path) -> None:
    done = trader("run", "btc-two-analysts", "--json")
    assert (done.code, done.json["status"], done.json["signal"]) == (1, "error", None)
    assert "ANTHROPIC_API_KEY" in done.json["error"]
    assert "--engine rules" in done.json["error"]
    assert [entry.status for entry in journal(home)] == [Status.ERROR]


@pytest.mark.long
@pytest.mark.parametrize("claimed", [False, True])
def test_a_run_that_is_killed_leaves_no_server_and_ends_as_interrupted(
    trader: Command, home: Path, *, claimed: bool
) -> None:
    slow = {"trading_pair": "BTC/USD", "exchange": "simulated", "interval": "1h", "rules": {"buy": "close > 0"}}
    put(home, "slow", slow)
    environment = {**os.environ, "TRADER_HOME": str(home)}
    run = psutil.Popen([sys.executable, "-m", "runner", "run", "slow"], env=environment, stdout=subprocess.DEVNULL)
    while not (children := run.children(recursive=True)) or (claimed and not _has_row(home)):
        assert run.poll() is None, "it ended before it could be killed"
    run.kill()
    run.wait(10)
    assert left(children, within_s=10) == []
    if claimed:
        assert "interrupted" in trader("signals", "--all").out
    assert [entry.status for entry in journal(home)] == [Status.ERROR] * claimed


def _has_row(home: Path) -> bool:
    return Home(home).database.exists() and bool(journal(home))


def test_a_run_says_and_records_the_moment_that_it_was_really_asked_for(
    trader: Command, home: Path, server: dict[str, str]
) -> None:
    done = trader("run", "rsi-reversion", "--json", TRADER_AS_OF="2026-04-28T20:00Z", **server)
    assert (done.json["signal"], done.json["as_of"]) == ("BUY", "2026-04-28T20:00:00+00:00")
    options = ("--as-of", "2026-04-28T16:00Z", "--json")
    done = trader("run", "rsi-reversion", *options, TRADER_AS_OF="2026-04-28T20:00Z", **server)
    assert done.json["as_of"] == "2026-04-28T16:00:00+00:00"
    assert [entry.as_of.hour for entry in journal(home)] == [16, 20]


def test_a_moment_of_the_future_is_refused(trader: Command, home: Path) -> None:
    done = trader("run", "rsi-reversion", "--as-of", "2099-01-01T00:00Z")
    assert done.code == 2
    assert "is in the future" in done.err
    assert not Home(home).database.exists()


@pytest.mark.parametrize(
    "token", ["sekrët", *(pytest.param(token, marks=pytest.mark.long) for token in ("sekret ", "sek\tret"))]
)
def test_a_token_that_cannot_be_sent_is_refused_and_never_told_back(trader: Command, token: str) -> None:
    done = trader("run", "rsi-reversion", "--json", TRADER_SERVER_URL="http://127.0.0.1:9/mcp", TRADER_TOKEN=token)
    assert done.code == 1
    assert "Use printable ASCII characters without spaces" in done.json["error"]
    assert "sek" not in done.out + done.err


def test_a_url_with_a_password_is_not_told_back(trader: Command) -> None:
    done = trader("run", "rsi-reversion", TRADER_SERVER_URL="ftp://user:sekret@host/")
    assert "TRADER_SERVER_URL" in done.err
    assert "sekret" not in done.out + done.err


def test_settings_that_are_empty_are_as_if_not_there(trader: Command) -> None:
    done = trader("run", "rsi-reversion", "--json", TRADER_SERVER_URL="", TRADER_AS_OF="", TRADER_TOKEN="")
    assert (done.code, done.json["status"]) == (0, "success")


def test_a_home_of_nobody_and_an_unreadable_env_file_are_told(trader: Command, home: Path) -> None:
    assert "names no user of this machine" in trader("signals", TRADER_HOME="~nosuchuser/x").err
    (home / ".env").write_bytes(b"\xff\xfe\x00")
    for done in (trader_in(home, program="mcp_server")(), trader("status")):
        assert done.code == 1
        assert ".env' cannot be read" in done.err


def test_sigterm_ends_a_run_also_where_a_shell_had_sigint_ignored(home: Path) -> None:
    command = f"trap '' INT; exec {sys.executable} -m runner demo"
    run = psutil.Popen(["sh", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert run.stdout.readline()
    children = run.children(recursive=True)
    run.terminate()
    assert run.wait(15) == 130
    run.stdout.close()
    assert left(children, within_s=10) == []


def test_the_signals_of_a_strategy_that_does_not_exist_are_not_just_none(trader: Command) -> None:
    done = trader("signals", "rsi-revertion")
    assert done.code == 2
    assert "Did you mean 'rsi-reversion'" in done.err
