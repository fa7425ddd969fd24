"""`claude-trader backtest`: the real command. But where the proof is looked at, it cuts after few candles for it."""

import csv
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from mcp_server.app import build_server
from mcp_server.domain.backtest import look_ahead
from mcp_server.domain.timeframes import parse_moment, to_ms
from mcp_server.settings import ServerSettings
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from tests.rigs.stand_in_exchange import StandInExchange
from tests.rigs.terminal import CTRL_C, Terminal
from tests.runner.conftest import Command, Done, trader_in
from tests.tools.conftest import answer_of

RULES = {"buy": "close > prev(close, 1) * 1.001", "sell": "close < prev(close, 1) * 0.999"}
WITH_EMA = {"indicators": ["ema(9)"], "buy": "close > ema_9 * 1.001", "sell": "close < ema_9 * 0.999"}
CONFIG = {"trading_pair": "BTC/USDT", "exchange": "simulated", "interval": "4h", "rules": RULES}

AGENTS = json.dumps({"a": {"description": "a", "prompt": "b", "tools": ["get_price"]}})


def put(home: Path, name: str, **keys: Any) -> None:
    folder = home / "strategies" / name
    folder.mkdir(parents=True, exist_ok=True)
    config = {"name": name, **CONFIG, **keys}
    (folder / "config.json").write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


def read_csv(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(file.read_text().splitlines()))


def rows(home: Path, query: str) -> list[tuple[Any, ...]]:
    database = Database(Home(home).database, prepare=Home(home).prepare)
    return database.read(lambda connection: connection.execute(query).fetchall())


KEYS = (
    *("strategy_name", "version", "exchange", "symbol", "timeframe", "start", "end", "candles", "missing", "side"),
    *("fee_bps", "slippage_bps", "signals", "return_pct", "buy_and_hold_pct", "cagr_pct", "exposure_pct"),
    *("volatility_pct", "sharpe", "sharpe_ci95", "sharpe_probabilistic", "sharpe_deflated", "trials"),
    *("min_track_record_days", "sortino", "calmar", "max_drawdown_pct", "average_drawdown_pct", "max_drawdown_days"),
    *("trades", "win_rate_pct", "best_pct", "worst_pct", "average_pct", "profit_factor", "expectancy_pct", "sqn"),
    *("turnover", "fees_paid", "open_trade", "controls", "look_ahead", "summary"),
)
SPRING = ["--from", "2026-01-01", "--to", "2026-01-15"]
NOBODY = "http://127.0.0.1:9/mcp"
"""A tool server that is not there: who asks it fails."""


def quick(home: Path) -> Command:
    return trader_in(home, program="tests.rigs.quick_backtests")


@pytest.fixture
def trader(home: Path) -> Command:
    return quick(home)


@dataclass(frozen=True)
class Filled:
    """A home whose first backtest fetched its candles from an exchange that is gone by now."""

    home: Path
    done: Done
    requests: int


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    home = tmp_path_factory.mktemp("filled")
    put(home, "mine", trading_pair="BTC/USDT", exchange="binance")
    with StandInExchange() as rig:
        rig.now_ms = to_ms(parse_moment("2026-05-01"))
        urls = json.dumps({"binance": rig.url})
        done = quick(home)("backtest", "mine", *SPRING, "--json", TRADER_EXCHANGE_URLS=urls)
        requests = sum("klines" in path for path, _ in rig.log)
    return Filled(home, done, requests)


def test_a_backtest_fetches_what_is_not_stored_and_answers_with_the_keys_of_the_design(filled: Filled) -> None:
    assert (filled.done.code, filled.done.err) == (0, "")
    assert filled.requests > 0
    answer = filled.done.json
    assert [key for key in KEYS if key not in answer] == []
    assert [answer[key] for key in ("strategy_name", "exchange", "symbol", "timeframe", "side")] == [
        *("mine", "binance", "BTC/USDT", "4h", "long")
    ]
    assert (answer["start"], answer["end"]) == ("2026-01-01T00:00Z", "2026-01-15T00:00Z")
    assert (answer["candles"], answer["missing"], answer["trials"]) == (14 * 6, 0, 1)
    assert (answer["fee_bps"], answer["slippage_bps"]) == (10, 5), "what costs are where the strategy says nothing"
    assert "simulated" not in answer
    assert sum(answer["signals"].values()) == 14 * 6
    assert answer["look_ahead"]["changed"] == 0
    assert answer["cagr_pct"] is None, "two weeks are no year"


@pytest.fixture(scope="module")
def again(filled: Filled) -> Done:
    """A second backtest of the same."""
    return quick(filled.home)("backtest", "mine", *SPRING, "--json", TRADER_SERVER_URL=NOBODY)


def test_the_second_backtest_needs_neither_a_network_nor_a_server_and_says_the_same(
    filled: Filled, again: Done
) -> None:
    assert again.code == 0, again.out
    assert {**again.json, "backtest_id": 1} == {**filled.done.json, "backtest_id": 1}
    assert again.json["backtest_id"] > filled.done.json["backtest_id"]
    more = quick(filled.home)("backtest", "mine", "--from", "2026-01-01", "--json", TRADER_SERVER_URL=NOBODY)
    assert (more.code, more.json["end"]) == (0, "2026-01-15T00:00Z"), "it ends where the stored candles end"


def without_proof(answer: dict[str, Any]) -> list[str]:
    return [sentence for sentence in answer["summary"] if "look-ahead" not in sentence]


async def test_the_tool_gives_the_same_answer_as_the_command(filled: Filled, again: Done) -> None:
    server = build_server(ServerSettings(home=filled.home, exchange_urls={"binance": "http://127.0.0.1:9"}))
    arguments = {"strategy_name": "mine", "start": SPRING[1], "end": SPRING[3]}
    async with Client(server) as client:
        told = answer_of(await client.call_tool("backtest_strategy", arguments))
    told_proof, proof = told.pop("look_ahead"), again.json["look_ahead"]
    assert (told_proof["changed"], told_proof["checked"] >= 14 * 6 > proof["checked"]) == (0, True), "it proves more"
    others = {"backtest_id": 1, "summary": None}
    assert {**told, "folds": [], **others, "look_ahead": proof} == {**again.json, **others}
    assert without_proof(told) == without_proof(again.json)


def test_each_backtest_leaves_a_row_and_only_another_variant_is_another_trial(filled: Filled) -> None:
    cheap = quick(filled.home)(
        "backtest", "mine", *SPRING, "--fee-bps", "1.5", "--side", "both", "--json", TRADER_SERVER_URL=NOBODY
    )
    assert (cheap.json["trials"], cheap.json["fee_bps"], cheap.json["side"]) == (2, 1.5, "both")
    row = rows(filled.home, f"SELECT * FROM backtests WHERE id = {cheap.json['backtest_id']}")[0]
    assert "binance BTC/USDT mine" in row
    figures = json.loads(rows(filled.home, "SELECT figures FROM backtests ORDER BY id DESC LIMIT 1")[0][0])
    assert figures["return_pct"] == cheap.json["return_pct"]


def test_a_stake_is_a_share_of_the_starting_equity(filled: Filled) -> None:
    run = quick(filled.home)
    tenth = run("backtest", "mine", *SPRING, "--stake-pct", "10", "--json", TRADER_SERVER_URL=NOBODY).json
    assert tenth["stake_pct"] == 10
    assert abs(tenth["return_pct"]) < abs(filled.done.json["return_pct"])
    assert tenth["fees_paid"] < filled.done.json["fees_paid"]


def test_nothing_after_the_as_of_of_the_settings_is_used(filled: Filled) -> None:
    done = quick(filled.home)(
        "backtest", "mine", *SPRING, "--json", TRADER_SERVER_URL=NOBODY, TRADER_AS_OF="2026-01-08T00:30Z"
    )
    assert (done.code, done.json["end"]) == (0, "2026-01-08T00:00Z")
    made = f"SELECT CAST(created_at AS VARCHAR) FROM backtests WHERE id = {done.json['backtest_id']}"
    assert rows(filled.home, made) == [("2026-01-08 00:30:00",)], "or a server of that time could not draw it"


def test_for_a_person_it_says_what_it_means_and_writes_the_files_that_were_asked_for(filled: Filled) -> None:
    files = ["--trades", "trades.csv", "--report", "page.html"]
    done = quick(filled.home)("backtest", "mine", *SPRING, *files, TRADER_SERVER_URL=NOBODY, COLUMNS="80")
    assert (done.code, done.err) == (0, ""), "no bars where nobody looks"
    assert done.out.startswith("mine  BTC/USDT  4h candles of binance\n")
    assert "Is it more than luck?" in done.out
    assert done.out.endswith("\nWritten: page.html, trades.csv\n")
    assert max(len(line.rstrip()) for line in done.out.splitlines()) <= 80
    trades = read_csv(filled.home / "trades.csv")
    assert len(trades) == filled.done.json["trades"] + (filled.done.json["open_trade"] is not None)
    assert {trade["side"] for trade in trades} == {"long"}
    assert "<html" in (filled.home / "page.html").read_text()
    left = {file.name for file in filled.home.iterdir() if file.name.endswith(".new")}
    assert left == set()


def test_the_picture_is_drawn_by_the_tool_server(filled: Filled) -> None:
    done = quick(filled.home)("backtest", "mine", *SPRING, "--picture", "picture.png", "--json")
    assert done.code == 0, done.out
    assert (filled.home / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_a_grid_counts_each_variant_as_a_trial_and_answers_for_all_of_them(filled: Filled) -> None:
    grid = [*SPRING, "--vary", "1.001=1.07", "--vary", "0.999=0.95", "--workers", "1", "--trades", "own.csv"]
    environment = {"TRADER_SERVER_URL": NOBODY}
    before = rows(filled.home, "SELECT count(*) FROM backtests")[0][0]
    done = quick(filled.home)("backtest", "mine", *grid, "--json", **environment)
    assert done.code == 0, done.out
    assert rows(filled.home, "SELECT count(*) FROM backtests")[0][0] == before + 4
    labels = ["as it is", "0.999 → 0.95", "1.001 → 1.07", "1.001 → 1.07, 0.999 → 0.95"]
    assert [variant["variant"] for variant in done.json["variants"]] == labels
    assert done.json["variants"][0]["return_pct"] == filled.done.json["return_pct"]
    assert len({variant["return_pct"] for variant in done.json["variants"]}) > 2
    assert done.json["trials"] >= 4
    assert len(read_csv(filled.home / "own.csv")) >= filled.done.json["trades"], "of the strategy as it is"
    again = quick(filled.home)("backtest", "mine", *SPRING, "--json", **environment)
    assert again.json["trials"] == done.json["trials"], "what was tried stays tried"


def test_the_proof_covers_every_candle_where_that_is_asked_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says as much of a series of so few candles that both cut after each of them, and of one that is longer."""
    put(home, "mine", interval="1h", rules={"buy": "close > 0"})
    trader, days = trader_in(home), ["--from", "2026-01-01", "--to", "2026-01-04", "--json"]
    short = trader("backtest", "mine", *days).json["look_ahead"]
    monkeypatch.setattr(look_ahead, "CUTS", 25)
    some, every = (trader("backtest", "mine", *days, *extra).json["look_ahead"] for extra in ([], ["--prove", "all"]))
    assert some["checked"] < 3 * 24 - 1 <= min(every["checked"], short["checked"])
    assert (short["changed"], some["changed"], every["changed"]) == (0, 0, 0)


def test_a_time_without_candles_is_an_error(trader: Command, home: Path) -> None:
    put(home, "mine")
    done = trader("backtest", "mine", "--from", "2012-01-01", "--to", "2012-02-01", "--json")
    assert done.code == 2
    assert "simulated has no closed 4h candle of BTC/USDT between 2012-01-01T00:00Z" in done.json["error"]
    assert rows(home, "SELECT * FROM backtests") == [], "and no trial"


def test_a_swap_pays_the_fundings_that_were_settled(trader: Command, home: Path) -> None:
    put(home, "held", trading_pair="BTC/USDT:USDT", rules={"buy": "close > 0"})
    done = trader("backtest", "held", *SPRING, "--trades", "t.csv", "--json")
    assert done.code == 0, done.out
    assert done.json["simulated"] is True
    (trade,) = read_csv(home / "t.csv")
    assert float(trade["funding"]) != 0
    assert done.json["open_trade"]["funding"] == float(trade["funding"])


def test_ctrl_c_ends_it_at_once_and_leaves_no_process(filled: Filled) -> None:
    environment = {**os.environ, "TRADER_HOME": str(filled.home), "TRADER_SERVER_URL": NOBODY, "COLUMNS": "80"}
    with Terminal(["backtest", "mine", *SPRING, "--prove", "all"], environment, filled.home) as terminal:
        terminal.until("ook-ahead")  # the bar of the proof
        began = time.monotonic()
        terminal.type(CTRL_C)
        assert terminal.end() == 130
        assert time.monotonic() - began < 2
    assert "stopped; candles that were fetched stay" in terminal.shown


def test_ctrl_c_while_an_exchange_keeps_it_waiting_ends_it_and_its_server(trader: Command, home: Path) -> None:
    put(home, "mine", trading_pair="BTC/USDT", exchange="binance")
    with StandInExchange() as rig:
        rig.now_ms = to_ms(parse_moment("2026-05-01"))
        rig.faults.latency_s, rig.faults.path = 30, "klines"
        urls = json.dumps({"binance": rig.url})
        environment = {**os.environ, "TRADER_HOME": str(home), "TRADER_EXCHANGE_URLS": urls}
        with Terminal(["backtest", "mine", *SPRING], environment, home) as terminal:
            while not any("klines" in path for path, _ in rig.log):
                time.sleep(0.02)
            began = time.monotonic()
            terminal.type(CTRL_C)
            assert terminal.end() == 130
            assert time.monotonic() - began < 3


@pytest.mark.long
def test_a_reader_that_leaves_early_is_no_error_of_ours(filled: Filled) -> None:
    """In `make test`, `test_leaving.py` and `test_early_server.py` have outputs that nobody reads."""
    environment = {**os.environ, "TRADER_HOME": str(filled.home), "TRADER_SERVER_URL": NOBODY}
    command = f"{sys.executable} -m runner backtest mine {' '.join(SPRING)} | head -1"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    assert done.stdout == "mine  BTC/USDT  4h candles of binance\n"
    assert "Traceback" not in done.stderr


GRID = [f"--vary={own}={','.join(str(number) for number in range(100, 200))}" for own in ("1.001", "0.999")]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["rsi-revertion"], "Did you mean 'rsi-reversion'"),
        (["claude"], "has no rules; only rules can be backtested"),
        (["mine", "--from", "2026-02-01", "--to", "2026-01-01"], "--to 2026-01-01T00:00Z is not after --from"),
        (["mine", "--from", "2026-02-01", "--to", "2026-01-15"], "is not after"),
        (["mine", "--from", "9000-01-01"], "--from 9000-01-01T00:00Z is in the future"),
        (["mine", "--to", "9000-01-01"], "--to 9000-01-01T00:00Z is in the future"),
        (["mine", "--from", "soon"], "--from 'soon' is not a time"),
        (["mine", "--from", "2026-01-01T00:10Z", "--to", "2026-01-01T02:00Z"], "fewer than two closed 4h candles"),
        (["mine", "--fee-bps", "cheap"], "--fee-bps 'cheap' is no number from 0 to 1,000"),
        (["mine", "--fee-bps", "nan"], "--fee-bps 'nan' is no number"),
        (["mine", "--fee-bps", "-0.5"], "--fee-bps '-0.5' is no number"),
        (["mine", "--slippage-bps", "-1"], "--slippage-bps '-1' is no number"),
        (["mine", "--slippage-bps", "inf"], "--slippage-bps 'inf' is no number"),
        (["mine", "--stake-pct", "0"], "--stake-pct '0' is no number above 0 and at most 100"),
        (["mine", "--side", "short"], "short"),
        (["mine", "--prove", "some"], "some"),
        (["mine", "--workers", "0"], "--workers"),
        (["mine", "--workers", "http://127.0.0.1:8786"], "no address of a cluster"),
        (["mine", *GRID, "--vary=ema(9)=ema(7),ema(21)"], "variants"),
        (["mine", "--vary", "ema(9)"], "ema(9)"),
        (["mine", "--vary", "31=25"], "31"),
        (["mine", "--trades", "trades.txt"], "does not end in .csv"),
        (["mine", "--report", "none/page.html"], "There is no folder 'none'"),
        (["mine", "--picture", "/proc/picture.png"], "'/proc/picture.png' cannot be written"),
        ([], "Missing argument"),
    ],
)
def test_wrong_use_ends_with_two_and_says_what_was_expected(
    trader: Command, home: Path, arguments: list[str], problem: str
) -> None:
    put(home, "mine", rules=WITH_EMA)
    put(home, "claude", rules=None)
    (home / "strategies" / "claude" / "agents.json").write_text(AGENTS)
    done = trader("backtest", *arguments)
    assert (done.code, done.out) == (2, "")
    assert problem in " ".join(done.err.split())
    assert not (home / "claude_trader.duckdb").exists(), "nothing was computed"
