"""get_performance over 100,000 signals of 50 strategies, beside what it takes to read their columns at all."""

import json
import statistics
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from mcp import Client

from mcp_server.app import build_server
from mcp_server.domain.timeframes import to_ms
from mcp_server.settings import ServerSettings
from mcp_server.storage.home import Home
from tests.benchmarks.programs import say
from tests.scoring.journal import database_of
from tests.scoring.many_signals import SIGNALS, STRATEGIES, fill
from tests.tools.conftest import NOW, answer_of

MOST_OF_READING = 6.0
"""So many times of what duckdb takes to hand over the columns of all runs, signals and outcomes."""

MOST_OF_LATEST = 3.0
"""So many times of what duckdb takes to open the file and hand over the latest runs of one strategy."""

DUE = 1_000
COLUMNS = (
    "SELECT e.id, e.as_of, e.completed_at, e.status, e.cost_usd, a.signal, a.confidence, o.state, o.exit_time, o.r "
    "FROM executions e LEFT JOIN analysis_results a ON a.execution_id = e.id "
    "LEFT JOIN outcomes o ON o.execution_id = e.id ORDER BY e.as_of, e.id"
)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("full")
    fill(home, to_ms(NOW))
    return home


@pytest.fixture
async def client(full: Path) -> AsyncIterator[Client]:
    settings = ServerSettings(home=full, exchange="coinbase", exchange_urls={"coinbase": "http://127.0.0.1:9"})
    async with Client(build_server(settings, clock=lambda: NOW), raise_exceptions=True) as client:
        yield client


def read_plainly(home: Path) -> float:
    began = time.perf_counter()
    with duckdb.connect(str(Home(home).database), read_only=True) as connection:
        columns = connection.execute(COLUMNS).fetchnumpy()
    assert len(columns["id"]) == STRATEGIES * SIGNALS
    return time.perf_counter() - began


async def timed(client: Client, **arguments: Any) -> tuple[float, dict[str, Any]]:
    began = time.perf_counter()
    answer = answer_of(await client.call_tool("get_performance", arguments))
    return time.perf_counter() - began, answer


async def test_all_strategies_are_scored_in_a_small_multiple_of_reading_their_columns(
    client: Client, full: Path
) -> None:
    first, _ = await timed(client)
    ours, floor, one = [], [], []
    for _ in range(7):
        floor.append(read_plainly(full))
        seconds, answer = await timed(client)
        ours.append(seconds)
        one.append((await timed(client, strategy_name="strategy-07"))[0])
    assert len(answer["rows"]) == STRATEGIES
    assert sum(row[1] for row in answer["rows"]) == STRATEGIES * SIGNALS
    assert len(json.dumps(answer, separators=(",", ":"))) < 8_000
    ratio = min(ours) / min(floor)
    say(
        f"100,000 signals of 50 strategies: first {first:.2f} s, then {min(ours):.2f} s, one of them {min(one):.2f} s; "
        f"duckdb alone {min(floor):.2f} s: {ratio:.1f} x"
    )
    assert ratio <= MOST_OF_READING


async def test_a_thousand_outcomes_that_are_due_are_settled_in_one_answer(client: Client, full: Path) -> None:
    settled, _ = await timed(client)
    again = f"DELETE FROM outcomes WHERE execution_id % {STRATEGIES * SIGNALS // DUE} = 0"
    database_of(full).write(lambda connection: connection.execute(again))
    seconds, _ = await timed(client)
    say(f"settling {DUE:,} outcomes that are due and scoring all: {seconds:.2f} s; without any due: {settled:.2f} s")
    count = "SELECT count(*) FROM outcomes"
    assert database_of(full).read(lambda connection: connection.execute(count).fetchone()) == (STRATEGIES * SIGNALS,)


async def test_the_latest_runs_of_one_strategy_are_listed_while_a_page_looks_on(client: Client, full: Path) -> None:
    """A page asks for them each two seconds. The floor is one statement, without columns for people."""
    latest = f"SELECT * FROM ({COLUMNS}) WHERE id > {STRATEGIES * SIGNALS - 120} ORDER BY id DESC"
    for limit, detail in ((120, "short"), (500, "none")):
        took, floor = [], []
        for _ in range(15):
            began = time.perf_counter()
            with duckdb.connect(str(Home(full).database), read_only=True) as connection:
                assert len(connection.execute(latest).fetchall()) == 120
            floor.append(time.perf_counter() - began)
            began = time.perf_counter()
            arguments = {"strategy_name": "strategy-07", "outcomes": "all", "limit": limit, "detail": detail}
            answer = answer_of(await client.call_tool("list_signals", arguments))
            took.append(time.perf_counter() - began)
        assert len(answer["rows"]) == limit
        ms, plain = (1_000 * statistics.median(times) for times in (took, floor))
        say(f"the latest {limit} of 100,000 runs: {ms:.0f} ms; duckdb alone, 120 of them: {plain:.0f} ms")
        assert limit != 120 or ms <= MOST_OF_LATEST * plain
