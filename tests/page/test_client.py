"""What the page makes of a server's answers, and of figures: its modules, run by Node with answers from a script."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from mcp_server.domain.backtest.summary import probability
from mcp_server.domain.text import share
from tests.page.node import PAGE, Node

ASK = """
const answers = %s, asked = [];
globalThis.document = { querySelector: () => null };
globalThis.setTimeout = (f, ms) => { if (ms < 40_000) { asked.push(ms); queueMicrotask(f); } };
globalThis.fetch = async (url, options) => {
  asked.push({ url, headers: options.headers, body: JSON.parse(options.body) });
  const [status, type, body, headers] = answers.shift();
  if (status === 0) throw new TypeError("Failed to fetch");
  return new Response(body, { status, headers: { "Content-Type": type, ...headers } });
};
const client = await import("%s/client.js");
const call = () => client.httpClient({ asOf: %s }).call("list_signals", { limit: 3 }).then(
  (answer) => ({ answer, rows: client.rowsOf(answer), asked }),
  (error) => ({ error: error.constructor.name, ...error, asked }));
const results = [];
while (answers.length) results.push(await call());
console.log(JSON.stringify(results));
"""

JSON, STREAM = "application/json", "text/event-stream"
TABLE = {"columns": ["a", "b"], "rows": [[1, 2], [3, None]]}
GOOD = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"structuredContent": TABLE, "isError": False}})


Calls = Callable[..., Any]


@pytest.fixture(scope="module")
def calls(node: Node) -> Calls:
    """Call a tool through the page's client while the server has answers left: (status, type, body, headers)."""

    def ask(*answers: tuple[Any, ...], as_of: str | None = None) -> Any:
        return node(ASK % (json.dumps(answers), PAGE, json.dumps(as_of)))

    return ask


@pytest.fixture(scope="module")
def call(calls: Calls) -> Calls:
    """Call a tool once; the server gives these answers in turn."""

    def ask(*answers: tuple[Any, ...], as_of: str | None = None) -> Any:
        (told,) = calls(*answers, as_of=as_of)
        return told

    return ask


def error_result(text: str, **meta: Any) -> str:
    result = {"content": [{"type": "text", "text": text}], "isError": True}
    if meta:
        result["_meta"] = {f"claude-trader/{key}": value for key, value in meta.items()}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": result})


def test_a_call_is_one_request_without_a_session(call: Calls) -> None:
    told = call((200, JSON, GOOD), as_of="2026-05-01T00:00:00Z")
    (asked,) = told["asked"]
    assert asked["url"] == "/mcp"
    assert asked["headers"]["MCP-Protocol-Version"] == "2026-07-28"
    assert (asked["headers"]["MCP-Method"], asked["headers"]["MCP-Name"]) == ("tools/call", "list_signals")
    assert asked["headers"]["X-Trader-As-Of"] == "2026-05-01T00:00:00Z"
    assert asked["body"]["params"]["arguments"] == {"limit": 3}


def test_the_present_is_asked_for_without_a_moment(call: Calls) -> None:
    assert "X-Trader-As-Of" not in call((200, JSON, GOOD))["asked"][0]["headers"]


def test_rows_are_read_by_the_names_of_their_columns(call: Calls) -> None:
    assert call((200, JSON, GOOD))["rows"] == [{"a": 1, "b": 2}, {"a": 3, "b": None}]


def test_an_answer_that_comes_as_a_stream_is_read_past_its_pings_and_its_progress(call: Calls) -> None:
    progress = json.dumps({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": 1}})
    stream = (
        f": ping\r\n\r\nevent: message\r\ndata: {progress}\r\n\r\n: ping\r\n\r\nevent: message\r\ndata: {GOOD}\r\n\r\n"
    )
    assert call((200, STREAM, stream))["answer"] == TABLE


def test_what_a_tool_says_is_wrong_comes_in_its_parts(call: Calls) -> None:
    told = call((200, JSON, error_result("P R", problem="P", remedy="R", kind="Retryable", retryable=True)))
    assert told["error"] == "ToolProblem"
    assert [told[part] for part in ("problem", "remedy", "kind", "retryable")] == ["P", "R", "Retryable", True]


def test_an_error_without_parts_is_its_text(call: Calls) -> None:
    told = call((200, JSON, error_result("Two arguments are wrong.")))
    assert [told[part] for part in ("problem", "remedy", "retryable")] == ["Two arguments are wrong.", "", False]


def test_a_refusal_of_the_server_is_told_in_its_own_words(call: Calls) -> None:
    refusal = json.dumps({"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "Ask for less."}})
    told = call((413, JSON, refusal))
    assert (told["error"], told["problem"]) == ("ToolProblem", "Ask for less.")


@pytest.mark.parametrize(
    ("status", "error"), [(401, "SignedOut"), (500, "Unreachable"), (502, "Unreachable"), (0, "Unreachable")]
)
def test_a_server_that_wants_a_token_differs_from_one_that_is_not_there(call: Calls, status: int, error: str) -> None:
    assert call((status, "text/html", "<h1>Bad gateway</h1>"))["error"] == error


def test_a_client_that_asked_too_often_waits_for_as_long_as_it_is_told(call: Calls) -> None:
    told = call((429, JSON, "{}", {"Retry-After": "3"}), (200, JSON, GOOD))
    assert told["answer"] == TABLE
    assert told["asked"][1] == 3_000


def test_it_does_not_ask_for_ever(call: Calls) -> None:
    refusal = json.dumps({"jsonrpc": "2.0", "id": None, "error": {"code": -32000, "message": "Too many calls."}})
    told = call(*[(429, JSON, refusal, {"Retry-After": "1"})] * 3)
    assert (told["problem"], told["retryable"]) == ("Too many calls.", True)


UNLIKE_ANSWERS = [
    "", "{", "null", "[]", "<html>", "{}", '{"id":1}', '{"id":1,"result":null}', '{"id":1,"result":7}',
    '{"id":1,"result":{}}', '{"id":1,"result":{"structuredContent":null}}', '{"id":1,"result":{"content":[]}}',
]  # fmt: skip


@pytest.mark.parametrize(("kind", "form"), [(JSON, "{}"), (STREAM, "data: {}\n\n")])
def test_what_is_no_answer_is_a_problem_that_says_what_to_do(calls: Calls, kind: str, form: str) -> None:
    results = calls(*[(200, kind, form.replace("{}", body)) for body in UNLIKE_ANSWERS])
    assert len(results) == len(UNLIKE_ANSWERS)
    for told in results:
        assert told["error"] == "ToolProblem"
        assert "could not be read" in told["problem"]
        assert "Reload" in told["remedy"]


FIGURES = """
const { likely, price, number, percent, share, usd, plural, momentText } = await import("%s/format.js");
console.log(JSON.stringify([
  [price(0.0000081), price(61234.56), price(0), price(-1.5)], [number(1234567.891), number(0.5, 3), number(0)],
  [percent(0.1), percent(-1.5), percent(0)], [usd(12), usd(0.0123), usd(0)], [plural(1, "run"), plural(1200, "run")],
  [price(null), number(null, 2), percent(null), usd(undefined)], [momentText("2020-05-20T12:00:00Z")],
  [percent(-0.004), percent(0.004), percent(-0.006), number(-0.3), usd(0.00004), usd(0.00006)],
  [0, 0.003, 0.006, 0.625, 0.635, 0.996, 1, null].map(share), [0.9499, 0.95, 0.996, 0.004, 0.29, null].map(likely),
  [number(0.125, 2), number(0.375, 2)],
]));
"""


def test_figures_are_those_of_people_and_unknown_is_never_0(node: Node) -> None:
    prices, numbers, percents, costs, counts, unknown, (moment,), near_nothing, shares, odds, ties = node(
        FIGURES % PAGE
    )
    assert prices == ["0.0000081", "61,234.56", "0", "\N{MINUS SIGN}1.5"]
    assert numbers == ["1,234,568", "0.500", "0"]
    assert percents == ["+0.10 %", "\N{MINUS SIGN}1.50 %", "0.00 %"]
    assert costs == ["$12.00", "$0.0123", "$0.00"]
    assert counts == ["1 run", "1,200 runs"]
    assert set(unknown) == {"unknown"}
    assert moment == "20 May 2020, 14:00"
    assert near_nothing == ["0.00 %", "0.00 %", "\N{MINUS SIGN}0.01 %", "0", "$0.00004", "$0.0001"]
    assert shares == [*map(share, (0.0, 0.003, 0.006, 0.625, 0.635, 0.996, 1.0)), "unknown"], "as the sentences say it"
    assert shares[3] == "62 %"
    assert odds == [*map(probability, (0.9499, 0.95, 0.996, 0.004, 0.29)), "unknown"]
    assert odds[:2] == ["94 %", "95 %"], "what is below the bar is not written as the bar"
    assert ties == [f"{0.125:.2f}", f"{0.375:.2f}"]


EVIDENCE = """
const { evidenceText } = await import("%s/format.js");
console.log(JSON.stringify([["skill", 25], ["skill", 12], ["none_yet", 12], ["none_yet", 0.5], ["too_few", null]]
  .map(([evidence, e_value]) => evidenceText({ evidence, e_value }))));
"""


def test_an_e_value_that_has_come_down_again_is_not_told_as_no_proof_beside_the_proof(node: Node) -> None:
    assert node(EVIDENCE % PAGE) == [
        "e-value 25.00: proof at 5 %, however often you look",
        "e-value 12.00: it has reached 20, proof at 5 %, however often you look",
        "e-value 12.00: some evidence; 20 would be proof, however often you look",
        "e-value 0.50: none; 20 would be proof, however often you look",
        "no e-value yet",
    ]
