"""The tool backtest_strategy on the simulated market: what it answers, counts, refuses and leaves behind."""

import json
import re
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import psutil
import pytest
from mcp import Client
from mcp_types import TextContent

from mcp_server.adapters.simulated.exchange import SimulatedExchange
from mcp_server.app import build_server
from mcp_server.backtest import child
from mcp_server.backtest import compute as computing
from mcp_server.child_process import run_child
from mcp_server.domain.backtest.assumptions import Assumptions
from mcp_server.domain.backtest.run import BacktestTask, run_backtest
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.domain.timeframes import DAY_MS, parse_moment, to_ms
from mcp_server.errors import NotSupported, UpstreamRejected
from mcp_server.settings import ServerSettings
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal.backtests import Backtests
from tests.rigs.processes import children, command_line, left
from tests.storage.test_database import held_by_a_shell
from tests.tools.conftest import NOW, Ask, Told, answer_of

HALF_A_YEAR = {"start": "2025-10-01", "end": "2026-04-01"}


def crossing(fast: int, **keys: Any) -> dict[str, Any]:
    """Return the config of a rule on daily candles, of which a backtest takes little time."""
    rules = {"indicators": [f"ema({fast})", "ema(20)"], "buy": f"ema_{fast} > ema_20", "sell": f"ema_{fast} < ema_20"}
    return {"trading_pair": "BTC/USDT", "exchange": "simulated", "interval": "1d", "rules": rules, **keys}


async def task_of(config: dict[str, Any], start: str, end: str) -> BacktestTask:
    """Return what the tool is to compute, gathered another way."""
    exchange = SimulatedExchange(lambda: NOW)
    start_ms, end_ms = (to_ms(parse_moment(text)) for text in (start, end))
    fetched = await exchange.candles("BTC/USDT", "1d", start_ms - 400 * DAY_MS, end_ms)
    strategy = parse_strategy("draft", config, None)
    return BacktestTask(strategy, "simulated", "BTC/USDT", fetched.candles, start_ms, end_ms, Assumptions())


@pytest.fixture(scope="module")
async def ask_one(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ask]:
    """Ask one server, of calls that leave nothing behind."""
    settings = ServerSettings(home=tmp_path_factory.mktemp("home"), exchange="simulated")
    async with Client(build_server(settings, clock=lambda: NOW), raise_exceptions=True) as client:

        async def call(name: str, **arguments: Any) -> dict[str, Any]:
            return answer_of(await client.call_tool(name, arguments))

        yield call


async def test_the_answer_is_what_the_pure_function_computes_and_is_short(client: Client) -> None:
    result = await client.call_tool("backtest_strategy", {"config": crossing(5), **HALF_A_YEAR})
    answer = answer_of(result)
    task = await task_of(crossing(5), **HALF_A_YEAR)
    expected = json.loads(json.dumps(run_backtest(task, clock=count().__next__, proof_limit_s=5).answer()))
    apart = ("look_ahead", "summary")  # of another number of candles before the start
    same = {key: value for key, value in expected.items() if key not in apart}
    assert {key: answer[key] for key in same} == same
    assert answer["summary"][:-1] == expected["summary"][:-1]
    assert answer["look_ahead"]["checked"] > 180
    assert answer["look_ahead"]["changed"] == 0
    assert (answer["backtest_id"], answer["trials"], answer["simulated"]) == (1, 1, True)
    assert answer["signals"]["undecided"] == 0, "the candles before the start let the averages settle"
    (block,) = result.content
    assert isinstance(block, TextContent)
    assert answer["summary"][0] in block.text


@pytest.mark.usefixtures("in_this_process")
async def test_the_answer_to_default_arguments_stays_under_4000_bytes_and_has_every_fixed_key(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(computing, "PROOF_S", 0.2)
    result = await client.call_tool("backtest_strategy", {"strategy_name": "rsi-reversion"})
    answer = answer_of(result)
    keys = [
        "strategy_name",
        "version",
        "exchange",
        "symbol",
        "timeframe",
        "start",
        "end",
        "candles",
        "missing",
        "side",
        "fee_bps",
        "slippage_bps",
        "signals",
        "return_pct",
        "buy_and_hold_pct",
        "cagr_pct",
        "exposure_pct",
        "volatility_pct",
        "sharpe",
        "sharpe_ci95",
        "sharpe_probabilistic",
        "sharpe_deflated",
        "trials",
        "min_track_record_days",
        "sortino",
        "calmar",
        "max_drawdown_pct",
        "average_drawdown_pct",
        "max_drawdown_days",
        "trades",
        "win_rate_pct",
        "best_pct",
        "worst_pct",
        "average_pct",
        "profit_factor",
        "expectancy_pct",
        "sqn",
        "turnover",
        "fees_paid",
        "open_trade",
        "controls",
        "look_ahead",
        "summary",
        "backtest_id",
        "years",
    ]
    assert [key for key in keys if key not in answer] == []
    assert set(answer["signals"]) == {"buy", "sell", "hold", "undecided"}
    controls = "random_percentile bar_later_return_pct double_cost_return_pct first_70_return_pct last_30_return_pct"
    assert set(controls.split()) <= set(answer["controls"])
    assert (answer["candles"], answer["end"]) == (5_000, "2026-05-20T12:00Z")
    assert len(json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()) < 4_000
    (block,) = result.content
    assert isinstance(block, TextContent)
    assert len(block.text.encode()) < 4_000


@pytest.mark.long
@pytest.mark.usefixtures("in_this_process")
async def test_also_with_many_years_and_an_open_trade_the_answer_stays_under_4000_bytes(client: Client) -> None:
    result = await client.call_tool("backtest_strategy", {"config": crossing(5), "side": "both"})
    answer = answer_of(result)
    assert len(answer["years"]) == 10
    assert answer["open_trade"] is not None
    assert len(json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()) < 3_600, "some years may come"


@pytest.mark.usefixtures("in_this_process")
async def test_every_variant_counts_as_a_trial_and_repeats_and_other_ranges_do_not(ask: Ask) -> None:
    backtest = partial(ask, "backtest_strategy", **HALF_A_YEAR)
    first = await backtest(config=crossing(5))
    other = await backtest(config=crossing(8))
    assert (first["trials"], other["trials"], other["backtest_id"]) == (1, 2, 2)
    assert first["sharpe_deflated"] == pytest.approx(first["sharpe_probabilistic"], rel=1e-9)
    again = await ask("backtest_strategy", config=crossing(5), start="2025-11-01", end="2026-05-01")
    assert again["trials"] == 2
    assert again["sharpe_deflated"] < again["sharpe_probabilistic"], "it is one of two now"
    assert any("2 variants" in sentence for sentence in again["summary"])
    named = await backtest(config=crossing(5, name="another"))
    dearer = await backtest(config=crossing(5, name="another"), fee_bps=50)
    assert (named["trials"], dearer["trials"]) == (1, 2), "another name is another family"
    assert dearer["return_pct"] < named["return_pct"]
    rows = await ask("query_journal", sql="SELECT id, family, side, sharpe_per_period FROM backtests ORDER BY id")
    assert [row[:3] for row in rows["rows"]][::4] == [
        [1, "simulated BTC/USDT draft", "long"],
        [5, "simulated BTC/USDT another", "long"],
    ]
    recorded = await ask("query_journal", sql="SELECT figures FROM backtests WHERE id = 2", detail="full")
    assert json.loads(recorded["rows"][0][0])["sharpe_deflated"] == other["sharpe_deflated"], "as it was answered"


@pytest.mark.usefixtures("in_this_process")
async def test_months_and_trades_come_on_request(ask: Ask) -> None:
    answer = await ask("backtest_strategy", config=crossing(5), **HALF_A_YEAR, months=True, trades=2, side="both")
    assert [month[0] for month in answer["months"]] == [
        "2025-10",
        "2025-11",
        "2025-12",
        "2026-01",
        "2026-02",
        "2026-03",
    ]
    assumptions = Assumptions(side="both")
    expected = run_backtest(replace(await task_of(crossing(5), **HALF_A_YEAR), assumptions=assumptions)).folds()
    assert answer["folds"] == expected
    assert [set(fold) for fold in expected] == [{"start", "end", "return_pct", "buy_and_hold_pct"}] * 5
    assert len(answer["rows"]) == 2 < answer["trades"]
    last = dict(zip(answer["columns"], answer["rows"][-1], strict=True))
    fixed = {"side", "decided_at", "entry_time", "entry_price", "exit_time", "exit_price", "return_pct", "fees", "open"}
    assert fixed <= set(last)
    assert last["open"] == (answer["open_trade"] is not None)
    assert last["decided_at"] == last["entry_time"], "decided at the close, filled at the open of the same moment"


RULES = {"buy": "close > 1"}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({}, "neither strategy_name nor config"),
        ({"strategy_name": "rsi-reversion", "config": crossing(5)}, "both strategy_name and config"),
        ({"strategy_name": "rsi-revers"}, "Unknown strategy 'rsi-revers'.*rsi-reversion"),
        ({"strategy_name": "btc-funding-contrarian"}, "has no rules.*Add 'rules'"),
        ({"config": {**crossing(5), "rules": None}}, "config.json rules: missing"),
        ({"config": {**crossing(5), "interval": "7m"}}, "'7m' does not fit"),
        ({"config": {**crossing(5), "intervall": "1d"}}, "Did you mean 'interval'"),
        ({"config": {**crossing(5), "rules": {"buy": "rsi_14 < 30"}}}, "unknown column 'rsi_14'"),
        ({"config": {**crossing(5), "rules": {"indicators": ["obv"], "buy": "obv > 0"}}}, "running total begins"),
        ({"config": "{"}, "config: .* Write JSON"),
        ({"config": crossing(5), "start": "2026-04-01", "end": "2026-03-01"}, "is not after the start"),
        ({"config": crossing(5), "start": "2026-06-01"}, "is in the future: it is 2026-05-20T12:17:33Z"),
        ({"config": crossing(5), "start": "2026-05-19"}, "fewer than two closed 1d candles"),
        ({"config": crossing(5), "start": "2011-01-01", "end": "2012-01-01"}, "has no 1d candle of BTC/USDT from 2011"),
        ({"config": crossing(5), "start": "yesterday"}, "start 'yesterday' is not a time"),
        ({"config": crossing(5), "fee_bps": -1}, "fee_bps: -1 does not fit"),
        ({"config": crossing(5), "fee_bps": "ten"}, "fee_bps: 'ten' does not fit"),
        ({"config": crossing(5), "slippage_bps": "nan"}, "slippage_bps: 'nan' does not fit"),
        ({"config": crossing(5), "slippage_bps": "inf"}, "slippage_bps: 'inf' does not fit"),
        ({"config": crossing(5), "stake_pct": 0}, "stake_pct: 0 does not fit"),
        ({"config": crossing(5), "stake_pct": 101}, "stake_pct: 101 does not fit"),
        ({"config": crossing(5), "side": "short"}, "side: 'short' does not fit"),
        ({"config": crossing(5), "lenght": 3}, "lenght"),
        ({"config": {**crossing(5), "exchange": "krakn"}}, "Unknown exchange 'krakn'"),
    ],
)
async def test_what_is_wrong_is_refused_at_once_with_what_to_do(
    ask_one: Ask, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], problem: str
) -> None:
    monkeypatch.setattr(computing, "CHILD", ("/nothing-may-be-computed",))
    with pytest.raises(Told, match=f"(?s){problem}"):
        await ask_one("backtest_strategy", **arguments)


async def test_a_config_is_refused_with_the_errors_of_write_strategy(ask: Ask) -> None:
    wrong = {**crossing(5), "interval": "7m", "bye": 1}
    errors = []
    for name, arguments in (("backtest_strategy", {}), ("write_strategy", {"strategy_name": "draft"})):
        with pytest.raises(Told) as caught:
            await ask(name, config=wrong, **arguments)
        errors.append(str(caught.value))
    assert errors[0] == errors[1]


@pytest.mark.parametrize("name", ["x" * 9_000, "Not a name", "'); DROP TABLE backtests;--", "a\x1b[31m", 5])
async def test_a_name_that_is_none_is_told_shortly_and_nothing_else_hides_behind_it(ask_one: Ask, name: Any) -> None:
    with pytest.raises(Told, match=r"(?s)^Strategy 'draft' is not valid.*config.json name: .* does not fit") as caught:
        await ask_one("backtest_strategy", config={**crossing(5), "name": name})
    assert len(str(caught.value)) < 250
    assert str(caught.value).replace("\n", "").isprintable()


async def test_the_command_names_the_draft_that_is_to_be_written(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computing, "CHILD", HUNGRY)
    with pytest.raises(Told, match=r"`claude-trader backtest dip .*` \(after write_strategy\)"):
        await ask("backtest_strategy", config={**crossing(5), "name": "dip"}, **HALF_A_YEAR)


@pytest.mark.usefixtures("in_this_process")
async def test_a_caller_that_asks_is_told_how_far_it_is(client: Client) -> None:
    told: list[tuple[float, float | None, str | None]] = []
    recording = anyio.Event()

    async def note(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))
        if message == "Recording":
            recording.set()

    arguments = {"config": crossing(5), **HALF_A_YEAR}
    answer_of(await client.call_tool("backtest_strategy", arguments, progress_callback=note))
    with anyio.fail_after(10):
        await recording.wait()  # what is told may arrive after the answer
    assert told[0] == (0, 3, "Gathering candles")
    assert told[1][2] is not None
    assert re.fullmatch(r"Computing over [0-9]{3} candles", told[1][2])
    assert told[2] == (2, 3, "Recording")


@pytest.mark.usefixtures("in_this_process")
async def test_the_twin_of_a_claude_strategy_is_backtested_without_its_sub_agents(ask: Ask) -> None:
    twin = crossing(5, engine="claude")
    answer = await ask("backtest_strategy", config=twin, **HALF_A_YEAR)
    assert answer["trades"] > 0
    assert answer["look_ahead"]["checked"] == 2, "as many on any machine"


@pytest.mark.usefixtures("in_this_process")
async def test_costs_are_the_strategys_own_unless_they_are_given_and_the_exchange_may_be_another(ask: Ask) -> None:
    config = crossing(5, costs={"fee_bps": 30, "slippage_bps": 7}, exchange="kraken", name="dear")
    answer = await ask("backtest_strategy", config=config, exchange="simulated", **HALF_A_YEAR, slippage_bps=0)
    assert (answer["fee_bps"], answer["slippage_bps"], answer["exchange"]) == (30, 0, "simulated")
    assert answer["strategy_name"] == "dear"


@pytest.mark.usefixtures("in_this_process")
async def test_nothing_later_than_the_moment_of_the_server_is_used(home: Path) -> None:
    moment = datetime(2026, 2, 1, 9, tzinfo=UTC)
    settings = ServerSettings(home=home, exchange="simulated", as_of=moment)
    async with Client(build_server(settings, clock=lambda: NOW)) as client:
        arguments = {"config": crossing(5), "start": "2025-10-01", "end": "2026-05-01"}
        answer = answer_of(await client.call_tool("backtest_strategy", arguments))
        assert answer["end"] == "2026-02-01T00:00Z"
        row = Backtests(Database(Home(home).database)).read(answer["backtest_id"], moment)
        assert row.created_at == moment, "who asks as of that moment sees what was made there"
        with pytest.raises(Told, match="future: it is 2026-02-01T09:00Z"):
            answer_of(await client.call_tool("backtest_strategy", {**arguments, "start": "2026-03-01"}))


@pytest.mark.usefixtures("in_this_process")
async def test_without_its_row_in_the_journal_no_backtest_is_answered(home: Path) -> None:
    """A trial that is not counted would flatter those after it."""
    database = Database(Home(home).database, prepare=Home(home).prepare, patience_s=0.2)
    settings = ServerSettings(home=home, exchange="simulated")
    arguments = {"config": crossing(5), **HALF_A_YEAR}
    async with Client(build_server(settings, clock=lambda: NOW, database=database)) as client:
        assert answer_of(await client.call_tool("backtest_strategy", arguments))["backtest_id"] == 1
        with held_by_a_shell(database.path) as pid, pytest.raises(Told, match=f"process {pid}"):
            answer_of(await client.call_tool("backtest_strategy", arguments))
        assert answer_of(await client.call_tool("backtest_strategy", arguments))["backtest_id"] == 2


@pytest.mark.usefixtures("in_this_process")
async def test_a_swap_pays_its_settled_fundings(ask: Ask) -> None:
    swap = {**crossing(5), "trading_pair": "BTC/USDT:USDT", "rules": {"buy": "close > 0"}}
    spot = {**swap, "trading_pair": "BTC/USDT"}
    paid, free = [await ask("backtest_strategy", config=config, **HALF_A_YEAR, trades=1) for config in (swap, spot)]
    assert (paid["missing_fundings"], free["missing_fundings"]) == (0, None)
    funding = paid["rows"][-1][paid["columns"].index("funding")]
    assert funding != 0
    assert free["return_pct"] - paid["return_pct"] == pytest.approx(100 * funding, rel=1e-6)


async def test_what_goes_to_the_process_arrives_as_it_was(tmp_path: Path) -> None:
    task = await task_of(crossing(5), **HALF_A_YEAR)
    file = tmp_path / "question"
    file.write_bytes(child.as_bytes(task, 1.5))
    with file.open("rb") as source:
        again, limit_s = child.read(source)
    assert limit_s == 1.5
    assert again.strategy.version == task.strategy.version
    assert (again.candles.close == task.candles.close).all()
    assert (again.candles.open_time_ms == task.candles.open_time_ms).all()
    assert (again.start_ms, again.end_ms, again.assumptions) == (task.start_ms, task.end_ms, task.assumptions)


SLEEPS = (sys.executable, "-c", "import time; time.sleep(60)")
HUNGRY = (sys.executable, "-c", "raise MemoryError")
BROKEN = (sys.executable, "-c", "print('nonsense')")


@pytest.mark.parametrize(
    ("program", "error", "problem"),
    [
        (SLEEPS, NotSupported, "takes more than a call may.*`claude-trader backtest x`"),
        (HUNGRY, NotSupported, "too much memory.*`claude-trader backtest x`"),
        (BROKEN, UpstreamRejected, "was not computed"),
    ],
)
async def test_what_cannot_be_computed_in_the_process_names_the_command(
    monkeypatch: pytest.MonkeyPatch, program: tuple[str, ...], error: type[Exception], problem: str
) -> None:
    monkeypatch.setattr(computing, "CHILD", program)
    task = await task_of(crossing(5), **HALF_A_YEAR)
    with pytest.raises(error, match=problem):
        await computing.compute(task, 1.0, "`claude-trader backtest x`")


async def test_no_sub_agent_may_have_it(ask: Ask) -> None:
    agents = {"a": {"description": "d", "prompt": "p", "tools": ["backtest_strategy"]}}
    with pytest.raises(Told, match="'backtest_strategy' changes things or adds to the journal"):
        await ask("write_strategy", strategy_name="mine", config=crossing(5, engine="claude"), agents=agents)


async def test_a_turn_that_comes_too_late_is_not_begun(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_server.tools.strategies.backtest_strategy.LEAST_S", 1_000.0)
    with pytest.raises(Told, match=r"Other backtests took too long.*try again"):
        answer_of(await client.call_tool("backtest_strategy", {"config": crossing(5), **HALF_A_YEAR}))


async def test_the_process_has_nothing_of_the_environment_that_is_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key")
    monkeypatch.setenv("TRADER_TOKEN", "a-token")
    ending = await run_child((sys.executable, "-c", "import os; print(*os.environ.values())"), b"", 20)
    assert (ending.code, ending.err) == (0, b"")
    assert b"a-key" not in ending.out
    assert b"a-token" not in ending.out


async def test_a_caller_who_leaves_leaves_no_process_behind(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computing, "CHILD", SLEEPS)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.call_tool, "backtest_strategy", {"config": crossing(5), **HALF_A_YEAR})
        started = await anyio.to_thread.run_sync(_started, "time.sleep(60)")
        tasks.cancel_scope.cancel()
    assert started
    assert left(started, within_s=5) == []


def _started(program: str) -> list[psutil.Process]:
    """Wait until a process of this one runs a program."""
    deadline = time.monotonic() + 20
    while not (found := [one for one in children() if program in command_line(one)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found
