"""Reruns of the real CLI where something has changed since: each ends as drift, names what, and asks nobody.

All of it is in `make long`. In `make test`, `test_drift.py` has what is named, and more, and `test_wire.py` the order
of reports, of requests that the CLI has made; a real rerun ends so in `test_recorded_runs.py`.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import anyio
import pytest

from mcp_server.domain.outcome import Status
from mcp_server.domain.strategy.strategy import Strategy
from runner.claude.cassette.cassettes import Cassette
from tests.rigs.scripted_messages_api import ORCHESTRATOR, Reply, ScriptedMessagesApi, answer, say, start, use
from tests.rigs.tool_server import ToolServer
from tests.runner.claude_runs import CALCULATE_RSI, GET_PRICE, PRICE, RSI, script, strategy
from tests.runner.recorded_runs import RecordedRun, run_on

MODEL = "claude-sonnet-4-5"


def dip(agents: Mapping[str, Any] | None = None, **config: Any) -> Strategy:
    return strategy(agents, **{"model": MODEL, **config})


def otherwise(**change: Any) -> Strategy:
    """Return the strategy with another price monitor."""
    both = strategy().agents_json()
    return dip({**both, "price-monitor": {**both["price-monitor"], **change}})


@pytest.fixture(scope="module")
def cassettes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of cassettes in which one run of two sub-agents is recorded."""
    root = tmp_path_factory.mktemp("cassettes")
    with ScriptedMessagesApi(script()) as api, ToolServer() as server:
        run = anyio.run(lambda: run_on(cassette_of(root, dip()), server.url, api.url, dip()))
    assert run.outcome.status is Status.SUCCESS
    return root


def cassette_of(root: Path, what: Strategy) -> Cassette:
    return Cassette(root, what.name, what.decision_version("simulated"))


async def rerun(root: Path, server: ToolServer, what: Strategy, **other: Any) -> RecordedRun:
    return await run_on(cassette_of(root, what), server.url, what=what, mode="rerun", **other)


CHANGES: list[tuple[str, Callable[[], ToolServer], Strategy, str]] = [
    (
        "prompt", ToolServer, otherwise(prompt=f"You stare. {PRICE}"),
        f'The prompt of sub-agent \'price-monitor\' changed: line 1: "You watch. {PRICE}" → "You stare. {PRICE}".',
    ),
    ("model", ToolServer, dip(model="claude-opus-4-6"), f"The model of the orchestrator: {MODEL} → claude-opus-4-6."),
    (
        "sub-agent's model", ToolServer, otherwise(model="claude-opus-4-6"),
        f"The model of sub-agent 'price-monitor': {MODEL} → claude-opus-4-6.",
    ),
    (
        "description of a tool", lambda: ToolServer(about_price="Get a price."), dip(),
        'The description of the tool get_price changed: line 1: "Get the price',
    ),
    (
        "answer of a tool", lambda: ToolServer(price=43.1), dip(),
        "get_price answered otherwise: last 42.5 → 43.1 (BTC/USDT).",
    ),
    ("task", ToolServer, dip(description="Buy low."), 'line 3: "Description: none given" → "Description: Buy low."'),
    (
        "sub-agents", ToolServer, dip({"price-monitor": strategy().agents_json()["price-monitor"]}),
        "Sub-agent 'rsi-analyzer' is gone.",
    ),
]  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(("server", "what", "named"), [pytest.param(*rest, id=name) for name, *rest in CHANGES])
async def test_what_has_changed_since_is_drift_that_names_it(
    cassettes: Path, server: Callable[[], ToolServer], what: Strategy, named: str
) -> None:
    with server() as running:
        run = await rerun(cassettes, running, what)
    outcome = run.outcome
    assert (outcome.status, outcome.signal) == (Status.DRIFT, None)
    assert named in (outcome.error or "")
    assert outcome.cost_usd == 0
    assert (outcome.blame, run.session.asked) == (None, 0)
    assert run.session.drift is not None


THREE = ("price-monitor", "rsi-analyzer", "third")


def three() -> Strategy:
    both = dip().agents_json()
    return dip({**both, "third": {"description": "Looks.", "prompt": "You look. [third]", "tools": ["get_price"]}})


def agent_of(tool: str, arguments: Mapping[str, Any]) -> str:
    """Return whose call it is: the third asks for the price too, with another length."""
    if tool == "calculate_rsi":
        return "rsi-analyzer"
    return "third" if arguments["padding"] else "price-monitor"


class InOrder:
    """Lets sub-agents report one after another: the next gets its tool's answer once the one before has reported."""

    def __init__(self, order: Sequence[str]) -> None:
        self.order = order
        self.reported: list[str] = []
        self._turns = {name: threading.Event() for name in order}
        self._turns[order[0]].set()

    def wait(self, tool: str, arguments: Mapping[str, Any]) -> None:
        assert self._turns[agent_of(tool, arguments)].wait(60)

    def hear(self, line: str) -> None:
        name, _, what = line.partition(" ")
        if what == "reported":
            self.reported.append(name)
            for following in self.order[len(self.reported) : len(self.reported) + 1]:
                self._turns[following].set()


ORDERS = [*permutations(THREE)]


@pytest.mark.long
@pytest.mark.parametrize("orders", [ORDERS], ids=len)
async def test_sub_agents_that_report_in_any_order_are_no_drift(tmp_path: Path, orders: list[tuple[str, ...]]) -> None:
    what, padded = three(), use("mcp__trader__get_price", {"symbol": "BTC/USDT", "padding": 3})
    findings = {name: {"seen": 1} for name in THREE}
    decision = {"signal": "SELL", "confidence": 51, "reasoning": "All reported.", "sub_agent_results": findings}
    starts = Reply(calls=[start(name, f"Look, {name}.") for name in THREE])
    steps = {
        ORCHESTRATOR: [starts, answer(decision)],
        PRICE: [GET_PRICE, say("It costs 42.5.")],
        RSI: [CALCULATE_RSI, say("The RSI is 28.5.")],
        "[third]": [padded, say("It costs 42.5, I see.")],
    }
    signals = []
    for number, order in enumerate(orders):
        gate = InOrder(order)
        with ToolServer(before=gate.wait) as server:
            if number:
                run = await rerun(tmp_path, server, what, on_event=gate.hear)
                assert (run.session.asked, run.session.hits) == (0, 8)
            else:
                with ScriptedMessagesApi(steps) as api:
                    run = await run_on(cassette_of(tmp_path, what), server.url, api.url, what, on_event=gate.hear)
        assert run.outcome.status is Status.SUCCESS, (order, run.outcome.error)
        assert gate.reported == [*order]
        signals.append(run.outcome.signal)
    assert signals == signals[:1] * len(orders)
