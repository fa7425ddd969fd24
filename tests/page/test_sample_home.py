"""The sample home is true to the project's own code: its tools read it, and it has one of everything."""

import pytest
from mcp import Client

from mcp_server.domain.outcome import Status
from tests.page.conftest import Site

pytestmark = pytest.mark.anyio


def test_the_sample_home_has_runs_of_every_status_and_every_trigger(site: Site) -> None:
    rows = site.sample.database.read(
        lambda connection: connection.execute('SELECT DISTINCT status, "trigger" FROM executions').fetchall()
    )
    assert {status for status, _ in rows} == {*Status} - {Status.DRIFT}  # so ends what is rerun, and no slot
    assert {trigger for _, trigger in rows} == {"schedule", "manual", "replay"}


async def test_tools_read_the_sample_home(site: Site) -> None:
    async with Client(site.server.url) as client:
        told = (await client.call_tool("get_performance", {"strategy_name": "btc-trend"})).structured_content
        listed = (await client.call_tool("list_strategies", {})).structured_content
    assert told is not None
    assert listed is not None
    assert 0 < told["right"] < told["judged"]
    names = [row[0] for row in listed["rows"]]
    assert {"btc-trend", "eth-two-analysts", "sol-breakout", "doge-idea", "half-written"} <= {*names}
