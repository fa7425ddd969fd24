"""What tools tell of the runs of a home that an earlier version made: each of them, whatever it did not note yet."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from mcp_server.app import build_server
from mcp_server.settings import ServerSettings
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from runner.restore import unpack
from tests.acceptance.test_unjudged_home import ARCHIVES
from tests.tools.conftest import answer_of

NOW = datetime(2026, 12, 1, tzinfo=UTC)

RUNS = (
    'SELECT e.id, s.name, e.status, e."trigger", e.engine, a.signal, e.trace IS NOT NULL FROM executions e '
    "JOIN strategies s ON s.id = e.strategy_id LEFT JOIN analysis_results a ON a.execution_id = e.id ORDER BY e.id"
)


@pytest.mark.parametrize("archive", [pytest.param("home.tar.gz", marks=pytest.mark.long), "unjudged.tar.gz"])
async def test_every_run_of_an_older_home_is_listed_told_whole_and_seen_in_a_past(home: Path, archive: str) -> None:
    unpack(ARCHIVES / archive, home.parent)
    out_of_reach = dict.fromkeys(("coinbase", "kraken"), "http://127.0.0.1:9")
    settings = ServerSettings(home=home, exchange="simulated", exchange_urls=out_of_reach)
    async with Client(build_server(settings, clock=lambda: NOW), raise_exceptions=True) as client:

        async def ask(tool: str, **arguments: Any) -> dict[str, Any]:
            return answer_of(await client.call_tool(tool, arguments))

        listed = (await ask("list_signals", outcomes="all", limit=500, detail="none"))["rows"]
        rows = Database(Home(home).database).read(lambda connection: connection.execute(RUNS).fetchall())
        assert [row[0] for row in listed] == [row[0] for row in reversed(rows)]
        kinds = {}
        for id_, name, status, trigger, engine, signal, traced in rows:
            kinds[name, status, trigger, engine, signal, traced] = id_  # one of each kind is enough
        for (name, status, trigger, engine, signal, traced), id_ in kinds.items():
            run = (await ask("list_signals", execution_id=id_))["run"]
            assert (run["strategy"], run["status"], run["trigger"]) == (name, status, trigger)
            assert (run["engine"], run["signal"]) == (engine, signal)
            assert (run["decision_version"], run["horizon_s"], run["exit_time"]) == (None, None, None)
            assert traced == any(run[fact] is not None for fact in ("conditions", "candle", "sub_agents", "cut")), run
        for name in sorted({row[1] for row in rows}):
            told = await ask("get_performance", strategy_name=name, curve=True)
            assert len(told["rows"]) <= told["judged"] + 1
    past = settings.model_copy(update={"as_of": datetime(2026, 4, 28, 5, tzinfo=UTC)})
    async with Client(build_server(past, clock=lambda: NOW), raise_exceptions=True) as client:
        then = answer_of(await client.call_tool("list_signals", {"outcomes": "all", "limit": 500, "detail": "none"}))
        assert 0 < len(then["rows"]) < len(listed)
