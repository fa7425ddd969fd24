from typing import Any

import pytest

from runner.claude.transcript import Transcript
from tests.runner.claude_runs import SUBJECT, strategy

REPORT = "It costs 42.5."


def _started(told: list[str] | None = None) -> Transcript:
    transcript = Transcript(strategy(), SUBJECT, (told if told is not None else []).append)
    transcript.called(None, "start", "Agent", {"subagent_type": "price-monitor", "prompt": "p"})
    return transcript


def _call(transcript: Transcript, *, is_error: bool = False, tool: str = "mcp__trader__get_price") -> None:
    transcript.called("start", "call", tool, {"symbol": "BTC/USDT"})
    transcript.returned("call", [{"type": "text", "text": "42.5"}], is_error=is_error, status=None)


def _end(transcript: Transcript, status: str | None = "completed", *, is_error: bool = False) -> None:
    transcript.returned("start", f"[Subagent hand-back] {REPORT}", is_error=is_error, status=status)


def test_a_sub_agent_that_called_and_reported_has_reported() -> None:
    told: list[str] = []
    transcript = _started(told)
    _call(transcript)
    transcript.said("start", REPORT)
    _end(transcript)
    agent = transcript.starts["start"]
    assert (agent.missing, agent.report, agent.calls[0].result) == (None, REPORT, "42.5")
    assert told == ["price-monitor started", "price-monitor: get_price(BTC/USDT)", "price-monitor reported"]


@pytest.mark.parametrize(
    ("call", "said", "end", "why"),
    [
        ({}, "x", None, "did not finish"),
        ({}, "x", {"status": None, "is_error": True}, "failed"),
        ({}, "x", {"status": "async_launched"}, "failed"),
        (None, "x", {}, "called no tool"),
        ({"is_error": True}, "x", {}, "no tool call that succeeded"),
        ({"tool": "mcp__trader__calculate_rsi"}, "x", {}, "no tool call that succeeded"),
        ({}, None, {}, "stopped before it reported"),
    ],
)
def test_a_sub_agent_that_proves_nothing_says_why(
    call: dict[str, Any] | None, said: str | None, end: dict[str, Any] | None, why: str
) -> None:
    transcript = _started()
    if call is not None:
        _call(transcript, **call)
    if said is not None:
        transcript.said("start", said)
    if end is not None:
        _end(transcript, **end)
    assert why in (transcript.starts["start"].missing or "")


def test_text_before_a_call_is_not_the_report() -> None:
    transcript = _started()
    transcript.said("start", "Let me look.")
    _call(transcript)
    assert transcript.starts["start"].report is None


def test_a_message_told_several_times_is_counted_once_and_grows() -> None:
    transcript = _started()
    transcript.spent("start", "m1", "claude-x", {"input_tokens": 10, "output_tokens": 1})
    transcript.spent("start", "m1", "claude-x", {"input_tokens": 10, "output_tokens": 1})
    transcript.spent("start", "m2", "claude-x", {"input_tokens": 5, "cache_read_input_tokens": 7})
    transcript.recount(
        [
            '{"message": {"id": "m1", "usage": {"input_tokens": 10, "output_tokens": 30}}}',
            '{"message": {"id": "of nobody here", "usage": {"output_tokens": 99}}}',
            '{"summary": "x"}',
            "not JSON",
            "[]",
        ]
    )
    assert transcript.tokens("start") == {"input": 15, "output": 30, "cache_read": 7, "cache_creation": 0}
    assert transcript.tokens(None) is None, "nothing was told of the orchestrator: unknown is not 0"


def test_a_person_who_no_longer_listens_does_not_end_the_run() -> None:
    def closed(_: str) -> None:
        raise BrokenPipeError

    transcript = Transcript(strategy(), SUBJECT, closed)
    transcript.called(None, "start", "Agent", {"subagent_type": "price-monitor"})
    assert "start" in transcript.starts
