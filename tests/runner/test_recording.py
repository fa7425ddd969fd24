"""The recording proxy between a client of the Messages API and the API: what it forwards, gives again and keeps."""

import gzip
import http.client
import json
import logging
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx2
import pytest

from runner.claude.cassette.cassettes import Cassette, TokenCounts
from runner.claude.proxy.replies import MOST_WAIT_S, retry_after_s
from runner.claude.proxy.session import Mode, Session
from runner.claude.recording import Proxy, recording_proxy
from tests.rigs.hand_fed_api import BREAK, EVENT_STREAM, Fed, HandFedApi, event, hand_fed_api, refusal, stream

AS_OF = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = "a-key-that-must-not-leak"
JSON = {"content-type": "application/json"}
ENVIRONMENT = (
    "# Environment\n - Primary working directory: {folder}/cwd\n - OS Version: Linux 9.9\n\n"
    "You are powered by {model}. Assistant knowledge cutoff is June 2026.\n\nToday's date is {today}."
)


@dataclass
class Client:
    """A client in the place of the CLI, in one session of the proxy."""

    session: Session
    http: httpx2.AsyncClient
    stopped: list[str]
    ended: anyio.Event

    def request(self, text: str = "What does it cost?", model: str = "claude-opus-5-5", **body: Any) -> httpx2.Request:
        today = f"{datetime.now(UTC):%Y-%m-%d}"
        told = ENVIRONMENT.format(folder=self.session.folder, model=model, today=today)
        messages = [{"role": "user", "content": text}, {"role": "system", "content": told}]
        content = {"model": model, "messages": messages, "stream": True, "metadata": {"user_id": "a-user-id"}, **body}
        headers = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
        return self.http.build_request(
            "POST", f"{self.session.url}/v1/messages?beta=true", headers=headers, json=content
        )

    async def ask(self, text: str = "What does it cost?", **body: Any) -> httpx2.Response:
        return await self.http.send(self.request(text, **body))

    async def ask_in_vain(self, text: str = "What does it cost?", **body: Any) -> None:
        """Ask what must not be answered, until the proxy ends the CLI; an answer fails the test."""
        async with anyio.create_task_group() as group:

            async def answered() -> None:
                await self.ask(text, **body)
                raise AssertionError("it was answered")

            group.start_soon(answered)
            await self.ended.wait()
            group.cancel_scope.cancel()


@pytest.fixture
def cassette(tmp_path: Path) -> Cassette:
    return Cassette(tmp_path / "cassettes", "dip", "0123456789ab")


@asynccontextmanager
async def client(
    proxy: Proxy, cassette: Cassette | None, mode: Mode = "record", run_key: str = "1", **decisions: Any
) -> AsyncIterator[Client]:
    stopped, ended = list[str](), anyio.Event()

    def stop(why: str) -> None:
        stopped.append(why)
        ended.set()

    session = Session(AS_OF, Path("/tmp/a-run"), cassette, run_key, mode, stop=stop, **decisions)  # noqa: S108
    async with httpx2.AsyncClient(trust_env=False, timeout=30, verify=False) as http:
        with proxy.session(session):
            yield Client(session, http, stopped, ended)


@asynccontextmanager
async def alone(api: HandFedApi, cassette: Cassette | None, **decisions: Any) -> AsyncIterator[Client]:
    async with recording_proxy({"ANTHROPIC_BASE_URL": api.url}) as proxy, client(proxy, cassette, **decisions) as one:
        yield one


def files(cassette: Cassette) -> list[Path]:
    return [file for file in cassette.root.rglob("*") if file.is_file() and not file.name.startswith(".")]


async def test_a_reply_is_asked_for_once_and_given_again_byte_for_byte(cassette: Cassette) -> None:
    with hand_fed_api(Fed(stream("It costs ", "42.5 €."))) as api:
        async with alone(api, cassette) as one:
            first, second = await one.ask(), await one.ask()
        assert (one.session.asked, one.session.hits, len(api.seen)) == (1, 1, 1)
    assert first.content == second.content == b"".join(stream("It costs ", "42.5 €."))
    assert first.headers["content-type"] == second.headers["content-type"] == EVENT_STREAM["content-type"]
    (recorded,) = cassette.at(AS_OF)
    assert (recorded.model, recorded.cutoff, recorded.paid_by) == ("claude-opus-5-5", "2026-06", "1")
    assert (recorded.usage.input, recorded.usage.output) == (100, 20)
    assert (recorded.usage.cache_read, recorded.usage.cache_creation, recorded.usage.cache_creation_1h) == (7, 3, 2)


async def test_what_is_forwarded_tells_the_as_ofs_day_and_nothing_of_this_machine(cassette: Cassette) -> None:
    with hand_fed_api(Fed(stream())) as api:
        async with alone(api, cassette) as one:
            await one.ask()
    (seen,) = api.seen
    told = seen.value["messages"][1]["content"]
    assert told == ENVIRONMENT.format(folder="", model="claude-opus-5-5", today="2026-03-01").replace(
        "/cwd", "/claude-trader"
    ).replace("Linux 9.9", "Linux")
    assert seen.target == "/v1/messages?beta=true"
    assert (seen.headers["x-api-key"], seen.headers["anthropic-version"]) == (KEY, "2023-06-01")


async def test_the_first_event_arrives_before_the_api_has_sent_the_last(cassette: Cassette) -> None:
    first, *rest = stream()
    rest_may_come = threading.Event()
    with hand_fed_api(Fed([first, rest_may_come, *rest])) as api:
        async with alone(api, cassette) as one:
            reply = await one.http.send(one.request(), stream=True)
            parts = reply.aiter_bytes()
            assert await anext(parts) == first
            assert files(cassette) == []
            rest_may_come.set()
            assert b"".join([part async for part in parts]) == b"".join(rest)
    assert len(files(cassette)) == 1


async def test_a_reply_is_kept_before_its_end_is_given_away(cassette: Cassette) -> None:
    *parts, last = stream()
    may_end = threading.Event()
    with hand_fed_api(Fed([*parts, last, may_end])) as api:  # the API's connection stays open behind the last event
        async with alone(api, cassette) as one:
            reply = await one.http.send(one.request(), stream=True)
            received = b""
            async for part in reply.aiter_bytes():
                received += part
                if b"message_stop" in received:
                    break
            assert len(files(cassette)) == 1
            await reply.aclose()


BROKEN = {
    "it breaks off": [*stream()[:-1], BREAK],
    "it breaks off within the last event": [*stream()[:-1], stream()[-1][:-1], BREAK],
    "it ends without message_stop": stream()[:-1],
    "it begins without message_start": stream()[1:],
    "it has an error event": [
        *stream()[:3],
        event({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
        stream()[-1],
    ],
    "it is no text": [*stream()[:3], b"data: \xff\n\n", *stream()[3:]],
}


@pytest.mark.parametrize("parts", BROKEN.values(), ids=BROKEN)
async def test_a_reply_that_is_not_whole_is_never_kept_and_is_asked_for_again(
    parts: list[bytes], cassette: Cassette
) -> None:
    with hand_fed_api(Fed(parts), Fed(stream())) as api:
        async with alone(api, cassette) as one:
            received = b""
            try:
                async with one.http.stream("POST", one.request().url, content=one.request().content) as reply:
                    async for part in reply.aiter_bytes():
                        received += part
                broke_off = False
            except httpx2.RemoteProtocolError:
                broke_off = True
            assert received == b"".join(part for part in parts if part is not None)
            assert broke_off == (BREAK in parts)
            assert files(cassette) == []
            assert (await one.ask()).content == b"".join(stream())
        assert one.session.asked == 2
    assert [recorded.times for recorded in cassette.at(AS_OF)] == [2]


def _bytes_of(*events: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in b"".join(events)]


ODD = {
    "byte by byte": _bytes_of(*stream()),
    "with the line ends of Windows": [part.replace(b"\n", b"\r\n") for part in stream()],
    "with comments, also behind the end": [b": hello\n\n", *stream()[:-1], stream()[-1] + b": bye\n\n" * 2_000],
    "with a long last event": [
        *stream()[:-1],
        b'data: {"type":"message_stop","more":"',
        *[b"x" * 1_000] * 9,
        b'"}\n\n',
    ],
    "with NUL and half a character, escaped": stream("\x00 \ud800 it costs 42.5"),
    "with the word of the end in the model's text": stream("message_stop", *["It costs 42.5."] * 50),
    "all at once": [b"".join(stream())],
}


@pytest.mark.parametrize("parts", ODD.values(), ids=ODD)
async def test_a_whole_reply_is_kept_however_it_is_written(parts: list[bytes], cassette: Cassette) -> None:
    with hand_fed_api(Fed(parts)) as api:
        async with alone(api, cassette) as one:
            replies = [(await one.ask()).content for _ in range(2)]
    assert replies == [b"".join(parts)] * 2
    assert (one.session.asked, one.session.hits) == (1, 1)
    (kept,) = cassette.at(AS_OF)
    assert kept.usage == TokenCounts(100, 20, 7, 3, 2)


NO_COUNTS = [
    *("none", 5, [7], {"input_tokens": -100, "output_tokens": "20", "cache_read_input_tokens": 10**30}),
    {"cache_creation": 5, "cache_creation_input_tokens": [1], "input_tokens": None, "output_tokens": {}},
]


@pytest.mark.parametrize("usage", NO_COUNTS, ids=str)
async def test_tokens_that_are_no_numbers_are_none_and_the_reply_is_kept(usage: Any, cassette: Cassette) -> None:
    start = event({"type": "message_start", "message": {"usage": usage}})
    parts = [start, event({"type": "message_delta", "usage": usage}), stream()[-1]]
    with hand_fed_api(Fed(parts)) as api:
        async with alone(api, cassette) as one:
            assert [(await one.ask()).content for _ in range(2)] == [b"".join(parts)] * 2
    assert [kept.usage for kept in cassette.at(AS_OF)] == [TokenCounts()]


async def test_a_reply_without_end_is_broken_off(cassette: Cassette, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.claude.proxy.answering.MOST_BYTES", 5_000)
    with hand_fed_api(Fed([*stream()[:1], *[b": on and on\n\n"] * 1_000])) as api:
        async with alone(api, cassette) as one:
            with pytest.raises(httpx2.RemoteProtocolError):
                await one.ask()
    assert files(cassette) == []


async def test_a_client_that_hangs_up_leaves_no_half_reply_and_the_api_need_not_go_on(cassette: Cassette) -> None:
    with hand_fed_api(Fed([stream()[0], threading.Event(), *stream()[1:]]), Fed(stream())) as api:
        async with alone(api, cassette) as one:
            reply = await one.http.send(one.request(), stream=True)
            await anext(reply.aiter_bytes())
            await reply.aclose()
            assert await anyio.to_thread.run_sync(api.left.wait, 20)
            assert files(cassette) == []
            await one.ask()
        assert one.session.asked == 2
    assert len(files(cassette)) == 1


RUNNER = """
import anyio, sys
from datetime import datetime
from pathlib import Path
from runner.claude.cassette.cassettes import Cassette
from runner.claude.proxy.session import Session
from runner.claude.recording import recording_proxy

async def main(api, root, as_of):
    cassette = Cassette(Path(root), "dip", "0123456789ab")
    async with recording_proxy({"ANTHROPIC_BASE_URL": api}) as proxy:
        with proxy.session(Session(datetime.fromisoformat(as_of), Path("/tmp/a-run"), cassette, "1")) as session:
            print(session.url, flush=True)
            await anyio.sleep_forever()

anyio.run(main, *sys.argv[1:])
"""


async def test_a_runner_that_is_killed_in_the_middle_of_a_reply_leaves_no_half_of_it(cassette: Cassette) -> None:
    first, *rest = stream()
    with hand_fed_api(Fed([first, threading.Event(), *rest]), Fed(stream())) as api:
        command = [sys.executable, "-c", RUNNER, api.url, str(cassette.root), AS_OF.isoformat()]
        async with await anyio.open_process(command, stderr=None) as runner, alone(api, cassette) as one:
            assert runner.stdout is not None
            url = (await runner.stdout.receive()).decode().strip()
            request = one.request()
            reply = await one.http.send(
                httpx2.Request("POST", f"{url}/v1/messages?beta=true", content=request.content), stream=True
            )
            assert await anext(reply.aiter_bytes()) == first
            runner.kill()
            await runner.wait()
            assert files(cassette) == []
            assert (await one.ask()).content == b"".join(stream())  # the next runner asks for it again
        assert len(api.seen) == 2
    (recorded,) = cassette.at(AS_OF)
    assert (recorded.reply, recorded.times) == (b"".join(stream()).decode(), 2)
    assert [use.times for use in one.session.usages] == [2]


def test_what_the_proxy_serves_with_is_loaded_while_the_cli_starts() -> None:
    loaded = "import sys, runner.claude.recording; print({'uvicorn', 'httpx2', 'h11'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


KEPT = {400: "invalid_request_error", 404: "not_found_error", 413: "request_too_large"}
NOT_KEPT = {401: "authentication_error", 402: "billing_error", 403: "permission_error", 408: "timeout_error"}
NOT_KEPT |= {429: "rate_limit_error", 500: "api_error", 503: "api_error", 529: "overloaded_error"}


@pytest.mark.parametrize(("status", "kind"), [*KEPT.items(), *NOT_KEPT.items()])
async def test_only_what_a_request_itself_is_to_blame_for_is_kept(status: int, kind: str, cassette: Cassette) -> None:
    with hand_fed_api(Fed(refusal(kind), status, JSON), Fed(stream())) as api:
        async with alone(api, cassette) as one:
            first, second = await one.ask(), await one.ask()
    assert (first.status_code, first.content) == (status, refusal(kind)[0])
    assert second.status_code == (status if status in KEPT else 200)
    assert (second.content == first.content) == (status in KEPT)
    assert [recorded.times for recorded in cassette.at(AS_OF)] == [1]  # a refusal costs nothing


@pytest.mark.parametrize("message", ["Your credit balance is too low.", "You have reached your usage limits."])
async def test_a_refusal_of_the_account_is_not_the_requests_fault(message: str, cassette: Cassette) -> None:
    with hand_fed_api(Fed(refusal("invalid_request_error", message), 400, JSON)) as api:
        statuses = list[int | None]()
        async with alone(api, cassette, answered=lambda status, _: statuses.append(status)) as one:
            assert (await one.ask()).status_code == 400
    assert statuses == [400, 402], "a replay is to stop at once, as at any refusal of the account"
    assert files(cassette) == []


@pytest.mark.parametrize(("status", "header"), [(429, "17"), (429, None), (429, "soon"), (529, "5")])
async def test_a_rate_limit_is_noted_and_passed_on(status: int, header: str | None, cassette: Cassette) -> None:
    headers = {**JSON, **({"retry-after": header} if header else {})}
    answered: list[tuple[int | None, float | None]] = []
    with hand_fed_api(Fed(refusal("rate_limit_error"), status, headers)) as api:
        async with alone(api, cassette, answered=lambda *answer: answered.append(answer)) as one:
            reply = await one.ask()
    assert (reply.status_code, reply.headers.get("retry-after")) == (status, header)
    assert answered == [(status, float(header) if header and header.isdigit() else None)]


async def test_a_rate_limit_may_name_a_time(cassette: Cassette) -> None:
    headers = {**JSON, "retry-after": "Fri, 31 Dec 2100 23:59:59 GMT"}
    waits_s: list[float | None] = []
    with hand_fed_api(Fed(refusal("rate_limit_error"), 429, headers)) as api:
        async with alone(api, cassette, answered=lambda _, wait_s: waits_s.append(wait_s)) as one:
            await one.ask()
    assert waits_s == [MOST_WAIT_S]


@pytest.mark.parametrize(
    ("header", "waits"), [("inf", MOST_WAIT_S), ("-inf", 0), ("nan", None), ("1e400", MOST_WAIT_S)]
)
def test_an_absurd_wait_is_a_day_or_none(header: str, waits: float | None) -> None:
    assert retry_after_s(header) == waits


async def test_an_api_that_cannot_be_reached_is_an_outage_of_its_own(cassette: Cassette) -> None:
    with hand_fed_api(Fed(stream())) as gone:
        pass
    answered: list[Any] = []
    async with alone(gone, cassette, answered=lambda *answer: answered.append(answer)) as one:
        reply = await one.ask()
    assert reply.status_code == 502
    assert answered == [(None, None)]
    assert gone.url.rpartition(":")[2] not in reply.text


@pytest.mark.parametrize("packing", ["gzip", "identity"])
async def test_a_packed_reply_is_kept_and_given_unpacked(packing: str, cassette: Cassette) -> None:
    whole = b"".join(stream())
    body = gzip.compress(whole) if packing == "gzip" else whole
    with hand_fed_api(Fed([body[:30], body[30:]], headers={**EVENT_STREAM, "content-encoding": packing})) as api:
        async with alone(api, cassette) as one:
            first, second = await one.ask(), await one.ask()
    assert first.content == second.content == whole
    assert api.seen[0].headers["accept-encoding"] == "identity"


async def test_a_reply_in_a_packing_that_is_not_known_goes_on_as_it_came_and_is_not_kept(cassette: Cassette) -> None:
    with hand_fed_api(Fed([b"\x28\xb5\x2f\xfd..."], headers={**EVENT_STREAM, "content-encoding": "lzma"})) as api:
        async with alone(api, cassette) as one:
            reply = await one.http.send(one.request(), stream=True)
            assert reply.headers["content-encoding"] == "lzma"
            assert b"".join([part async for part in reply.aiter_raw()]) == b"\x28\xb5\x2f\xfd..."
    assert files(cassette) == []


async def test_a_reply_that_is_not_streamed_is_kept_too(cassette: Cassette) -> None:
    message = {"type": "message", "content": [], "usage": {"input_tokens": 5, "output_tokens": 6}}
    with hand_fed_api(Fed([json.dumps(message).encode()], headers=JSON)) as api:
        async with alone(api, cassette) as one:
            first, second = await one.ask(stream=False), await one.ask(stream=False)
    assert first.json() == second.json() == message
    assert one.session.usages[0].usage.output == 6


async def test_a_rerun_asks_nothing_and_never_answers_what_is_not_on_the_cassette(cassette: Cassette) -> None:
    with hand_fed_api(Fed(stream())) as api:
        async with alone(api, cassette) as one:
            await one.ask()
        api.seen.clear()
        async with alone(api, cassette, mode="rerun", run_key="2") as again:
            assert (await again.ask()).content == b"".join(stream())
            elsewhere = await again.http.post(f"{again.session.url}/v1/messages/count_tokens", json={})
            await again.ask_in_vain("And tomorrow?")
        assert elsewhere.status_code == 404
        assert api.seen == []
    assert again.session.drift is not None
    assert again.session.drift["messages"][0]["content"] == "And tomorrow?"
    assert (again.session.hits, again.session.asked, len(again.stopped)) == (1, 0, 1)
    assert [use.own for use in again.session.usages] == [False]


async def test_a_rerun_gets_a_credential_that_is_none_where_the_recorded_one_was(cassette: Cassette) -> None:
    oauth = {"authorization": "Bearer a-real-token", "anthropic-beta": "claude-code-1,oauth-2025-04-20"}
    with hand_fed_api(Fed(stream())) as api:
        async with alone(api, cassette) as one:
            request = one.request()
            await one.http.post(request.url, content=request.content, headers=oauth)
        async with alone(api, cassette, mode="rerun") as again:
            (name,) = set(again.session.environment) - {"ANTHROPIC_BASE_URL"}
    assert name == "CLAUDE_CODE_OAUTH_TOKEN"
    assert again.session.environment[name] not in ("", "a-real-token")


async def test_a_model_is_judged_before_its_first_request_is_forwarded(cassette: Cassette) -> None:
    judged: list[tuple[str, str | None]] = []

    def allow(model: str, cutoff: str | None) -> str | None:
        judged.append((model, cutoff))
        return "it may know the sequel" if model.endswith("haiku") else None

    with hand_fed_api(Fed(stream())) as api:
        async with alone(api, cassette, allow=allow) as one:
            await one.ask()
            await one.ask("And tomorrow?")
            await one.ask_in_vain(model="claude-haiku")
        assert len(api.seen) == 2
    assert judged == [("claude-opus-5-5", "2026-06"), ("claude-haiku", "2026-06")]
    assert one.session.cutoffs == {"claude-opus-5-5": "2026-06", "claude-haiku": "2026-06"}
    assert one.session.refused == "it may know the sequel"


async def test_what_may_not_be_asked_is_not_and_what_is_kept_is_given_all_the_same(cassette: Cassette) -> None:
    with hand_fed_api(Fed(stream())) as api:
        async with alone(api, cassette) as one:
            await one.ask()
        async with alone(api, cassette, may_ask=lambda: "the cap is reached") as again:
            assert (await again.ask()).status_code == 200
            await again.ask_in_vain("And tomorrow?")
        assert len(api.seen) == 1
    assert (again.session.refused, again.stopped) == ("the cap is reached", ["the cap is reached"])


async def test_the_date_of_today_in_other_words_is_never_forwarded(cassette: Cassette) -> None:
    today = f"It is {datetime.now(UTC):%d %B %Y}."
    with hand_fed_api(Fed(stream())) as api:
        async with alone(api, cassette) as one:
            await one.ask_in_vain(messages=[{"role": "system", "content": today}])
        assert api.seen == []
    assert one.session.refused is not None
    assert "today's date" in one.session.refused


async def test_a_request_that_is_not_understood_is_never_forwarded(cassette: Cassette) -> None:
    with hand_fed_api(Fed(stream())) as api:
        async with alone(api, cassette) as one:
            await one.ask_in_vain(messages="What?")
        assert api.seen == []
    assert one.session.refused is not None
    assert "not understood" in one.session.refused


async def test_equal_requests_at_once_are_asked_once(cassette: Cassette) -> None:
    may_go_on = threading.Event()
    replies: list[bytes] = []

    async def ask(one: Client) -> None:
        replies.append((await one.ask()).content)

    with hand_fed_api(Fed([stream()[0], may_go_on, *stream()[1:]])) as api:
        async with alone(api, cassette) as one, anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(ask, one)
            await anyio.to_thread.run_sync(api.arrived.wait)
            may_go_on.set()
        assert len(api.seen) == 1
    assert replies == [b"".join(stream())] * 3
    assert [use.own for use in one.session.usages] == [True, False, False]


async def test_one_request_at_a_time_waits_until_the_reply_before_it_is_counted(cassette: Cassette) -> None:
    counted: list[int] = []
    with hand_fed_api(Fed(stream())) as api:
        async with alone(api, cassette, one_at_a_time=True, may_ask=lambda: counted.append(len(uses()))) as one:

            def uses() -> Sequence[object]:
                return one.session.usages

            async with anyio.create_task_group() as group:
                for text in ("a", "b", "c"):
                    group.start_soon(one.ask, text)
    assert counted == [0, 1, 2]


async def test_several_runs_through_one_proxy_keep_apart(tmp_path: Path) -> None:
    cassettes = [Cassette(tmp_path, name, "0123456789ab") for name in ("dip", "trend")]
    with hand_fed_api(Fed(stream())) as api:
        async with recording_proxy({"ANTHROPIC_BASE_URL": api.url}) as proxy, AsyncExitStack() as leaving:
            runs = [await leaving.enter_async_context(client(proxy, one, run_key=one.strategy)) for one in cassettes]
            assert runs[0].session.url != runs[1].session.url
            async with anyio.create_task_group() as group:
                for one in runs:
                    for text in ("a", "b"):
                        group.start_soon(one.ask, text)
            await runs[1].ask("c")
    assert [(run.session.asked, run.session.hits) for run in runs] == [(2, 0), (3, 0)]
    assert [{kept.paid_by for kept in one.at(AS_OF)} for one in cassettes] == [{"dip"}, {"trend"}]
    assert [len(one.at(AS_OF)) for one in cassettes] == [2, 3]


async def test_without_a_cassette_requests_are_rewritten_and_each_is_asked() -> None:
    with hand_fed_api(Fed(stream())) as api:
        async with alone(api, None) as one:
            await one.ask()
            await one.ask()
    assert len(api.seen) == 2
    assert all(b"2026-03-01" in seen.body for seen in api.seen)
    assert one.session.cutoffs == {"claude-opus-5-5": "2026-06"}
    assert [use.own for use in one.session.usages] == [True, True]


async def test_who_does_not_know_the_secret_path_finds_nothing(cassette: Cassette) -> None:
    with hand_fed_api(Fed(stream())) as api:
        async with alone(api, cassette) as one:
            root, _, secret = one.session.url.rpartition("/")
            paths = ("", "v1/messages", f"{secret[:-1]}/v1/messages", f"{secret}x/v1/messages", secret)
            statuses = [(await one.http.post(f"{root}/{path}", content=b"{}")).status_code for path in paths]
            request = one.request()
        assert statuses == [404] * len(paths)
        async with recording_proxy({"ANTHROPIC_BASE_URL": api.url}) as proxy, client(proxy, cassette) as other:
            pass
        assert api.seen == []
    assert secret not in other.session.url
    assert len(secret) >= 32
    assert request.url.host == "127.0.0.1"


async def test_a_secret_path_ends_with_its_run(cassette: Cassette) -> None:
    with hand_fed_api(Fed(stream())) as api:
        async with recording_proxy({"ANTHROPIC_BASE_URL": api.url}) as proxy:
            async with client(proxy, cassette) as one:
                request = one.request()
            async with httpx2.AsyncClient(trust_env=False) as http:
                assert (await http.send(request)).status_code == 404
        assert api.seen == []


async def test_a_recording_passes_on_what_asks_no_model_with_the_as_ofs_date(cassette: Cassette) -> None:
    with hand_fed_api(Fed([b'{"input_tokens": 7}'], headers=JSON)) as api:
        async with alone(api, cassette) as one:
            request = one.request()
            reply = await one.http.post(f"{one.session.url}/v1/messages/count_tokens", content=request.content)
            await one.http.get(f"{one.session.url}/v1/models?limit=1")
    assert reply.json() == {"input_tokens": 7}
    assert [(seen.method, seen.target) for seen in api.seen] == [
        ("POST", "/v1/messages/count_tokens"),
        ("GET", "/v1/models?limit=1"),
    ]
    assert b"2026-03-01" in api.seen[0].body
    assert f"{datetime.now(UTC):%Y-%m-%d}".encode() not in api.seen[0].body
    assert (one.session.asked, files(cassette)) == (0, [])


async def test_a_disk_that_is_full_does_not_take_a_reply_away(cassette: Cassette) -> None:
    cassette.root.write_text("no folder")
    with hand_fed_api(Fed(stream())) as api:
        async with alone(api, cassette) as one:
            assert (await one.ask()).content == b"".join(stream())
    assert one.session.unkept is not None


async def test_a_gateways_path_and_login_are_the_proxys_matter(cassette: Cassette) -> None:
    with hand_fed_api(Fed(stream())) as api:
        address = api.url.replace("://", "://me:pass%20word@") + "/gateway/"
        async with recording_proxy({"ANTHROPIC_BASE_URL": address}) as proxy, client(proxy, cassette) as one:
            await one.ask()
            request = one.request("b")
            await one.http.post(request.url, content=request.content, headers={"authorization": "Bearer mine"})
    assert [seen.target for seen in api.seen] == ["/gateway/v1/messages?beta=true"] * 2
    assert [seen.headers["authorization"] for seen in api.seen] == ["Basic bWU6cGFzcyB3b3Jk", "Bearer mine"]


async def test_no_credential_reaches_a_cassette_a_log_or_an_error(
    cassette: Cassette, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with hand_fed_api(Fed([*stream()[:-1], BREAK]), Fed(refusal("api_error"), 500, JSON), Fed(stream())) as api:
        environment = {"ANTHROPIC_BASE_URL": api.url.replace("://", "://me:pass-word@")}
        async with recording_proxy(environment) as proxy, client(proxy, cassette) as one:
            texts = [await anyio.to_thread.run_sync(sent_quietly, one.request()) for _ in range(3)]
    async with recording_proxy(environment) as proxy, client(proxy, None) as one:
        texts.append(await anyio.to_thread.run_sync(sent_quietly, one.request()))
    (file,) = files(cassette)
    kept = gzip.decompress(file.read_bytes()).decode() if file.suffix == ".gz" else file.read_text()
    assert "What does it cost?" in kept
    assert "cannot be reached" in texts[-1]
    everywhere = kept + caplog.text + "".join(texts)
    for secret in (KEY, "pass-word", "bWU6cGFzcy13b3Jk", "a-user-id", one.session.url.rpartition("/")[2]):
        assert secret not in everywhere


def sent_quietly(request: httpx2.Request) -> str:
    """Send a request by a client that logs nothing itself."""
    connection = http.client.HTTPConnection(request.url.host, request.url.port)
    connection.request(request.method, request.url.raw_path.decode(), request.content, dict(request.headers))
    try:
        return connection.getresponse().read().decode()
    except http.client.IncompleteRead as error:
        return str(error)
    finally:
        connection.close()
