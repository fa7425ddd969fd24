"""The real CLI through the recording proxy: what the API is asked, and that nobody is asked for it again.

Nor is a replay without one of the sub-agents: its first reply is derived, and what the others said is taken over.
"""

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from platform import release
from tempfile import gettempdir
from typing import Any, cast
from weakref import WeakValueDictionary

import anyio
import httpx2
import psutil
import pytest

from mcp_server.domain.outcome import Outcome, Status
from mcp_server.domain.strategy.strategy import Strategy
from runner.claude.cassette.ablation import Ablation, MomentReuse, without_agents
from runner.claude.cassette.cassettes import Cassette
from runner.claude.cassette.derived_reply import without_starts
from runner.claude.proxy.answering import Answering, Send
from runner.claude.proxy.model_request import MESSAGES, CliRequest, ModelRequest
from runner.claude.proxy.reply_cost import live_share
from runner.claude.proxy.session import Session
from runner.claude.proxy.upstream import Upstream
from runner.claude.recorder import ModelRecorder
from runner.claude.recording import NO_CREDENTIAL, Proxy
from tests.rigs.processes import command_line
from tests.rigs.scripted_messages_api import ORCHESTRATOR, Request, ScriptedMessagesApi, Step
from tests.rigs.tool_server import ToolServer
from tests.runner.claude_runs import AS_OF, KEY, PRICE, RSI, script, strategy
from tests.runner.recorded_runs import RecordedRun, prompts_of, run_on

LONG = pytest.mark.long
MODELS = (
    pytest.param((None, "claude-sonnet-5-5", "2026-06", "CLAUDE_CODE_OAUTH_TOKEN"), marks=LONG, id="none"),
    pytest.param(("claude-sonnet-5", "claude-sonnet-5", "2026-01", "ANTHROPIC_AUTH_TOKEN"), id="claude-sonnet-5"),
    pytest.param(
        ("claude-sonnet-4-5", "claude-sonnet-4-5", "2025-01", "ANTHROPIC_API_KEY"), marks=LONG, id="claude-sonnet-4-5"
    ),
)
"""One for each way in which the CLI tells a model the date: as a strategy names it, as the CLI does, its cutoff, and
the variable that holds the credential. Where a strategy names no model, it rests on the credential which one the CLI
takes. `test_wire.py` looks at requests of all three ways."""

WRITTEN = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%m/%d/%Y", "%d.%m.%Y", "%d/%m/%Y"),
    *("%B %d, %Y", "%b %d, %Y", "%B %d %Y", "%d %B %Y", "%d %b %Y", "%a %b %d"),
)


def of_this_machine() -> Iterator[str]:
    """Give what no request may contain: any way of writing today, the CLI's folder, the kernel's version."""
    now = datetime.now(UTC)
    for days in (-1, 0, 1):
        yield from {(now + timedelta(days=days)).strftime(written) for written in WRITTEN}
    yield f"{gettempdir()}/claude-trader-"
    yield f"{re.sub('[^A-Za-z0-9]', '-', gettempdir())}-claude-trader-"
    yield release()


@dataclass
class Twice:
    """A run that was recorded, and then repeated with nobody there to ask."""

    what: Strategy
    model: str
    cutoff: str
    credential: str
    requests: list[Request]
    recorded: RecordedRun
    repeated: RecordedRun
    cassette: Cassette
    arguments: list[str]
    """The command lines of all processes that the run had started."""


@pytest.fixture(scope="module")
def tool_server() -> Iterator[ToolServer]:
    with ToolServer() as server:
        yield server


@pytest.fixture(scope="module", params=MODELS)
def twice(tool_server: ToolServer, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Twice:
    """Both runs, for one of the models."""
    named, model, cutoff, credential = request.param
    arguments, what = list[str](), strategy(None, **({"model": named} if named else {}))
    cassette = Cassette(tmp_path_factory.mktemp("cassettes"), "dip", "0123456789ab")

    def look(_: Request, step: Step) -> Step:
        arguments.extend(command_line(process) for process in psutil.Process().children(recursive=True))
        return step

    async def record_and_repeat() -> Twice:
        with ScriptedMessagesApi(script(), look, never=of_this_machine()) as api:
            environment = {"ANTHROPIC_BASE_URL": api.url, credential: KEY}
            recorded = await run_on(cassette, tool_server.url, api.url, what, environment=environment, key="1")
        repeated = await run_on(cassette, tool_server.url, what=what, mode="rerun", key="2")
        return Twice(what, model, cutoff, credential, api.requests, recorded, repeated, cassette, arguments)

    return anyio.run(record_and_repeat)


def test_each_request_tells_the_as_ofs_day_and_no_other(twice: Twice) -> None:
    requests = twice.requests  # the API has looked at each byte of them for what must not be there
    assert sorted((request.role, request.turn) for request in requests) == sorted(
        (role, turn) for role in (ORCHESTRATOR, PRICE, RSI) for turn in (0, 1)
    )
    for request in requests:
        assert re.findall(r"Today's date is (.*?)\.", request.text) == ["2026-03-01"]
        assert set(re.findall(r"\b20\d\d-\d\d-\d\d\b", request.text)) == {"2026-03-01"}
        assert "Primary working directory: /claude-trader\\n" in request.text
        assert "OS Version: Linux\\n" in request.text


def test_a_run_is_repeated_without_anybody_to_ask(twice: Twice) -> None:
    recorded, repeated = twice.recorded, twice.repeated
    assert recorded.outcome.status is Status.SUCCESS
    assert recorded.outcome.cost_usd == recorded.outcome.recorded_usd
    assert recorded.outcome.trace is not None
    where = f"{twice.cassette.root.name}/dip/0123456789ab/20260301T120000Z"
    assert recorded.outcome.trace["requests"] == {"from_cassette": 0, "asked": 6, "cassette": where}
    kept = {json.dumps({**one.request, "metadata": {}}, sort_keys=True) for one in twice.cassette.at(AS_OF)}
    assert kept == {json.dumps({**one.body, "metadata": {}}, sort_keys=True) for one in twice.requests}, "word for word"
    replies = "".join(one.reply for one in twice.cassette.at(AS_OF))
    assert all(words in replies for words in ("It costs 42.5.", "The RSI is 28.5.", "StructuredOutput"))
    may_know = twice.cutoff >= "2026-01"
    assert (repeated.outcome.knowledge_cutoff, repeated.outcome.contaminated) == (twice.cutoff, may_know)
    assert (recorded.session.asked, recorded.session.hits) == (6, 0)
    assert (repeated.session.asked, repeated.session.hits, repeated.session.drift) == (0, 6, None)
    assert repeated.outcome.signal == recorded.outcome.signal
    assert repeated.outcome.error == recorded.outcome.error
    assert repeated.outcome.tokens_used == recorded.outcome.tokens_used
    assert (repeated.outcome.cost_usd, repeated.outcome.recorded_usd) == (Decimal(0), recorded.outcome.cost_usd)


def test_the_cutoff_of_a_model_is_read_from_its_requests(twice: Twice) -> None:
    for run in (twice.recorded, twice.repeated):
        assert run.session.cutoffs == {twice.model: twice.cutoff}


def test_a_credential_reaches_the_api_and_nothing_else(twice: Twice) -> None:
    for request in twice.requests:
        sent = (request.headers.get("x-api-key"), request.headers.get("authorization"))
        assert sent == ((KEY, None) if twice.credential == "ANTHROPIC_API_KEY" else (None, f"Bearer {KEY}"))
    assert any("/_bundled/claude" in line for line in twice.arguments)
    kept = json.dumps([(reply.request, reply.reply) for reply in twice.cassette.at(AS_OF)])
    for secret in (KEY, twice.recorded.session.url.rpartition("/")[2]):
        assert not [line for line in twice.arguments if secret in line]
        assert secret not in kept + repr(twice.recorded.outcome)
    assert twice.repeated.session.environment[twice.credential] == NO_CREDENTIAL


@LONG
async def test_only_what_is_missing_is_asked_for_and_paid(
    twice: Twice, tool_server: ToolServer, tmp_path: Path
) -> None:
    """In `make test`, `test_recording.py` asks for a reply once, and `test_recorder.py` has what a run has paid."""
    cassette = replace(twice.cassette, root=tmp_path)
    replies = twice.cassette.at(AS_OF)
    for recorded in replies[:-1]:
        cassette.keep(AS_OF, recorded)
    assert len(replies) == 6
    with ScriptedMessagesApi(script()) as api:
        environment = {"ANTHROPIC_BASE_URL": api.url, twice.credential: KEY}
        again = await run_on(cassette, tool_server.url, api.url, twice.what, environment=environment, key="2")
    assert [(request.role, request.turn) for request in api.requests] == [(ORCHESTRATOR, 1)]
    assert (again.session.asked, again.session.hits) == (1, 5)
    assert twice.recorded.outcome.cost_usd is not None
    account = {twice.model: {"costUSD": float(twice.recorded.outcome.cost_usd)}}
    assert live_share(account, again.session.usages) == twice.recorded.outcome.cost_usd / 6  # equal tokens each
    assert again.outcome.cost_usd == twice.recorded.outcome.cost_usd / 6
    assert again.outcome.recorded_usd == twice.recorded.outcome.cost_usd


PRICE_AGENT, RSI_AGENT = "price-monitor", "rsi-analyzer"
HOUR = timedelta(hours=1)


class Opening:
    """The first request of the recorded moment."""

    def __init__(self, twice: Twice) -> None:
        self.recorded = twice.cassette.at(AS_OF)[0]
        self.content = self.recorded.request["messages"][0]["content"]
        self.listed: str = self.content if isinstance(self.content, str) else self.content[-1]["text"]
        self.without = re.sub(r',\s*"rsi-analyzer": "[^"]*"', "", self.listed)
        assert self.without != self.listed

    def request(self, task: str, **other: Any) -> dict[str, Any]:
        """Return it with another task."""
        own = deepcopy(dict(self.recorded.request))
        content = task if isinstance(self.content, str) else [*self.content[:-1], {**self.content[-1], "text": task}]
        return {**own, **other, "messages": [{"role": "user", "content": content}, *own["messages"][1:]]}


def test_nothing_is_derived_of_a_first_reply_that_did_not_start_all(twice: Twice, tmp_path: Path) -> None:
    opening, base = Opening(twice), replace(twice.cassette, root=tmp_path)
    reply = without_starts(opening.recorded, frozenset({PRICE_AGENT}))
    base.keep(AS_OF, replace(opening.recorded, reply=reply))
    ablation = Ablation(base, frozenset({RSI_AGENT}))
    assert ablation.reply(AS_OF, "new", opening.request(opening.without)) is None
    less = without_agents(twice.what, [RSI_AGENT])
    assert ablation.reuse(AS_OF, replace(twice.cassette, root=tmp_path), prompts_of(less)) == MomentReuse(0, 0, None)


def test_what_was_recorded_with_all_is_not_asked_again(twice: Twice) -> None:
    ablation = Ablation(twice.cassette, frozenset({RSI_AGENT}))
    for recorded in twice.cassette.at(AS_OF):
        assert ablation.reply(AS_OF, recorded.key, recorded.request) == recorded


def test_nothing_is_derived_of_a_request_that_differs_in_more_than_its_sub_agents(twice: Twice) -> None:
    ablation = Ablation(twice.cassette, frozenset({RSI_AGENT}))
    opening = Opening(twice)
    request, without, listed = opening.request, opening.without, opening.listed
    assert ablation.reply(AS_OF, "new", request(without)) is not None
    assert ablation.reply(AS_OF, "new", request(without.replace("Strategy: dip", "Strategy: dup"))) is None
    assert ablation.reply(AS_OF, "new", request(without, model="another")) is None
    assert ablation.reply(AS_OF + HOUR, "new", request(without)) is None
    assert ablation.reply(AS_OF, "new", request(listed)) is None


async def test_what_is_derived_is_marked_kept_for_a_rerun_and_told(twice: Twice, tmp_path: Path) -> None:
    own, opening = replace(twice.cassette, root=tmp_path), Opening(twice)
    less = without_agents(twice.what, [RSI_AGENT])
    ablation = Ablation(twice.cassette, frozenset({RSI_AGENT}))
    assert ablation.reuse(AS_OF, own, prompts_of(less)) == MomentReuse(on_cassette=2, derived=1, to_ask=1)
    session = Session(AS_OF, tmp_path, own, "with less", reused=partial(ablation.reply, AS_OF))
    request = CliRequest("POST", MESSAGES, [], b"{}")
    question = ModelRequest(request, opening.request(opening.without), "new", "m", None, Decimal(0))
    answering = Answering(session, cast(Upstream, None), httpx2.AsyncHTTPTransport(), WeakValueDictionary())

    async def send(content: bytes, *, last: bool = False) -> None:
        assert last

    async def begin(*_: object) -> Send:
        return send

    derived = await answering._reused(question)
    assert derived is not None
    await answering._give(derived, begin)
    assert [(one.key, one.derived_from) for one in own.at(AS_OF)] == [("new", opening.recorded.key)]
    recorder = ModelRecorder(cast(Proxy, None), own)
    told = recorder.accounted(Outcome(Status.ABSTAINED, error="why"), None, session, AS_OF)
    assert told.trace is not None
    assert told.trace["requests"]["derived"] == 1


def test_where_nothing_is_recorded_a_whole_run_is_asked(twice: Twice, tmp_path: Path) -> None:
    less = without_agents(twice.what, [RSI_AGENT])
    ablation = Ablation(twice.cassette, frozenset({RSI_AGENT}))
    assert ablation.reuse(AS_OF + HOUR, replace(twice.cassette, root=tmp_path), prompts_of(less)) == MomentReuse(
        0, 0, None
    )
