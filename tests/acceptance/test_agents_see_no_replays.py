"""A sub-agent is told nothing that was made later as of its moment: with and without replays it is told the same."""

import shutil
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from mcp_server.app import build_server
from mcp_server.domain.timeframes import naive
from mcp_server.http.serve import mcp_app
from mcp_server.settings import ServerSettings
from tests.acceptance.test_http import calling
from tests.rigs.forked_server import drawing_forked
from tests.rigs.loopback import served
from tests.scoring.journal import database_of
from tests.tools.conftest import answer_of
from tests.tools.made_past import DAYS, NOW, made_past

MOMENT = NOW - timedelta(hours=6)
REPLAYED_AT = NOW - timedelta(days=1)
"""Before the moment: what a replay cost was known by then, and its rows are there."""

ASKED_LATER = NOW + timedelta(days=100)
ID = "1a2b3c4d"

COPIED = (
    'INSERT INTO executions (id, strategy_id, strategy_version, "trigger", as_of, engine, model, started_at, '
    "completed_at, status, tokens_used, cost_usd, run_key, decision_version, horizon_s, cost_bps, definition, "
    "exchange, symbol, timeframe, replay_id, contaminated, knowledge_cutoff, recorded_usd) "
    "SELECT $1 + id, strategy_id, 'elsewhere', $2, as_of + INTERVAL '7' MINUTE, engine, 'm', $3, "
    "CAST($3 AS TIMESTAMP) + INTERVAL '9' SECOND, 'success', 5, 0.07, $2 || id, decision_version, horizon_s, "
    "cost_bps, definition, exchange, symbol, timeframe, $4, true, '2026-06', 0.11 "
    "FROM executions WHERE \"trigger\" = 'schedule' AND run_key LIKE 'key%'"
)
SIGNALS = (
    "INSERT INTO analysis_results (execution_id, strategy_id, timestamp, signal, reasoning, data, execution_time_ms) "
    "SELECT id, strategy_id, as_of, 'SELL', 'I know what came next', '{}', 9000 FROM executions WHERE model = 'm'"
)
OUTCOMES = (
    "INSERT INTO outcomes SELECT id, as_of, 1, as_of + INTERVAL '1' HOUR, 2, 1, 30, 0, 3600, '1', 'judged', as_of "
    "FROM executions WHERE model = 'm'"
)


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A home, and the same one with a replay of every slot, and every slot asked again by hand, months later."""
    without, with_ = tmp_path_factory.mktemp("without"), tmp_path_factory.mktemp("with")
    made_past(without, seed=3)
    shutil.copytree(without, with_, dirs_exist_ok=True)

    def work(connection: Any) -> None:
        connection.execute(COPIED, [10_000, "replay", naive(REPLAYED_AT), ID])
        connection.execute(COPIED, [20_000, "manual", naive(ASKED_LATER), None])
        connection.execute(SIGNALS)
        connection.execute(OUTCOMES)

    database_of(with_).write(work)
    return without, with_


@pytest.fixture(scope="module")
def servers(homes: tuple[Path, Path]) -> Iterator[tuple[str, str]]:
    """Return the addresses of a server for each home, in this process, in which the tools are imported already."""
    apps = [mcp_app(build_server(ServerSettings(home=home))) for home in homes]
    with drawing_forked(), served(apps[0]) as without, served(apps[1]) as with_:
        yield f"{without}/mcp", f"{with_}/mcp"


CALLS: list[tuple[str, dict[str, Any]]] = [
    ("list_signals", {"limit": 500}),
    ("list_signals", {"limit": 500, "outcomes": "all", "detail": "full"}),
    ("list_signals", {"limit": 3, "before": 10, "strategy_name": "asked"}),
    ("list_signals", {"replayed": True, "outcomes": "all"}),
    ("get_costs", {}),
    ("get_costs", {"days": DAYS + 100}),
    ("list_strategies", {}),
    ("read_strategy", {"strategy_name": "asked", "backtests": True}),
    ("draw_chart", {"symbol": "ETH/USDT", "exchange": "simulated", "limit": 60, "strategy_name": "asked"}),
    ("query_journal", {"sql": "SELECT * EXCLUDE (trace) FROM executions ORDER BY id", "limit": 500}),
    (
        "query_journal",
        {
            "sql": "SELECT 'runs' AS of, count(*) AS n, count(replay_id) AS labelled FROM executions UNION ALL "
            "SELECT signal, count(*), count(price) FROM analysis_results GROUP BY 1 UNION ALL "
            "SELECT state, count(*), count(r) FROM outcomes GROUP BY 1 UNION ALL "
            "SELECT name, count(*), count(*) FROM strategies GROUP BY 1 ORDER BY 1"
        },
    ),
]
"""Everything that a sub-agent can be given of the journal."""


def _client(server: str, as_of: datetime, *, in_a_run: bool) -> AbstractAsyncContextManager[Client]:
    if in_a_run:
        return calling(server, X_Trader_As_Of=as_of.isoformat(), X_Trader_Exchange="simulated")
    return calling(server, X_Trader_As_Of=as_of.isoformat())


async def _answers(
    server: str, calls: list[tuple[str, dict[str, Any]]] = CALLS, *, in_a_run: bool
) -> list[dict[str, Any]]:
    async with _client(server, MOMENT, in_a_run=in_a_run) as client:
        return [answer_of(await client.call_tool(name, arguments)) for name, arguments in calls]


async def test_with_and_without_replays_a_sub_agent_is_told_the_same(servers: tuple[str, str]) -> None:
    without, with_ = [await _answers(server, in_a_run=True) for server in servers]
    for call, expected, answer in zip(CALLS, without, with_, strict=True):
        assert answer == expected, call
        assert "I know what came next" not in str(answer)


async def test_anybody_else_is_told_of_them_with_what_labels_them(servers: tuple[str, str]) -> None:
    signals, replayed, costs = await _answers(servers[1], [CALLS[0], CALLS[3], CALLS[4]], in_a_run=False)
    assert replayed["columns"][-4:] == ["replay_id", "contaminated", "knowledge_cutoff", "recorded_usd"]
    assert replayed["rows"]
    assert all(row[-4:] == [ID, True, "2026-06", 0.11] for row in replayed["rows"])
    by_hand = [row for row in signals["rows"] if "I know what came next" in str(row)]
    assert by_hand
    assert all(row[-4:] == [None, True, "2026-06", 0.11] for row in by_hand)
    assert {row[-4] for row in signals["rows"]} == {None}, "replays are told apart from all others"
    assert costs["replay_usd"] > 0


async def test_a_run_of_a_replay_is_no_run_for_a_sub_agent_that_knows_its_number(
    servers: tuple[str, str], homes: tuple[Path, Path]
) -> None:
    query = "SELECT min(id) FROM executions WHERE replay_id IS NOT NULL"
    ((first,),) = database_of(homes[1]).read(lambda c: c.execute(query).fetchall())
    asked = {"execution_id": first}
    async with _client(servers[1], NOW, in_a_run=False) as client:
        run = answer_of(await client.call_tool("list_signals", asked))["run"]
    assert (run["replay_id"], run["contaminated"], run["knowledge_cutoff"]) == (ID, True, "2026-06")
    assert (run["recorded_usd"], run["cost_usd"], run["trigger"]) == (0.11, 0.07, "replay")
    async with _client(servers[1], NOW, in_a_run=True) as client:
        told = await client.call_tool("list_signals", asked)
    assert told.is_error
    assert f"There is no run {first}" in str(told.content)
