"""How `Trader` behaves: nothing later than as-of, nothing written, from loops and threads, until it is closed."""

import asyncio
import gc
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mcp_server.domain.timeframes import to_ms
from mcp_server.errors import BadInput, Misconfigured, NotFound
from mcp_server.storage.home import Home
from mcp_server.trader import Frame, ScoreReport, Trader
from mcp_server.trader.background_loop import BackgroundLoop
from tests.scoring.journal import MadeRun, database_of, enter_runs, write_strategy
from tests.tools.conftest import in_this_process  # noqa: F401 - a fixture
from tests.tools.made_past import NOW, cut_off, made_past

HOUR_MS = 3_600_000
THEN = NOW - timedelta(days=9, hours=5)
SPECS = ["rsi(14)", "ema(50)"]


@pytest.fixture
def trader(home: Path) -> Iterator[Trader]:
    with Trader(home, exchange="simulated", clock=lambda: NOW) as trader:
        yield trader


def same(one: Frame, other: Frame) -> bool:
    return bool(one.to_arrow().equals(other.to_arrow()))


def markets(trader: Trader, **as_of: Any) -> list[Frame]:
    report = trader.backtest("rsi-reversion", start=THEN - timedelta(days=40), **as_of)
    figures = Frame.of_rows(
        {"figure": "text"}, [[repr(item)] for item in report.figures.items() if item[0] != "backtest_id"]
    )
    indicators = trader.indicators("BTC/USDT", SPECS, start=THEN - timedelta(days=3), **as_of)
    return [trader.candles("BTC/USDT", limit=90, **as_of), indicators, report.trades, report.equity, figures]


@pytest.mark.usefixtures("in_this_process")
def test_as_of_a_moment_the_market_is_as_it_was_then_however_the_moment_is_given(
    tmp_path: Path, trader: Trader
) -> None:
    with Trader(tmp_path / "was", exchange="simulated", clock=lambda: THEN) as then:
        was = markets(then)
    for moment in (THEN, THEN.isoformat(), np.datetime64(THEN.replace(tzinfo=None))):
        assert all(map(same, markets(trader, as_of=moment), was)), moment
    with Trader(tmp_path / "held", exchange="simulated", as_of=THEN, clock=lambda: NOW) as held:
        assert all(map(same, markets(held), was))
        assert all(map(same, markets(held, as_of=NOW), was)), "the earliest wins"
    assert max(was[0]["open_time"]) + np.timedelta64(1, "h") <= np.datetime64(THEN.replace(tzinfo=None))


@pytest.mark.parametrize("most", [1, pytest.param(None, marks=pytest.mark.long)], ids=["one strategy", "all"])
def test_as_of_a_moment_the_record_is_as_it_was_then_and_nothing_is_written(tmp_path: Path, most: int | None) -> None:
    made = made_past(tmp_path, seed=3)
    names = sorted({strategy.name for _, strategy in made.versions})[:most]
    with Trader(tmp_path, exchange="simulated", clock=lambda: NOW) as trader:
        trader.outcomes()
        moment = NOW - timedelta(days=1, minutes=7)
        cut_off(made, tmp_path / "was", moment)
        with Trader(tmp_path / "was", exchange="simulated", clock=lambda: moment) as then:
            was, scores = _records(then, names), [then.score(name).figures for name in names]
        before = _journal(tmp_path)
        assert all(map(same, _records(trader, names, as_of=moment), was))
        assert [trader.score(name, as_of=moment).figures for name in names] == scores
        assert [len(frame) > 5 for frame in was[:3]] == [True, True, True]
        markets_only = trader.candles("BTC/USDT"), trader.indicators("BTC/USDT", SPECS)
    assert all(len(frame) == 500 for frame in markets_only)
    assert _journal(tmp_path) == before


def test_runs_of_two_kinds_are_told_apart_and_a_cost_that_leaves_some_out_says_so(home: Path, trader: Trader) -> None:
    begin_ms = to_ms(NOW) // HOUR_MS * HOUR_MS - 100 * HOUR_MS
    runs = [
        MadeRun(begin_ms + number * HOUR_MS, "HOLD", trigger="manual", engine=engine, cost_usd=usd)
        for number, (engine, usd) in enumerate((("rules", 1.0), ("rules", None), ("host", None)))
    ]
    enter_runs(home, write_strategy(home, config={"exchange": "simulated", "trading_pair": "BTC/USDT"}), runs)
    scores = trader.scores(runs="manual").to_numpy()
    assert scores["kind"].tolist() == ["manual", "host"]
    assert scores["runs"].tolist() == [2, 1]
    assert repr(scores["cost_usd"].tolist()) == "[1.0, nan]"
    assert scores["cost_unknown"].tolist() == [1, 1]


def _records(trader: Trader, names: list[str], **as_of: Any) -> list[Frame]:
    every = [trader.signals(outcomes="all", **as_of), trader.signals(**as_of), trader.outcomes(**as_of)]
    return [*every, *(trader.outcomes(name, **as_of) for name in names), trader.scores(runs="all", **as_of)]


def _journal(home: Path) -> list[Any]:
    tables = ("executions", "analysis_results", "outcomes", "strategies", "backtests", "replays")
    read = database_of(home).read
    rows = read(lambda c: [c.execute(f"SELECT * FROM {table}").fetchall() for table in tables])
    files = sorted((str(file), file.read_bytes()) for file in Home(home).strategies.rglob("*") if file.is_file())
    return [rows, files]


def test_a_look_at_outcomes_settles_what_is_due_now_as_get_performance_does(tmp_path: Path) -> None:
    made_past(tmp_path, seed=3)
    count = "SELECT count(*) FROM outcomes JOIN analysis_results USING (execution_id) WHERE signal <> 'HOLD'"
    with Trader(tmp_path, exchange="simulated", clock=lambda: NOW) as trader:
        past = trader.outcomes(as_of=NOW - timedelta(hours=1))
        assert database_of(tmp_path).read(lambda c: c.execute(count).fetchall()) == [(0,)]
        judged = [name in ("right", "wrong") for name in trader.outcomes()["outcome"]]
        assert database_of(tmp_path).read(lambda c: c.execute(count).fetchall()) == [(sum(judged),)]
    assert sum(name in ("right", "wrong") for name in past["outcome"]) > 10


def test_more_signals_than_one_page_come_whole_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_past(tmp_path, seed=3)
    with Trader(tmp_path, exchange="simulated", clock=lambda: NOW) as trader:
        whole = trader.signals(outcomes="all")
        monkeypatch.setattr("mcp_server.trader.recorded.AT_ONCE", 40)
        assert same(trader.signals(outcomes="all"), whole)
    assert len(whole) > 50
    assert (np.diff(whole["execution_id"]) > 0).all()


def test_ten_thousand_candles_and_more_come_in_one_table(trader: Trader) -> None:
    candles = trader.candles("BTC/USDT", "15m", limit=12_500)
    assert len(candles) == 12_500
    assert (np.diff(candles["open_time"]) == np.timedelta64(15, "m")).all()


async def test_it_is_asked_from_within_a_running_event_loop(trader: Trader) -> None:
    assert asyncio.get_running_loop().is_running()
    assert len(trader.candles("BTC/USDT", limit=3)) == 3


def test_threads_share_one(trader: Trader) -> None:
    with ThreadPoolExecutor(4) as threads:
        frames = list(threads.map(lambda number: trader.candles("BTC/USDT", limit=number), range(1, 9)))
    assert [len(frame) for frame in frames] == [*range(1, 9)]


def test_a_closed_one_says_so_and_closing_twice_changes_nothing(home: Path) -> None:
    trader = Trader(home, exchange="simulated", clock=lambda: NOW)
    assert len(trader.candles("BTC/USDT", limit=3)) == 3
    trader.close()
    trader.close()
    with pytest.raises(BadInput, match="closed"):
        trader.candles("BTC/USDT")
    with pytest.raises(BadInput, match="closed"):
        trader.signals()


def test_a_call_that_is_under_way_ends_when_it_is_closed() -> None:
    begun, ended = threading.Event(), list[str]()

    async def at_end() -> None:
        ended.append("loop")

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("work")

    loop = BackgroundLoop(at_end)
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(loop.call, work)
        assert begun.wait(30)
        loop.close()
        with pytest.raises(BadInput, match="closed"):
            call.result(30)
    assert ended == ["work", "loop"]


def test_one_that_nobody_holds_any_more_ends_its_thread(home: Path) -> None:
    trader = Trader(home, exchange="simulated", clock=lambda: NOW)
    trader.candles("BTC/USDT", limit=3)
    thread = next(thread for thread in threading.enumerate() if thread.name == "claude-trader")
    del trader
    gc.collect()
    thread.join(30)
    assert not thread.is_alive()


@pytest.mark.long
def test_a_script_ends_without_closing_it_and_ctrl_c_ends_a_call(home: Path) -> None:
    """In this process: `test_a_call_that_is_under_way_ends_when_it_is_closed`, and how its thread ends."""
    script = """
import _thread, asyncio, signal
from mcp_server.trader import Trader
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background has it ignored
trader = Trader(exchange="simulated")
print(len(trader.candles("BTC/USDT", limit=3)))
async def long():
    _thread.interrupt_main()
    try:
        await asyncio.sleep(60)
    finally:
        print("cancelled", flush=True)
try:
    trader._loop.call(long)
except KeyboardInterrupt:
    print(len(trader.candles("BTC/USDT", limit=4)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr, sorted(done.stdout.split())) == (0, "", ["3", "4", "cancelled"])


def test_limits_and_starts_that_cannot_be_say_so(trader: Trader) -> None:
    wrong: list[Callable[[], Any]] = [
        lambda: trader.candles("BTC/USDT", limit=0),
        lambda: trader.candles("BTC/USDT", limit=1_000_001),
        lambda: trader.candles("BTC/USDT", limit=5, start="2026-05-01"),
        lambda: trader.candles("BTC/USDT", start=NOW + timedelta(days=1)),
        lambda: trader.candles("BTC/USDT", "1m", start="2020-01-01"),
        lambda: trader.candles("BTC/USDT", start="soon"),
        lambda: trader.candles("BTC/USDT", "7h"),
        lambda: trader.indicators("BTC/USDT", []),
        lambda: trader.signals(outcomes="none"),  # type: ignore[arg-type]
        trader.score,
        lambda: trader.score("rsi-reversion", runs="all"),
        lambda: trader.candles("BTC/USDT", limit=3)["closed"],
        lambda: Trader(as_of="soon"),
    ]
    for ask in wrong:
        with pytest.raises(BadInput) as raised:
            ask()
        assert raised.value.remedy


def test_an_unknown_strategy_has_no_empty_table(trader: Trader) -> None:
    for ask in (trader.signals, trader.outcomes):
        with pytest.raises(NotFound, match="Did you mean 'rsi-reversion'"):
            ask("rsi-reversal")
        assert len(ask("rsi-reversion")) == 0


KINDS: dict[str, tuple[Any, list[Any]]] = {
    "time": ("time", ["2026-01-31T12:00Z", "2026-01-31T12:00:01.005Z", None]),
    "number": ("number", [1.5, None, 0.0000081]),
    "count": ("count", [1, 2, 3_000_000_000]),
    "flag": ("flag", [True, None, False]),
    "text": ("text", ["é", None, ""]),
}


def test_each_kind_of_column_has_its_type_and_its_undefined_everywhere() -> None:
    frame = Frame(KINDS, {"note": "why"})
    table, data = frame.to_arrow(), frame.to_pandas()
    assert [str(field.type) for field in table.schema] == [
        "timestamp[ms, tz=UTC]", "double", "int64", "bool", "string",
    ]  # fmt: skip
    assert table.column("time").to_pylist()[1] == datetime(2026, 1, 31, 12, 0, 1, 5000, tzinfo=UTC)
    expected = {name: values for name, (kind, values) in KINDS.items() if kind != "time"}
    assert {name: table.column(name).to_pylist() for name in expected} == expected
    assert [table.column(name).null_count for name in KINDS] == [1, 1, 0, 1, 1]
    assert [str(dtype) for dtype in data.dtypes] == ["datetime64[ms, UTC]", "float64", "int64", "boolean", "str"]
    assert [int(data[name].isna().sum()) for name in KINDS] == [1, 1, 0, 1, 1]
    assert [str(column.dtype) for column in frame.to_numpy().values()] == [
        "datetime64[ms]", "float64", "int64", "object", "object",
    ]  # fmt: skip
    assert data.attrs == {"note": "why"}
    assert b'"note": "why"' in (table.schema.metadata or {})[b"about"]
    assert (len(frame), frame.columns, list(frame)) == (3, [*KINDS], [*KINDS])


def test_an_empty_table_keeps_its_types_and_another_library_reads_a_frame_itself() -> None:
    empty = Frame.of_rows({name: kind for name, (kind, _) in KINDS.items()}, [])
    assert pa.table(empty).schema.equals(Frame(KINDS).to_arrow().schema, check_metadata=False)
    assert pa.table(Frame(KINDS)).num_rows == 3
    assert [str(dtype) for dtype in empty.to_pandas().dtypes] == [str(t) for t in Frame(KINDS).to_pandas().dtypes]


def test_a_table_cannot_be_changed_by_accident() -> None:
    frame = Frame(KINDS)
    with pytest.raises(ValueError, match="read-only"):
        frame["number"][0] = 2.0


def test_what_strangers_wrote_is_cleaned_and_shown_as_text() -> None:
    frame = Frame({"reasoning": ("text", ["<b>up\u202e\x1b[31m</b>"])})
    assert frame["reasoning"].tolist() == ["<b>up[31m</b>"]
    assert "&lt;b&gt;up" in frame._repr_html_()


def test_without_pyarrow_all_but_arrow_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(Misconfigured, match="pip install pyarrow"):
        Frame(KINDS).to_arrow()
    assert len(Frame(KINDS).to_pandas()) == 3


def test_a_report_is_shown_as_its_sentences_and_never_as_markup() -> None:
    report = ScoreReport({"summary": ["It gained 1 %.", "<b> is no markup."], "note": "Built from 1h candles."})
    assert repr(report).splitlines() == ["It gained 1 %.", "<b> is no markup.", "Built from 1h candles."]
    assert report._repr_html_().count("<p>") == 3
    assert "<b>" not in report._repr_html_()
    assert repr(ScoreReport({"summary": ["One."], "note": None})) == "One."


@pytest.mark.usefixtures("in_this_process")
def test_the_examples_of_the_guide_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADER_EXCHANGE", "simulated")
    guide = Path(__file__).parents[2] / "docs" / "guides" / "notebook.md"
    blocks = re.findall(r"```python\n(.*?)```", guide.read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 2
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(guide), "exec"), names)  # noqa: S102 - it is ours
    names["trader"].close()
    assert len(names["candles"]) == 10_000
    assert "rsi_14" in names["rsi"]


def test_held_at_the_first_moment_of_all_it_has_no_candles(home: Path) -> None:
    with Trader(exchange="simulated", as_of="1970-01-01") as trader:
        assert len(trader.candles("BTC/USDT", limit=3)) == 0
