"""Answers the requests of one agent CLI: from the cassette, or by the Messages API, whose reply goes on as it comes."""

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from os.path import realpath
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from runner.claude.cassettes import Recorded
from runner.claude.recording import ReplyUse, Session
from runner.claude.replies import LAST_EVENT, retry_after_s, tokens_of_whole
from runner.claude.upstream import Header, Upstream, passed_on
from runner.claude.wire import cutoff_of, key_of, rewritten, shows_date, without_user

if TYPE_CHECKING:
    import httpx2

MESSAGES = "/v1/messages"
EVENTS, JSON = "text/event-stream", b"application/json"
UNKNOWN_DATE = (
    "The agent CLI would show the model today's date: it writes it in a way that is not known here. Install the "
    "claude-agent-sdk that this version was made for, or take the date out of the sub-agents' descriptions."
)
UNKNOWN_REQUEST = "The agent CLI sent a request that is not understood. Install the claude-agent-sdk of this version."

Send = Callable[[bytes], Awaitable[None]]
Begin = Callable[[int, list[Header]], Awaitable[Send]]
"""Begins an answer with its status and headers; returns what sends a part of its body."""

logger = logging.getLogger(__name__)


class BrokenOff(Exception):
    """The API's answer ended before its end."""


@dataclass(frozen=True, slots=True)
class CliRequest:
    """A request of the CLI; `target` is its path without the proxy's secret, and its query."""

    method: str
    target: str
    headers: list[Header]
    body: bytes

    @property
    def is_message(self) -> bool:
        """Whether it asks a model for a reply."""
        return self.method == "POST" and self.target.partition("?")[0] == MESSAGES


@dataclass(frozen=True, slots=True)
class Question:
    """A request to a model as it is forwarded, and what is known of it."""

    request: CliRequest
    body: Mapping[str, Any]
    key: str
    model: str
    cutoff: str | None


class Turns:
    """Lets one at a time do what has the same name."""

    def __init__(self) -> None:
        self._locks: dict[object, tuple[anyio.Lock, list[None]]] = {}

    @asynccontextmanager
    async def of(self, name: object) -> AsyncIterator[None]:
        """Wait for the turn of this name, and have it for the block."""
        lock, waiting = self._locks.setdefault(name, (anyio.Lock(), []))
        waiting.append(None)
        try:
            async with lock:
                yield
        finally:
            waiting.pop()
            if not waiting:
                del self._locks[name]


@dataclass(frozen=True, slots=True)
class Answering:
    """Answers for one session. `turns` is shared by all: an equal request waits for the reply to the one before."""

    session: Session
    upstream: Upstream
    client: "httpx2.AsyncClient"
    turns: Turns

    async def answer(self, request: CliRequest, begin: Begin) -> None:
        """Answer a request, or hold it until the CLI is gone where it must not be answered.

        Raises:
            BrokenOff: the API's answer was; the CLI is to see it break off too.
        """
        session = self.session
        if session.refused is not None or session.drift is not None:
            await anyio.sleep_forever()
        if not request.is_message:
            return await self._elsewhere(request, begin)
        question = self._question(request)
        if isinstance(question, str):
            return await self._refuse(question)
        async with AsyncExitStack() as turns:
            if session.cassette is not None:
                await turns.enter_async_context(self.turns.of((session.cassette, session.as_of, question.key)))
                find = session.cassette.find
                if (recorded := await anyio.to_thread.run_sync(find, session.as_of, question.key)) is not None:
                    return await self._give(recorded, begin)
            if session.mode == "rerun":
                session.drift = question.body
                return await self._hold("a request is not on the cassette")
            if session.one_at_a_time:
                await turns.enter_async_context(self.turns.of(id(session)))
            if (why := session.may_ask()) is not None:
                return await self._refuse(why)
            await self._ask(question, begin)
        return None

    def _question(self, request: CliRequest) -> Question | str:
        """Return the request as it may be asked, or the reason why it may not."""
        session = self.session
        try:
            body = self._rewritten(json.loads(request.body))
            model, cutoff, key = str(body["model"]), cutoff_of(body), key_of(body)
        except (ValueError, LookupError, TypeError, AttributeError):
            logger.exception("a request of the agent CLI")
            return UNKNOWN_REQUEST
        if _shows_today(body, session.as_of):
            return UNKNOWN_DATE
        if session.cutoffs.get(model) is None:
            is_new = model not in session.cutoffs
            session.cutoffs[model] = cutoff
            if is_new and (why := session.allow(model, cutoff)) is not None:
                return why
        return Question(request, body, key, model, cutoff)

    def _rewritten(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return rewritten(body, self.session.as_of, realpath(self.session.folder))

    async def _give(self, recorded: Recorded, begin: Begin) -> None:
        self.session.hits += 1
        self._count(recorded, hit=True)
        send = await begin(recorded.status, [(b"content-type", recorded.content_type.encode("latin-1"))])
        await send(recorded.reply.encode())

    async def _ask(self, question: Question, begin: Begin) -> None:
        session, cassette = self.session, self.session.cassette
        session.asked += 1
        times = 1
        if cassette is not None:
            times = await anyio.to_thread.run_sync(cassette.asking, session.as_of, question.key)
        content = json.dumps(question.body).encode()
        async with self._reply(question.request, content) as reply:
            waits_s = None if reply is None else retry_after_s(reply.headers.get("retry-after"))
            session.answered(None if reply is None else reply.status_code, waits_s)
            if cassette is not None and (reply is None or reply.status_code != 200):
                await anyio.to_thread.run_sync(cassette.not_paid, session.as_of, question.key)
            if reply is None:
                return await _unreachable(begin)
            if reply.status_code == 429:
                session.rate_limited = waits_s or 0.0
            await self._pass_on(reply, question, times, begin)
        return None

    @asynccontextmanager
    async def _reply(self, request: CliRequest, content: bytes) -> "AsyncIterator[httpx2.Response | None]":
        """Ask the API; None where it cannot be reached."""
        import httpx2

        asked = self.client.build_request(
            request.method,
            f"{self.upstream.base}{request.target}",
            headers=self.upstream.headers(request.headers),
            content=content,
        )
        try:
            reply = await self.client.send(asked, stream=True)
        except httpx2.RequestError as error:
            logger.warning("Claude's API cannot be reached: %s", type(error).__name__)
            yield None
            return
        try:
            yield reply
        except httpx2.RequestError as error:
            raise BrokenOff(type(error).__name__) from None
        finally:
            with anyio.CancelScope(shield=True):
                await reply.aclose()

    async def _pass_on(self, reply: "httpx2.Response", question: Question, times: int, begin: Begin) -> None:
        """Pass a reply on: the part that makes it whole once it is kept, and what does not come in parts at its end."""
        streamed = reply.status_code == 200 and reply.headers.get("content-type", "").startswith(EVENTS)
        send = await begin(reply.status_code, passed_on(reply.headers.raw)) if streamed else None
        received, ending, counted = bytearray(), False, False
        async for part in reply.aiter_bytes():
            received += part
            ending = ending or LAST_EVENT in received[-len(part) - len(LAST_EVENT) :]
            if ending and not counted and streamed:
                counted = await self._keep(reply, question, bytes(received), times)
            if send is not None:
                await send(part)
        if send is None:
            await self._keep(reply, question, bytes(received), times)
            send = await begin(reply.status_code, passed_on(reply.headers.raw))
            await send(bytes(received))

    async def _keep(self, reply: "httpx2.Response", question: Question, received: bytes, times: int) -> bool:
        """Keep a reply if it is whole, and say whether it is."""
        session, content_type = self.session, reply.headers.get("content-type", "")
        tokens = tokens_of_whole(reply.status_code, content_type, received)
        if tokens is None:
            return False
        recorded = Recorded(
            key=question.key,
            model=question.model,
            request=without_user(question.body),
            status=reply.status_code,
            content_type=content_type,
            reply=received.decode(),
            usage=tokens,
            cutoff=question.cutoff,
            asked_at=datetime.now(UTC),
            paid_by=session.run_key,
            credential=credential_of(question.request.headers),
            times=times,
        )
        self._count(recorded, hit=False)
        if session.cassette is not None:
            try:
                await anyio.to_thread.run_sync(session.cassette.keep, session.as_of, recorded)
            except OSError as error:
                session.unkept = f"A reply could not be kept: {error.strerror or type(error).__name__}."
                logger.warning("a reply could not be kept on its cassette: %s", error)
        return True

    def _count(self, recorded: Recorded, *, hit: bool) -> None:
        session = self.session
        own = recorded.paid_by == session.run_key and recorded.key not in session.counted
        session.counted.add(recorded.key)
        use = ReplyUse(recorded.model, recorded.usage, hit=hit, own=own, paid_by=recorded.paid_by, times=recorded.times)
        session.usages.append(use)

    async def _elsewhere(self, request: CliRequest, begin: Begin) -> None:
        """Pass on what asks no model for a reply; a rerun has nobody to pass it to."""
        if self.session.mode == "rerun":
            return await failure(begin, 404, "not_found_error", "a rerun asks nothing")
        content = request.body
        try:
            body = json.loads(content)
            if isinstance(body, dict) and "messages" in body:
                content = json.dumps(self._rewritten(body)).encode()
        except (ValueError, LookupError, TypeError, AttributeError):
            pass
        async with self._reply(request, content) as reply:
            if reply is None:
                return await _unreachable(begin)
            received = await reply.aread()
            send = await begin(reply.status_code, passed_on(reply.headers.raw))
            await send(received)
        return None

    async def _refuse(self, why: str) -> None:
        self.session.refused = self.session.refused or why
        await self._hold(why)

    async def _hold(self, why: str) -> None:
        """End the CLI and give it no answer: to an error it would react, and what it then asks is another request."""
        self.session.stop(why)
        await anyio.sleep_forever()


async def failure(begin: Begin, status: int, kind: str, message: str) -> None:
    """Answer as the API does where it fails."""
    send = await begin(status, [(b"content-type", JSON)])
    await send(json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode())


async def _unreachable(begin: Begin) -> None:
    await failure(begin, 502, "api_error", "Claude's API cannot be reached")


def credential_of(headers: list[Header]) -> str:
    """Return the variable from which the CLI took the credential that it sent."""
    sent = dict(headers)
    if not sent.get(b"authorization", b"").startswith(b"Bearer "):
        return "ANTHROPIC_API_KEY"
    return "CLAUDE_CODE_OAUTH_TOKEN" if b"oauth-" in sent.get(b"anthropic-beta", b"") else "ANTHROPIC_AUTH_TOKEN"


def _shows_today(body: Mapping[str, Any], as_of: datetime) -> bool:
    """Return whether a request of a moment long past still tells the day on which it is sent, in any time zone."""
    today = datetime.now(UTC)
    days = [(today + timedelta(days=days)).date() for days in (-1, 0, 1)]
    return as_of < today - timedelta(days=3) and any(shows_date(body, day) for day in days)
