"""What the tools tell as of a past moment is what they told then: against a home that ends at that moment."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from mcp_server.app import build_server
from mcp_server.scoring import performance, record_sentences
from mcp_server.settings import ServerSettings
from tests.tools.conftest import answer_of
from tests.tools.made_past import NOW, MadePast, cut_off, made_past

Call = tuple[str, dict[str, Any]]

TIMES = [(performance, "SHORT_SETTLE_S"), (performance, "SHORT_GATHER_S"), (record_sentences, "LOOK_S")]
"""How long candles are gathered: on a busy machine an answer says that there was no time for them."""


def calls(made: MadePast, moment: datetime) -> list[Call]:
    """Return what to ask: nothing of a strategy that was not there yet, which nobody can ask for then."""
    there = sorted({strategy.name for at, strategy in made.versions if at <= moment})
    asked: list[Call] = [("list_strategies", {}), ("get_costs", {}), ("get_performance", {"runs": "all"})]
    asked += [("list_signals", {"outcomes": "signals", "limit": 500})]
    asked += [("list_signals", {"outcomes": "all", "detail": "full", "limit": 500})]
    asked += [("list_signals", {"outcomes": "all", "limit": 7, "before": len(made.runs) // 2})]
    for name in there:
        asked += [("read_strategy", {"strategy_name": name, "backtests": True})]
        asked += [("get_performance", {"strategy_name": name, "curve": True})]
    began = [run["id"] for run in made.runs if run["started_at"].replace(tzinfo=UTC) <= moment]
    return asked + [("list_signals", {"execution_id": execution_id}) for execution_id in began[-4:]]


async def answers(home: Path, asked: list[Call], now: datetime, as_of: datetime | None = None) -> list[dict[str, Any]]:
    settings = ServerSettings(home=home, exchange="simulated", as_of=as_of)
    async with Client(build_server(settings, clock=lambda: now)) as client:
        return [_facts(name, answer_of(await client.call_tool(name, arguments))) for name, arguments in asked]


def _facts(name: str, answer: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is only known of the present: who runs, examples, the budget, and notes about these."""
    present = {"list_strategies": ("note", "problems", "running", "budget_usd_per_day"), "read_strategy": ("note",)}
    present["list_signals"] = ("note",)
    kept = {key: value for key, value in answer.items() if key not in present.get(name, ())}
    if name == "list_strategies":
        kept["rows"] = [row for row in kept["rows"] if row[1] == "home"]
    return kept


def moments(made: MadePast) -> list[datetime]:
    """Return moments at which something was going on."""
    late = [run for run in made.runs if run["completed_at"] and run["completed_at"] > run["started_at"]]
    in_vain = [run for run in late if run["status"] in ("skipped_budget", "skipped_gate")][-1]
    allowed = [run for run in late if run.get("reserved_at") and run["reserved_at"] > run["started_at"]][-1]
    return [run["started_at"].replace(tzinfo=UTC) + timedelta(seconds=1) for run in (in_vain, allowed)]


@pytest.mark.parametrize(
    ("which", "tool"),
    [(0, "list_|read_|get_costs"), (1, "get_costs"), *(pytest.param(n, "", marks=pytest.mark.long) for n in (0, 1))],
)
async def test_as_of_a_past_moment_every_answer_is_the_one_of_that_moment(
    tmp_path: Path, which: int, tool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in TIMES:
        monkeypatch.setattr(module, name, 25)
    was = tmp_path / "was"
    was.mkdir()
    made = made_past(tmp_path, seed=3)
    await answers(tmp_path, [("get_performance", {})], NOW)  # settles what is due
    moment = moments(made)[which]
    cut_off(made, was, moment)
    asked = [call for call in calls(made, moment) if re.match(tool, call[0])]
    assert asked
    then = await answers(tmp_path, asked, NOW, moment)
    for call, expected, answer in zip(asked, await answers(was, asked, moment), then, strict=True):
        assert answer == expected, call
