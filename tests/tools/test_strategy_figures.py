"""What a strategy's page shows, computed anew from what query_journal answers as of the same moment, by plain loops."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from mcp import Client

from mcp_server.app import build_server
from mcp_server.settings import ServerSettings
from tests.rigs import sample_strategies as strategies
from tests.rigs.sample_home import SampleHome, sample_home
from tests.rigs.sampled import sampled
from tests.tools.conftest import answer_of

NOW = datetime(2026, 5, 20, 12, 0, 41, tzinfo=UTC)
MOMENTS = [NOW, NOW - timedelta(hours=30), NOW - timedelta(days=12, minutes=7)]
STAKES = {strategies.TREND: 6, strategies.ANALYSTS: 4}
"""The horizon by the interval: 24 hours by 4, and 4 hours by 1."""

SQL = """
SELECT e.id, e.status, e.slots, e.cost_usd, e.decision_version AS decides, a.signal, a.confidence, o.state, o.r,
  o.cost_bps, o.funding_bps AS funding, o.entry_time, o.entry_price, o.exit_time, o.exit_price
FROM executions e JOIN strategies s ON s.id = e.strategy_id LEFT JOIN analysis_results a ON a.execution_id = e.id
LEFT JOIN outcomes o ON o.execution_id = e.id WHERE s.name = '{name}' AND e."trigger" = 'schedule' ORDER BY e.id
"""
RAN = ("success", "abstained", "error", "timeout")

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SampleHome]:
    sample = sample_home(tmp_path_factory.mktemp("home"), NOW)
    yield sample
    sample.close()


def _net(row: dict[str, Any]) -> float:
    """Return what a signal brought, in per cent."""
    side = 1 if row["signal"] == "BUY" else -1
    return float(100 * (side * (row["r"] - row["funding"] / 10_000) - row["cost_bps"] / 10_000))


def _curve(judged: Rows, parts: int) -> list[list[Any]]:
    """Return the capital and the market at each exit."""
    first = min(judged, key=lambda row: (row["entry_time"], row["id"]))
    capital, points = 0.0, {first["entry_time"]: [0.0, 0.0]}
    for row in sorted(judged, key=lambda row: row["exit_time"]):
        capital += _net(row) / parts
        points[row["exit_time"]] = [capital, 100 * (row["exit_price"] / first["entry_price"] - 1)]
    return [[_moment(time), *values] for time, values in sorted(points.items())]


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.usefixtures("queries_in_this_process")
@pytest.mark.parametrize(("name", "moment"), sampled([*product((strategies.TREND, strategies.ANALYSTS), MOMENTS)], 4))
async def test_every_figure_of_a_strategy_follows_from_the_journal(
    sample: SampleHome, name: str, moment: datetime
) -> None:
    settings = ServerSettings(home=sample.root, exchange="simulated", as_of=moment)
    async with Client(build_server(settings, clock=lambda: NOW), raise_exceptions=True) as client:

        async def ask(tool: str, **arguments: Any) -> dict[str, Any]:
            return answer_of(await client.call_tool(tool, arguments))

        told = await ask("get_performance", strategy_name=name, curve=True)
        listed = await ask("list_signals", strategy_name=name, outcomes="all", limit=500, detail="none")
        table = await ask("list_strategies")
        answer = await ask("query_journal", sql=SQL.format(name=name), limit=500, detail="full")
    assert "Only the first" not in answer.get("note", ""), "all rows fit"
    rows = [dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"]]
    shown = [dict(zip(listed["columns"], row, strict=True)) for row in listed["rows"]]
    on_schedule = [run for run in shown[::-1] if run["scheduled_at"]]
    names = {"execution_id": "id", "status": "status", "signal": "signal", "slots": "slots"}
    assert [[run[key] for key in names] for run in on_schedule] == [
        [row[key] for key in names.values()] for row in rows
    ]
    if not rows:
        assert (told["runs"], told["rows"]) == (0, [])
        return
    _check_last(table, name, rows[-1])
    decides = next(row["decides"] for row in rows[::-1] if row["status"] in RAN)
    _check_record(told, [row for row in rows if row["decides"] == decides], STAKES[name])


def _check_last(table: dict[str, Any], name: str, last: dict[str, Any]) -> None:
    (row,) = (dict(zip(table["columns"], row, strict=True)) for row in table["rows"] if row[0] == name)
    assert (row["last_status"], row["last_signal"]) == (last["status"], last["signal"])


def _check_record(told: dict[str, Any], rows: Rows, parts: int) -> None:
    ran = [row for row in rows if row["status"] in RAN]
    directed = [row for row in ran if row["signal"] in ("BUY", "SELL")]
    judged = [row for row in directed if row["state"] == "judged"]
    right = sum(_net(row) > 0 for row in judged)
    known = [row["cost_usd"] for row in ran if row["cost_usd"] is not None]
    assert (told["runs"], told["judged"], told["right"]) == (len(ran), len(judged), right)
    assert told["pending"] == sum(row["state"] is None for row in directed)
    assert told["void"] == sum(row["state"] == "void" for row in directed)
    assert told["missed"] == sum(row["slots"] for row in rows if row["status"] not in (*RAN, "running"))
    assert told["coverage_pct"] == pytest.approx(
        100 * sum(row["signal"] is not None for row in ran) / len(ran), rel=1e-5
    )
    assert told["cost_usd"] == pytest.approx(sum(known), rel=1e-5)
    assert told["cost_unknown"] == len(ran) - len(known)
    if not judged:
        assert told["rows"] == []
        return
    assert told["hit_rate"] == pytest.approx(right / len(judged), rel=1e-5)
    assert told["mean_net_pct"] == pytest.approx(sum(map(_net, judged)) / len(judged), rel=1e-5, abs=1e-9)
    assert told["parts"] == parts
    curve = [[_moment(time), *values] for time, *values in told["rows"]]
    expected = _curve(judged, parts)
    assert [row[0] for row in curve] == [row[0] for row in expected]
    assert [row[1:] for row in curve] == [pytest.approx(row[1:], rel=1e-4, abs=1e-5) for row in expected]
