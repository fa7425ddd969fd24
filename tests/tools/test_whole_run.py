"""One run whole, as list_signals tells it with execution_id: everything that the journal knows, harmless and short."""

import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp_types import TextContent

from mcp_server.answers import MOST_BYTES
from mcp_server.app import build_server
from mcp_server.domain.outcome import Outcome, Signal, SlotRow, Status
from mcp_server.domain.run_trace import trace_facts
from mcp_server.settings import ServerSettings
from mcp_server.storage.journal.rows import Run
from tests.acceptance.hostile_texts import LONG, TEXTS, hidden
from tests.rigs import sample_strategies as strategies
from tests.rigs.sample_home import SampleHome, sample_home
from tests.rigs.sample_runs import SampleRun, enter_runs
from tests.rigs.sampled import sampled
from tests.tools.conftest import Told, answer_of

NOW = datetime(2026, 5, 20, 12, 0, 41, tzinfo=UTC)

Look = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SampleHome]:
    sample = sample_home(tmp_path_factory.mktemp("home"), NOW)
    yield sample
    sample.close()


async def _looked(sample: SampleHome, name: str, as_of: datetime = NOW, **arguments: Any) -> dict[str, Any]:
    settings = ServerSettings(home=sample.root, exchange="simulated", as_of=as_of)
    async with Client(build_server(settings, clock=lambda: NOW)) as client:
        result = await client.call_tool(name, arguments)
    return answer_of(result)


@pytest.fixture
async def look(sample: SampleHome) -> AsyncIterator[Look]:
    """Call a tool on the sample home."""
    settings = ServerSettings(home=sample.root, exchange="simulated")
    async with Client(build_server(settings, clock=lambda: NOW)) as client:

        async def call(name: str, **arguments: Any) -> dict[str, Any]:
            return answer_of(await client.call_tool(name, arguments))

        yield call


async def _all(look: Look, name: str) -> list[dict[str, Any]]:
    answer = await look("list_signals", strategy_name=name, outcomes="all", limit=500, detail="none")
    return [dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"]]


async def test_a_run_by_claude_is_told_with_each_agents_calls_and_what_became_of_it(look: Look) -> None:
    rows = await _all(look, strategies.ANALYSTS)
    judged = next(row for row in rows if row["outcome"] in ("right", "wrong"))
    run = (await look("list_signals", execution_id=judged["execution_id"]))["run"]
    assert {name: run[name] for name in judged} == judged
    assert run["twin"]["signal"] in ("BUY", "SELL", "HOLD")
    price, momentum = run["sub_agents"]
    assert (price["name"], price["reported"], price["missing"]) == ("price-analyst", True, None)
    assert (price["model"], price["tokens"]) == ("claude-haiku-5", 4_350)
    assert [(call["tool"], call["failed"], call["whole"]) for call in price["calls"]] == [
        ("get_price", True, False),
        ("get_price", False, True),
        ("get_ohlcv", False, False),
    ]
    assert price["calls"][0]["arguments"] == "symbol=ETHUSDT/"
    assert "Did you mean" in price["calls"][0]["result"]
    assert price["leans"] in ("BUY", "SELL", "HOLD")
    assert "middle of its last day" in price["report"]
    assert '"rsi":' in momentum["result"]
    assert run["reasoning"].startswith("RSI is ")
    assert (run["model"], run["tokens_used"], run["cut"]) == ("claude-sonnet-5", 2_722, None)
    assert 20 <= run["took_s"] < 30


async def test_an_agent_that_did_not_report_says_why(look: Look) -> None:
    rows = await _all(look, strategies.ANALYSTS)
    late = next(row for row in rows if row["status"] == "timeout")
    run = (await look("list_signals", execution_id=late["execution_id"]))["run"]
    price, momentum = run["sub_agents"]
    assert (price["reported"], price["missing"]) == (False, "did not finish")
    assert (price["calls"][0]["failed"], price["calls"][0]["result"]) == (None, None)
    assert (momentum["reported"], momentum["missing"]) == (False, "was never started")
    assert (run["signal"], run["outcome"], run["cost_usd"]) == (None, None, None)


async def test_a_run_by_rules_is_told_with_its_conditions_and_the_values_they_saw(look: Look) -> None:
    rows = await _all(look, strategies.TREND)
    run = (await look("list_signals", execution_id=rows[0]["execution_id"]))["run"]
    assert {condition["rule"] for condition in run["conditions"]} == {"buy", "sell"}
    assert all(condition["values"] and isinstance(condition["value"], bool) for condition in run["conditions"])
    assert run["candle"]["open_time"]
    assert run["candle"]["simulated"] is True
    assert (run["twin"], run["sub_agents"], run["engine"]) == (None, None, "rules")
    assert (run["symbol"], run["timeframe"], run["exchange"]) == ("BTC/USDT", "4h", "simulated")


async def test_slots_that_were_missed_together_say_from_which_to_which(look: Look) -> None:
    rows = await _all(look, strategies.TREND)
    missed = next(row for row in rows if row["status"] == "missed")
    run = (await look("list_signals", execution_id=missed["execution_id"]))["run"]
    assert (run["slots"], run["status"]) == (6, "missed")
    first, last = (datetime.fromisoformat(run[name]) for name in ("scheduled_at", "scheduled_until"))
    assert last - first == timedelta(hours=20)
    assert run["reasoning"].startswith("Nothing ran from")


async def test_every_run_agrees_with_the_journal_however_it_ended(look: Look) -> None:
    """What is shown beside a run is what SQL says of it, computed there."""
    query = """SELECT e.id, e.status, a.signal, e.trigger, e.slots, o.state, o.exit_price,
      100 * (CASE a.signal WHEN 'BUY' THEN 1 WHEN 'SELL' THEN -1 END * (o.r - o.funding_bps / 10000)
      - o.cost_bps / 10000) AS net_pct FROM executions e LEFT JOIN analysis_results a ON a.execution_id = e.id
      LEFT JOIN outcomes o ON o.execution_id = e.id ORDER BY e.id DESC"""
    answer = await look("query_journal", sql=query, limit=500, detail="full")
    names = (strategies.TREND, strategies.ANALYSTS)
    listed = {row["execution_id"]: row for name in names for row in await _all(look, name)}
    seen = set()
    for id_, status, signal, trigger, slots, state, _, net_pct in answer["rows"]:
        if (row := listed.pop(id_, None)) is None:
            continue
        verdict = {None: "pending", "void": "void"}.get(state) or ("right" if (net_pct or 0) > 0 else "wrong")
        expected = verdict if signal in ("BUY", "SELL") else None
        assert (row["status"], row["signal"], row["trigger"], row["slots"]) == (status, signal, trigger, slots)
        assert (row["outcome"], row["net_pct"]) == (expected, net_pct and pytest.approx(net_pct, rel=1e-4))
        seen.add(expected)
    assert seen == {"right", "wrong", "pending", "void", None}
    assert not listed


async def test_when_a_signal_will_be_judged_is_what_it_was_judged_at_in_the_end(sample: SampleHome, look: Look) -> None:
    """As of a moment just after each answer, against the exits that the journal has later."""
    rows = [row for row in await _all(look, strategies.ANALYSTS) if row["outcome"] in ("right", "wrong")]
    for row in rows[::5]:
        answered = datetime.fromisoformat(row["as_of"]) + timedelta(minutes=2)
        then = await _looked(
            sample, "list_signals", answered, outcomes="all", limit=1, strategy_name=strategies.ANALYSTS
        )
        (pending,) = then["rows"]
        assert (pending[0], pending[-3:]) == (row["execution_id"], ["pending", None, row["exit_time"]])


async def test_a_run_under_way_is_told_without_an_end(sample: SampleHome, look: Look) -> None:
    running = (await _all(look, strategies.ANALYSTS))[0]
    assert running["status"] == "running"
    run = (await look("list_signals", execution_id=running["execution_id"]))["run"]
    assert (run["completed_at"], run["took_s"], run["signal"], run["cost_usd"]) == (None, None, None, None)


async def test_a_past_moment_tells_of_a_run_what_was_known_then(sample: SampleHome, look: Look) -> None:
    rows = await _all(look, strategies.ANALYSTS)
    late = next(row for row in rows if row["outcome"] in ("right", "wrong"))
    id_, slot = late["execution_id"], datetime.fromisoformat(late["as_of"])
    whole = (await look("list_signals", execution_id=id_))["run"]
    answered = datetime.fromisoformat(whole["completed_at"])
    known = datetime.fromisoformat(late["exit_time"]) + timedelta(minutes=10)

    async def then(moment: datetime) -> dict[str, Any]:
        run: dict[str, Any] = (await _looked(sample, "list_signals", moment, execution_id=id_))["run"]
        return run

    with pytest.raises(Told, match=f"no run {id_} by then"):
        await then(slot + timedelta(seconds=4))
    under_way = await then(answered - timedelta(seconds=1))
    assert (under_way["status"], under_way["signal"], under_way["outcome"]) == ("running", None, None)
    for name in ("model", "tokens_used", "cost_usd", "completed_at", "took_s", "sub_agents", "twin", "conditions"):
        assert under_way[name] is None, name
    assert under_way["decision_version"] == whole["decision_version"]
    pending = await then(known - timedelta(seconds=1))
    assert (pending["signal"], pending["outcome"]) == (whole["signal"], "pending")
    for name in ("net_pct", "entry_time", "entry_price", "exit_price", "cost_bps"):
        assert pending[name] is None, name
    assert pending["exit_time"] == whole["exit_time"], "it is known from the beginning when it will be judged"
    assert await then(known) == whole


async def test_slots_that_were_missed_are_not_known_before_that_was_noticed(sample: SampleHome, look: Look) -> None:
    missed = next(row for row in await _all(look, strategies.TREND) if row["status"] == "missed")
    noticed = datetime.fromisoformat(missed["scheduled_until"]) + timedelta(seconds=5)

    async def ids(moment: datetime) -> list[int]:
        arguments = {"strategy_name": strategies.TREND, "outcomes": "all", "limit": 500, "detail": "none"}
        return [row[0] for row in (await _looked(sample, "list_signals", moment, **arguments))["rows"]]

    assert missed["execution_id"] not in await ids(noticed - timedelta(seconds=1))
    assert missed["execution_id"] in await ids(noticed)


async def test_a_run_that_is_not_there_or_another_strategys_is_refused(look: Look) -> None:
    other = (await _all(look, strategies.TREND))[0]["execution_id"]
    with pytest.raises(Told, match="There is no run 999999 by then"):
        await look("list_signals", execution_id=999_999)
    with pytest.raises(Told, match=f"no run {other} of '{strategies.ANALYSTS}'"):
        await look("list_signals", execution_id=other, strategy_name=strategies.ANALYSTS)
    with pytest.raises(Told, match="told whole, without before, limit"):
        await look("list_signals", execution_id=other, before=9, limit=3)


def _hostile(number: int, text: str) -> Outcome:
    """Return a run in whose every text there is a text of a stranger."""
    call = {"tool": text, "arguments": {text: text}, "result": text, "is_error": False, "whole": True}
    agent = {"name": text, "model": text, "reported": True, "missing": text, "calls": [call] * 3, "report": text}
    twin = {"signal": text, "confidence": 3, "price": 1, "open_time": text, "error": text}
    data = {"sub_agent_results": {text: {"leans": text, text: text}}, "twin": twin}
    condition = {"rule": text, "text": text, "value": True, "values": {text: 1.5}}
    trace = {"sub_agents": [agent, agent], "conditions": [condition], "open_time": text, "note": text, "cut": text}
    return Outcome(Status.SUCCESS, Signal("BUY", Decimal(number % 100), text, 1.0, data), model="m", trace=trace)


@pytest.mark.parametrize("every", [160, pytest.param(2, marks=pytest.mark.long)])
async def test_texts_of_strangers_in_a_run_come_out_cleaned_and_short(home: Path, every: int) -> None:
    texts = [*TEXTS[: -len(LONG) : every], *LONG]
    sample = SampleHome(home, NOW)
    strategy, slot = strategies.new(), SlotRow(Status.RUNNING, NOW, NOW)
    runs = [
        SampleRun(strategy, slot, _hostile(number, text), timedelta(0), "manual", NOW)
        for number, text in enumerate(texts)
    ]
    enter_runs(sample.database, "hostile", runs)
    async with Client(build_server(ServerSettings(home=home), clock=lambda: NOW)) as client:
        for id_ in range(1, len(texts) + 1):
            result = await client.call_tool("list_signals", {"execution_id": id_})
            assert not result.is_error
            (block,) = result.content
            assert isinstance(block, TextContent)
            assert hidden(block.text) == []
            assert hidden(json.dumps(result.structured_content, ensure_ascii=False)) == []
            assert _bytes(block.text) <= MOST_BYTES
            assert _bytes(result.structured_content) <= MOST_BYTES
            assert (result.structured_content or {})["run"]["sub_agents"]


async def test_a_run_of_half_a_million_characters_is_cut_and_says_so(home: Path) -> None:
    sample = SampleHome(home, NOW)
    call = {"tool": "get_price", "arguments": {"symbol": '"é"' * 200}, "result": '"x\\"' * 1_000, "is_error": False}
    agents = [{"name": f"a{at}", "reported": True, "calls": [call] * 40, "report": "é" * 8_000} for at in range(12)]
    trace = {"sub_agents": agents, "conditions": [{"text": "x", "values": {f"v{at}": 1.0 for at in range(3_000)}}]}
    data = {"sub_agent_results": {f"a{at}": {"leans": "BUY"} for at in range(30)}}
    signal = Signal("BUY", None, "word " * 9_000, 1.0, data)
    run = Run(strategies.new(), "manual", NOW, "claude", NOW)
    sample.journal.finish(sample.journal.claim(run), Outcome(Status.SUCCESS, signal, trace=trace), NOW)
    async with Client(build_server(ServerSettings(home=home), clock=lambda: NOW)) as client:
        result = await client.call_tool("list_signals", {"execution_id": 1})
    (block,) = result.content
    assert isinstance(block, TextContent)
    answer = answer_of(result)
    assert _bytes(answer) <= MOST_BYTES
    assert _bytes(block.text) <= MOST_BYTES
    assert "Texts are cut to" in answer["note"]
    assert "executions.trace" in answer["note"]
    assert answer["run"]["sub_agents"][0]["calls"][0]["tool"] == "get_price"
    assert set(answer["run"]) >= {"signal", "conditions", "sub_agents", "took_s", "net_pct"}


def _bytes(form: Any) -> int:
    """Return the bytes of one form of an answer, as it is sent."""
    return len(json.dumps(form, ensure_ascii=False, separators=(",", ":")).encode())


def _anything(rng: random.Random, depth: int = 4) -> Any:
    """Return JSON of any shape, with the keys of traces in wrong places."""
    keys = ["conditions", "sub_agents", "calls", "arguments", "values", "name", "reported", "tokens", "twin", "leans"]
    keys += ["report", "result", "cut", "value"]
    scalar: list[Any] = [None, True, 0, -1, 10**30, 1e308, float("nan"), float("inf"), "", "BUY", "x", "\ud800", []]
    kind = rng.random()
    if depth == 0 or kind < 0.3:
        return rng.choice(scalar)
    if kind < 0.5:
        return [_anything(rng, depth - 1) for _ in range(rng.randrange(4))]
    return {rng.choice(keys): _anything(rng, depth - 1) for _ in range(rng.randrange(5))}


def test_a_trace_of_any_shape_is_told_as_far_as_it_can_be_read() -> None:
    rng, shapes = random.Random(17), set()  # noqa: S311
    for _ in range(3_000):
        facts = trace_facts(_anything(rng), _anything(rng))
        json.dumps(facts, allow_nan=False, ensure_ascii=False).encode()
        shapes |= {name for name, value in facts.items() if value is not None}
    assert shapes == {"conditions", "twin", "sub_agents", "cut"}
    deep: Any = "x"
    for _ in range(100_000):
        deep = [deep]
    agent = {"name": deep, "calls": [{"tool": deep, "arguments": {"a": deep}}]}
    (told,) = trace_facts({"sub_agents": [agent]}, None)["sub_agents"]
    assert told["calls"][0]["arguments"] == "a=nested too deeply"


@pytest.mark.parametrize(
    "trace", sampled(["null", "[]", '"x"', "3", '{"agents": [{"name": "a"}]}', '{"sub_agents": {"a": 1}}'], 5)
)
async def test_traces_of_other_programs_are_no_reason_to_fail(home: Path, trace: str) -> None:
    sample = SampleHome(home, NOW)
    run = Run(strategies.new(), "manual", NOW, "claude", NOW)
    sample.journal.finish(sample.journal.claim(run), Outcome(Status.ABSTAINED, error="why"), NOW)
    foreign = "UPDATE executions SET trace = ?, status = 'moonshot', decision_version = NULL, completed_at = NULL"
    sample.database.write(lambda connection: connection.execute(foreign, [trace]))
    answer = await _looked(sample, "list_signals", execution_id=1)
    assert (answer["run"]["status"], answer["run"]["reasoning"]) == ("moonshot", "why")
    assert (answer["run"]["sub_agents"], answer["run"]["decision_version"]) == (None, None)
