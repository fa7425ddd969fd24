"""The tool run_strategy: it decides by rules, and lets the caller's own model decide the rest, once and in time."""

import json
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from mcp_server import answers
from mcp_server.app import build_server
from mcp_server.domain.strategy.claude_answer import MAX_DEPTH
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.settings import ServerSettings
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.journal.costs import total
from mcp_server.storage.journal.host_runs import MOST_OPEN
from mcp_server.storage.journal.runs import Journal
from mcp_server.storage.strategies.folders import StrategyFolders
from tests.rigs.hand_clock import HandClock
from tests.rigs.sampled import sampled
from tests.tools.conftest import NOW, Ask, Told, answer_of

RULES = {"buy": "close > 1"}
BASE = {"trading_pair": "BTC/USDT", "exchange": "simulated", "interval": "1h"}
ASKED = {**BASE, "synthesis_logic": "Buy below 30.", "timeout_s": 60, "rules": RULES}
AGENTS = {
    "rsi": {"description": "RSI", "prompt": "Report the RSI.", "tools": ["calculate_rsi"]},
    "price": {"description": "Price", "prompt": "Report the price.", "tools": ["get_price", "get_ohlcv"]},
}
ANSWER = {
    "signal": "BUY", "confidence": 61, "reasoning": "RSI is low.",
    "sub_agent_results": {"rsi": {"rsi": 28.1, "leans": "BUY"}, "price": {"price": 91_000}},
}  # fmt: skip


class Desk:
    """One home, and servers on it whose clock is moved by hand."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.clock = HandClock(NOW)
        self.ask: Ask

    def server(self, **more: Any) -> Client:
        settings = ServerSettings(home=self.home, exchange="simulated")
        return Client(build_server(settings, clock=self.clock.now, **more), raise_exceptions=True)

    @property
    def journal(self) -> Journal:
        at = Home(self.home)
        return Journal(Database(at.database, prepare=at.prepare), at)

    def write(self, name: str = "asked", **config: Any) -> None:
        strategy = parse_strategy(name, {**ASKED, **config}, AGENTS)
        StrategyFolders(Home(self.home), examples_folder()).write(strategy)

    async def begin(self, name: str = "asked") -> dict[str, Any]:
        return await self.ask("run_strategy", strategy_name=name)

    async def look(
        self, as_of: str | None, tools: tuple[str, ...] = ("calculate_rsi", "get_price"), **more: Any
    ) -> None:
        for tool in tools:
            await self.ask(tool, **{"symbol": "BTC/USDT", "as_of": as_of, **more})

    async def answer(self, run: dict[str, Any], **changed: Any) -> dict[str, Any]:
        return await self.ask(
            "run_strategy", strategy_name=run["strategy_name"], execution_id=run["execution_id"],
            answer={**ANSWER, **changed},
        )  # fmt: skip

    async def refused(self, run: dict[str, Any], **changed: Any) -> str:
        with pytest.raises(Told) as told:
            await self.answer(run, **changed)
        return str(told.value)

    async def rows(self) -> list[dict[str, Any]]:
        answer = await self.ask("list_signals", outcomes="all")
        return [dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"]]


def asking(client: Client) -> Ask:
    async def ask(name: str, **arguments: Any) -> dict[str, Any]:
        return answer_of(await client.call_tool(name, arguments))

    return ask


@pytest.fixture
async def desk(home: Path) -> AsyncIterator[Desk]:
    desk = Desk(home)
    async with desk.server() as client:
        desk.ask = asking(client)
        yield desk


async def test_a_strategy_by_rules_decides_at_once_as_the_rules_do_and_has_its_row(desk: Desk) -> None:
    await desk.ask("write_strategy", strategy_name="mine", config={**BASE, "rules": RULES})
    run = await desk.ask("run_strategy", strategy_name="mine")
    seen = await desk.ask("evaluate_strategy", strategy_name="mine")
    assert {key: run[key] for key in ("signal", "reasoning", "price", "as_of")} == {
        key: seen[key] for key in ("signal", "reasoning", "price", "as_of")
    }
    assert (run["engine"], run["status"], run["cost_usd"]) == ("rules", "success", 0)
    (row,) = await desk.rows()
    assert (row["trigger"], row["engine"], row["scheduled_at"], row["cost_usd"]) == ("manual", "rules", None, 0)
    whole = (await desk.ask("list_signals", execution_id=run["execution_id"]))["run"]
    assert [condition["text"] for condition in whole["conditions"]] == ["close > 1"]
    assert list(Home(desk.home).running.iterdir()) == []


async def test_rules_that_cannot_decide_abstain_and_an_exchange_that_fails_is_an_error_in_the_row(desk: Desk) -> None:
    undecided = {"buy": "close > 1", "sell": "close > 1"}
    await desk.ask("write_strategy", strategy_name="both", config={**BASE, "rules": undecided})
    none = desk.home / "strategies" / "none"
    none.mkdir()
    (none / "config.json").write_text(json.dumps({**BASE, "trading_pair": "USDT/USDT", "rules": RULES}))
    abstained = await desk.ask("run_strategy", strategy_name="both")
    failed = await desk.ask("run_strategy", strategy_name="none")
    assert (abstained["status"], "signal" in abstained) == ("abstained", False)
    assert (failed["status"], "USDT/USDT" in failed["error"]) == ("error", True)
    assert [row["status"] for row in await desk.rows()] == ["error", "abstained"]


async def test_a_strategy_by_claude_is_handed_to_the_caller_with_the_moment_the_tasks_and_their_tools(
    desk: Desk,
) -> None:
    desk.write()
    run = await desk.begin()
    assert (run["engine"], run["status"], run["cost_usd"]) == ("host", "running", None)
    assert (run["as_of"], run["answer_by"]) == ("2026-05-20T12:17:33Z", "2026-05-20T12:18:33Z")
    assert {agent["name"]: (agent["tools"], agent["prompt"]) for agent in run["agents"]} == {
        name: (agent["tools"], agent["prompt"]) for name, agent in AGENTS.items()
    }
    for told in ("Symbol: BTC/USDT", "Exchange: simulated", "As-of time: 2026-05-20T12:17:33", "Buy below 30."):
        assert told in run["task"]
    assert "candle after your answer" in run["task"]
    assert len(json.dumps(run)) < 4_000
    (row,) = await desk.rows()
    assert (row["trigger"], row["engine"], row["status"]) == ("manual", "host", "running")


async def test_an_answer_that_rests_on_calls_ends_the_run_with_its_signal_twin_and_trace(desk: Desk) -> None:
    desk.write()
    run = await desk.begin()
    desk.clock.pass_by(30)
    await desk.look(run["as_of"])
    ended = await desk.answer(run)
    assert (ended["status"], ended["signal"], ended["confidence"], ended["cost_usd"]) == ("success", "BUY", 61, None)
    (row,) = await desk.rows()
    assert (row["status"], row["signal"], row["cost_usd"], row["outcome"]) == ("success", "BUY", None, "pending")
    whole = (await desk.ask("list_signals", execution_id=run["execution_id"]))["run"]
    assert (whole["took_s"], whole["tokens_used"], whole["twin"]["signal"]) == (30, None, "BUY")
    assert [(agent["reported"], agent["leans"], len(agent["calls"])) for agent in whole["sub_agents"]] == [
        (True, "BUY", 1),
        (True, None, 1),
    ]
    candle = await desk.ask("get_ohlcv", symbol="BTC/USDT", timeframe="1h", limit=1, as_of=run["as_of"])
    assert ended["price"] == candle["rows"][-1][candle["columns"].index("close")]
    assert list(Home(desk.home).running.iterdir()) == []


async def test_the_price_and_the_twin_are_of_the_runs_moment_however_late_the_answer(desk: Desk) -> None:
    desk.clock.set(NOW.replace(minute=59, second=30))
    desk.write()
    run = await desk.begin()
    await desk.look(run["as_of"])
    desk.clock.pass_by(45)  # a candle closes meanwhile
    ended = await desk.answer(run)
    candles = await desk.ask("get_ohlcv", symbol="BTC/USDT", timeframe="1h", limit=2)
    closes = [row[candles["columns"].index("close")] for row in candles["rows"]]
    whole = (await desk.ask("list_signals", execution_id=run["execution_id"]))["run"]
    assert closes[0] != closes[1]
    assert (ended["price"], whole["twin"]["price"], whole["twin"]["open_time"]) == (
        closes[0],
        closes[0],
        "2026-05-20T11:00Z",
    )


async def test_who_waits_and_sees_the_price_move_is_judged_from_the_candle_after_the_answer(desk: Desk) -> None:
    desk.clock.set(NOW.replace(minute=29, second=30))
    desk.write(interval="15m", horizon="15m", timeout_s=900)
    run = await desk.begin()
    await desk.look(run["as_of"])
    desk.clock.pass_by(840)  # it is 12:43:30, and the candle of 12:30 is known but for its last minutes
    await desk.answer(run)
    (row,) = await desk.rows()
    assert (row["outcome"], row["exit_time"]) == ("pending", "2026-05-20T13:00Z")
    desk.clock.pass_by(3_600)
    await desk.ask("get_performance", strategy_name="asked", runs="manual")
    (row,) = await desk.rows()
    outcome = desk.journal.entries()[0].outcome
    assert outcome is not None
    assert (row["exit_time"], f"{outcome.entry_time:%H:%M}") == ("2026-05-20T13:00Z", "12:45")


async def test_a_second_answer_is_refused_and_told_what_is_recorded(desk: Desk) -> None:
    desk.write()
    run = await desk.begin()
    await desk.look(run["as_of"])
    await desk.answer(run)
    assert "BUY, confidence 61" in await desk.refused(run, signal="SELL")
    (row,) = await desk.rows()
    assert row["signal"] == "BUY"


async def test_an_answer_without_calls_abstains_and_names_each_agent(desk: Desk) -> None:
    desk.write()
    run = await desk.begin()
    ended = await desk.answer(run)
    assert (ended["status"], "signal" in ended) == ("abstained", False)
    for name in AGENTS:
        assert repr(name) in ended["error"]
    assert "abstained" in await desk.refused(run)


@pytest.mark.parametrize(
    "wrong",
    [
        {"symbol": "ETH/USDT"},
        {"as_of": "2026-05-20T11:17:33Z"},
        {"as_of": None},
        {"exchange": "nowhere"},
    ],
    ids=["another market", "another time", "now", "a call that failed"],
)
async def test_calls_that_looked_elsewhere_or_failed_are_no_evidence(desk: Desk, wrong: dict[str, Any]) -> None:
    desk.write()
    run = await desk.begin()
    desk.clock.pass_by(59)
    await desk.look(run["as_of"], ("calculate_rsi",))
    try:
        await desk.look(tools=("get_price",), **{"as_of": run["as_of"], **wrong})
    except Told:
        assert "exchange" in wrong
    ended = await desk.answer(run)
    assert ended["status"] == "abstained"
    assert "'price'" in ended["error"]
    assert "'rsi'" not in ended["error"]


async def test_calls_before_the_claim_and_of_tools_that_an_agent_has_not_are_no_evidence(desk: Desk) -> None:
    desk.write()
    await desk.look("2026-05-20T12:17:33Z")
    run = await desk.begin()
    await desk.look(run["as_of"], ("get_ohlcv",))
    ended = await desk.answer(run)
    assert ended["status"] == "abstained"
    assert "'rsi'" in ended["error"]
    assert "'price'" not in ended["error"]


async def test_a_call_whose_answer_was_too_large_to_be_sent_is_no_evidence(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.write()
    run = await desk.begin()
    await desk.look(run["as_of"], ("calculate_rsi",))
    with monkeypatch.context() as patch:
        patch.setattr(answers, "MOST_BYTES", 100)
        with pytest.raises(Told, match="an answer holds"):
            await desk.look(run["as_of"], ("get_price",))
    ended = await desk.answer(run)
    assert (ended["status"], "'price' called no tool" in ended["error"]) == ("abstained", True)


async def test_an_agent_that_the_answer_leaves_out_has_not_reported(desk: Desk) -> None:
    desk.write()
    run = await desk.begin()
    await desk.look(run["as_of"])
    ended = await desk.answer(run, sub_agent_results={"rsi": {"rsi": 28}, "price": {}})
    assert (ended["status"], "'price' has nothing" in ended["error"]) == ("abstained", True)


async def test_a_misspelt_sub_agent_is_sent_back_and_the_run_stays_open(desk: Desk) -> None:
    desk.write()
    run = await desk.begin()
    await desk.look(run["as_of"])
    misspelt = {"RSI": {"rsi": 28}, "price": {"price": 9}}
    assert await desk.refused(run, sub_agent_results=misspelt) == (
        "answer: sub_agent_results has 'RSI', which is no sub-agent. Known: price, rsi."
    )
    more = {**ANSWER["sub_agent_results"], "summary": {"text": "fine"}}  # type: ignore[dict-item]
    assert (await desk.answer(run, sub_agent_results=more))["status"] == "success"


async def test_reports_that_do_not_suffice_abstain_and_a_hold_is_a_signal(desk: Desk) -> None:
    desk.write()
    run = await desk.begin()
    await desk.look(run["as_of"])
    assert (await desk.answer(run, decided=False, signal="HOLD"))["status"] == "abstained"
    run = await desk.begin()
    await desk.look(run["as_of"])
    assert (await desk.answer(run, signal="HOLD"))["signal"] == "HOLD"


DEEP: dict[str, Any] = {}
for _ in range(MAX_DEPTH + 1):
    DEEP = {"a": DEEP}


@pytest.mark.parametrize(
    "changed",
    sampled(
        [
            {"signal": "hold"},
            {"signal": "STRONG BUY"},
            {"confidence": 0.85},
            {"confidence": 101},
            {"reasoning": ""},
            {"confidence": float("nan")},
            {"sub_agent_results": {"rsi": 28}},
            {"sub_agent_results": {"rsi": DEEP}},
            {"sub_agent_results": {"rsi": {"text": "x" * 300_000}}},
            {"reasoning": "\u200b\u2060"},
        ],
        2,
    ),
    ids=lambda changed: next(iter(changed)),
)
async def test_an_answer_of_another_shape_is_sent_back_and_the_run_stays_open(
    desk: Desk, changed: dict[str, Any]
) -> None:
    desk.write()
    run = await desk.begin()
    await desk.look(run["as_of"])
    assert "answer" in await desk.refused(run, **changed)
    assert (await desk.answer(run))["status"] == "success"


async def test_an_answer_may_be_a_text_whose_numbers_have_to_be_numbers(desk: Desk) -> None:
    desk.write()
    run = await desk.begin()
    await desk.look(run["as_of"])
    asked = {"strategy_name": "asked", "execution_id": run["execution_id"]}
    for wrong in (json.dumps(ANSWER).replace("28.1", "Infinity"), json.dumps(ANSWER).replace("61", "NaN"), "{", "7"):
        with pytest.raises(Told, match="answer"):
            await desk.ask("run_strategy", **asked, answer=wrong)
    with pytest.raises(Told, match=r"Write a JSON object: \{…\}\.$"):
        await desk.ask("run_strategy", **asked, answer=json.dumps(json.dumps(ANSWER)))
    assert (await desk.ask("run_strategy", **asked, answer=json.dumps(ANSWER)))["signal"] == "BUY"


async def test_what_hides_in_an_answer_is_not_kept(desk: Desk) -> None:
    desk.write()
    run = await desk.begin()
    await desk.look(run["as_of"])
    ended = await desk.answer(run, reasoning="RSI\u202e is\x1b[31m low.")
    assert ended["reasoning"] == "RSI is[31m low."
    (entry,) = desk.journal.entries()
    assert entry.reasoning == "RSI is[31m low."


async def test_an_open_run_is_handed_out_again_and_no_second_row_is_made(desk: Desk) -> None:
    desk.write()
    first = await desk.begin()
    desk.clock.pass_by(40)
    desk.write(synthesis_logic="Another one.")
    assert await desk.begin() == first
    await desk.look(first["as_of"])
    assert (await desk.answer(first))["status"] == "success"
    assert (await desk.begin())["execution_id"] != first["execution_id"]
    assert len(await desk.rows()) == 2


@pytest.mark.parametrize("edited", ["removed", json.dumps({**BASE, "synthesis_logic": "Sell.", "timeout_s": 60})])
async def test_a_run_is_answered_as_it_began_whatever_becomes_of_its_files_meanwhile(desk: Desk, edited: str) -> None:
    desk.write()
    run = await desk.begin()
    config = desk.home / "strategies" / "asked" / "config.json"
    if edited == "removed":
        shutil.rmtree(config.parent)
    else:
        config.write_text(edited)
    await desk.look(run["as_of"])
    ended = await desk.answer(run)
    assert (ended["status"], ended["signal"]) == ("success", "BUY")
    assert [row["status"] for row in await desk.rows()] == ["success"]


async def test_only_so_many_runs_are_open_at_once(desk: Desk) -> None:
    for number in range(MOST_OPEN + 1):
        desk.write(f"asked-{number}")
    for number in range(MOST_OPEN):
        await desk.begin(f"asked-{number}")
    with pytest.raises(Told, match="wait for their answers"):
        await desk.begin(f"asked-{MOST_OPEN}")
    desk.clock.pass_by(61)
    assert (await desk.begin(f"asked-{MOST_OPEN}"))["status"] == "running"


async def test_after_its_time_a_run_ends_as_timeout_whoever_looks_and_however_late(desk: Desk) -> None:
    desk.write()
    run = await desk.begin()
    await desk.look(run["as_of"])
    desk.clock.pass_by(3_600)
    assert "timeout" in await desk.refused(run)
    (row,) = await desk.rows()
    assert (row["status"], row["signal"]) == ("timeout", None)
    whole = (await desk.ask("list_signals", execution_id=run["execution_id"]))["run"]
    assert (whole["took_s"], whole["completed_at"]) == (60, "2026-05-20T12:18:33Z")


async def test_a_list_of_runs_shows_that_the_time_of_one_is_over_though_nobody_came_back(desk: Desk) -> None:
    desk.write()
    run = await desk.begin()
    desk.clock.pass_by(60)
    assert [row["status"] for row in await desk.rows()] == ["timeout"]
    await desk.begin()
    desk.clock.pass_by(61)
    last = await desk.ask("list_signals", execution_id=run["execution_id"] + 1)
    assert last["run"]["status"] == "timeout"


async def test_a_server_that_was_restarted_knows_the_run_but_no_earlier_call(desk: Desk) -> None:
    desk.write()
    run = await desk.begin()
    await desk.look(run["as_of"])
    async with desk.server() as client:
        other = asking(client)
        arguments = {"strategy_name": "asked", "execution_id": run["execution_id"], "answer": ANSWER}
        ended = await other("run_strategy", **arguments)
    assert ended["status"] == "abstained"
    assert "restarted" in ended["error"]
    assert "abstained" in await desk.refused(run)


async def test_after_a_restart_the_run_can_be_taken_up_again_with_new_calls(desk: Desk) -> None:
    desk.write()
    run = await desk.begin()
    async with desk.server() as client:
        desk.ask = asking(client)
        assert await desk.begin() == run
        await desk.look(run["as_of"])
        assert (await desk.answer(run))["status"] == "success"


async def test_nobody_who_tidies_up_ends_a_run_that_waits_for_its_host(desk: Desk) -> None:
    desk.write()
    run = await desk.begin()
    desk.journal.settle(NOW)
    desk.journal.end_orphans(NOW)
    (entry,) = desk.journal.entries(outcomes="all")
    assert entry.status == "running"
    later = NOW + timedelta(seconds=61)
    desk.journal.settle(later)
    (entry,) = desk.journal.entries(outcomes="all")
    assert (entry.status, entry.completed_at) == ("timeout", NOW + timedelta(seconds=60))
    assert "timeout" in await desk.refused(run)


async def test_in_a_home_that_was_restored_too_it_ends_by_itself(desk: Desk) -> None:
    desk.write()
    await desk.begin()
    for sign in Home(desk.home).running.iterdir():
        sign.unlink()
    desk.journal.end_orphans(NOW + timedelta(days=1))
    (entry,) = desk.journal.entries(outcomes="all")
    assert (entry.status, entry.completed_at) == ("timeout", NOW + timedelta(seconds=60))


async def test_what_does_not_fit_together_is_refused(desk: Desk) -> None:
    desk.write()
    await desk.ask("write_strategy", strategy_name="mine", config={**BASE, "rules": RULES})
    with pytest.raises(Told, match="belong together"):
        await desk.ask("run_strategy", strategy_name="asked", execution_id=1)
    with pytest.raises(Told, match="belong together"):
        await desk.ask("run_strategy", strategy_name="asked", answer=ANSWER)
    run = await desk.begin()
    by_rules = await desk.ask("run_strategy", strategy_name="mine")
    for name, number in (("mine", run["execution_id"]), ("mine", by_rules["execution_id"]), ("asked", 99)):
        with pytest.raises(Told, match="has no run"):
            await desk.ask("run_strategy", strategy_name=name, execution_id=number, answer=ANSWER)


async def test_what_cannot_be_run_says_why(desk: Desk) -> None:
    desk.write("paused", status="paused")
    with pytest.raises(Told, match="is paused, so it is not run"):
        await desk.begin("paused")
    with pytest.raises(Told, match=r"Unknown strategy 'pausd'.*'paused'"):
        await desk.begin("pausd")
    broken = desk.home / "strategies" / "broken"
    broken.mkdir()
    (broken / "config.json").write_text('{"interval": "1h"}')
    with pytest.raises(Told, match="trading_pair"):
        await desk.begin("broken")
    async with desk.server(families=frozenset(("strategies", "market"))) as client:
        desk.ask = asking(client)
        desk.write()
        with pytest.raises(Told, match="does not offer calculate_rsi"):
            await desk.begin()
    assert not desk.journal.entries(outcomes="all")


async def test_a_run_that_is_held_in_the_past_counts_in_no_figure_as_its_model_can_look_at_the_present(
    desk: Desk,
) -> None:
    desk.write()
    settings = ServerSettings(home=desk.home, exchange="simulated", as_of=NOW - timedelta(hours=30))
    async with Client(build_server(settings, clock=desk.clock.now), raise_exceptions=True) as client:
        desk.ask = asking(client)
        run = await desk.begin()
        await desk.look(run["as_of"])
        assert (await desk.answer(run))["status"] == "success"
    (entry,) = desk.journal.entries()
    assert (entry.as_of, entry.contaminated) == (NOW - timedelta(hours=30), True)
    async with desk.server() as client:
        record = await asking(client)("get_performance", strategy_name="asked", runs="manual")
    assert (record["runs"], record["judged"], record["evidence"]) == (0, 0, "contaminated")


async def test_no_config_and_no_agent_can_name_it(desk: Desk) -> None:
    checked = await desk.ask("write_strategy", strategy_name="x", config={**ASKED, "engine": "host"}, dry_run=True)
    assert any(row[1] == "config.json engine" for row in checked["findings"])
    agents = {"one": {"description": "d", "prompt": "p", "tools": ["run_strategy"]}}
    checked = await desk.ask("write_strategy", strategy_name="x", config=ASKED, agents=agents, dry_run=True)
    assert any("run_strategy" in row[2] and row[0] == "error" for row in checked["findings"])


async def test_what_it_cost_is_unknown_and_in_no_budgets_sum(desk: Desk) -> None:
    desk.write()
    run = await desk.begin()
    await desk.look(run["as_of"])
    await desk.answer(run)
    costs = await desk.ask("get_costs")
    assert (costs["runs"], costs["unknown"], costs["cost_usd"], costs["reserved_usd"]) == (1, 1, None, None)
    day = datetime(2026, 5, 20, tzinfo=UTC)
    (cost,) = desk.journal.day_costs(day, NOW + timedelta(hours=1))
    assert total([cost]).usd == 0


async def test_it_is_judged_among_runs_by_hand_and_never_among_live_ones(desk: Desk) -> None:
    desk.write()
    run = await desk.begin()
    await desk.look(run["as_of"])
    await desk.answer(run)
    desk.clock.pass_by(2 * 86_400)
    live = await desk.ask("get_performance", strategy_name="asked")
    manual = await desk.ask("get_performance", strategy_name="asked", runs="manual")
    table = await desk.ask("get_performance", runs="manual")
    assert (live["runs"], manual["runs"], manual["judged"], manual["kind"]) == (0, 1, 1, "host")
    assert manual["cost_usd"] is None
    assert "runs='manual'" in live["note"]
    assert [row[table["columns"].index("kind")] for row in table["rows"]] == ["host"]
