"""Past moments replayed without a sub-agent: real SDK and CLI, a scripted model that is asked one turn a moment.

In `make test`, `test_recorded_requests.py` derives a reply of a recorded run and takes the others from it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from mcp_server.domain.outcome import Status
from mcp_server.domain.strategy.strategy import Strategy
from runner.claude.cassette.ablation import Ablation, MomentReuse, without_agents
from runner.claude.cassette.cassettes import Cassette
from tests.rigs.scripted_messages_api import ORCHESTRATOR, Reply, ScriptedMessagesApi, Step, answer, say, start, use
from tests.rigs.tool_server import ToolServer
from tests.runner.claude_runs import AS_OF, PRICE, RSI, strategy
from tests.runner.recorded_runs import prompts_of, run_on

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
