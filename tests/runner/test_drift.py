"""Why a rerun drifted, told by what a request of the real CLI differs in from the one that was recorded."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mcp_server.domain.strategy.strategy import Strategy
from runner.claude.cassette.cassettes import Cassette, Recorded, TokenCounts
from runner.claude.cassette.drift import MOST_CHARACTERS, MOST_LINES, explained
from runner.claude.cassette.wire import key_of, rewritten
from tests.rigs.scripted_messages_api import ORCHESTRATOR
from tests.runner.claude_runs import AS_OF, KEY, PRICE, RSI, strategy
from tests.runner.cli_requests import cli_requests

Body = dict[str, Any]
Record = Callable[..., Cassette]
NOW = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.fixture(scope="module")
def asked() -> Mapping[tuple[str, int], Body]:
    """What the real CLI asks in one run of two sub-agents, by role and turn."""
    bodies = {(request.role, request.turn): dict(request.body) for request in cli_requests()}
    return {key: rewritten(body, AS_OF, "/nowhere") for key, body in bodies.items()}


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """Put requests on the cassette of a version, in the order in which they are given."""

    def keep(bodies: Iterable[Body], version: str = "a" * 12) -> Cassette:
        cassette = Cassette(tmp_path, "dip", version)
        for number, body in enumerate(bodies):
            cassette.keep(
                AS_OF,
                Recorded(
                    key=key_of(body), model=body["model"], request=body, status=200, content_type="text/event-stream",
                    reply="", usage=TokenCounts(), cutoff=None, asked_at=NOW + timedelta(seconds=number),
                    paid_by="a run", credential="ANTHROPIC_API_KEY",
                ),
            )  # fmt: skip
        return cassette

    return keep


def explain(body: Body, *cassettes: Cassette, what: Strategy | None = None, as_of: datetime = AS_OF) -> list[str]:
    """Return the lines about a request, without those that are always there."""
    text = explained(body, cassettes, what or strategy(), "simulated", as_of, {KEY})
    first, *changes, remedy = text.split("\n")
    assert "is on the cassette" in first
    assert "Nothing was asked" in remedy
    assert all(len(line) <= MOST_CHARACTERS for line in changes)
    return changes


def agents(name: str = "price-monitor", **other: Any) -> dict[str, Any]:
    """Return both sub-agents, one of them otherwise."""
    both: dict[str, Any] = strategy().agents_json()
    return {**both, name: {**both[name], **other}}


def prompted(body: Body, old: str, new: str) -> Body:
    """Return a request with another system prompt."""
    body = deepcopy(body)
    text = body["system"][-1]["text"]
    assert old in text
    body["system"][-1]["text"] = text.replace(old, new)
    return body


def answered(body: Body, *contents: Any, is_error: bool = False) -> Body:
    """Return a request in which the tools answered otherwise."""
    body = deepcopy(body)
    blocks = next(message["content"] for message in body["messages"][1:] if message["role"] == "user")
    for block, content in zip(blocks, contents, strict=True):
        own_words = "".join(block["content"].partition("\n\n<system-reminder>")[1:])
        block |= {"content": content + own_words, "is_error": is_error}
    return body


def test_a_changed_prompt_is_named_with_its_sub_agent_and_line(asked: Mapping[Any, Body], record: Record) -> None:
    what = strategy(agents(prompt=f"You watch.\nTwice. {PRICE}"))
    recorded = {**asked, (PRICE, 0): prompted(asked[PRICE, 0], f"watch. {PRICE}", f"watch.\nOnce. {PRICE}")}
    body = prompted(asked[PRICE, 0], f"watch. {PRICE}", f"watch.\nTwice. {PRICE}")
    (line,) = explain(body, record(recorded.values()), what=what)
    about = "The prompt of sub-agent 'price-monitor' changed: line 2: "
    assert line == f'{about}"Once. {PRICE}" → "Twice. {PRICE}".'


def test_a_long_line_is_shown_where_it_differs(asked: Mapping[Any, Body], record: Record) -> None:
    first, other = (prompted(asked[PRICE, 0], "You watch.", f"{'x ' * 300}{n} days{' y' * 300}") for n in (3, 5))
    (line,) = explain(other, record([first]))
    assert "3 days y" in line.partition("→")[0]
    assert "5 days y" in line.partition("→")[2]


def test_lines_that_are_new_or_gone_are_told_as_that(asked: Mapping[Any, Body], record: Record) -> None:
    other = prompted(asked[PRICE, 0], "You watch.", "Look twice.\nYou watch.")
    assert 'line 1 is new: "Look twice."' in explain(other, record(asked.values()))[0]
    assert 'line 1 is gone: "Look twice."' in explain(asked[PRICE, 0], record([other], "b"))[0]


def test_another_model_is_named_and_not_told_again_in_the_words_of_the_cli(
    asked: Mapping[Any, Body], record: Record
) -> None:
    body = deepcopy(asked[ORCHESTRATOR, 0])
    (words,) = (block for block in body["messages"][0]["content"] if "powered by the model named" in block["text"])
    words["text"] = re.sub("powered by the model named .*", "powered by the model named Haiku 9.", words["text"])
    body["model"] = "claude-haiku-9"
    model = asked[ORCHESTRATOR, 0]["model"]
    assert explain(body, record(asked.values())) == [f"The model of the orchestrator: {model} → claude-haiku-9."]


def test_another_description_and_another_schema_of_a_tool_are_named(asked: Mapping[Any, Body], record: Record) -> None:
    body = deepcopy(asked[RSI, 0])
    (tool,) = body["tools"]
    assert tool["description"] == "Calculate the RSI of a symbol."
    tool["description"] = "Calculate the RSI of a market."
    tool["input_schema"]["properties"]["period"]["default"] = 21
    described, arguments = explain(body, record(asked.values()))
    assert described.startswith("The description of the tool calculate_rsi changed: line 1: ")
    assert '→ "Calculate the RSI of a market."' in described
    assert arguments.startswith("The tool calculate_rsi takes other arguments: ")
    assert "period.default 14 → 21" in arguments


def test_a_tool_that_is_new_or_gone_is_named(asked: Mapping[Any, Body], record: Record) -> None:
    body = deepcopy(asked[RSI, 0])
    body["tools"][0]["name"] = "mcp__trader__calculate_ema"
    new, gone = explain(body, record(asked.values()))
    assert new == "The tool calculate_ema of sub-agent 'rsi-analyzer' is new."
    assert gone == "The tool calculate_rsi of sub-agent 'rsi-analyzer' is gone."


def test_what_a_tool_answered_otherwise_is_told_with_the_market(asked: Mapping[Any, Body], record: Record) -> None:
    body = answered(asked[PRICE, 1], '{"symbol":"BTC/USDT","last":43.1}')
    assert explain(body, record(asked.values())) == ["get_price answered otherwise: last 42.5 → 43.1 (BTC/USDT)."]


def test_values_of_a_table_are_told_by_the_first_cell_of_their_row(asked: Mapping[Any, Body], record: Record) -> None:
    table = '{"note":"x","columns":["time","close"],"rows":[["10:00",1.5],["11:00",%s]]}'
    before, after = (answered(asked[PRICE, 1], table % close) for close in ("2", "2.25"))
    (line,) = explain(after, record([before]))
    assert line == "get_price answered otherwise: 11:00.close 2 → 2.25 (BTC/USDT)."
    (line,) = explain(answered(before, '{"rows":[[1]],"columns":["a"]}'), record([before]))
    assert "10:00 is gone" in line
    (line,) = explain(answered(before, "[1,2]"), record([answered(before, "[1,2,3]")], "b"))
    assert "has 2 entries instead of 3" in line


def test_a_tool_that_fails_now_says_why(asked: Mapping[Any, Body], record: Record) -> None:
    failed = answered(asked[PRICE, 1], "The exchange is down.", is_error=True)
    (line,) = explain(failed, record(asked.values()))
    assert line.startswith("get_price failed, and did not when it was recorded: ")
    assert "The exchange is down." in line
    (line,) = explain(asked[PRICE, 1], record([failed], "b"))
    assert line.startswith("get_price answered, and failed when it was recorded: ")


def test_another_report_of_a_sub_agent_is_told_by_its_name(asked: Mapping[Any, Body], record: Record) -> None:
    body = deepcopy(asked[ORCHESTRATOR, 1])
    results = next(message["content"] for message in body["messages"][1:] if message["role"] == "user")
    report = next(block["content"][0] for block in results if "It costs 42.5." in str(block))
    report["text"] = report["text"].replace("It costs 42.5.", "It costs 43.1.")
    (line,) = explain(body, record(asked.values()))
    assert line.startswith("The report of sub-agent 'price-monitor' changed: line ")
    assert "It costs 43.1." in line


def test_another_version_of_the_agent_cli_is_named_and_what_it_asks_otherwise(
    asked: Mapping[Any, Body], record: Record
) -> None:
    body = deepcopy(asked[PRICE, 1])
    body["system"][0]["text"] = body["system"][0]["text"].replace("cc_version=2.", "cc_version=9.")
    body["max_tokens"] = 7
    version, rest = explain(body, record(asked.values()))
    assert version.startswith("The agent CLI is another version: 2.")
    assert "→ 9." in version
    assert rest == f"The agent CLI asks otherwise: max_tokens {asked[PRICE, 1]['max_tokens']} → 7."


def test_what_varies_from_run_to_run_is_never_a_difference(asked: Mapping[Any, Body], record: Record) -> None:
    body = deepcopy(asked[ORCHESTRATOR, 1])
    body["metadata"] = {"user_id": "another"}
    for message in body["messages"][1:]:
        if message["role"] == "user":
            message["content"].reverse()
    body["max_tokens"] = 7
    (line,) = explain(body, record(asked.values()))
    assert "max_tokens" in line


def test_the_words_of_strangers_are_cleaned_cut_and_without_secrets(asked: Mapping[Any, Body], record: Record) -> None:
    hostile = f"\x1b[31m{KEY}\u202e " + "z" * 5000
    (line,) = explain(answered(asked[PRICE, 1], hostile), record(asked.values()))
    assert "\x1b" not in line
    assert "\u202e" not in line
    assert KEY not in line


def test_of_many_differences_some_are_told_and_the_others_counted(asked: Mapping[Any, Body], record: Record) -> None:
    names = [f"other-{number}" for number in range(MOST_LINES + 1)]
    body = deepcopy(asked[RSI, 0])
    body["tools"] += [{**body["tools"][0], "name": name} for name in names]
    lines = explain(body, record(asked.values()))
    assert lines[-1] == "And 1 more difference."
    assert len(lines) == MOST_LINES + 1
    listed = '{"symbol":"BTC/USDT",%s}'
    values = [",".join(f'"{key}":{value}' for key in "abcdef") for value in (1, 2)]
    (line,) = explain(
        answered(asked[PRICE, 1], listed % values[1]), record([answered(asked[PRICE, 1], listed % values[0])])
    )
    assert "a 1 → 2; b 1 → 2; c 1 → 2; and 3 more" in line


def test_what_to_do_depends_on_whether_this_version_is_recorded(asked: Mapping[Any, Body], record: Record) -> None:
    def remedy(*cassettes: Cassette) -> str:
        return explained(asked[ORCHESTRATOR, 0], cassettes, strategy(), "simulated", AS_OF, ()).split("\n")[-1]

    own, other = record([asked[PRICE, 0]], "b"), record([asked[PRICE, 0]], "c")
    assert "another --to" in remedy(own, other)
    assert "Without --rerun" in remedy(record([], "d"), other)
    assert "Without --rerun" in remedy(record([], "d"))


def test_where_the_recording_ends_earlier_or_there_is_none_that_is_said(
    asked: Mapping[Any, Body], record: Record
) -> None:
    (line,) = explain(asked[PRICE, 1], record([asked[ORCHESTRATOR, 0], asked[PRICE, 0]]))
    assert "ends before" in line
    (line,) = explain(asked[ORCHESTRATOR, 0], record([], "b"))
    assert line.startswith("Nothing is recorded for that moment")


VERSIONS: list[tuple[str, dict[str, Any] | None, dict[str, Any]]] = [
    ("The prompt of sub-agent 'rsi-analyzer' changed: line 1: ", agents("rsi-analyzer", prompt=f"Read! {RSI}"), {}),
    (" → haiku.", agents(model="haiku"), {}),
    ("The tool calculate_rsi of sub-agent 'price-monitor' is new.", agents(tools=["get_price", "calculate_rsi"]), {}),
    ("Sub-agent 'third' is new.", {**agents(), "third": agents()["price-monitor"]}, {}),
    ("Sub-agent 'rsi-analyzer' is gone.", {"price-monitor": agents()["price-monitor"]}, {}),
    ("what changed is told to Claude later, or never", None, {"max_turns": 9}),
]


@pytest.mark.parametrize(("change", "other", "config"), VERSIONS, ids=[change for change, *_ in VERSIONS])
def test_another_version_of_a_strategy_is_compared_with_the_one_that_is_recorded(
    asked: Mapping[Any, Body], record: Record, change: str, other: dict[str, Any] | None, config: dict[str, Any]
) -> None:
    what = strategy(other, **config)
    version, *changes = explain(asked[ORCHESTRATOR, 0], record([], "b"), record(asked.values()), what=what)
    assert version == f"Another version of the strategy ({'a' * 12}) is recorded for that moment."
    (line,) = changes
    assert change in line


def test_the_newest_version_that_is_recorded_for_the_moment_is_compared(
    asked: Mapping[Any, Body], record: Record
) -> None:
    cassettes = (record([], "b"), record([], "c"), record(asked.values(), "d"), record(asked.values(), "e"))
    assert "(d)" in explain(asked[ORCHESTRATOR, 0], *cassettes)[0]


def test_beside_a_replay_without_a_sub_agent_the_version_with_the_same_sub_agents_is_compared(
    asked: Mapping[Any, Body], record: Record
) -> None:
    start = asked[ORCHESTRATOR, 0]
    other = deepcopy(start)
    other["messages"] = json.loads(json.dumps(start["messages"]).replace("rsi-analyzer", "another"))
    whole, ablation = record([start], "b" * 12), record([other], "c" * 12)
    assert explain(start, record([]), ablation, whole)[0].count("b" * 12) == 1
    assert explain(start, record([]), ablation)[0].count("c" * 12) == 1, "where there is no other, it is the one"


def test_sub_agents_that_were_told_the_same_are_compared_with_their_own_request(
    asked: Mapping[Any, Body], record: Record
) -> None:
    what = strategy(agents(prompt=f"You read. {PRICE}"))
    _, *changes = explain(asked[ORCHESTRATOR, 0], record([], "b"), record(asked.values()), what=what)
    assert changes == [
        f'The prompt of sub-agent \'price-monitor\' changed: line 1: "You watch. {PRICE}" → "You read. {PRICE}".'
    ]
