"""A sub-agent that reads the journal: a replay's own rows, and those of earlier ones, never reach it."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from mcp_server.domain.outcome import Status
from mcp_server.storage.home import Home
from runner.replay.replay import replay
from tests.replay.test_replay import rows_of
from tests.rigs.replays import AGENT, ANSWER, MODEL, WATCHER, Prices, flat, parts_of, replay_of
from tests.rigs.scripted_messages_api import ORCHESTRATOR, Call, Reply, ScriptedMessagesApi, answer, say, start
from tests.runner.claude_runs import KEY, strategy
from tests.runner.conftest import trader_in

QUERY = "SELECT count(*) AS n, count(replay_id) AS replayed, sum(cost_usd) AS usd FROM executions"
READS: list[tuple[str, dict[str, object]]] = [
    ("get_price", {"symbol": "BTC/USDT"}),
    ("list_signals", {"outcomes": "all"}),
    ("list_signals", {"replayed": True}),
    ("query_journal", {"sql": QUERY}),
    ("get_costs", {"days": 366}),
    ("list_strategies", {}),
]
READER = {"watcher": {**AGENT["watcher"], "tools": sorted({tool for tool, _ in READS})}}
SCRIPT = {
    ORCHESTRATOR: [Reply(calls=[start("watcher", "BTC/USDT")]), answer(ANSWER)],
    WATCHER: [Reply(calls=[Call(f"mcp__trader__{tool}", given) for tool, given in READS]), say("It is cheap.")],
}


@pytest.mark.long
@pytest.mark.parametrize("count", [1, 2])
async def test_a_rerun_is_told_what_the_first_was_however_many_rows_that_left(home: Path, count: int) -> None:
    """In `make test`, `tests/acceptance/test_agents_see_no_replays.py` asks a server."""
    request = replay_of(count, strategy=strategy(READER, exchange="simulated", model=MODEL))
    with ScriptedMessagesApi(SCRIPT, Prices(flat)) as api:
        parts = parts_of(home, ANTHROPIC_BASE_URL=api.url, ANTHROPIC_API_KEY=KEY, max_claude_runs=1)
        first = await replay(request, parts, lambda _: None)
    again = await replay(replace(request, rerun=True, max_usd=Decimal(0)), parts_of(home), lambda _: None)
    assert (first.by_status, again.by_status) == ({Status.SUCCESS: count}, {Status.SUCCESS: count})
    assert (again.requests_asked, again.drift) == (0, 0), "it was told the same, word for word"
    assert first.replay_id != again.replay_id
    for done in (first, again):
        assert len(rows_of(home, done)) == count
    assert "--replayed lists them" in trader_in(home)("signals").out, "nothing else is recorded"
    assert not Home(home).analysis.exists(), "no report of each run"
    assert not Home(home).notices.exists(), "and no notice"
