"""Which runs by Claude go through the recording proxy, and what is decided for them there."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mcp_server.domain.outcome import Outcome, Status, Trigger
from mcp_server.domain.strategy.format import MAX_TIMEOUT_S
from mcp_server.errors import NotSupported
from mcp_server.storage.journal.rows import Run
from runner.claude.cassette.cassettes import Cassette, TokenCounts
from runner.claude.cli_folder import cli_folder
from runner.claude.proxy.model_request import MESSAGES, CliRequest, ModelRequest, read_request
from runner.claude.proxy.reply_cost import ReplyUse
from runner.claude.proxy.session import Session
from runner.claude.recorder import ModelRecorder, recorder_for
from runner.claude.recording import Proxy, recording_proxy
from runner.claude.transcript import Ending
from tests.runner.claude_runs import strategy, task

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("trigger", "ago", "record", "contamination"),
    [
        ("manual", MINUTE, False, None),
        ("manual", MINUTE, True, "ignore"),
        ("manual", 2 * MINUTE, False, "label"),
        ("manual", 2 * MINUTE, True, "label"),
        ("schedule", MINUTE, False, None),
        ("schedule", MINUTE, True, "ignore"),
        ("schedule", 2 * MINUTE, False, "ignore"),
    ],
)
async def test_only_a_run_of_the_past_or_one_that_is_recorded_needs_the_proxy(
    trigger: Trigger, ago: timedelta, record: bool, contamination: str | None, tmp_path: Path
) -> None:
    run = Run(strategy(record=record), trigger, NOW - ago, "claude", NOW)
    async with recorder_for(run, NOW, tmp_path, {}) as recorder:
        if recorder is None:
            assert contamination is None
            return
        assert (recorder.contamination, recorder.mode) == (contamination, "record")
        folder = recorder.cassette.folder if recorder.cassette else None
        assert folder == (tmp_path / "cassettes" / "dip" / run.terms.decision_version if record else None)


@pytest.mark.parametrize("name", ["CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY"])
async def test_a_cloud_is_refused_for_what_is_recorded_or_judged_and_not_for_a_slot_that_is_late(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(trigger: Trigger, *, record: bool) -> Run:
        return Run(strategy(record=record), trigger, NOW - 2 * MINUTE, "claude", NOW)

    monkeypatch.setenv(name, "true")
    for refused in (run("manual", record=False), run("schedule", record=True)):
        with pytest.raises(NotSupported, match=f"{name} is set"):
            async with recorder_for(refused, NOW, tmp_path, {}):
                pass
    async with recorder_for(run("schedule", record=False), NOW, tmp_path, {}) as recorder:
        assert recorder is not None
    monkeypatch.setenv(name, "0")
    async with recorder_for(run("manual", record=True), NOW, tmp_path, {}) as recorder:
        assert recorder is not None


@pytest.mark.parametrize(("contamination", "refused"), [("refuse", True), ("label", False), ("ignore", False)])
async def test_a_model_that_may_know_the_sequel_is_refused_where_that_is_asked_for(
    contamination: Any, *, refused: bool
) -> None:
    async with recording_proxy({}) as proxy:
        own = ModelRecorder(proxy, None, contamination=contamination)
        with cli_folder() as folder, own.session(datetime(2026, 3, 1, tzinfo=UTC), "k", folder) as session:
            assert session.allow("claude-x", "2025-01") is None
            why = session.allow("claude-x", "2026-06")
    assert (why is not None) is refused
    assert not refused or "The first clean moment is 2026-07-31 00:00 UTC" in str(why)


def test_the_time_of_a_rerun_is_not_that_of_its_strategy() -> None:
    own = replace(
        task("http://127.0.0.1:9", "http://127.0.0.1:9", strategy(timeout_s=5)),
        recorder=ModelRecorder(cast(Proxy, None), None),
    )
    assert own.recorder is not None
    assert own.limit_s == 5
    assert replace(own, recorder=replace(own.recorder, mode="rerun")).limit_s == MAX_TIMEOUT_S


def _request(*messages: dict[str, Any]) -> ModelRequest:
    body = {"model": "claude-x", "messages": list(messages)}
    return read_request(CliRequest("POST", MESSAGES, [], json.dumps(body).encode()), NOW, Path("/nowhere"))


def _called(tool: str) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": tool, "input": {}}]}


def test_the_cli_may_be_about_to_end_after_an_answer_or_when_its_budget_is_spent() -> None:
    asked = {"role": "user", "content": "go"}

    def budget(remaining: str) -> dict[str, Any]:
        return {"role": "system", "content": f"USD budget: $0.36178000000000005/$0.01; ${remaining} remaining"}

    assert not _request(asked).may_be_the_last
    assert not _request(asked, _called("Agent"), budget("0.4976")).may_be_the_last
    assert _request(asked, _called("StructuredOutput"), asked).may_be_the_last
    assert not _request(asked, _called("StructuredOutput"), asked, _called("Agent"), asked).may_be_the_last
    assert _request(asked, _called("Agent"), budget("-0.35178000000000004")).may_be_the_last
    assert _request(asked, budget("0")).may_be_the_last


def test_of_a_runs_models_the_latest_cutoff_counts(tmp_path: Path) -> None:
    as_of = datetime(2026, 3, 1, tzinfo=UTC)
    own = ModelRecorder(cast(Proxy, None), None)
    session = Session(
        as_of=as_of, folder=tmp_path, cassette=None, run_key="k", allow=lambda _, __: None, stop=lambda _: None
    )
    for cutoffs, contaminated, latest in (
        ({"a": "2025-02", "b": "2026-06"}, True, "2026-06"),
        ({"a": "2025-02"}, False, "2025-02"),
        ({"a": "2025-02", "b": None}, True, None),
        ({}, None, None),
    ):
        session.cutoffs = dict(cutoffs)
        told = own.accounted(Outcome(Status.ABSTAINED, error="why"), None, session, as_of)
        assert (told.contaminated, told.knowledge_cutoff) == (contaminated, latest), cutoffs


def test_of_what_all_replies_cost_a_run_has_paid_those_that_it_asked_for(tmp_path: Path) -> None:
    session = Session(as_of=NOW, folder=tmp_path, cassette=None, run_key="k")
    tokens = TokenCounts(100, 20)
    session.usages = [ReplyUse("claude-x", tokens, own=own, times=1) for own in (True, False, False)]
    session.asked, session.hits = 1, 2
    ending = cast(Ending, SimpleNamespace(model_usage={"claude-x": {"costUSD": 0.06}}))
    outcome = Outcome(Status.ABSTAINED, error="why", cost_usd=Decimal("0.06"))
    told = ModelRecorder(cast(Proxy, None), Cassette(tmp_path, "dip", "abc")).accounted(outcome, ending, session, NOW)
    assert (told.cost_usd, told.recorded_usd) == (Decimal("0.02"), Decimal("0.06"))
