"""The twin of a run by Claude: its rules, evaluated beside it for nothing, and seen by no agent."""

import json
import subprocess
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast

import anyio
import pytest

from mcp_server.domain.outcome import NOTHING_SPENT, Ended, Outcome, Signal, Status
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.domain.timeframes import iso, to_ms
from mcp_server.errors import Retryable
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from runner.claude import twin
from runner.claude.twin import with_twin
from runner.cli.context import Context
from runner.execute import Runner
from runner.tool_server import server_process
from runner.tool_server.client import Connecting, Tools, connected
from runner.tool_server.server import Address, tool_server
from tests.rigs.forked_server import forking
from tests.rigs.scripted_messages_api import ORCHESTRATOR, Held, ScriptedMessagesApi, answer
from tests.runner.claude_runs import ADMISSION, AS_OF, GOOD_ANSWER, KEY, PRICE, RSI, START_BOTH, script, strategy

CONFIDENCE = 37.125
"""Of the rules: a number that nothing else in a run contains."""

RULES = {"indicators": ["rsi(14)"], "buy": "rsi_14 > 99.5", "sell": "close > 0.01234567", "confidence": CONFIDENCE}
LEANING = {"price-monitor": {"last": 42.5, "leans": "buy"}, "rsi-analyzer": {"rsi": 28.5, "leans": "no idea"}}
PAIRED = strategy(exchange="simulated", rules=RULES, model="claude-sonnet-4-5")
"""Its model knows nothing of what came after the run, so its signal is judged."""

CLAUDES = Outcome(Status.SUCCESS, Signal("SELL", Decimal(60), "It falls.", data={"sub_agent_results": {}}), trace={})
EVALUATED = {
    "version": PAIRED.version,
    "as_of": iso(to_ms(AS_OF)),
    "exchange": "simulated",
    "signal": "BUY",
    "confidence": CONFIDENCE,
    "reasoning": "close > 0.01234567 holds",
    "price": 42.5,
    "open_time": "2026-03-01T11:00Z",
}

HANGS_S = 20
"""A run of fakes that takes so long would never end."""

Evaluate = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


async def says(outcome: Outcome = CLAUDES) -> Outcome:
    return outcome


def answering(evaluate: Evaluate) -> Connecting:
    class OneTool:
        of_this_program = False

        async def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
            assert name == "evaluate_strategy"
            return await evaluate(arguments)

    @asynccontextmanager
    async def connect() -> AsyncIterator[Tools]:
        yield cast(Tools, OneTool())

    return connect


def with_answer(**changed: Any) -> Connecting:
    async def evaluate(_: dict[str, Any]) -> dict[str, Any]:
        return {**EVALUATED, **changed}

    return answering(evaluate)


async def run(connect: Connecting, what: Strategy = PAIRED, ask: Callable[[], Awaitable[Outcome]] = says) -> Outcome:
    with anyio.fail_after(HANGS_S):
        return await with_twin(ask, connect, what, "simulated", AS_OF, {ADMISSION})


async def twin_of(connect: Connecting) -> dict[str, Any]:
    outcome = await run(connect)
    assert outcome.signal is not None
    assert (outcome.signal.signal, outcome.cost_usd) == ("SELL", CLAUDES.cost_usd)
    beside: dict[str, Any] = outcome.signal.data["twin"]
    return beside


async def test_what_the_rules_say_stands_beside_claudes_signal() -> None:
    asked: list[dict[str, Any]] = []

    async def evaluate(arguments: dict[str, Any]) -> dict[str, Any]:
        asked.append(arguments)
        return EVALUATED

    assert await twin_of(answering(evaluate)) == {
        "signal": "BUY",
        "confidence": CONFIDENCE,
        "price": 42.5,
        "open_time": "2026-03-01T11:00Z",
    }
    assert asked == [{"strategy_name": "dip", "as_of": AS_OF.isoformat(), "version": PAIRED.version}]


async def test_both_work_at_the_same_time() -> None:
    claude_asked, rules_asked = anyio.Event(), anyio.Event()

    async def ask() -> Outcome:
        claude_asked.set()
        await rules_asked.wait()
        return CLAUDES

    async def evaluate(_: dict[str, Any]) -> dict[str, Any]:
        rules_asked.set()
        await claude_asked.wait()
        return EVALUATED

    outcome = await run(answering(evaluate), ask=ask)
    assert outcome.signal is not None
    assert outcome.signal.data["twin"]["signal"] == "BUY"


async def test_rules_that_cannot_decide_say_why_and_are_no_hold() -> None:
    beside = await twin_of(with_answer(signal=None, confidence=None, reasoning="Cannot decide: both hold."))
    assert beside == {"signal": None, "confidence": None, "reasoning": "Cannot decide: both hold."}


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"version": "another"}, "has version another"),
        ({"as_of": "2026-03-01T11:00Z"}, "answered as of 2026-03-01T11:00Z"),
        ({"exchange": "kraken"}, "on kraken, but the run is on simulated"),
    ],
)
async def test_an_answer_about_something_else_is_no_twin(changed: dict[str, Any], why: str) -> None:
    beside = await twin_of(with_answer(**changed))
    assert beside["signal"] is None
    assert why in beside["error"]


FAILURES: dict[str, tuple[Exception, str]] = {
    "a tool's error": (
        Retryable("kraken is down.", f"See https://a.example/{ADMISSION}\x1b[2J or {ADMISSION}."),
        "kraken is down.",
    ),
    "anything else": (ZeroDivisionError(ADMISSION), "unexpected ZeroDivisionError"),
}


@pytest.mark.parametrize(("error", "why"), FAILURES.values(), ids=FAILURES.keys())
async def test_a_twin_that_fails_says_why_without_secrets_and_the_run_goes_on(error: Exception, why: str) -> None:
    async def evaluate(_: dict[str, Any]) -> dict[str, Any]:
        raise error

    beside = await twin_of(answering(evaluate))
    assert (beside["signal"], beside["confidence"]) == (None, None)
    assert why in beside["error"]
    for hidden in (ADMISSION, "://", "\x1b"):
        assert hidden not in beside["error"]


async def test_a_twin_that_takes_too_long_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twin, "AFTER_S", 0)
    left: list[bool] = []

    async def evaluate(_: dict[str, Any]) -> dict[str, Any]:
        try:
            await anyio.sleep_forever()
        finally:
            left.append(True)
        raise AssertionError

    beside = await twin_of(answering(evaluate))
    assert beside["signal"] is None
    assert "not evaluated within" in beside["error"]
    assert left == [True]


async def test_a_run_without_a_signal_waits_for_no_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twin, "AFTER_S", 600)
    failed = Outcome(Status.ERROR, error="the API is down", **NOTHING_SPENT)

    async def evaluate(_: dict[str, Any]) -> dict[str, Any]:
        await anyio.sleep_forever()
        raise AssertionError

    async def ask() -> Outcome:
        return failed

    assert await run(answering(evaluate), ask=ask) is failed


async def test_without_rules_there_is_no_twin_and_nobody_is_asked() -> None:
    async def evaluate(_: dict[str, Any]) -> dict[str, Any]:
        raise AssertionError

    assert await run(answering(evaluate), strategy(exchange="simulated")) is CLAUDES


async def test_a_run_that_is_stopped_stops_its_twin() -> None:
    under_way, stopped = anyio.Event(), anyio.Event()

    async def evaluate(_: dict[str, Any]) -> dict[str, Any]:
        under_way.set()
        try:
            await anyio.sleep_forever()
        finally:
            stopped.set()
        raise AssertionError

    async def ask() -> Outcome:
        await anyio.sleep_forever()
        raise AssertionError

    async with anyio.create_task_group() as group:
        group.start_soon(lambda: run(answering(evaluate), ask=ask))
        await under_way.wait()
        group.cancel_scope.cancel()
    assert stopped.is_set()


@dataclass(frozen=True)
class PairedRun:
    """A whole run of a strategy with rules: its end and its row, and what the tool server said of its rules meanwhile.

    `score` is what `get_performance` said then. `by_rules` is a run of the same strategy by its rules alone.
    """

    ended: Ended
    score: dict[str, Any]
    by_rules: Ended
    data: dict[str, Any]
    evaluated: dict[str, Any]
    api: ScriptedMessagesApi


@pytest.fixture(scope="module")
def paired(tmp_path_factory: pytest.TempPathFactory) -> PairedRun:
    """The real runner, tool server, SDK and CLI; the scripted model waits until the rules have been evaluated."""
    home = tmp_path_factory.mktemp("paired")
    (folder := home / "strategies" / "dip").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(PAIRED.config_json()))
    (folder / "agents.json").write_text(json.dumps(PAIRED.agents_json()))
    evaluated = threading.Event()
    answers: list[dict[str, Any]] = []

    def heard(tools: Tools) -> Tools:
        unheard = tools.call

        async def call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
            result = await unheard(name, arguments)
            if name == "evaluate_strategy":
                answers.append(result)
                evaluated.set()
            return result

        tools.call = call  # type: ignore[method-assign, assignment]
        return tools

    async def run_both() -> tuple[Ended, dict[str, Any], Ended]:
        parts = Context()
        async with tool_server(parts.settings) as address:

            @asynccontextmanager
            async def serving() -> AsyncIterator[Address]:
                yield address

            @asynccontextmanager
            async def connect() -> AsyncIterator[Tools]:
                async with connected(address) as tools:
                    yield heard(tools)

            runner = Runner(parts.settings, parts.journal, parts.database, serving, connect)
            dip = parts.strategies.read("dip")
            ended = await runner.run(dip, as_of=AS_OF)
            async with connect() as tools:
                score = await tools.call("get_performance", {"strategy_name": "dip", "runs": "manual"})
            return ended, score, await runner.run(dip, as_of=AS_OF, engine="rules")

    steps = script(orchestrator=[Held(START_BOTH, evaluated), answer({**GOOD_ANSWER, "sub_agent_results": LEANING})])
    with pytest.MonkeyPatch.context() as patch, ScriptedMessagesApi(steps) as api:
        patch.setenv("TRADER_HOME", str(home))
        patch.setattr(twin, "AFTER_S", 120)
        patch.setattr(server_process, "Popen", forking(subprocess.Popen))
        patch.setenv("ANTHROPIC_BASE_URL", api.url)
        patch.setenv("ANTHROPIC_API_KEY", KEY)
        ended, score, by_rules = anyio.run(run_both)
    row = Database(Home(home).database).read(
        lambda connection: connection.execute("SELECT data FROM analysis_results ORDER BY id").fetchone()
    )
    assert row is not None, ended.outcome.error
    return PairedRun(ended, score, by_rules, json.loads(row[0]), answers[0], api)


def test_the_twin_is_what_the_tool_server_says_of_the_rules_at_the_runs_moment(paired: PairedRun) -> None:
    evaluated = paired.evaluated
    assert (evaluated["version"], evaluated["as_of"]) == (PAIRED.version, iso(to_ms(AS_OF)))
    assert evaluated["signal"] == "SELL"
    assert paired.data["twin"] == {key: evaluated[key] for key in ("signal", "confidence", "price", "open_time")}
    assert paired.ended.outcome.signal is not None
    assert paired.ended.outcome.signal.signal == "BUY", "the signal is Claude's all the same"


def test_no_agent_sees_its_twin_or_its_rules(paired: PairedRun) -> None:
    assert len(paired.api.requests) == 6, "all but the first came after the rules had been evaluated"
    sent = "".join(request.text for request in paired.api.requests)
    for hidden in ("evaluate_strategy", "twin", str(CONFIDENCE), "0.01234567", paired.evaluated["reasoning"]):
        assert hidden not in sent


def test_the_twin_counts_in_no_cost_and_is_no_evidence(paired: PairedRun) -> None:
    outcome = paired.ended.outcome
    assert outcome.tokens_used == 720, "those of the scripted model"
    assert outcome.trace is not None
    assert {call["tool"] for agent in outcome.trace["sub_agents"] for call in agent["calls"]} == {
        "get_price",
        "calculate_rsi",
    }
    assert "evaluate_strategy" not in json.dumps(outcome.trace)


def test_a_run_by_the_rules_alone_has_no_twin(paired: PairedRun) -> None:
    signal = paired.by_rules.outcome.signal
    assert signal is not None
    assert signal.signal == paired.data["twin"]["signal"]
    assert "twin" not in signal.data


def test_a_sub_agents_lean_is_kept_and_an_unknown_one_costs_no_further_turn(paired: PairedRun) -> None:
    results = {"price-monitor": {"last": 42.5, "leans": "BUY"}, "rsi-analyzer": {"rsi": 28.5}}
    assert paired.data["sub_agent_results"] == results
    assert len(paired.api.of(ORCHESTRATOR)) == 2, "to start them and to answer: nothing was sent back"


def test_every_agent_is_told_the_horizon_and_the_orchestrator_the_costs(paired: PairedRun) -> None:
    assert all("24 h later" in request.text and "0.3 % that" in request.text for request in paired.api.of(ORCHESTRATOR))
    for role in (PRICE, RSI):
        assert all("in the next 24 h" in request.text and "`leans`" in request.text for request in paired.api.of(role))


def test_the_twin_and_each_lean_are_judged_by_the_same_price_as_claudes_signal(paired: PairedRun) -> None:
    score = paired.score
    assert (score["signals"], score["judged"]) == ({"buy": 1, "sell": 0, "hold": 0}, 1)
    assert (score["twin"]["judged"], score["agents"]["price-monitor"]["judged"]) == (1, 1)
    net_of_buy = score["mean_net_pct"]
    net_of_sell = -(net_of_buy + 0.3) - 0.3
    assert score["twin"]["difference_pct"] == pytest.approx(net_of_buy - net_of_sell, abs=1e-4)
    assert score["twin"]["hit_rate"] == (net_of_sell > 0)
    assert "rsi-analyzer" not in score["agents"], "it stated no direction"
