"""Past moments replayed without a sub-agent: real SDK and CLI, a scripted model that is asked one turn a moment."""

import re
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, cast
from weakref import WeakValueDictionary

import anyio
import httpx2
import pytest

from mcp_server.domain.outcome import Outcome, Status
from mcp_server.domain.strategy.run_prompts import sub_agent_prompt
from mcp_server.domain.strategy.strategy import Strategy
from runner.claude.cassette.ablation import Ablation, MomentReuse, without_agents
from runner.claude.cassette.cassettes import Cassette
from runner.claude.cassette.derived_reply import without_starts
from runner.claude.proxy.answering import Answering, Send
from runner.claude.proxy.model_request import MESSAGES, CliRequest, ModelRequest
from runner.claude.proxy.session import Session
from runner.claude.proxy.upstream import Upstream
from runner.claude.recorder import ModelRecorder
from runner.claude.recording import Proxy
from tests.rigs.scripted_messages_api import ORCHESTRATOR, Reply, ScriptedMessagesApi, Step, answer, say, start, use
from tests.rigs.tool_server import ToolServer
from tests.runner.claude_runs import AS_OF, PRICE, RSI, strategy
from tests.runner.recorded_runs import run_on

EMA = "[ema-watcher]"
HOUR = timedelta(hours=1)
PRICE_AGENT, RSI_AGENT, EMA_AGENT = "price-monitor", "rsi-analyzer", "ema-watcher"


def three() -> Strategy:
    agents: dict[str, Any] = strategy().agents_json()
    third = {"description": "Averages it.", "prompt": f"You average. {EMA}", "tools": ["get_price"]}
    return strategy({**agents, EMA_AGENT: third})


def starting(*names: str) -> Reply:
    return Reply("I start them.", [start(name, "BTC/USDT") for name in names])


def weighed(signal: str, *names: str) -> Step:
    found = {name: {"seen": 1} for name in names}
    return answer({"signal": signal, "confidence": 60, "reasoning": f"{signal}: seen.", "sub_agent_results": found})


def script(orchestrator: Sequence[Step]) -> dict[str, Sequence[Step]]:
    get_price, rsi = (use(f"mcp__trader__{tool}", {"symbol": "BTC/USDT"}) for tool in ("get_price", "calculate_rsi"))
    return {
        ORCHESTRATOR: orchestrator,
        PRICE: [get_price, say("It costs 42.5.")],
        RSI: [rsi, say("The RSI is 28.5.")],
        EMA: [get_price, say("The average is 42.")],
    }


NAMES = (PRICE_AGENT, RSI_AGENT, EMA_AGENT)


@dataclass(frozen=True)
class WithAll:
    """A moment that is recorded with all three sub-agents, and the scripted model that can be asked more."""

    api: ScriptedMessagesApi
    steps: dict[str, Sequence[Step]]
    server_url: str
    cassette: Cassette

    def asked_since(self, before: int) -> list[tuple[str, int]]:
        return [(request.role, request.turn) for request in self.api.requests[before:]]


@pytest.fixture(scope="module")
def with_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WithAll]:
    """Record the moment once; the same API answers later, so that no id of a call comes twice."""
    steps = script([starting(*NAMES), weighed("BUY", *NAMES)])
    cassette = cassette_of(tmp_path_factory.mktemp("cassettes"), three())
    with ToolServer() as server, ScriptedMessagesApi(steps) as api:
        recorded = anyio.run(partial(run_on, cassette, server.url, api.url, three(), key="with all"))
        assert (recorded.outcome.status, len(api.requests)) == (Status.SUCCESS, 8)
        yield WithAll(api, steps, server.url, cassette)


def cassette_of(folder: Path, what: Strategy) -> Cassette:
    return Cassette(folder, what.name, what.decision_version("simulated"))


def prompts_of(what: Strategy) -> list[str]:
    return [sub_agent_prompt(what, name, "simulated", AS_OF) for name in what.agents]


@pytest.mark.long
@pytest.mark.parametrize(
    ("left_out", "rerun"),
    [
        pytest.param((RSI_AGENT,), False, id="one"),
        ((RSI_AGENT,), True),
        ((PRICE_AGENT, EMA_AGENT), True),
    ],
)
async def test_without_a_sub_agent_one_turn_is_asked_a_moment_and_a_rerun_asks_none(
    with_all: WithAll, tmp_path: Path, left_out: tuple[str, ...], *, rerun: bool
) -> None:
    """In `make test`, tests below derive a reply and take the recorded ones; `tests/replay` has a run and a rerun."""
    less, kept = without_agents(three(), left_out), [name for name in NAMES if name not in left_out]
    own, ablation = cassette_of(tmp_path, less), Ablation(with_all.cassette, frozenset(left_out))
    reused, before = 2 * len(kept), len(with_all.api.requests)
    assert ablation.reuse(AS_OF, own, prompts_of(less)) == MomentReuse(on_cassette=reused, derived=1, to_ask=1)

    with_all.steps[ORCHESTRATOR] = [say("It is not asked."), weighed("SELL", *kept)]
    run = await run_on(own, with_all.server_url, with_all.api.url, less, ablation=ablation, key="with less")
    assert with_all.asked_since(before) == [(ORCHESTRATOR, 1)]
    assert all(name not in with_all.api.requests[-1].text for name in left_out)
    assert run.outcome.signal is not None
    assert run.outcome.signal.signal == "SELL"
    assert {*run.outcome.signal.data["sub_agent_results"]} == {*kept}
    assert (run.session.asked, run.session.hits, run.session.derived) == (1, 1 + reused, 1)
    assert run.outcome.trace is not None
    assert run.outcome.trace["requests"]["derived"] == 1
    assert run.outcome.cost_usd is not None
    assert run.outcome.recorded_usd is not None
    assert 0 < run.outcome.cost_usd < run.outcome.recorded_usd
    opening = next(one.key for one in with_all.cassette.at(AS_OF))
    assert [one.derived_from for one in own.at(AS_OF) if one.derived_from is not None] == [opening]
    assert ablation.reuse(AS_OF, own, prompts_of(less)) == MomentReuse(on_cassette=reused + 1, derived=1, to_ask=0)

    if not rerun:
        return
    again = await run_on(own, with_all.server_url, what=less, mode="rerun")
    assert (again.session.asked, again.session.derived) == (0, 1)
    assert again.outcome.cost_usd == 0
    assert again.outcome.signal == run.outcome.signal
    assert again.outcome.recorded_usd == run.outcome.recorded_usd
    assert len(with_all.api.requests) == before + 1


@pytest.mark.long
async def test_an_orchestrator_that_did_not_start_all_at_once_is_asked_again(with_all: WithAll, tmp_path: Path) -> None:
    """What it told the second may rest on what the first has reported."""
    whole, less = three(), without_agents(three(), [RSI_AGENT])
    base, own = cassette_of(tmp_path, whole), cassette_of(tmp_path, less)
    last = weighed("BUY", *NAMES)
    with_all.steps[ORCHESTRATOR] = [starting(PRICE_AGENT, RSI_AGENT), starting(EMA_AGENT), last]
    await run_on(base, with_all.server_url, with_all.api.url, whole, key="one after another")
    ablation, before = Ablation(base, frozenset({RSI_AGENT})), len(with_all.api.requests)
    assert ablation.reuse(AS_OF, own, prompts_of(less)) == MomentReuse(0, 0, None)

    with_all.steps[ORCHESTRATOR] = [starting(PRICE_AGENT, EMA_AGENT), weighed("HOLD", PRICE_AGENT, EMA_AGENT)]
    run = await run_on(own, with_all.server_url, with_all.api.url, less, ablation=ablation, key="with less")
    assert (ORCHESTRATOR, 0) in with_all.asked_since(before)
    assert run.session.derived == 0
    assert run.outcome.signal is not None
    assert run.outcome.signal.signal == "HOLD"


class Opening:
    """The first request of the recorded moment."""

    def __init__(self, with_all: WithAll) -> None:
        self.recorded = with_all.cassette.at(AS_OF)[0]
        self.listed = self.recorded.request["messages"][0]["content"]
        self.without = re.sub(r',\s*"rsi-analyzer": "[^"]*"', "", self.listed)
        assert self.without != self.listed

    def request(self, task: str, **other: Any) -> dict[str, Any]:
        """Return it with another task."""
        own = deepcopy(dict(self.recorded.request))
        return {**own, **other, "messages": [{"role": "user", "content": task}, *own["messages"][1:]]}


def test_nothing_is_derived_of_a_first_reply_that_did_not_start_all(with_all: WithAll, tmp_path: Path) -> None:
    opening, base = Opening(with_all), cassette_of(tmp_path, three())
    reply = without_starts(opening.recorded, frozenset({EMA_AGENT}))
    base.keep(AS_OF, replace(opening.recorded, reply=reply))
    ablation = Ablation(base, frozenset({RSI_AGENT}))
    assert ablation.reply(AS_OF, "new", opening.request(opening.without)) is None
    less = without_agents(three(), [RSI_AGENT])
    assert ablation.reuse(AS_OF, cassette_of(tmp_path, less), prompts_of(less)) == MomentReuse(0, 0, None)


def test_what_was_recorded_with_all_is_not_asked_again(with_all: WithAll) -> None:
    ablation = Ablation(with_all.cassette, frozenset({RSI_AGENT}))
    for recorded in with_all.cassette.at(AS_OF):
        assert ablation.reply(AS_OF, recorded.key, recorded.request) == recorded


def test_nothing_is_derived_of_a_request_that_differs_in_more_than_its_sub_agents(with_all: WithAll) -> None:
    ablation = Ablation(with_all.cassette, frozenset({RSI_AGENT}))
    opening = Opening(with_all)
    request, without, listed = opening.request, opening.without, opening.listed
    assert ablation.reply(AS_OF, "new", request(without)) is not None
    assert ablation.reply(AS_OF, "new", request(without.replace("Strategy: dip", "Strategy: dup"))) is None
    assert ablation.reply(AS_OF, "new", request(without, model="another")) is None
    assert ablation.reply(AS_OF + HOUR, "new", request(without)) is None
    assert ablation.reply(AS_OF, "new", request(listed)) is None


async def test_what_is_derived_is_marked_kept_for_a_rerun_and_told(with_all: WithAll, tmp_path: Path) -> None:
    own, opening = cassette_of(tmp_path, less := without_agents(three(), [RSI_AGENT])), Opening(with_all)
    ablation = Ablation(with_all.cassette, frozenset({RSI_AGENT}))
    assert ablation.reuse(AS_OF, own, prompts_of(less)) == MomentReuse(on_cassette=4, derived=1, to_ask=1)
    session = Session(AS_OF, tmp_path, own, "with less", reused=partial(ablation.reply, AS_OF))
    request = CliRequest("POST", MESSAGES, [], b"{}")
    question = ModelRequest(request, opening.request(opening.without), "new", "m", None, Decimal(0))
    answering = Answering(session, cast(Upstream, None), httpx2.AsyncHTTPTransport(), WeakValueDictionary())

    async def send(content: bytes, *, last: bool = False) -> None:
        assert last

    async def begin(*_: object) -> Send:
        return send

    derived = await answering._reused(question)
    assert derived is not None
    await answering._give(derived, begin)
    assert [(one.key, one.derived_from) for one in own.at(AS_OF)] == [("new", opening.recorded.key)]
    recorder = ModelRecorder(cast(Proxy, None), own)
    told = recorder.accounted(Outcome(Status.ABSTAINED, error="why"), None, session, AS_OF)
    assert told.trace is not None
    assert told.trace["requests"]["derived"] == 1


def test_where_nothing_is_recorded_a_whole_run_is_asked(with_all: WithAll, tmp_path: Path) -> None:
    less = without_agents(three(), [RSI_AGENT])
    ablation = Ablation(with_all.cassette, frozenset({RSI_AGENT}))
    assert ablation.reuse(AS_OF + HOUR, cassette_of(tmp_path, less), prompts_of(less)) == MomentReuse(0, 0, None)
