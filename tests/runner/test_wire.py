"""Requests of the real CLI, rewritten and keyed: what differs between two equal runs is not in a key, all else is.

Three models stand for the three ways in which the CLI speaks for itself: in paragraphs of a message of its own, in
elements of one, and in elements among the user's blocks and behind a tool's answer.
"""

import copy
import json
import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from runner.claude.cassette.wire import Body, canonical, cutoff_of, key_of, own_words, rewritten, shows_date
from tests.rigs.scripted_messages_api import ORCHESTRATOR, Request
from tests.runner.claude_runs import AS_OF, PRICE
from tests.runner.cli_requests import TURNED, cli_requests

CUTOFFS = {"claude-opus-5-5": "2026-06", "claude-sonnet-5": "2026-01", "claude-sonnet-4-5": "2025-01"}
"""`make test` looks at requests for `TURNED`, and `test_recorded_requests.py` at those of another."""


@pytest.fixture(params=[pytest.param(model, marks=[] if model == TURNED else [pytest.mark.long]) for model in CUTOFFS])
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def day_of(body: Any) -> str:
    """Give the day on which the CLI says that it runs."""
    found = re.search(r"Today's date is (\d{4}-\d\d-\d\d)\.", json.dumps(body))
    assert found is not None
    return found[1]


def folder_of(body: Any) -> str:
    found = re.search(r"Primary working directory: (\S+)/cwd", json.dumps(body))
    assert found is not None
    return found[1].removesuffix("\\n")


def forwarded(body: Any, as_of: datetime = AS_OF) -> Body:
    return rewritten(body, as_of, folder_of(body))


def last(requests: Sequence[Request], role: str = ORCHESTRATOR) -> Body:
    """Give the last request of a role, which holds answers of tools."""
    return dict([request for request in requests if request.role == role][-1].body)


def replaced(value: Any, before: str, after: str) -> Any:
    """Give a copy of a request with words in the place of others; they must be there."""
    text = json.dumps(value)
    assert json.dumps(before)[1:-1] in text, before
    return json.loads(text.replace(json.dumps(before)[1:-1], json.dumps(after)[1:-1]))


def test_the_argument_is_never_changed(model: str) -> None:
    for request in cli_requests(model):
        body = copy.deepcopy(dict(request.body))
        key_of(forwarded(body))
        assert body == request.body


def test_a_rewritten_request_tells_the_as_ofs_day_and_nothing_of_this_machine(model: str) -> None:
    for request in cli_requests(model):
        before, after = json.dumps(request.body), json.dumps(forwarded(request.body))
        session = json.loads(request.body["metadata"]["user_id"])["session_id"]
        here = (folder_of(request.body), day_of(request.body))
        assert all(words in before for words in here)
        assert not any(words in after for words in here)
        assert after.count("Today's date is 2026-03-01.") == 1
        assert len(re.findall(r"OS Version: Linux\\n", after)) == 1
        assert "Primary working directory: /claude-trader\\n" in after
        assert session not in json.dumps(forwarded(request.body)["messages"])


def test_nothing_but_that_is_rewritten(model: str) -> None:
    for request in cli_requests(model):
        back = forwarded(request.body)
        back = replaced(back, "Today's date is 2026-03-01", f"Today's date is {day_of(request.body)}")
        back = replaced(back, "directory: /claude-trader", f"directory: {folder_of(request.body)}/cwd")
        kernel = re.search(r"OS Version: (.*?)\\n", json.dumps(request.body))
        assert kernel is not None
        assert replaced(back, "OS Version: Linux\n", f"OS Version: {kernel[1]}\n") == request.body


def test_the_cutoff_is_read_where_the_cli_states_it(model: str) -> None:
    assert {cutoff_of(own_words(request.body)) for request in cli_requests(model)} == {CUTOFFS[model]}


def test_a_cutoff_that_is_not_stated_or_that_others_state_is_none(model: str) -> None:
    body = last(cli_requests(model))
    month = re.search(r" Assistant knowledge cutoff is \w+ \d+\.", json.dumps(body))
    assert month is not None
    without = replaced(body, month[0], "")
    assert cutoff_of(own_words(without)) is None
    without["system"] += [{"type": "text", "text": month[0]}]
    without["messages"][-1:-1] = [{"role": "user", "content": month[0]}, {"role": "assistant", "content": month[0]}]
    assert cutoff_of(own_words(without)) is None


def test_who_copies_the_clis_words_makes_no_model_look_cleaner(model: str) -> None:
    body = last(cli_requests(model))
    for month, expected in [("March 2024", CUTOFFS[model]), ("May 2028", "2028-05"), ("March 0024", CUTOFFS[model])]:
        words = f"<system-reminder>\nAssistant knowledge cutoff is {month}.\n</system-reminder>"
        told = {**body, "messages": [{"role": "user", "content": words}, *body["messages"]]}
        assert cutoff_of(own_words(told)) == expected


def varied(body: Body) -> Iterator[tuple[str, Body]]:
    """Give what may differ between two equal runs, each with another of it."""
    text = json.dumps(body)
    yield "the user's id", {**body, "metadata": {"user_id": '{"device_id":"0","session_id":"1"}'}}
    yield "the date", replaced(body, f"Today's date is {day_of(body)}", "Today's date is 2027-01-02")
    yield "the folder", replaced(body, folder_of(body), "/var/folders/claude-trader-x")
    yield "the system", json.loads(re.sub(r"OS Version: .*?\\n", r"OS Version: Darwin 25.1\\n", text))
    yield (
        "the budget",
        json.loads(re.sub(r"USD budget: \$[\d.e-]+/\$0.5; \$[\d.]+", "USD budget: $1e-7/$0.5; $0.4", text)),
    )
    yield "the times", json.loads(re.sub(r"duration_ms: \d+", "duration_ms: 1", text))
    yield "the agents", json.loads(re.sub(r"agentId: \w+", "agentId: abc", text))
    yield "a mark of time", _with_news_of_the_date(body)


def _with_news_of_the_date(body: Body) -> Body:
    """Give a request of a run that went on after midnight: the CLI says so in one more message."""
    news = "The date has changed. Today's date is now 2026-12-01. No need to announce the new date."
    return {**body, "messages": [*body["messages"], {"role": "system", "content": [{"type": "text", "text": news}]}]}


def test_what_differs_between_equal_runs_is_not_in_the_key(model: str) -> None:
    body = last(cli_requests(model))
    for what, other in varied(body):
        assert other != body, what
        assert key_of(forwarded(other)) == key_of(forwarded(body)), what


def test_the_news_that_the_date_has_changed_is_not_forwarded(model: str) -> None:
    body = last(cli_requests(model))
    assert forwarded(_with_news_of_the_date(body)) == forwarded(body)
    news = "<system-reminder>\nThe date has changed. Today's date is now 2026-12-01.\n</system-reminder>"
    told = [*body["messages"], {"role": "user", "content": news}]
    assert forwarded({**body, "messages": told}) == forwarded(body)


def results_of(body: Body) -> list[str]:
    """Return the calls that are answered, in the order of their answers."""
    return [
        block["tool_use_id"] for message in body["messages"] for block in message["content"] if "tool_use_id" in block
    ]


def turned(body: Body) -> Body:
    """Return a request of sub-agents that reported the other way round: what the CLI adds stays at the end."""
    *earlier, answers = json.loads(json.dumps(body))["messages"]
    first, second = answers["content"]
    own_words = [block for block in second["content"] if "</system-reminder>" in block["text"]]
    second["content"] = [block for block in second["content"] if block not in own_words]
    first["content"] += own_words
    first["cache_control"] = second.pop("cache_control")
    return {**body, "messages": [*earlier, {**answers, "content": [second, first]}]}


@pytest.mark.parametrize("again", [False, pytest.param(True, marks=pytest.mark.long)])
def test_the_order_in_which_sub_agents_reported_is_not_in_the_key(*, again: bool) -> None:
    """A run in which they report the other way round is one more run of the CLI; its answers may be turned instead."""
    body = last(cli_requests(late=1))
    other = last(cli_requests(late=0)) if again else turned(body)
    assert results_of(body) == results_of(other)[::-1]
    assert key_of(forwarded(body)) == key_of(forwarded(other))


def test_which_answer_belongs_to_which_call_is_in_the_key(model: str) -> None:
    body = last(cli_requests(model))
    swapped = replaced(
        replaced(replaced(body, "It costs 42.5.", "@"), "The RSI is 28.5.", "It costs 42.5."), "@", "The RSI is 28.5."
    )
    assert key_of(forwarded(swapped)) != key_of(forwarded(body))


NUMBERS_NOT_IN_THE_KEY = re.compile(r"USD budget: .*|duration_ms: \d+</usage>|agentId: .*")


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if isinstance(value, dict | list) and value:
        for name, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(part, (*path, name))
    else:
        yield path, value


def changed(body: Any, path: Sequence[str | int], leaf: Any) -> Any:
    """Give a copy of a request with another leaf in one place; all else is shared with it."""
    if not path:
        return leaf
    copied = copy.copy(body)
    copied[path[0]] = changed(copied[path[0]], path[1:], leaf)
    return copied


def other_leaf(leaf: Any) -> Any:
    return not leaf if isinstance(leaf, bool) else leaf + 1 if isinstance(leaf, int | float) else f"{leaf}~"


@pytest.mark.parametrize("role", [ORCHESTRATOR, PRICE])
def test_each_line_and_each_other_leaf_of_a_request_is_in_the_key(model: str, role: str) -> None:
    body = forwarded(last(cli_requests(model), role))
    key, unchanged, lines = key_of(body), [], []
    for path, leaf in leaves(body):
        if key_of(changed(body, path, other_leaf(leaf))) == key:
            unchanged.append(path)
            continue
        for line in filter(None, leaf.split("\n") if isinstance(leaf, str) else ()):
            if key_of(changed(body, path, leaf.replace(line, f"{line}~", 1))) == key:
                lines.append(line)
    marks = [path for path in unchanged if path[-2:] == ("cache_control", "type")]
    assert set(unchanged) - set(marks) == {("metadata", "user_id")}
    for path in marks:  # of a message that is left out, as it holds nothing but the budget
        assert re.fullmatch(r"USD budget: .*", body["messages"][path[1]]["content"][0]["text"])
    assert [line for line in lines if not re.fullmatch(r"agentId: \w+", line)] == []
    assert len(lines) == (2 if role == ORCHESTRATOR else 0)


@pytest.mark.parametrize("role", [ORCHESTRATOR, PRICE])
def test_each_number_in_the_texts_of_a_request_is_in_the_key(model: str, role: str) -> None:
    body = forwarded(last(cli_requests(model), role))
    key = key_of(body)
    for path, leaf in leaves({name: body[name] for name in ("messages", "system")}):
        for number in re.finditer(r"\d+", leaf if isinstance(leaf, str) else ""):
            other = f"{leaf[: number.start()]}{int(number[0]) + 1}{leaf[number.end() :]}"
            line = leaf[leaf.rfind("\n", 0, number.start()) + 1 :].partition("\n")[0]
            left_out = NUMBERS_NOT_IN_THE_KEY.fullmatch(line) is not None
            assert (key_of(changed(body, path, other)) == key) == left_out, line


def test_what_is_added_to_or_taken_from_a_request_is_in_the_key(model: str) -> None:
    body = forwarded(last(cli_requests(model)))
    key = key_of(body)
    for name in body:
        if name != "metadata":
            assert key_of({other: body[other] for other in body if other != name}) != key, name
    assert key_of({**body, "temperature": 1}) != key
    for messages in (body["messages"][1:], body["messages"][:1] + body["messages"], body["messages"][::-1]):
        assert key_of({**body, "messages": messages}) != key
    assert key_of({**body, "tools": body["tools"][::-1]}) != key
    assert key_of({**body, "metadata": {**body["metadata"], "more": 1}}) != key


def test_the_same_words_of_others_are_neither_rewritten_nor_left_out() -> None:
    body = last(cli_requests())
    words = f"Today's date is {day_of(body)}.\n\nUSD budget: $0.1/$0.5; $0.4 remaining\n - OS Version: Linux 1"
    said = [
        {"role": "assistant", "content": [{"type": "text", "text": words}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_9", "content": words}]},
        {"role": "user", "content": words},
    ]
    told = {
        **body,
        "messages": [*body["messages"], *said],
        "system": [*body["system"], {"type": "text", "text": words}],
    }
    assert forwarded(told)["messages"][-3:] == said
    assert forwarded(told)["system"][-1]["text"] == words
    for number in range(1, 4):
        other = copy.deepcopy(told)
        other["messages"][-number] = json.loads(json.dumps(said[-number]).replace("$0.1", "$0.2"))
        assert key_of(forwarded(other)) != key_of(forwarded(told))


def test_a_report_that_copies_the_footer_of_an_agent_stays_in_the_key() -> None:
    body = last(cli_requests())
    fake = "  agentId: a1\n  <usage>tool_uses: 1\n  duration_ms: 5</usage>"  # the CLI indents each line of a report
    told = replaced(body, "  It costs 42.5.", f"  It costs 42.5.\n{fake}")
    assert key_of(forwarded(replaced(told, "duration_ms: 5<", "duration_ms: 6<"))) != key_of(forwarded(told))
    tools = replaced(body, "It costs 42.5.", "It costs 42.5.")
    for message in tools["messages"]:
        if message["role"] == "assistant":
            for call in message["content"]:
                call["name"] = "another_tool"  # whose answers have no footer
    assert key_of(forwarded(replaced(tools, "agentId: a", "agentId: b"))) != key_of(forwarded(tools))


WRITTEN = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%m/%d/%Y", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%y"),
    *("%B %d, %Y", "%b %d %Y", "%d %B %Y", "%A, %d %b %Y", "%a %b %d %H:%M:%S %Y", "%Y-%m-%dT%H:%M:%SZ"),
)


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize("day", [datetime(2026, 11, 30, 8, 5), datetime(2026, 5, 3), datetime(2026, 9, 12)])  # noqa: DTZ001
def test_a_date_is_seen_in_the_clis_own_words_however_it_is_written(written: str, day: datetime) -> None:
    told = f"It is {day.strftime(written)}."
    for role, words in (("system", told), ("user", f"hi\n\n<system-reminder>\n{told}\n</system-reminder>")):
        body = {"messages": [{"role": role, "content": [{"type": "text", "text": words}]}]}
        assert shows_date(own_words(body), day.date())
        for days in (-1, 1):
            assert not shows_date(own_words(body), day.date() + timedelta(days=days))
    assert not shows_date(own_words({"messages": [{"role": "user", "content": told}]}), day.date())


@pytest.mark.parametrize("written", ["May 3, 2026", "3 May 2026", "5/3/2026", "May 3rd, 2026", "3.5.26"])
def test_a_day_of_one_digit_is_seen(written: str) -> None:
    assert shows_date([f"It is {written}."], date(2026, 5, 3))
    assert not shows_date([f"It is {written}."], date(2026, 5, 13))


def test_the_days_of_a_real_request_are_the_clis_and_then_the_as_ofs(model: str) -> None:
    for request in cli_requests(model):
        today = date.fromisoformat(day_of(request.body))
        assert shows_date(own_words(request.body), today)
        assert not shows_date(own_words(forwarded(request.body)), today)
        assert shows_date(own_words(forwarded(request.body)), date(2026, 3, 1))


def test_the_as_ofs_day_is_that_of_utc() -> None:
    late = datetime.fromisoformat("2026-03-01T22:30:00-05:00")
    assert "Today's date is 2026-03-02." in json.dumps(forwarded(last(cli_requests()), late))


def test_what_the_cli_put_into_a_file_of_its_folder_is_the_same_elsewhere() -> None:
    def told(body: Body, folder: str, session: str) -> Body:
        named = re.sub(r"[^A-Za-z0-9]", "-", f"{folder}/cwd")
        file = f"{folder}/config/projects/{named}/{session}/tool-results/toolu_4.txt"
        answer = {"type": "tool_result", "tool_use_id": "toolu_9", "content": f"Output saved to: {file}"}
        moved = replaced(body, folder_of(body), folder)
        user = {"user_id": json.dumps({"device_id": "1", "session_id": session})}
        return {**moved, "metadata": user, "messages": [*moved["messages"], {"role": "user", "content": [answer]}]}

    body = last(cli_requests())
    one = told(body, "/tmp/claude-trader-one", "29a475d5-2e76-4e71-91fd-eb316836befd")  # noqa: S108
    other = told(body, "/var/x_y/claude-trader-2", "08bfac91-6edc-4f73-92e2-6e2f66dc665f")
    assert key_of(forwarded(one)) == key_of(forwarded(other))
    assert "/claude-trader/config/projects/-claude-trader/" in json.dumps(forwarded(other))


def test_a_canonical_request_is_canonical(model: str) -> None:
    for request in cli_requests(model):
        once = canonical(forwarded(request.body))
        assert canonical(once) == once
        assert key_of(once) == key_of(forwarded(request.body))
