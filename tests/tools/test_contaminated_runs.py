"""What a model may have known beforehand shows no skill: such runs are counted, told, and in no figure of any kind."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcp import Client

from mcp_server.app import build_server
from mcp_server.settings import ServerSettings
from tests.rigs.sampled import sampled
from tests.scoring.journal import MadeRun, database_of, enter_all, enter_runs, store_candles, write_strategy
from tests.tools.conftest import NOW, Ask, answer_of
from tests.tools.test_get_performance import HOUR_MS, at, market

DAY_MS = 24 * HOUR_MS
MOVES = {hours: 0.02 if hours % 3 else -0.02 for hours in range(10, 900, 10)}
AGENTS = {"trend": {"description": "d", "prompt": "p", "tools": ["get_price"]}}
DATA = {"twin": {"signal": "SELL"}, "sub_agent_results": {"trend": {"leans": "BUY"}}}
CUTOFF = {"contaminated": True, "cutoff": "2026-04"}
WHY = "the model may know what came next (knowledge cutoff April 2026; first clean moment 2026-05-31)"


@pytest.fixture
def settings(home: Path) -> ServerSettings:
    return ServerSettings(home=home, exchange="coinbase", exchange_urls={"coinbase": "http://127.0.0.1:9"})


def runs_of(trigger: str, hours: range, **label: Any) -> list[MadeRun]:
    """Signals by a model, at moments of long before it was asked."""
    after_ms = 0 if trigger == "schedule" else DAY_MS + 1
    plain = MadeRun(0, "BUY", 90, trigger, engine="claude", cost_usd=0.5, data=DATA, after_ms=after_ms)
    return [replace(plain, decided_ms=at(hour), **label) for hour in hours]


def claude(home: Path) -> Any:
    store_candles(home, market(MOVES))
    return write_strategy(home, config={"engine": "claude", "synthesis_logic": "Think.", "stop": {}}, agents=AGENTS)


FIGURES = (
    "signals", "judged", "pending", "void", "right", "hit_rate", "hit_rate_ci95", "base_rate", "base_rates",
    "mean_net_pct", "mean_net_ci95", "hold_pct", "hold_difference_pct", "brier", "brier_skill", "e_value",
    "signals_needed", "window_shows", "holds", "stop", "twin", "agents", "calibration", "usd_per_right_signal",
    "usd_per_net_pct", "cost_usd", "cost_unknown", "coverage_pct", "runs", "earlier",
)  # fmt: skip


@pytest.mark.parametrize("trigger", sampled(["replay", "schedule", "manual"], 3))
async def test_every_figure_is_what_it_would_be_without_them(home: Path, ask: Ask, trigger: str) -> None:
    """The same clean runs in two strategies, one of which has contaminated ones beside them."""
    clean = runs_of(trigger, range(40, 400, 10), contaminated=False, cutoff="2025-01")
    strategy = claude(home)
    other = write_strategy(home, "other", {"engine": "claude", "synthesis_logic": "Think.", "stop": {}}, agents=AGENTS)
    enter_runs(home, other, clean)
    mixed = [*clean, *runs_of(trigger, range(400, 900, 10), **CUTOFF), *runs_of(trigger, range(3, 4), **CUTOFF)]
    enter_runs(home, strategy, [mixed[place] for place in np.random.default_rng(4).permutation(len(mixed))])
    kind = "live" if trigger == "schedule" else trigger
    one, beside = [await ask("get_performance", strategy_name=name, runs=kind) for name in ("mine", "other")]
    assert {name: one[name] for name in FIGURES} == {name: beside[name] for name in FIGURES}
    curves = [await ask("get_performance", strategy_name=name, runs=kind, curve=True) for name in ("mine", "other")]
    mine, others = [{name: curve[name] for name in ("columns", "rows", "parts")} for curve in curves]
    assert mine == others
    assert (one["judged"], one["evidence"]) == (len(clean), beside["evidence"])
    assert one["calibration"] is not None
    assert one["left_out"] == {"runs": 51, "why": WHY}
    assert beside["left_out"] is None
    assert f"51 runs are left out: {WHY}." in one["summary"]
    table = await ask("get_performance", runs="all")
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
    assert [{**row, "strategy_name": ""} for row in rows[:1]] == [{**row, "strategy_name": ""} for row in rows[1:]]
    assert "51 runs of mine are left out" in table["note"]


async def test_where_all_are_contaminated_the_answer_says_so_and_gives_no_figure(home: Path, ask: Ask) -> None:
    enter_runs(home, claude(home), runs_of("manual", range(20, 800, 10), **CUTOFF))
    told = await ask("get_performance", strategy_name="mine", runs="manual", curve=True)
    nothing = ("hit_rate", "hit_rate_ci95", "base_rate", "mean_net_pct", "e_value", "brier", "calibration", "twin")
    assert [told[name] for name in nothing] == [None] * len(nothing)
    assert (told["evidence"], told["runs"], told["judged"], told["rows"]) == ("contaminated", 0, 0, [])
    assert told["left_out"] == {"runs": 78, "why": WHY}
    assert told["summary"] == [f"This shows no skill, whatever came of it: all of its 78 runs are left out, as {WHY}."]
    assert told["sentence"] == "nothing counts, as the model may know what came next"
    signals = await ask("list_signals", strategy_name="mine", limit=50)
    assert len(signals["rows"]) == 50, "each can be looked at"


async def test_they_leave_no_word_in_what_strategies_show(home: Path, client: Client) -> None:
    strategy = claude(home)
    enter_runs(home, strategy, runs_of("schedule", range(20, 800, 10), **CUTOFF))
    listed = answer_of(await client.call_tool("list_strategies", {}))
    columns = listed["columns"]
    (row,) = [dict(zip(columns, row, strict=True)) for row in listed["rows"] if row[0] == "mine"]
    assert row["record"].startswith("This shows no skill, whatever came of it: all of its 78 runs are left out")


LATE: dict[str, tuple[dict[str, Any], bool]] = {
    "by-hand": ({"trigger": "manual", "after_ms": DAY_MS + 1}, False),
    "a-day-late": ({"trigger": "manual", "after_ms": DAY_MS}, True),
    "a-little-late": ({"trigger": "manual", "after_ms": 90_000}, True),
    "slot-days-late": ({"trigger": "schedule", "after_ms": 3 * DAY_MS}, True),
    "slot-a-little-late": ({"trigger": "schedule", "after_ms": 300_000}, True),
    "replayed": ({"trigger": "replay", "after_ms": 40 * DAY_MS}, False),
    "by-rules": ({"trigger": "manual", "after_ms": 40 * DAY_MS, "engine": "rules"}, True),
    "replayed-rules": ({"trigger": "replay", "after_ms": 40 * DAY_MS, "engine": "rules"}, True),
    "by-a-host": ({"trigger": "manual", "after_ms": 40 * DAY_MS, "engine": "host"}, False),
    "judged-clean": ({"trigger": "manual", "after_ms": 40 * DAY_MS, "contaminated": False}, True),
    "judged": ({"trigger": "manual", "after_ms": 0, "contaminated": True}, False),
}
"""What a run was like, and whether it counts."""


async def test_a_past_moment_that_nobody_judged_is_not_taken_for_clean(home: Path, ask: Ask) -> None:
    store_candles(home, market(MOVES))
    made = MadeRun(at(100), "BUY", engine="claude")
    enter_all(home, [(write_strategy(home, name), [replace(made, **run)]) for name, (run, _) in LATE.items()])
    table = await ask("get_performance", runs="all")
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
    assert {row["strategy_name"]: (row["runs"], row["judged"], row["evidence"]) for row in rows} == {
        name: (1, 1, "too_few") if counts else (0, 0, "contaminated") for name, (_, counts) in LATE.items()
    }
    unknown = (
        "1 run of by-a-host is left out of all figures: the model may know what came next, as its knowledge cutoff"
    )
    assert table["note"].startswith(unknown)


async def test_a_strategy_whose_last_change_has_run_in_the_past_alone_has_no_record_of_before(
    home: Path, ask: Ask
) -> None:
    enter_runs(home, claude(home), runs_of("manual", range(20, 400, 10), contaminated=False))
    changed = {"engine": "claude", "synthesis_logic": "Think again.", "stop": {}}
    enter_runs(
        home, write_strategy(home, config=changed, agents=AGENTS), runs_of("manual", range(20, 60, 10), **CUTOFF)
    )
    told = await ask("get_performance", strategy_name="mine", runs="manual")
    assert (told["evidence"], told["judged"], told["left_out"]["runs"]) == ("contaminated", 0, 4)
    assert [(one["runs"], one["judged"]) for one in told["earlier"]] == [(38, 38)]


async def test_cutoffs_that_differ_are_told_by_the_latest_and_those_not_known_are_counted(home: Path, ask: Ask) -> None:
    strategy = claude(home)
    enter_runs(home, strategy, runs_of("manual", range(20, 40, 10), contaminated=True, cutoff="2025-11"))
    enter_runs(home, strategy, runs_of("manual", range(40, 60, 10), contaminated=True, cutoff="2026-04"))
    enter_runs(home, strategy, runs_of("manual", range(60, 90, 10)))
    told = await ask("get_performance", strategy_name="mine", runs="manual")
    why = told["left_out"]["why"]
    assert told["left_out"]["runs"] == 7
    assert why.endswith("(knowledge cutoff April 2026; that of 3 runs is not known; first clean moment 2026-05-31)")


async def test_a_cutoff_that_is_no_month_is_unknown(home: Path, ask: Ask) -> None:
    enter_runs(home, claude(home), runs_of("manual", range(20, 40, 10), contaminated=True, cutoff="soon"))
    told = await ask("get_performance", strategy_name="mine", runs="manual")
    assert told["left_out"]["why"].endswith("as its knowledge cutoff is not known")


async def test_their_outcomes_are_settled_all_the_same(home: Path, ask: Ask) -> None:
    enter_runs(home, claude(home), runs_of("manual", range(20, 50, 10), **CUTOFF))
    await ask("get_performance", strategy_name="mine", runs="manual")
    states = database_of(home).read(lambda c: c.execute("SELECT state, count(*) FROM outcomes GROUP BY 1").fetchall())
    assert states == [("judged", 3)]


async def test_a_past_moment_of_the_question_leaves_them_out_too(home: Path) -> None:
    enter_runs(home, claude(home), runs_of("manual", range(50, 90, 10), **CUTOFF))
    settings = ServerSettings(home=home, exchange="coinbase", exchange_urls={"coinbase": "http://127.0.0.1:9"})
    async with Client(build_server(settings, clock=lambda: NOW), raise_exceptions=True) as client:
        arguments = {"strategy_name": "mine", "runs": "manual", "as_of": "2026-05-20T11:00Z"}
        told = answer_of(await client.call_tool("get_performance", arguments))
    assert (told["evidence"], told["judged"]) == ("contaminated", 0)
