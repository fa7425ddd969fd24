"""`claude-trader replay`, as it is typed: what it refuses before anything is asked, and what to do instead."""

import os
import shlex
import signal
from functools import partial
from pathlib import Path

import psutil
import pytest

from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.strategies.folders import StrategyFolders
from runner.cli.replay import _same_command
from tests.rigs.played_runs import PlayedApi, PlayedRunner
from tests.rigs.processes import left
from tests.rigs.replays import watching
from tests.rigs.scripted_messages_api import ORCHESTRATOR, Hang, ScriptedMessagesApi
from tests.rigs.warm import Warm, forked_by
from tests.runner.claude_runs import KEY
from tests.runner.conftest import Command

RANGE = ("--from", "2026-10-01", "--to", "2026-10-02")
TWO = "btc-two-analysts"


@pytest.mark.parametrize(
    ("arguments", "problem", "remedy"),
    [
        ((TWO, *RANGE), "--max-usd is missing", "--max-usd 5; or repeat what is recorded with --rerun"),
        ((TWO, *RANGE, "--rerun", "--max-usd", "5"), "asks nothing, so it has no use for --max-usd", "Leave one of"),
        ((TWO, *RANGE, "--max-usd", "0"), "--max-usd '0' is no amount above 0", "like 5 or 2.50"),
        ((TWO, *RANGE, "--max-usd", "-1"), "no amount above 0", "like 5 or 2.50"),
        ((TWO, *RANGE, "--max-usd", "nan"), "no amount above 0", "like 5 or 2.50"),
        ((TWO, *RANGE, "--max-usd", "inf"), "no amount above 0", "like 5 or 2.50"),
        ((TWO, *RANGE, "--max-usd", "five"), "no amount above 0", "like 5 or 2.50"),
        (("rsi-reversion", *RANGE, "--max-usd", "5"), "decided by rules", "claude-trader backtest rsi-reversion"),
        (("rsi-reversion", *RANGE, "--rerun"), "decided by rules", "claude-trader backtest rsi-reversion"),
        (("btc-two-analyst", *RANGE, "--max-usd", "5"), "btc-two-analyst", TWO),
        ((TWO, *RANGE, "--max-usd", "5", "--without", "price-analyse"), "no sub-agent", "price-analyst"),
        ((TWO, "--from", "2026-10-01", "--to", "2999-01-01", "--max-usd", "5"), "in the future", "now it is"),
        ((TWO, "--from", "2026-10-02", "--to", "2026-10-01", "--max-usd", "5"), "is not before", "earlier --from"),
        ((TWO, "--from", "soon", "--to", "2026-10-01", "--max-usd", "5"), "--from 'soon' is not a time", "ISO 8601"),
        ((TWO, *RANGE, "--every", "7m", "--max-usd", "5"), "'7m' is not one of", "'4h'"),
    ],
)
def test_what_cannot_be_replayed_is_refused_with_what_to_do(
    trader: Command, arguments: tuple[str, ...], problem: str, remedy: str
) -> None:
    done = trader("replay", *arguments)
    refusal = " ".join(done.err.replace("│", " ").split())
    assert (done.code, done.out) == (2, "")
    assert problem in refusal
    assert remedy in refusal


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        (TWO, f"or try its rules for nothing: claude-trader backtest {TWO}"),
        ("dip", "or give the strategy 'rules', and"),
    ],
)
def test_without_a_credential_it_names_no_option_that_a_replay_does_not_have(
    home: Path, trader: Command, name: str, remedy: str
) -> None:
    StrategyFolders(Home(home), examples_folder()).write(watching())
    done = trader("replay", name, *RANGE, "--max-usd", "5", ANTHROPIC_API_KEY="")
    assert done.code == 1
    assert remedy in done.err
    assert "--engine" not in done.err


def test_the_command_that_goes_on_after_the_cap_asks_for_more(monkeypatch: pytest.MonkeyPatch) -> None:
    for typed in (["--max-usd", "0.1", "--json"], ["--max-usd=0.1", "--json"]):
        monkeypatch.setattr("sys.argv", ["claude-trader", "replay", "dip", *typed])
        assert _same_command() == f"claude-trader replay dip {' '.join(typed)}"
        more = " ".join(typed).replace("0.1", "MORE")
        assert _same_command("MORE") == f"claude-trader replay dip {more}"


def test_the_present_is_the_as_of_that_everything_is_held_to(trader: Command) -> None:
    done = trader("replay", TWO, *RANGE, "--max-usd", "5", TRADER_AS_OF="2026-10-01T12:00Z")
    assert done.code == 2
    assert "--to 2026-10-02T00:00Z is in the future" in done.err
    assert "2026-10-01T12:00Z" in done.err


def test_a_refusal_is_json_where_that_is_asked_for(trader: Command) -> None:
    done = trader("replay", "rsi-reversion", *RANGE, "--rerun", "--json")
    assert (done.code, done.err) == (2, "")
    assert done.json["status"] == "error"
    assert "claude-trader backtest rsi-reversion" in done.json["error"]


def test_a_price_above_the_cap_is_refused_once_the_pilots_have_told_it(
    home: Path, trader: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of ten moments costs 0.024 dollars; only what the agent CLI would ask is played."""
    api = PlayedApi(same_tokens=1_000)
    monkeypatch.setattr("runner.replay.replay.Runner", partial(PlayedRunner, api=api))
    StrategyFolders(Home(home), examples_folder()).write(watching())
    hours = ("--from", "2026-10-01T00:00Z", "--to", "2026-10-01T09:00Z", "--every", "1h", "--contaminated")
    refused = trader("replay", "dip", *hours, "--max-usd", "0.2", "--json", ANTHROPIC_API_KEY=KEY)
    told = refused.json
    assert (refused.code, told["status"], told["stopped_by"], told["moments"]) == (2, "refused", "price", 10)
    assert (told["by_status"], told["spent_usd"]) == ({"success": 5}, pytest.approx(0.12))
    assert told["estimated_usd"] == [pytest.approx(0.24)] * 2
    assert "Give --max-usd 0.24, a shorter range or a longer --every" in told["stopped_because"]
    assert len({moment for moment, _ in api.asked}) == 5


@pytest.mark.long
def test_ctrl_c_ends_it_with_the_command_that_goes_on(home: Path, tmp_path: Path) -> None:
    """`tests/replay/test_stopped.py` stops one in `make test`."""
    StrategyFolders(Home(home), examples_folder()).write(watching())
    arguments = ["replay", "dip", *RANGE, "--every", "1d", "--max-usd", "5"]
    error = tmp_path / "error"
    with ScriptedMessagesApi({ORCHESTRATOR: [Hang()]}) as api, error.open("wb") as stderr, open(os.devnull) as no:
        variables = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": KEY, "TRADER_HOME": str(home)}
        streams = (no.fileno(), stderr.fileno(), stderr.fileno())
        process = Warm("runner", arguments, {**os.environ, **variables}, home, streams, forks_servers=True)
        try:
            assert api.arrived.wait(200), "the CLI never asked"
            children = [*forked_by(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            process.send_signal(signal.SIGINT)
            assert process.wait(200) == 130
        finally:
            process.kill()
            process.wait(10)
    assert left(children, within_s=60) == []
    last = error.read_text().splitlines()[-1]
    assert "is recorded and is not asked again" in last
    assert last.endswith(f"To go on: claude-trader {shlex.join(arguments)}")
