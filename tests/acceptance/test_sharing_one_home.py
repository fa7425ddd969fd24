"""One home in the hands of several processes at once: nothing is lost, and nobody's work fails for it."""

import json
from asyncio import Barrier
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from mcp import Client

from mcp_server.domain.outcome import Status
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.domain.timeframes import to_ms
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.journal.runs import Journal
from mcp_server.storage.strategies.folders import StrategyFolders
from runner.execute import Runner
from runner.settings import RunnerSettings
from runner.tool_server.server import Address
from tests.acceptance.test_http import Serving, calling, serving
from tests.rigs.forked_script import ForkedScript
from tests.rigs.stand_in_exchange import StandInExchange
from tests.runner.conftest import Command
from tests.storage.test_database import held_by_a_shell
from tests.tools.conftest import Told, answer_of

LIMIT_S = 150
CANDLES = 5
HOUR_MS = 3_600_000
START = datetime(2026, 1, 1, tzinfo=UTC)

JOURNAL = """
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from mcp_server.domain.outcome import Outcome, Signal, Status
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal.runs import Journal
from mcp_server.storage.journal.rows import Run

home = Home(Path(sys.argv[1]))
database = Database(home.database, prepare=home.prepare, patience_s=60)
journal = Journal(database, home)
strategy = parse_strategy("s", {"trading_pair": "BTC/USD", "interval": "1h", "rules": {"buy": "close > 1"}}, None)
print("ready", flush=True)
sys.stdin.readline()
began = time.time()
for number in range(int(sys.argv[2]) // 2):
    now = datetime.now(UTC)
    claimed = journal.claim(Run(strategy, "manual", now, "rules", now))
    signal = Signal("BUY", None, f"run {number}", 1.0, {})
    waits = journal.finish(claimed, Outcome(Status.SUCCESS, signal), datetime.now(UTC)).waiting
    assert waits is None, waits
print(began, time.time())
"""
"""The runner's part: each run is two writes, its claim and its end. On a busy machine its turn may come late."""

NOTES = """
import random, sys, time
import duckdb
from filelock import FileLock

def attempt(sql):
    while True:
        try:
            with FileLock(sys.argv[1] + ".lock"), duckdb.connect(sys.argv[1]) as connection:
                return connection.execute(sql)
        except duckdb.IOException:
            time.sleep(random.uniform(0.005, 0.05))

attempt("CREATE TABLE IF NOT EXISTS notes (number INTEGER)")
print("ready", flush=True)
sys.stdin.readline()
began = time.time()
for number in range(int(sys.argv[2])):
    attempt(f"INSERT INTO notes VALUES ({number})")
    time.sleep(random.uniform(0.005, 0.02))
print(began, time.time())
"""
"""What a script of one's own may do that takes its turn: open, write, close, and try again while another has the file.

It takes a breath between writes: on a machine busy with other things, one that never lets go can keep the others from
the file for longer than they are patient."""


def go(script: ForkedScript) -> tuple[float, float]:
    """Let a script begin and wait for its end; give when it began and ended (Unix s)."""
    out = script.communicate("\n")
    assert script.returncode == 0
    began, ended = map(float, out.split())
    return began, ended


async def fill(server: Serving, symbol: str, writes: int, together: Barrier) -> tuple[float, float]:
    """Let a server fetch and keep so many ranges of candles that don't touch, four at a time."""
    async with calling(server.url) as client:
        await together.wait()
        began = datetime.now(UTC).timestamp()

        async def work(first: int) -> None:
            for number in range(first, writes, 4):
                moment = START + timedelta(hours=10 * number)
                arguments = {"symbol": symbol, "exchange": "binance", "limit": CANDLES, "as_of": moment.isoformat()}
                assert len(answer_of(await client.call_tool("get_ohlcv", arguments))["rows"]) == CANDLES

        async with anyio.create_task_group() as tasks:
            for first in range(4):
                tasks.start_soon(work, first)
        return began, datetime.now(UTC).timestamp()


@pytest.mark.parametrize("writes", [4, pytest.param(100, marks=pytest.mark.long)])
async def test_two_servers_the_journal_and_a_plain_connection_write_at_once_and_nothing_is_lost(
    home: Path, writes: int
) -> None:
    database = Database(Home(home).database, prepare=Home(home).prepare)
    database.read(lambda c: c.execute("SELECT 1"))
    spans: list[tuple[float, float]] = []
    together = Barrier(4)

    async def server_part(server: Serving, symbol: str) -> None:
        spans.append(await fill(server, symbol, writes, together))

    async def script_part(source: str, *arguments: str) -> None:
        with ForkedScript(source, *arguments, str(writes)) as script:
            assert await anyio.to_thread.run_sync(script.stdout.readline) == "ready\n"
            await together.wait()
            spans.append(await anyio.to_thread.run_sync(go, script))

    with StandInExchange() as exchange:
        urls = json.dumps({"binance": exchange.url})
        with serving(home, TRADER_EXCHANGE_URLS=urls) as one, serving(home, TRADER_EXCHANGE_URLS=urls) as other:
            with anyio.fail_after(LIMIT_S):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(server_part, one, "BTC/USDT")
                    tasks.start_soon(server_part, other, "ETH/USDT")
                    tasks.start_soon(script_part, JOURNAL, str(home))
                    tasks.start_soon(script_part, NOTES, str(database.path))
            assert (one.said(), other.said()) == ("", "")
        if writes == 100:  # they begin together, but fewer may be done before the last of the four is at work
            assert max(began for began, _ in spans) < min(ended for _, ended in spans)
        check_candles(database, exchange, writes)
    check_runs(database, home, writes // 2)
    numbers = database.read(lambda c: c.execute("SELECT number FROM notes ORDER BY 1").fetchall())
    assert [number for (number,) in numbers] == list(range(writes))


def check_candles(database: Database, exchange: StandInExchange, writes: int) -> None:
    """Every candle that a server kept is there, once, as the exchange gave it; and so is every range."""
    for base in ("BTC", "ETH"):
        sql = (
            "SELECT epoch_ms(open_time), open, high, low, close, volume FROM candles JOIN series ON id = series_id "
            "WHERE symbol = ? ORDER BY 1"
        )
        found = database.read(lambda c, sql=sql, base=base: c.execute(sql, [f"{base}/USDT"]).fetchall())  # type: ignore[misc]
        ends = [to_ms(START) + number * 10 * HOUR_MS for number in range(writes)]
        opens = [end - (CANDLES - position) * HOUR_MS for end in ends for position in range(CANDLES)]
        assert [list(row) for row in found] == [exchange.candle(base, "USDT", opened, HOUR_MS) for opened in opens]
    sql = "SELECT symbol, count(*) FROM coverage JOIN series ON id = series_id GROUP BY 1 ORDER BY 1"
    ranges = database.read(lambda c: c.execute(sql).fetchall())
    assert ranges == [("BTC/USDT", writes), ("ETH/USDT", writes)]


def check_runs(database: Database, home: Path, runs: int) -> None:
    """Every run has one row and one signal, and nothing waits to be entered."""
    entries = Journal(database, Home(home)).entries(outcomes="all", limit=1000)
    assert [entry.reasoning for entry in reversed(entries)] == [f"run {number}" for number in range(runs)]
    assert {entry.status for entry in entries} == {Status.SUCCESS}
    assert list(Home(home).outbox.iterdir()) == list(Home(home).running.iterdir()) == []


CONFIG: dict[str, Any] = {
    "trading_pair": "BTC/USDT",
    "exchange": "simulated",
    "interval": "1h",
    "rules": {"buy": "close > 0"},
}


@pytest.mark.parametrize("writes", [2, pytest.param(25, marks=pytest.mark.long)])
async def test_two_servers_write_one_strategy_at_once_and_every_version_is_kept(home: Path, writes: int) -> None:
    written: set[str] = set()

    async def write(client: Client, who: str) -> None:
        for number in range(writes):
            config = {**CONFIG, "description": f"{who} {number}"}
            said = answer_of(await client.call_tool("write_strategy", {"strategy_name": "both", "config": config}))
            written.add(said["version"])

    with serving(home) as one, serving(home) as other, anyio.fail_after(LIMIT_S):
        async with calling(one.url) as first, calling(other.url) as second, anyio.create_task_group() as tasks:
            tasks.start_soon(write, first, "one")
            tasks.start_soon(write, second, "other")
        assert (one.said(), other.said()) == ("", "")
    folders = Home(home).strategies
    kept = {
        folder.name: json.loads((folder / "config.json").read_text())
        for folder in (folders / ".versions" / "both").iterdir()
    }
    assert {name: parse_strategy("both", config, None).version for name, config in kept.items()} == {
        name: name for name in kept
    }
    assert len(written) == 2 * writes
    assert {*kept, StrategyFolders(Home(home), examples_folder()).read("both").version} == written
    assert {folder.name for folder in folders.iterdir()} == {"both", ".versions", ".lock"}


@pytest.mark.long
async def test_while_a_shell_holds_the_file_each_says_so_and_nothing_is_lost(trader: Command, home: Path) -> None:
    """In `make test`, `test_market_faults.py` has the server, `tests/runner/test_run.py` a command, and
    `tests/scheduler/test_ends_together.py` the end of a run.
    """
    folders = StrategyFolders(Home(home), examples_folder())
    folders.write(parse_strategy("mine", CONFIG, None))
    journal = Journal(Database(Home(home).database, prepare=Home(home).prepare, patience_s=0.2), Home(home))
    told: list[str] = []
    with (
        StandInExchange() as exchange,
        serving(home, TRADER_EXCHANGE_URLS=json.dumps({"binance": exchange.url})) as server,
        ExitStack() as until_the_run_has_ended,
    ):

        @asynccontextmanager
        async def taken_by_a_shell() -> AsyncIterator[Address]:
            """Let a shell take the file once the run has its row."""
            pid = until_the_run_has_ended.enter_context(held_by_a_shell(Home(home).database))
            told.append(f"is in use: process {pid} ")
            async with calling(server.url) as client:
                with pytest.raises(Told) as refused:
                    answer_of(await client.call_tool("list_signals", {}))
                with anyio.fail_after(15):  # one has waited the whole patience in vain; the next don't again
                    live = {"symbol": "BTC/USDT", "exchange": "binance", "limit": CANDLES}
                    assert len(answer_of(await client.call_tool("get_ohlcv", live))["rows"]) == CANDLES
            told.append(str(refused.value))
            with anyio.fail_after(15):  # its write gives up by itself; until then it is in the way, too
                while "candles were not stored" not in server.said():  # noqa: ASYNC110 another process says it
                    await anyio.sleep(0.05)
            yield Address(server.url, None)

        database = Database(Home(home).database)
        executed = await Runner(RunnerSettings(home=home), journal, database, taken_by_a_shell).run(
            folders.read("mine")
        )
    holder, refused_with = told
    assert holder in refused_with
    assert "Close that shell, notebook or program and try again." in refused_with
    assert executed.outcome.signal is not None, executed.outcome.error
    assert holder in (executed.waiting or "")
    assert len([file for file in Home(home).outbox.iterdir() if file.suffix == ".json"]) == 1
    (shown,) = trader("signals", "--json").json["signals"]
    assert (shown["execution_id"], shown["signal"], shown["reasoning"]) == (
        executed.execution_id,
        "BUY",
        executed.outcome.signal.reasoning,
    )
    assert list(Home(home).outbox.iterdir()) == []
