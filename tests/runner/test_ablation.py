"""A strategy without one of its sub-agents: what is used again of what was recorded with it, and what is derived."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from mcp_server.domain.strategy.run_prompts import SUB_AGENTS
from mcp_server.errors import BadInput
from runner.claude.cassette.ablation import without_agents
from runner.claude.cassette.asked_request import AskedRequest, differences
from runner.claude.cassette.cassettes import Recorded, TokenCounts
from runner.claude.cassette.derived_reply import started, without_starts
from tests.runner.claude_runs import strategy

Blocks = list[dict[str, Any]]


def start(name: str, number: int, tool: str = "Agent") -> dict[str, Any]:
    arguments = {"subagent_type": name, "prompt": f"Look → {name}", "description": name}
    return {"type": "tool_use", "id": f"toolu_{number}", "name": tool, "input": arguments}


def streamed(blocks: Sequence[dict[str, Any]], newline: str = "\n") -> str:
    """Return a reply as the API streams it, its inputs in parts."""
    events: Blocks = [{"type": "message_start", "message": {"role": "assistant", "content": []}}, {"type": "ping"}]
    for index, block in enumerate(blocks):
        if block["type"] == "text":
            begin, parts = {**block, "text": ""}, [{"type": "text_delta", "text": block["text"]}]
        else:
            text = json.dumps(block["input"])
            begin = {**block, "input": {}}
            parts = [{"type": "input_json_delta", "partial_json": part} for part in ("", text[:9], text[9:])]
        events.append({"type": "content_block_start", "index": index, "content_block": begin})
        events += [{"type": "content_block_delta", "index": index, "delta": part} for part in parts]
        events.append({"type": "content_block_stop", "index": index})
    events += [{"type": "message_delta", "delta": {"stop_reason": "tool_use"}}, {"type": "message_stop"}]
    return "".join(f"event: {event['type']}{newline}data: {json.dumps(event)}{newline * 2}" for event in events)


def recorded(reply: str, content_type: str = "text/event-stream; charset=utf-8", status: int = 200) -> Recorded:
    return Recorded(
        key="k", model="m", request={}, status=status, content_type=content_type, reply=reply, usage=TokenCounts(),
        cutoff=None, asked_at=datetime(2026, 3, 1, tzinfo=UTC), paid_by="a run", credential="ANTHROPIC_API_KEY",
    )  # fmt: skip


SAYS: dict[str, Any] = {"type": "text", "text": "I start them.\n\ndata: no event"}
THREE = [SAYS, start("one", 1), start("two", 2), start("three", 3)]


@pytest.mark.parametrize("names", [{"one"}, {"two"}, {"three"}, {"one", "three"}, {"one", "two"}])
def test_a_stream_without_a_start_is_the_stream_that_never_had_it(names: set[str]) -> None:
    left = [block for block in THREE if block["type"] == "text" or block["input"]["subagent_type"] not in names]
    derived = without_starts(recorded(streamed(THREE)), names)
    assert derived == streamed(left)
    assert started(recorded(derived)) == [block["input"]["subagent_type"] for block in left[1:]]


def test_a_reply_in_one_piece_is_derived_too_and_a_stream_with_other_line_ends() -> None:
    whole = json.dumps({"type": "message", "content": THREE, "stop_reason": "tool_use"})
    derived = json.loads(without_starts(recorded(whole, "application/json"), {"two"}))
    assert derived == {"type": "message", "content": [SAYS, THREE[1], THREE[3]], "stop_reason": "tool_use"}
    windows = without_starts(recorded(streamed(THREE, "\r\n")), {"one"})
    assert started(recorded(windows)) == ["two", "three"]
    assert '"toolu_1"' not in windows


def test_only_a_reply_that_does_nothing_but_start_sub_agents_can_be_derived() -> None:
    assert started(recorded(streamed(THREE))) == ["one", "two", "three"]
    assert started(recorded(streamed([start("one", 1), start("two", 2, "StructuredOutput")]))) is None
    assert started(recorded('{"type": "error"}', "application/json", 400)) is None
    assert started(recorded(streamed([SAYS]))) == []


def test_a_strategy_without_a_sub_agent_decides_otherwise_and_has_another_version() -> None:
    whole = strategy()
    less = without_agents(whole, ["rsi-analyzer"])
    assert list(less.agents) == ["price-monitor"]
    assert less.config == whole.config
    assert less.decision_version("kraken") != whole.decision_version("kraken")
    assert without_agents(whole, []) == whole


def test_an_unknown_sub_agent_is_refused_with_the_nearest_and_so_is_leaving_out_all() -> None:
    with pytest.raises(BadInput, match="no sub-agent 'rsi-analyser'") as refused:
        without_agents(strategy(), ["rsi-analyser"])
    assert "'rsi-analyzer'" in str(refused.value.remedy)
    with pytest.raises(BadInput, match="would be left"):
        without_agents(strategy(), ["rsi-analyzer", "price-monitor"])


@pytest.mark.parametrize("role", ["system", "user"])
def test_the_list_of_sub_agents_that_the_cli_adds_is_its_own_wherever_it_stands(role: str) -> None:
    def asked(*names: str) -> AskedRequest:
        listed = "\n".join(f"- {name}: Looks. (Tools: get_price)" for name in names)
        own = {"type": "text", "text": f"<system-reminder>\nAvailable agent types:\n{listed}\n</system-reminder>"}
        task = {"type": "text", "text": f"Strategy: dip\n\n{SUB_AGENTS}{json.dumps(dict.fromkeys(names, 'Looks.'))}"}
        first = [own, task] if role == "user" else [task]
        messages = [{"role": "user", "content": first}]
        messages += [{"role": "system", "content": [own]}] if role == "system" else []
        return AskedRequest({"model": "m", "messages": messages})

    assert [*differences(asked("one", "two"), asked("one"))] == ["Sub-agent 'two' is gone."]
    assert asked("one").task.strip() == "Strategy: dip"
