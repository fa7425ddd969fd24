import json
import math
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from mcp_server.domain.outcome import Outcome, Status
from mcp_server.domain.strategy.claude_answer import ClaudeAnswer
from runner.claude.trace import HIDDEN, MAX_CHARACTERS, trace_of
from runner.claude.transcript import Ending, Transcript
from runner.claude.verdict import conclude
from tests.runner.claude_runs import GOOD_ANSWER, SUBJECT, strategy

USAGE = {"claude-x": {"inputTokens": 1, "outputTokens": 2, "cacheReadInputTokens": 3, "cacheCreationInputTokens": 4}}
GOOD_ENDING = Ending(
    subtype="success",
    is_error=False,
    api_error_status=None,
    text=None,
    answer=GOOD_ANSWER,
    errors=(),
    turns=2,
    duration_ms=900,
    cost_usd=0.0123,
    model_usage=USAGE,
    permission_denials=(),
)
SECRETS = frozenset({"a-secret", "a-secret-that-is-longer"})


def _transcript(ending: Ending | None = GOOD_ENDING, result: str = "42.5") -> Transcript:
    """Give a run in which both sub-agents reported."""
    transcript = Transcript(strategy(), SUBJECT, lambda _: None)
    transcript.opened("claude-x", "connected")
    for name, tool in (("price-monitor", "get_price"), ("rsi-analyzer", "calculate_rsi")):
        transcript.called(None, name, "Agent", {"subagent_type": name})
        transcript.called(name, f"{name} call", f"mcp__trader__{tool}", {"symbol": "BTC/USDT"})
        transcript.returned(f"{name} call", result, is_error=False, status=None)
        transcript.said(name, "done")
        transcript.returned(name, "hand-back", is_error=False, status="completed")
    transcript.called(None, "answer", "StructuredOutput", GOOD_ANSWER)
    transcript.ending = ending
    return transcript


def _outcome(transcript: Transcript, *, in_time: bool = True) -> Outcome:
    return conclude(transcript, strategy(), SECRETS, in_time=in_time)


def test_a_run_that_holds_is_a_signal_with_its_tokens_and_cost() -> None:
    outcome = _outcome(_transcript())
    assert (outcome.status, outcome.tokens_used, outcome.cost_usd) == (Status.SUCCESS, 10, Decimal("0.0123"))


@pytest.mark.parametrize("cost", [math.nan, math.inf, -0.01])
def test_a_cost_that_is_none_is_unknown_and_makes_no_room_in_a_budget(cost: float) -> None:
    assert _outcome(_transcript(replace(GOOD_ENDING, cost_usd=cost))).cost_usd is None


@pytest.mark.parametrize(
    "changed",
    [
        {"signal": "buy"},
        {"confidence": 101},
        {"confidence": 0.85},
        {"confidence": 72.5},
        {"confidence": -1},
        {"confidence": "72"},
        {"confidence": True},
        {"confidence": float("nan")},
        {"reasoning": ""},
        {"sub_agent_results": ["x"]},
        {"sub_agent_results": {"price-monitor": 42.5}},
    ],
)
def test_an_answer_that_slipped_through_is_checked_again(changed: dict[str, Any]) -> None:
    outcome = _outcome(_transcript(replace(GOOD_ENDING, answer={**GOOD_ANSWER, **changed})))
    assert (outcome.status, outcome.signal) == (Status.ABSTAINED, None)
    assert outcome.error is not None
    assert "schema" in outcome.error
    assert next(iter(changed)) in outcome.error


@pytest.mark.parametrize("name", ["signal", "confidence", "reasoning", "sub_agent_results"])
def test_each_of_the_four_keys_is_required_and_nothing_else(name: str) -> None:
    answer = {key: value for key, value in GOOD_ANSWER.items() if key != name}
    assert _outcome(_transcript(replace(GOOD_ENDING, answer=answer))).status is Status.ABSTAINED
    assert set(GOOD_ANSWER) == {"signal", "confidence", "reasoning", "sub_agent_results"}


def test_the_schema_asks_for_a_whole_probability_in_per_cent() -> None:
    asked = ClaudeAnswer.model_json_schema()["properties"]["confidence"]
    assert (asked["type"], asked["minimum"], asked["maximum"]) == ("integer", 0, 100)
    assert "Probability in per cent that the signal is right" in asked["description"]


@pytest.mark.parametrize("status", ["failed", "pending", "needs-auth", "missing"])
def test_a_server_that_is_not_connected_outweighs_a_plausible_answer(status: str) -> None:
    transcript = _transcript()
    transcript.server_status = status
    assert _outcome(transcript).status is Status.ERROR


def test_an_answer_in_time_counts_even_when_the_cli_was_slow_to_leave() -> None:
    assert _outcome(_transcript(), in_time=False).status is Status.SUCCESS


def test_a_cli_that_ends_without_a_result_is_an_error_with_its_last_words() -> None:
    transcript = _transcript(None)
    transcript.stderr.append("panic: a-secret at https://host.example/path")
    outcome = _outcome(transcript)
    assert outcome.status is Status.ERROR
    assert f"panic: {HIDDEN} at [address]" in (outcome.error or "")


@pytest.mark.parametrize("status", [401, 402, 403, 429, 500, 503, 529, None])
def test_an_outage_of_the_api_is_not_the_strategys_fault(status: int | None) -> None:
    outcome = _outcome(_transcript(replace(GOOD_ENDING, is_error=True, api_error_status=status)))
    assert (outcome.status, outcome.blame) == (Status.ERROR, "outside")


@pytest.mark.parametrize("status", [400, 404, 413])
def test_what_the_api_refuses_of_a_strategy_is_the_strategys_fault(status: int) -> None:
    assert _outcome(_transcript(replace(GOOD_ENDING, is_error=True, api_error_status=status))).blame == "strategy"


@pytest.mark.parametrize("text", ["Credit balance is too low", "You have reached your specified API usage limits."])
def test_an_account_without_credit_is_refused_like_a_wrong_request_and_is_not_the_strategys_fault(text: str) -> None:
    outcome = _outcome(_transcript(replace(GOOD_ENDING, is_error=True, api_error_status=400, text=text)))
    assert outcome.blame == "outside"
    assert outcome.error is not None
    assert outcome.error.startswith("Claude's API answered 400: the account has no credit, or has reached its limit")


@pytest.mark.parametrize(
    ("timeout_s", "replied", "blame"), [(60, False, "outside"), (60, True, "strategy"), (59, False, "strategy")]
)
def test_a_model_that_never_replied_for_a_minute_is_not_the_strategys_fault(
    timeout_s: int, replied: bool, blame: str
) -> None:
    transcript = _transcript(None)
    if replied:
        transcript.spent(None, "m1", "claude-x", {"input_tokens": 10})
    outcome = conclude(transcript, strategy(timeout_s=timeout_s), SECRETS, in_time=False)
    assert (outcome.status, outcome.blame) == (Status.TIMEOUT, blame)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "401: it refused the credential: set a valid ANTHROPIC_API_KEY"),
        (429, "429: the rate limit is reached"),
        (529, "529: it is overloaded: the same run may work later"),
    ],
)
def test_what_the_api_refused_is_told_with_what_to_do(status: int, said: str) -> None:
    outcome = _outcome(_transcript(replace(GOOD_ENDING, is_error=True, api_error_status=status)))
    assert said in (outcome.error or "")


def test_reports_that_do_not_suffice_are_no_signal_and_the_model_can_say_so() -> None:
    assert "decided" in ClaudeAnswer.model_json_schema()["properties"]
    outcome = _outcome(_transcript(replace(GOOD_ENDING, answer={**GOOD_ANSWER, "decided": False})))
    assert (outcome.status, outcome.signal) == (Status.ABSTAINED, None)
    assert "did not suffice to decide: The RSI is 28.5." in (outcome.error or "")


def test_an_answer_in_plain_text_is_abstained_and_kept() -> None:
    transcript = _transcript(replace(GOOD_ENDING, answer=None))
    transcript.raw_answer = "I think you should buy."
    outcome = _outcome(transcript)
    assert (outcome.status, outcome.signal) == (Status.ABSTAINED, None)
    assert "plain text" in (outcome.error or "")
    assert outcome.trace is not None
    assert outcome.trace["orchestrator"]["raw_answer"] == "I think you should buy."


@pytest.mark.parametrize(
    ("subtype", "status", "said"),
    [
        ("error_max_budget_usd", Status.ERROR, "budget of 0.01 USD was spent before it answered. Raise"),
        ("error_max_turns", Status.ERROR, "'max_turns' is 2"),
        ("error_max_structured_output_retries", Status.ABSTAINED, "No answer fitted the schema: it was tried five"),
    ],
)
def test_a_run_that_was_cut_off_is_no_signal_and_names_the_limit(subtype: str, status: Status, said: str) -> None:
    what = strategy(budget={"usd_per_run": "0.01"}, max_turns=2)
    ending = replace(GOOD_ENDING, subtype=subtype, is_error=True, errors=("it was tried five times",))
    outcome = conclude(_transcript(ending), what, SECRETS, in_time=True)
    assert (outcome.status, outcome.signal, outcome.cost_usd) == (status, None, Decimal("0.0123"))
    assert said in (outcome.error or "")


def test_an_unknown_ending_is_an_error() -> None:
    ending = replace(GOOD_ENDING, subtype="error_of_a_later_version", is_error=True)
    assert _outcome(_transcript(ending)).status is Status.ERROR


def test_one_good_start_of_a_sub_agent_is_enough() -> None:
    transcript = _transcript()
    transcript.called(None, "again", "Agent", {"subagent_type": "price-monitor"})
    assert _outcome(transcript).status is Status.SUCCESS


def test_no_secret_stays_in_a_trace_or_an_error() -> None:
    ending = replace(
        GOOD_ENDING,
        is_error=True,
        text="a-secret-that-is-longer is wrong",
        permission_denials=({"a-secret": ["a-secret"]},),
    )
    outcome = _outcome(_transcript(ending, result="echo a-secret"))
    assert "a-secret" not in f"{outcome}"
    assert "that-is-longer" not in f"{outcome}"


def test_a_trace_is_bounded_and_says_where_it_was_cut() -> None:
    transcript = _transcript(result="x" * 20_000)
    trace = trace_of(transcript, [], frozenset())
    assert trace["sub_agents"][0]["calls"][0]["result"].endswith("… cut: 20000 characters in all")
    for number in range(2000):
        transcript.called("price-monitor", f"{number}", "mcp__trader__get_price", {"symbol": "y" * 3000})
    trace = trace_of(transcript, [], frozenset())
    assert len(json.dumps(trace)) <= MAX_CHARACTERS
    assert trace["sub_agents"][0]["calls"][-1] == "… cut: 2001 entries in all"


def test_a_trace_is_json_whatever_a_tool_was_given() -> None:
    transcript = _transcript()
    transcript.called("price-monitor", "odd", "mcp__trader__get_price", {"symbol": float("inf"), "more": {1: object}})
    json.dumps(trace_of(transcript, ["absent"], frozenset()), allow_nan=False)


def test_a_sub_agent_that_was_never_started_is_in_the_trace() -> None:
    trace = trace_of(_transcript(), ["price-monitor", "absent"], frozenset())
    assert trace["sub_agents"][-1] == {"name": "absent", "started": False, "reported": False}


def _nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


def test_an_answer_that_nests_without_end_is_abstained_and_its_trace_is_cut() -> None:
    answer = {**GOOD_ANSWER, "sub_agent_results": {"price-monitor": _nested(5000)}}
    transcript = _transcript(replace(GOOD_ENDING, answer=answer))
    transcript.raw_answer = answer
    outcome = _outcome(transcript)
    assert (outcome.status, outcome.signal) == (Status.ABSTAINED, None)
    assert outcome.error is not None
    assert "at most 20 levels" in outcome.error
    assert "cut: nested deeper than" in json.dumps(outcome.trace)


def test_an_answer_that_came_before_a_report_is_not_believed() -> None:
    transcript = Transcript(strategy(), SUBJECT, lambda _: None)
    transcript.opened("claude-x", "connected")
    for name, tool in (("price-monitor", "get_price"), ("rsi-analyzer", "calculate_rsi")):
        transcript.called(None, name, "Agent", {"subagent_type": name})
        transcript.called(name, f"{name} call", f"mcp__trader__{tool}", {"symbol": "BTC/USDT"})
        transcript.returned(f"{name} call", "42.5", is_error=False, status=None)
        transcript.said(name, "done")
    transcript.returned("price-monitor", "hand-back", is_error=False, status="completed")
    transcript.called(None, "answer", "StructuredOutput", GOOD_ANSWER)
    transcript.returned("rsi-analyzer", "hand-back", is_error=False, status="completed")
    transcript.ending = GOOD_ENDING
    outcome = _outcome(transcript)
    assert outcome.status is Status.ABSTAINED
    assert "'rsi-analyzer'" in (outcome.error or "")
    assert "price-monitor" not in (outcome.error or "")
