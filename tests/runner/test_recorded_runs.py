"""Runs by Claude through the recording proxy: with the real SDK and CLI, a scripted model and a real tool server."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from claude_agent_sdk import ClaudeAgentOptions

from mcp_server.domain.outcome import NOTHING_SPENT, Outcome, Status
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.errors import Misconfigured
from runner.claude import probe
from runner.claude.cassette.cassettes import Cassette
from runner.claude.cli_folder import CliFolder
from runner.claude.engine import run_claude
from runner.claude.probe import cutoffs_of
from runner.claude.proxy import answering
from runner.claude.proxy.session import Session
from runner.claude.recording import recording_proxy
from tests.rigs.scripted_messages_api import (
    Fail,
    Hang,
    Reply,
    ScriptedMessagesApi,
    Step,
    answer,
    say,
    start,
)
from tests.rigs.tool_server import ToolServer
from tests.runner.claude_runs import AS_OF, GET_PRICE, GOOD_ANSWER, KEY, START_BOTH, script, strategy, task
from tests.runner.recorded_runs import NOWHERE, run_on


@pytest.fixture(scope="module")
def server() -> Iterator[ToolServer]:
    with ToolServer() as running:
        yield running


@pytest.fixture
def cassette(tmp_path: Path) -> Cassette:
    return Cassette(tmp_path / "cassettes", "dip", "abc")


async def through_proxy(
    api_url: str,
    server: ToolServer,
    cassette: Cassette | None,
    what: Strategy | None = None,
    on_event: Callable[[str], None] = lambda _: None,
    **recorder: Any,
) -> Outcome:
    """Let a run go through a proxy of its own."""
    run = await run_on(cassette, server.url, api_url, what, key="first", on_event=on_event, **recorder)
    return run.outcome


async def rerun(server: ToolServer, cassette: Cassette, what: Strategy | None = None) -> Outcome:
    return await through_proxy(NOWHERE, server, cassette, what, mode="rerun")


def decided(outcome: Outcome) -> tuple[Any, ...]:
    """What a rerun has to repeat."""
    return outcome.status, outcome.signal, outcome.error, outcome.blame, outcome.model


@pytest.mark.long
async def test_a_recorded_run_is_the_same_and_its_cassette_holds_it_word_for_word(
    server: ToolServer, cassette: Cassette
) -> None:
    """`test_recorded_requests.py` has a run, its cassette and its rerun in `make test`."""
    with ScriptedMessagesApi(script()) as api:
        plain = await run_claude(task(api.url, server.url))
        api.requests.clear()
        recorded = await through_proxy(api.url, server, cassette)
    assert (decided(recorded), recorded.tokens_used) == (decided(plain), plain.tokens_used)
    assert (recorded.cost_usd, recorded.recorded_usd) == (plain.cost_usd, plain.cost_usd)
    assert recorded.trace is not None
    assert recorded.trace["requests"] == {
        "from_cassette": 0, "asked": 6, "cassette": "cassettes/dip/abc/20260301T120000Z",
    }  # fmt: skip
    kept = {json.dumps({**one.request, "metadata": {}}, sort_keys=True) for one in cassette.at(AS_OF)}
    assert kept == {json.dumps({**one.body, "metadata": {}}, sort_keys=True) for one in api.requests}
    assert len(kept) == 6
    replies = "".join(one.reply for one in cassette.at(AS_OF))
    assert all(words in replies for words in ("It costs 42.5.", "The RSI is 28.5.", "StructuredOutput"))
    assert all(KEY not in file.read_text("latin-1") for file in cassette.place(AS_OF).iterdir())
    server.calls.clear()
    again = await rerun(server, cassette)
    assert decided(again) == decided(recorded)
    assert (again.cost_usd, again.recorded_usd) == (Decimal(0), recorded.recorded_usd)
    assert (again.knowledge_cutoff, again.contaminated) == ("2026-06", True)
    assert len(server.calls) == 2, "the tools are asked again"


START_ONE = Reply(calls=[start("price-monitor", "BTC/USDT")])
COSTLY = replace(say("It costs 42.5."), usage={"input_tokens": 90_000, "output_tokens": 9})
ONLY_PRICE = {"price-monitor": strategy().agents_json()["price-monitor"]}
ENDINGS: dict[str, tuple[dict[str, Sequence[Step]], dict[str, Any], str]] = {
    "its budget is spent": (
        script([START_ONE, answer(GOOD_ANSWER)], price=[GET_PRICE, COSTLY]),
        {"budget": {"usd_per_run": 0.01}, "agents": ONLY_PRICE},
        "0.01 USD was spent",
    ),
    "a request that is refused": (script([Fail(400)]), {}, "answered 400"),
}


@pytest.mark.long
@pytest.mark.parametrize(("steps", "config", "words"), ENDINGS.values(), ids=ENDINGS.keys())
async def test_a_run_without_a_signal_ends_alike_when_it_is_rerun(
    server: ToolServer,
    cassette: Cassette,
    monkeypatch: pytest.MonkeyPatch,
    steps: dict[str, Sequence[Step]],
    config: dict[str, Any],
    words: str,
) -> None:
    """A CLI that is about to end may ask once more before it does: it is waited for, however busy this machine is.

    A run whose turns are used up, and one whose answers fit no schema, are those of `tests/replay/test_rerun.py`
    in `make test`.
    """
    monkeypatch.setattr(answering, "ENDS_BY_ITSELF_S", 60)
    what = strategy(**config)
    with ScriptedMessagesApi(steps) as api:
        recorded = await through_proxy(api.url, server, cassette, what)
    assert words in (recorded.error or "")
    again = await rerun(server, cassette, what)
    assert decided(again) == decided(recorded)
    assert again.cost_usd == 0


@pytest.mark.long
async def test_the_rerun_of_a_run_that_was_cut_short_says_where_its_recording_ends(
    server: ToolServer, cassette: Cassette, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time ran out, it was stopped, or the API failed: a reply that never came is on no cassette.

    `test_drift.py` has the sentence without a run.
    """
    monkeypatch.setattr(answering, "ENDS_BY_ITSELF_S", 0)
    with ScriptedMessagesApi(script([START_BOTH, Hang()])) as api, anyio.CancelScope() as cut_short:
        reported = {"price-monitor reported", "rsi-analyzer reported"}

        def heard(line: str) -> None:
            reported.discard(line)
            if not reported:
                cut_short.cancel()

        await through_proxy(api.url, server, cassette, on_event=heard)
    assert cut_short.cancelled_caught
    again = await rerun(server, cassette)
    assert (again.status, again.blame, again.signal, again.cost_usd) == (Status.DRIFT, None, None, Decimal(0))
    assert "No reply to turn 2 of the orchestrator" in (again.error or "")
    assert "What is recorded of that moment ends before that turn" in (again.error or "")


async def test_a_rerun_of_what_was_never_recorded_is_drift_and_blames_neither_model_nor_account(
    server: ToolServer, cassette: Cassette
) -> None:
    again = await rerun(server, cassette)
    assert (again.status, again.blame, again.cost_usd, again.recorded_usd) == (Status.DRIFT, None, Decimal(0), None)
    assert "Nothing is recorded for that moment" in (again.error or "")
    assert "Without --rerun" in (again.error or "")
    assert "account" not in (again.error or "")


@pytest.mark.long
async def test_a_moment_that_the_model_may_know_the_sequel_of_is_refused_before_anything_is_asked(
    server: ToolServer, cassette: Cassette
) -> None:
    """In `make test`, `test_recorder.py` has what is refused, and `test_recording.py` a request that is."""
    with ScriptedMessagesApi({}) as api:
        outcome = await through_proxy(api.url, server, cassette, contamination="refuse")
    assert api.requests == []
    assert (outcome.status, outcome.blame) == (Status.ERROR, "runner")
    assert {name: getattr(outcome, name) for name in NOTHING_SPENT} == NOTHING_SPENT
    assert (outcome.contaminated, outcome.knowledge_cutoff) == (True, "2026-06")
    assert "The first clean moment is 2026-07-31 00:00 UTC" in (outcome.error or "")
    assert list(cassette.moments()) == []


UNKNOWN, OPUS, HAIKU = "claude-unknown-9", "claude-opus-5-5", "claude-haiku-4-5"


def with_another_model(model: str) -> Strategy:
    """The strategy of both sub-agents on an older model, of which one has another."""
    agents = strategy().agents_json()
    agents["rsi-analyzer"]["model"] = model
    return strategy(agents=agents, model=HAIKU)


@pytest.mark.long
async def test_each_sub_agents_model_is_judged_by_its_own_cutoff_and_the_latest_counts(server: ToolServer) -> None:
    """`test_recorder.py` and the next test have it without a run."""
    with ScriptedMessagesApi(script()) as api:
        outcome = await through_proxy(api.url, server, None, with_another_model(OPUS))
    assert (outcome.status, outcome.contaminated, outcome.knowledge_cutoff) == (Status.SUCCESS, True, "2026-06")

    assert outcome.recorded_usd is None, "without a cassette nothing is kept"
    assert outcome.trace is not None
    assert outcome.trace["requests"] == {"from_cassette": 0, "asked": 6}
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    assert all("2026-03-01" in request.text and today not in request.text for request in api.requests)


class FirstRequests:
    """In the place of the agent CLI: asks what it would ask first, and waits to be ended."""

    def __init__(self) -> None:
        self._ended = defaultdict[Path, anyio.Event](anyio.Event)

    def end(self, folder: CliFolder) -> None:
        self._ended[folder.path].set()

    async def converse(self, folder: CliFolder, _: str, make: Callable[[], ClaudeAgentOptions], *__: object) -> None:
        options = make()
        words = "<system-reminder>\nAssistant knowledge cutoff is {}.\n</system-reminder>"
        month = {HAIKU: "February 2025", OPUS: "June 2026"}[options.model or ""]
        body = {"model": options.model, "messages": [{"role": "system", "content": words.format(month)}]}
        async with httpx2.AsyncClient(trust_env=False, timeout=30) as http, anyio.create_task_group() as group:
            group.start_soon(partial(http.post, f"{options.env['ANTHROPIC_BASE_URL']}/v1/messages", json=body))
            await self._ended[folder.path].wait()
            group.cancel_scope.cancel()


@pytest.mark.parametrize("real", [False, pytest.param(True, marks=pytest.mark.long)])
async def test_each_sub_agents_model_is_asked_for_its_cutoff_and_nothing_is_paid(
    monkeypatch: pytest.MonkeyPatch, *, real: bool
) -> None:
    """With the real CLI, and with what it would ask; in `make test` the replay of one moment asks it."""
    if not real:
        stand_in = FirstRequests()
        monkeypatch.setattr(probe, "converse", stand_in.converse)
        monkeypatch.setattr(CliFolder, "end_cli", lambda folder: stand_in.end(folder))  # noqa: PLW0108 (it is to be a method)
    environment = {"ANTHROPIC_API_KEY": KEY}
    with ScriptedMessagesApi({}) as api:
        async with recording_proxy(environment | {"ANTHROPIC_BASE_URL": api.url}) as proxy:
            cutoffs = await cutoffs_of(with_another_model(OPUS), environment, proxy)
    assert cutoffs == {HAIKU: "2025-02", OPUS: "2026-06"}
    assert api.requests == []


@pytest.mark.long
async def test_an_unknown_cutoff_of_a_sub_agents_model_counts_as_contaminated(server: ToolServer) -> None:
    with ScriptedMessagesApi(script()) as api:
        outcome = await through_proxy(api.url, server, None, with_another_model(UNKNOWN), contamination="refuse")
    assert (outcome.status, outcome.contaminated, outcome.knowledge_cutoff) == (Status.ERROR, True, None)
    assert "The knowledge cutoff of claude-unknown-9 is not known" in (outcome.error or "")
    assert {request.body["model"] for request in api.requests} == {HAIKU}


@pytest.mark.long
async def test_a_moment_after_the_cutoff_of_all_models_is_clean(server: ToolServer) -> None:
    with ScriptedMessagesApi(script()) as api:
        outcome = await through_proxy(api.url, server, None, strategy(model=HAIKU), contamination="refuse")
    assert (outcome.status, outcome.contaminated, outcome.knowledge_cutoff) == (Status.SUCCESS, False, "2025-02")


@pytest.mark.long
async def test_a_cap_that_is_reached_ends_the_run_at_once_with_its_reason(server: ToolServer) -> None:
    """In `make test`, `test_recording.py` has a request that may not be asked, and `tests/replay/test_cap.py` a cap."""
    with ScriptedMessagesApi({}) as api:
        outcome = await through_proxy(api.url, server, None, prepare=_nothing_more)
    assert api.requests == []
    assert (outcome.status, outcome.error, outcome.blame) == (Status.ERROR, "The cap is reached.", "runner")
    assert {name: getattr(outcome, name) for name in NOTHING_SPENT} == NOTHING_SPENT


async def test_without_a_credential_no_model_is_probed() -> None:
    async with recording_proxy({}) as proxy:
        with pytest.raises(Misconfigured, match="No credential for Claude"):
            await cutoffs_of(strategy(), {}, proxy)


def _nothing_more(session: Session) -> None:
    session.may_ask = lambda: "The cap is reached."
