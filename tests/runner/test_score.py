"""`claude-trader score`: the real command, and the tool that it asks."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from mcp import Client

from mcp_server.app import build_server
from mcp_server.domain.timeframes import DAY_MS, parse_moment, to_ms
from mcp_server.http.serve import mcp_app
from mcp_server.settings import ServerSettings
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.strategies.folders import StrategyFolders
from tests.rigs.loopback import served
from tests.rigs.stand_in_exchange import StandInExchange
from tests.rigs.terminal import CTRL_C, Terminal
from tests.runner.conftest import Done, trader_in
from tests.runner.scores import COLUMNS, EMPTY
from tests.runner.test_backtest import NOBODY, put
from tests.scoring.journal import MadeRun, enter_runs, open_replay
from tests.tools.conftest import answer_of

FIRST_MS = to_ms(parse_moment("2026-01-05"))
NAMES = ("BUY", "HOLD", "SELL", None, "HOLD", "SELL", "BUY")


def slots(count: int, trigger: str = "schedule", cost_usd: float = 0.0) -> list[MadeRun]:
    """Make runs twelve hours apart that said one thing after the other."""
    confidences = (55, 70, 85)
    return [
        MadeRun(FIRST_MS + slot * DAY_MS // 2, NAMES[slot % 7], confidences[slot % 3], trigger, cost_usd=cost_usd)
        for slot in range(count)
    ]


@dataclass(frozen=True)
class Scored:
    """A home with runs of every kind, a tool server of that home, and a replay with and without a sub-agent."""

    home: Path
    url: str
    replay: str
    ablation: str

    def run(self, *arguments: str, **environment: str) -> Done:
        """Run `claude-trader score`."""
        variables = {"TRADER_SERVER_URL": self.url, "COLUMNS": "80", **environment}
        return trader_in(self.home)("score", *arguments, **variables)


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scored]:
    home = tmp_path_factory.mktemp("scored")
    put(home, "mine")
    put(home, "other", trading_pair="ETH/USDT")
    folders = StrategyFolders(Home(home), examples_folder())
    enter_runs(home, folders.read("mine"), [*slots(70, cost_usd=0.01), *slots(3, "manual")])
    enter_runs(home, folders.read("other"), slots(7))
    enter_runs(home, folders.read("rsi-reversion"), slots(14, "replay"))
    ids = []
    for begin, without in ((0, ()), (2, ("trend",))):
        mine = folders.read("other")
        ids.append(open_replay(home, mine, FIRST_MS, FIRST_MS + 40 * DAY_MS, every="12h", without=without))
        enter_runs(home, mine, [replace(run, replay=ids[-1]) for run in slots(70, "replay")[begin:]])
    with served(mcp_app(build_server(ServerSettings(home=home)))) as url:
        yield Scored(home, f"{url}/mcp", ids[0], ids[1])


def test_all_strategies_that_run_on_schedule_have_a_line_each(scored: Scored) -> None:
    done = scored.run()
    assert (done.code, done.err) == (0, ""), "no progress where nobody looks"
    lines = [line.split() for line in done.out.splitlines()]
    assert done.out.startswith("Runs on schedule (live)\n")
    assert [line[:3] for line in lines if line and line[0] in ("mine", "other", "rsi-reversion")] == [
        ["mine", "60", "40"],
        ["other", "6", "4"],
    ]
    assert max(map(len, done.out.splitlines())) <= 80


def test_a_replay_is_shown_by_itself_and_beside_another_one(scored: Scored) -> None:
    done = scored.run("--replay", scored.replay)
    assert (done.code, done.err) == (0, "")
    head = done.out.splitlines()[1]
    assert head.startswith(f"replay {scored.replay} of 2026-01-05 to 2026-02-14, every 12h, judged after")
    assert "signals whose horizons do not overlap can show" in " ".join(done.out.split())
    assert "Beside the other replay" not in done.out
    both = scored.run("other", "--replay", scored.replay, "--replay", scored.ablation)
    assert (both.code, both.err) == (0, "")
    assert "Beside the other replay, at the same moments" in both.out
    assert both.out.splitlines()[1] == head
    without = scored.run("--replay", scored.ablation, "--json").json
    assert (without["kind"], without["runs"], without["without"]) == ("replay", 68, ["trend"])


def test_what_cannot_be_asked_of_replays_is_refused(scored: Scored) -> None:
    twice = ("--replay", scored.replay)
    for arguments, why in (
        ((*twice, "--runs", "manual"), "A replay has no runs of the kind 'manual'"),
        ((*twice, *twice, *twice), "--replay was given 3 times"),
        (("--replay", "nothing"), "There is no replay 'nothing'"),
        (("mine", *twice), "is of 'other'"),
    ):
        done = scored.run(*arguments)
        assert (done.code, done.out) == (2, "")
        assert why in " ".join(done.err.split())


def test_of_one_strategy_it_says_whether_there_is_evidence_and_then_every_figure(scored: Scored) -> None:
    done = scored.run("mine", TRADER_SERVER_URL="")  # unset: it starts one
    assert (done.code, done.err) == (0, "")
    head, terms, _, evidence = done.out.splitlines()[:4]
    assert head == "mine  BTC/USDT  4h candles of simulated; the market is invented"
    assert terms == "runs on schedule, judged after 24 h; a round trip costs 0.3 %"
    assert evidence.startswith("There is no evidence of skill yet in 40 judged signals")
    for title in (
        "Signals",
        "Were they right?",
        "Were they worth it?",
        "What it cost",
        "How good are its confidences?",
    ):
        assert f"\n{title}\n" in done.out
    assert "$0.70" in done.out
    figures = [line for line in done.out.splitlines() if line.startswith("  ")]
    assert max(len(line.rstrip()) for line in figures) <= 80


async def test_the_json_is_the_answer_of_the_tool_with_its_keys_alone(scored: Scored) -> None:
    as_of = "2026-06-01T00:00Z"  # the days that are needed change with every second
    done = scored.run("mine", "--json", "--as-of", as_of)
    everything = scored.run("--runs", "all", "--json", "--as-of", as_of)
    async with Client(build_server(ServerSettings(home=scored.home))) as client:
        one = await client.call_tool("get_performance", {"strategy_name": "mine", "as_of": as_of})
        every = await client.call_tool("get_performance", {"runs": "all", "as_of": as_of})
    assert (done.code, done.err, done.json) == (0, "", answer_of(one))
    assert set(done.json) - {"note"} == {*EMPTY, "simulated"}
    assert (everything.code, everything.json) == (0, answer_of(every))
    assert everything.json["columns"] == ["strategy_name", "kind", *COLUMNS[1:]]


def test_runs_of_different_kinds_are_never_mixed(scored: Scored) -> None:
    run = scored.run
    everything = run("--runs", "all", "--json").json
    names = [(row[0], row[1], row[2]) for row in everything["rows"]]
    assert sorted(names) == [
        ("mine", "live", 70), ("mine", "manual", 3), ("other", "live", 7), ("other", "replay", 70),
        ("rsi-reversion", "replay", 14),
    ]  # fmt: skip
    assert run("mine", "--runs", "manual", "--json").json["runs"] == 3
    shown = run("mine", "--runs", "all").out
    assert shown.index("Runs on schedule (live)") < shown.index("Runs by hand (manual)")
    assert "rsi-reversion" not in shown


def test_since_leaves_out_what_was_decided_before(scored: Scored) -> None:
    done = scored.run("mine", "--since", "2026-02-01", "--json")
    assert (done.code, done.json["runs"]) == (0, 70 - 2 * 27)


def test_an_as_of_shows_what_could_have_been_known_then_whoever_states_it(scored: Scored) -> None:
    run = scored.run
    option = run("mine", "--as-of", "2026-01-10T12:05Z", "--json")
    setting = run("mine", "--json", TRADER_AS_OF="2026-01-10T12:05Z")
    earliest = run("mine", "--as-of", "2026-01-20", "--json", TRADER_AS_OF="2026-01-10T12:05Z")
    assert option.json == setting.json == earliest.json
    counts = [option.json[key] for key in ("runs", "judged", "pending")]
    assert counts == [12, 5, 1], "what would be judged by a close of five minutes ago is pending"


def test_only_on_a_schedule_does_the_time_in_which_nothing_is_said_count_for_the_pace(scored: Scored) -> None:
    def days(*arguments: str) -> tuple[float, float]:
        then, now = (scored.run(*arguments, "--json", *as_of).json for as_of in (["--as-of", "2026-03-01"], []))
        assert then["judged"] == now["judged"]
        return then["days_needed"], now["days_needed"]

    replayed, later = days("rsi-reversion", "--runs", "replay")
    assert 0 < replayed == later
    live, later = days("mine")
    assert live < later


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["rsi-revertion"], "Did you mean 'rsi-reversion'"),
        (["RSI Reversion"], "Unknown strategy 'RSI Reversion'. Did you mean 'rsi-reversion'"),
        (["--since", "9000-01-01"], "--since 9000-01-01T00:00Z is in the future"),
        (["--as-of", "9000-01-01"], "--as-of 9000-01-01T00:00Z is in the future"),
        (["--since", "2026-02-01", "--as-of", "2026-01-01"], "--since 2026-02-01T00:00Z is not before"),
        (["--since", "yesterday"], "--since"),
    ],
)
def test_what_is_wrong_is_said_with_a_remedy(scored: Scored, arguments: list[str], problem: str) -> None:
    done = scored.run(*arguments)
    assert (done.code, done.out) == (2, "")
    assert problem in done.err
    again = scored.run(*arguments, "--json")
    assert again.code == 2
    assert problem in again.json["error"]


def test_a_tool_server_that_is_away_is_an_error_that_says_so(scored: Scored) -> None:
    done = scored.run(TRADER_SERVER_URL=NOBODY)
    assert (done.code, done.out) == (2, "")
    assert "The tool server cannot be reached" in done.err


def test_where_no_run_is_recorded_it_says_what_records_one(scored: Scored) -> None:
    before = scored.run("--as-of", "2026-01-01")
    assert (before.code, before.err) == (0, "")
    assert "`claude-trader up`" in before.out
    example = scored.run("rsi-reversion")
    assert example.code == 0
    assert "There is no BUY or SELL signal to judge yet." in example.out
    assert "14 replay runs" in example.out, "they are not hidden"


def test_ctrl_c_while_an_exchange_keeps_it_waiting_ends_it_and_shows_what_it_was_doing(home: Path) -> None:
    put(home, "mine", trading_pair="BTC/USDT", exchange="binance")
    enter_runs(home, StrategyFolders(Home(home), examples_folder()).read("mine"), slots(7))
    with StandInExchange() as rig:
        rig.now_ms = to_ms(parse_moment("2026-05-01"))
        rig.faults.latency_s, rig.faults.path = 30, "klines"
        environment = {**os.environ, "TRADER_HOME": str(home), "TRADER_EXCHANGE_URLS": json.dumps({"binance": rig.url})}
        with Terminal(["score"], environment, home) as terminal:
            terminal.until("Settling")
            while not any("klines" in path for path, _ in rig.log):
                time.sleep(0.02)
            terminal.type(CTRL_C)
            assert terminal.end() == 130
    assert "stopped; what was judged by then stays" in terminal.shown
