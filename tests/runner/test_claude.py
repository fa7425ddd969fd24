"""Claude runs over the real SDK and the real agent CLI, against a scripted Messages API and a real tool server."""

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from mcp_server.domain.outcome import Blame, Outcome, Status
from mcp_server.domain.strategy.checks.agents import MODEL_ALIASES
from mcp_server.errors import Misconfigured
from runner.claude import engine, session
from runner.claude.cli_folder import cli_folder
from runner.claude.engine import run_claude
from runner.claude.preflight import without_claude
from runner.claude.recorder import ModelRecorder
from runner.claude.recording import Proxy
from runner.claude.session import require_claude
from runner.claude.transcript import Transcript
from tests.rigs.processes import children, command_line
from tests.rigs.recording_proxy import recording_proxy
from tests.rigs.scripted_messages_api import (
    ORCHESTRATOR,
    Fail,
    Held,
    Reply,
    ScriptedMessagesApi,
    Step,
    answer,
    say,
    start,
)
from tests.rigs.tool_server import ToolServer
from tests.runner.claude_runs import (
    ADMISSION,
    GET_PRICE,
    GOOD_ANSWER,
    KEY,
    PRICE,
    RSI,
    START_BOTH,
    SUBJECT,
    script,
    strategy,
    task,
)


@pytest.fixture
def server() -> Iterator[ToolServer]:
    with ToolServer() as running:
        yield running


async def _run(server: ToolServer, steps: dict[str, Sequence[Step]], **config: Any) -> Outcome:
    with ScriptedMessagesApi(steps) as api:
        outcome = await run_claude(task(api.url, server.url, strategy(**config)))
    assert KEY not in f"{outcome}"
    json.dumps(outcome.trace, allow_nan=False)
    return outcome


@dataclass(frozen=True)
class _GoodRun:
    outcome: Outcome
    api: ScriptedMessagesApi
    server: ToolServer
    told: list[str]
    proxied: list[str]

    @property
    def trace(self) -> dict[str, Any]:
        assert self.outcome.trace is not None
        return dict(self.outcome.trace)


@pytest.fixture(scope="module")
def good() -> _GoodRun:
    """One run that ends well, for every test that only looks at it.

    Its orchestrator first starts agents that are not declared, and in the end says 0.85 where 85 is meant. A path is in
    each of its texts, the server asks for a token, and the operator has set a proxy.
    """
    told: list[str] = []
    agents = strategy().agents_json()
    agents["price-monitor"]["model"] = "claude-haiku-4-5"
    agents["rsi-analyzer"]["prompt"] += f" @{__file__}"
    what = strategy(agents, model="claude-sonnet-4-5", description=f"Read @{__file__}", synthesis_logic=f"@{__file__}")
    others = Reply(calls=[start(name, "x") for name in ("Explore", "general-purpose", "claude", "_orchestrator")])
    answers = [answer({**GOOD_ANSWER, "confidence": confidence}) for confidence in (0.85, 85)]
    steps = script([others, START_BOTH, *answers])
    with (
        ToolServer(token=ADMISSION) as server,
        ScriptedMessagesApi(steps) as api,
        recording_proxy() as proxy,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name in ("recording", "cassette.cassettes", "proxy.answering"):
            patch.setitem(sys.modules, f"runner.claude.{name}", None)  # an import of it fails
        for name, value in proxy.variables.items():
            patch.setenv(name, value)
        own = task(api.url, server.url, what, on_event=told.append, server_token=ADMISSION)
        outcome = anyio.run(run_claude, own)
    return _GoodRun(outcome, api, server, told, proxy.seen)


def test_two_sub_agents_report_and_one_signal_comes_of_it(good: _GoodRun) -> None:
    outcome = good.outcome
    assert (outcome.status, outcome.error) == (Status.SUCCESS, None)
    assert outcome.signal is not None
    assert (outcome.signal.signal, outcome.signal.confidence) == ("BUY", Decimal(85))
    assert outcome.signal.data == {"sub_agent_results": GOOD_ANSWER["sub_agent_results"]}
    assert outcome.signal.price is None
    assert {"price-monitor: get_price(BTC/USDT)", "price-monitor reported", "rsi-analyzer reported"} <= set(good.told)


def test_a_run_of_now_goes_through_no_proxy(good: _GoodRun) -> None:
    """Neither the recording one, of which nothing can be imported, nor the operator's."""
    assert good.outcome.status is Status.SUCCESS
    assert good.proxied == []
    assert "requests" not in good.trace


def test_every_request_to_the_server_carries_the_as_of_time(good: _GoodRun) -> None:
    assert sorted(name for name, _ in good.server.calls) == ["calculate_rsi", "get_price"]
    assert {headers.get("x-trader-as-of") for headers in good.server.headers} == {"2026-03-01T12:00:00+00:00"}


def test_the_trace_holds_each_call_with_its_result(good: _GoodRun) -> None:
    price = next(agent for agent in good.trace["sub_agents"] if agent["name"] == "price-monitor")
    assert price["calls"] == [
        {
            "tool": "get_price",
            "arguments": {"symbol": "BTC/USDT"},
            "result": '{"symbol":"BTC/USDT","last":42.5}',
            "is_error": False,
        }
    ]
    assert (price["reported"], price["report"]) == (True, "It costs 42.5.")


def test_every_token_is_counted_once_and_belongs_to_somebody(good: _GoodRun) -> None:
    told = [
        good.trace["orchestrator"]["tokens"],
        *(agent["tokens"] for agent in good.trace["sub_agents"] if agent["tokens"]),
    ]
    assert told == [
        {"input": 100 * requests, "output": 20 * requests, "cache_read": 0, "cache_creation": 0}
        for requests in (4, 2, 2)
    ]
    assert good.outcome.tokens_used == 960
    assert good.outcome.cost_usd is not None
    assert good.outcome.cost_usd > 0


def test_each_agent_is_offered_exactly_what_it_needs(good: _GoodRun) -> None:
    asked = {(request.role, frozenset(request.tools)) for request in good.api.requests}
    assert asked == {
        (ORCHESTRATOR, frozenset({"Agent", "StructuredOutput"})),
        (PRICE, frozenset({"mcp__trader__get_price"})),
        (RSI, frozenset({"mcp__trader__calculate_rsi"})),
    }
    offered = good.api.of(ORCHESTRATOR)[0].text
    assert "price-monitor: Watches it." in offered
    assert "Explore" not in offered
    assert "general-purpose:" not in offered


def test_whoever_is_told_todays_date_is_told_that_the_as_of_time_is_now(good: _GoodRun) -> None:
    dated = [request for request in good.api.requests if "Today's date is" in request.text]
    assert dated, "the CLI no longer tells the date: then nothing has to speak against it"
    assert {request.role for request in dated} == {ORCHESTRATOR, PRICE, RSI}
    for request in dated:
        told = " ".join(json.dumps(request.body, ensure_ascii=False).replace("\\n", " ").split())
        assert "Whatever today's date is said to be" in told
        assert "As-of time: 2026-03-01T12:00:00+00:00" in told
        assert "nothing you may know of what came after it counts" in told


def test_both_sub_agents_work_at_the_same_time(good: _GoodRun) -> None:
    order = [request.role for request in good.api.requests]
    assert set(order[2:4]) == {PRICE, RSI}, "both start before either has ended"


def test_models_are_the_sub_agents_own_or_the_strategys(good: _GoodRun) -> None:
    assert good.outcome.model == "claude-sonnet-4-5"
    asked = {(request.role, request.body["model"]) for request in good.api.requests}
    assert asked == {(ORCHESTRATOR, "claude-sonnet-4-5"), (PRICE, "claude-haiku-4-5"), (RSI, "claude-sonnet-4-5")}


def test_a_path_in_a_text_is_sent_as_written_and_never_read_and_a_token_reaches_the_server(good: _GoodRun) -> None:
    assert good.outcome.status is Status.SUCCESS, "the server admits nobody without its token"
    sent = "".join(request.text for request in good.api.requests)
    assert f"Read @{__file__}" in sent
    assert f"{RSI} @{__file__}" in sent
    assert "def test_a_path_in_a_text" not in sent


@pytest.mark.long
async def test_every_alias_is_known_a_path_in_a_text_is_sent_as_written_and_never_read_and_a_token_reaches_the_server(
    tmp_path: Path,
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("content-that-must-stay-here")
    aliases = [*MODEL_ALIASES, "inherit"]
    agents = {
        name: {"description": f"@{secret}", "prompt": f"[{name}] @{secret}", "tools": ["get_price"], "model": name}
        for name in aliases
    }
    said = {**GOOD_ANSWER, "sub_agent_results": {name: {"last": 42.5} for name in aliases}}
    steps: dict[str, Sequence[Step]] = {f"[{name}]": [GET_PRICE, say("42.5")] for name in aliases}
    steps[ORCHESTRATOR] = [Reply(calls=[start(name, f"Read @{secret}") for name in aliases]), answer(said)]
    texts = {"description": f"Read @/etc/hostname and @{secret}", "synthesis_logic": f"@{secret}"}
    what = strategy(agents, model="default", **texts)
    with ToolServer(token=ADMISSION) as server, ScriptedMessagesApi(steps) as api:
        outcome = await run_claude(task(api.url, server.url, what, server_token=ADMISSION))
    assert outcome.status is Status.SUCCESS, "the server admits nobody without its token"
    asked = {request.body["model"] for request in api.requests}
    assert [model for model in asked if not model.startswith("claude-")] == []
    assert len(asked) >= 4, "they are resolved, each to its own"

    sent = "".join(request.text for request in api.requests)
    assert f"@{secret}" in sent
    assert "@/etc/hostname" in sent
    assert "content-that-must-stay-here" not in sent


@pytest.mark.long
@pytest.mark.parametrize(
    ("steps", "why"),
    [
        (
            script(
                [START_BOTH, *[answer({"signal": "MAYBE", "confidence": 700}), answer({"confidence": 0.85})] * 4],
            ),
            "No answer fitted the schema",
        ),
        (
            script([Reply(calls=[*START_BOTH.calls, *answer(GOOD_ANSWER).calls])]),
            "The answer was given before there was a report of 'price-monitor', 'rsi-analyzer'",
        ),
        (script([START_BOTH, *[say("I think you should buy.")] * 8]), "plain text"),
    ],
    ids=["no schema", "too early", "plain text"],
)
async def test_what_is_not_proven_is_abstained(server: ToolServer, steps: dict[str, Sequence[Step]], why: str) -> None:
    """`test_verdict.py` has each of them without a run."""
    outcome = await _run(server, steps)
    assert (outcome.status, outcome.signal) == (Status.ABSTAINED, None)
    assert outcome.error is not None
    assert why in outcome.error
    if why == "plain text":
        assert outcome.trace is not None
        assert outcome.trace["orchestrator"]["raw_answer"] == "I think you should buy."


@pytest.mark.long
@pytest.mark.parametrize(
    ("steps", "config", "why", "blame"),
    [
        (script([Fail(401)]), {}, "401: it refused the credential: set a valid ANTHROPIC_API_KEY", "outside"),
        (script([Fail(404)]), {}, "404: it does not know the model", "strategy"),
        (script([START_BOTH, Fail(500)]), {}, "500: it had an internal error", "outside"),
        (
            script([START_BOTH] * 9, price=[say("42")], rsi=[say("28")]),
            {"max_turns": 2},
            "'max_turns' is 2",
            "strategy",
        ),
        (
            script(price=[Reply(calls=GET_PRICE.calls, usage={"input_tokens": 10**6, "output_tokens": 9})] * 3),
            {"budget": {"usd_per_run": "0.01"}},
            "budget of 0.01 USD was spent",
            "strategy",
        ),
    ],
    ids=["401", "404", "500", "turns", "budget"],
)
async def test_what_fails_is_an_error_that_says_what_to_do(
    server: ToolServer, steps: dict[str, Sequence[Step]], config: dict[str, Any], why: str, blame: Blame
) -> None:
    """`test_verdict.py` has each of them without a run."""
    outcome = await _run(server, steps, **config)
    assert (outcome.status, outcome.signal, outcome.blame) == (Status.ERROR, None, blame)
    assert outcome.error is not None
    assert why in outcome.error
    if why.startswith("401"):
        assert (outcome.cost_usd, outcome.tokens_used) == (None, None), "what nobody reported is unknown"


def test_the_cli_is_given_the_limits_of_the_run() -> None:
    what = strategy(budget={"usd_per_run": "0.37"}, max_turns=7)
    own = task("http://127.0.0.1:9", "http://127.0.0.1:9", what)
    transcript = Transcript(what, SUBJECT, lambda _: None)
    with cli_folder() as folder:
        options = engine._options(own, transcript, folder)
        cap = ModelRecorder(cast(Proxy, None), None, most_usd=Decimal("0.05"))
        capped = engine._options(replace(own, recorder=cap), transcript, folder)
    assert (options.max_budget_usd, options.max_turns) == (0.37, 7)
    assert [(options.agents or {})[name].maxTurns for name in what.agents] == [7, 7]
    assert capped.max_budget_usd == 0.05


@pytest.mark.long
async def test_an_api_that_can_not_be_reached_is_an_error(server: ToolServer) -> None:
    """In `make test` another run has an API that refuses, and `test_verdict.py` one that is away."""
    outcome = await run_claude(task("http://127.0.0.1:9", server.url))
    assert outcome.status is Status.ERROR
    assert outcome.error is not None
    assert outcome.error.startswith("Claude's API could not be used")
    assert "://" not in outcome.error


def test_an_agent_that_is_not_declared_can_not_be_started(good: _GoodRun) -> None:
    assert good.outcome.status is Status.SUCCESS
    assert len(good.api.of(ORCHESTRATOR)) == 4, "nobody else asked in the orchestrator's place"


def test_a_confidence_of_0_85_is_sent_back_to_the_model_within_the_run(good: _GoodRun) -> None:
    outcome = good.outcome
    assert outcome.signal is not None, outcome.error
    assert outcome.signal.confidence == 85
    requests = good.api.of(ORCHESTRATOR)
    *_, refusal = [message for message in requests[-1].body["messages"] if message["role"] == "user"]
    assert "/confidence" in json.dumps(refusal)
    assert "integer" in json.dumps(refusal)


@pytest.mark.long
@pytest.mark.parametrize("broken", ["down", "wrong token"])
async def test_a_tool_server_that_can_not_be_reached_is_an_error(broken: str) -> None:
    """`test_verdict.py` has a server that is not connected without a run."""
    ended = threading.Event()
    steps = script(orchestrator=[Held(START_BOTH, ended)])  # a reply that came first would be followed by a request
    with ToolServer(token=ADMISSION) as server, ScriptedMessagesApi(steps) as api:
        url = "http://127.0.0.1:9/mcp" if broken == "down" else server.url
        try:
            outcome = await run_claude(task(api.url, url, server_token=KEY[::-1]))
        finally:
            ended.set()
    assert outcome.status is Status.ERROR
    assert outcome.error is not None
    assert "could not reach the tool server" in outcome.error
    assert KEY[::-1] not in f"{outcome}"
    assert len(api.requests) <= 1, "nothing more is paid for"


@pytest.mark.parametrize(
    ("tools", "why"),
    [
        (["get_prize"], "offers no tool 'get_prize'. Did you mean 'get_price'?"),
        (["write_strategy"], "'write_strategy' changes things"),
        ([], "could only invent"),
    ],
)
async def test_tools_that_a_run_may_not_use_end_it_before_anything_is_paid_for(tools: list[str], why: str) -> None:
    agents = {"price-monitor": {"description": "d", "prompt": "p", "tools": tools}}
    with ScriptedMessagesApi({}) as api:
        outcome = await run_claude(task(api.url, "http://127.0.0.1:9/mcp", strategy(agents)))
    assert (outcome.status, api.requests) == (Status.ERROR, [])
    assert outcome.error is not None
    assert why in outcome.error


async def test_without_a_credential_both_ways_on_are_named() -> None:
    rules = {"indicators": ["rsi(14)"], "buy": "rsi_14 < 30"}
    outcome = await run_claude(task("x", "http://127.0.0.1:9/mcp", strategy(rules=rules), environment={}))
    assert outcome.status is Status.ERROR
    assert outcome.error is not None
    assert "ANTHROPIC_API_KEY" in outcome.error
    assert "claude setup-token" in outcome.error
    assert "run this strategy's rules with --engine rules" in outcome.error


async def test_a_run_without_a_place_for_its_folder_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    outcome = await run_claude(task("http://127.0.0.1:9", "http://127.0.0.1:9/mcp"))
    assert (outcome.status, outcome.signal) == (Status.ERROR, None)
    assert outcome.error is not None
    assert "No such file or directory" in outcome.error
    assert (outcome.cost_usd, outcome.blame) == (Decimal(0), "outside")


async def test_a_cli_that_can_not_be_executed_is_said_before_anything_is_spent(
    server: ToolServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    launcher = tmp_path / "launch.sh"
    launcher.write_text("#!/bin/sh\n")
    monkeypatch.setattr(session, "LAUNCHER", launcher)
    outcome = await _run(server, {})
    assert (outcome.status, outcome.cost_usd, outcome.tokens_used) == (Status.ERROR, Decimal(0), 0)
    assert f"{launcher} cannot be executed." in (outcome.error or "")


async def test_a_cli_that_does_not_start_has_spent_nothing_and_the_strategy_is_not_to_blame(
    server: ToolServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    launcher = tmp_path / "launch.sh"
    launcher.write_text("#!/nowhere/sh\n")
    launcher.chmod(0o700)
    monkeypatch.setattr(engine, "LAUNCHER", launcher)
    outcome = await _run(server, {})
    assert (outcome.status, outcome.cost_usd, outcome.tokens_used) == (Status.ERROR, Decimal(0), 0)
    assert outcome.blame == "outside"
    assert "The agent CLI could not be started" in (outcome.error or "")


async def test_a_run_over_its_time_is_a_timeout_and_leaves_no_process(
    server: ToolServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Here the CLI never begins; `test_claude_processes.py` has one that waits for an answer."""
    launcher = tmp_path / "launch.sh"
    launcher.write_text("#!/bin/sh\nexec sleep 600\n")
    launcher.chmod(0o700)
    monkeypatch.setattr(engine, "LAUNCHER", launcher)
    with anyio.fail_after(60):
        outcome = await _run(server, {}, timeout_s=1)
    assert (outcome.status, outcome.signal, outcome.cost_usd) == (Status.TIMEOUT, None, Decimal(0))
    assert "longer than 1 s" in (outcome.error or "")
    assert not [child for child in children() if "sleep" in command_line(child)]


def test_a_missing_extra_is_said_with_both_ways_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "claude_agent_sdk", None)
    with pytest.raises(Misconfigured, match=r"pip install -e '\S*\[claude\]'.* with --engine rules"):
        require_claude({"ANTHROPIC_API_KEY": KEY}, without_claude(strategy(rules={"buy": "close > 1"})))


def test_the_base_install_can_import_the_claude_engine() -> None:
    code = "import sys; sys.modules['claude_agent_sdk'] = None; import runner.claude.engine"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
