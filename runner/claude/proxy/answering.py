"""Answers the requests of one agent CLI: from the cassette, or by the Messages API, whose reply goes on as it comes."""

import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from weakref import WeakValueDictionary

import anyio
import anyio.to_thread
import httpx2

from runner.claude.cassette.cassettes import MOST_BYTES, Recorded
from runner.claude.cassette.packed_request import PackedRequest
from runner.claude.proxy.exchange import BrokenOff, Content, asked_of, parts_of
from runner.claude.proxy.model_request import (
    CliRequest,
    ModelRequest,
    NotAsked,
    credential_of,
    read_request,
    rewritten_bytes,
)
from runner.claude.proxy.replies import LAST_EVENT, LAST_EVENT_BYTES, retry_after_s, tokens_of_whole, unknown_packing
from runner.claude.proxy.reply_cost import ReplyUse
from runner.claude.proxy.session import Session
from runner.claude.proxy.upstream import Header, Upstream, passed_on
from runner.claude.verdict import meaning

ENDS_BY_ITSELF_S = 5
"""How long a CLI that lacks a reply is left to end by itself, where it may be about to, in seconds."""

EVENTS, JSON = "text/event-stream", b"application/json"


class Send(Protocol):
    """Sends a part of an answer's body. An answer is whole with its last part."""

    async def __call__(self, content: bytes, *, last: bool = False) -> None: ...  # noqa: D102


Begin = Callable[[int, list[Header]], Awaitable[Send]]
"""Begins an answer with its status and headers; returns what sends a part of its body."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answering:
    """Answers for one session. `locks` is shared by all: an equal request waits for the reply to the one before."""

    session: Session
    upstream: Upstream
    transport: httpx2.AsyncHTTPTransport
    locks: WeakValueDictionary[object, anyio.Lock]

    async def answer(self, request: CliRequest, begin: Begin) -> None:
        """Answer a request, or hold it until the CLI is gone where it must not be answered.

        Raises:
            BrokenOff: the API's answer was; the CLI is to see it break off too.
        """
        if self.session.refused is not None or self.session.drift is not None:
            await anyio.sleep_forever()
        try:
            await (self._message(request, begin) if request.is_message else self._elsewhere(request, begin))
        except NotAsked as why:
            self.session.refused = self.session.refused or str(why)
            await self._hold(str(why))

    async def _message(self, request: CliRequest, begin: Begin) -> None:
        session = self.session
        question = read_request(request, session.as_of, session.folder)
        self._judge(question)
        async with AsyncExitStack() as turns:
            if session.cassette is not None:
                await turns.enter_async_context(self._lock((session.cassette, session.as_of, question.key)))
                recorded = session.cassette.find(session.as_of, question.key)  # in a thread it would take longer
                if (recorded := recorded or await self._reused(question)) is not None:
                    return await self._give(recorded, begin)
            if session.mode == "rerun":
                return await self._miss(question)
            if session.one_at_a_time:
                await turns.enter_async_context(self._lock(id(session)))
            if (refused := session.may_ask()) is not None:
                raise NotAsked(refused)
            await self._ask(question, begin)
        return None

    async def _miss(self, question: ModelRequest) -> None:
        """End the CLI for want of a reply.

        Where it may be about to end by itself, or the recorded run ended while it waited for this very reply, it is
        left a moment to do so: then it hangs up, and nothing was missing.
        """
        session, cassette = self.session, self.session.cassette
        if question.may_be_the_last or (cassette is not None and cassette.was_asked(session.as_of, question.key)):
            await anyio.sleep(ENDS_BY_ITSELF_S)
        session.drift = question.body
        await self._hold("a request is not on the cassette")

    def _lock(self, name: object) -> anyio.Lock:
        return self.locks.setdefault(name, anyio.Lock(fast_acquire=True))

    def _judge(self, question: ModelRequest) -> None:
        """Note a model's cutoff, and whether the model may be asked at all; each is judged once."""
        cutoffs, model = self.session.cutoffs, question.model
        self.session.stated_usd = max(self.session.stated_usd, question.stated_usd)
        is_new = model not in cutoffs
        cutoffs[model] = cutoffs.get(model) or question.cutoff
        if is_new and (refused := self.session.allow(model, question.cutoff)) is not None:
            raise NotAsked(refused)

    async def _give(self, recorded: Recorded, begin: Begin) -> None:
        self.session.hits += 1
        self.session.derived += recorded.derived_from is not None
        self._count(recorded, hit=True)
        send = await begin(recorded.status, [(b"content-type", recorded.content_type.encode("latin-1"))])
        await send(recorded.reply.encode(), last=True)

    async def _reused(self, question: ModelRequest) -> Recorded | None:
        """Return a reply that was recorded elsewhere, and keep it here too: a rerun has this cassette alone."""
        if self.session.mode == "rerun" or self.session.reused is None:
            return None
        recorded = await anyio.to_thread.run_sync(self.session.reused, question.key, question.kept)
        if recorded is not None:
            self._store(recorded)
        return recorded

    async def _ask(self, question: ModelRequest, begin: Begin) -> None:
        session, cassette = self.session, self.session.cassette
        session.asked += 1
        times = 1
        if cassette is not None:
            times = cassette.asking(session.as_of, question.key)
        content = Content(json.dumps(question.body).encode(), question.prepare_to_keep if cassette else None)
        async with asked_of(self.upstream, self.transport, question.request, content) as reply:
            waits_s = None if reply is None else retry_after_s(reply.headers.get("retry-after"))
            session.answered(None if reply is None else reply.status_code, waits_s)
            if cassette is not None and (reply is None or reply.status_code != 200):
                cassette.not_paid(session.as_of, question.key)
            if reply is None:
                return await _unreachable(begin)
            await self._pass_on(reply, question, times, begin)
        return None

    async def _pass_on(self, reply: httpx2.Response, question: ModelRequest, times: int, begin: Begin) -> None:
        """Pass a reply on: the part that makes it whole once it is kept, and one that is no stream at its end."""
        if (packing := unknown_packing(reply.headers.get("content-encoding"))) is not None:
            return await _pass_packed(reply, packing, begin)
        streamed = reply.status_code == 200 and reply.headers.get("content-type", "").startswith(EVENTS)
        send = await begin(reply.status_code, passed_on(reply.headers.raw)) if streamed else None
        received, counted = bytearray(), False
        async for part in parts_of(reply):
            received += part
            if len(received) > MOST_BYTES:
                raise BrokenOff("it is too long")
            if streamed and not counted and LAST_EVENT in received[-len(part) - LAST_EVENT_BYTES :]:
                counted = self._keep(reply, question, bytes(received), times)
            if send is not None:
                await send(part)
        if not counted and not self._keep(reply, question, bytes(received), times):
            meant = meaning(reply.status_code, received.decode(errors="replace"))
            if meant != reply.status_code:  # which only its text tells, and so only now
                self.session.answered(meant, None)
        if send is not None:
            return await send(b"", last=True)
        send = await begin(reply.status_code, passed_on(reply.headers.raw))
        return await send(bytes(received), last=True)

    def _keep(self, reply: httpx2.Response, question: ModelRequest, received: bytes, times: int) -> bool:
        """Keep a reply if it is whole, and say whether it is."""
        session, content_type = self.session, reply.headers.get("content-type", "")
        tokens = tokens_of_whole(reply.status_code, content_type, received)
        if tokens is None:
            return False
        recorded = Recorded(
            key=question.key,
            model=question.model,
            request=question.kept,
            status=reply.status_code,
            content_type=content_type.encode("ascii", "replace").decode(),
            reply=received.decode(),
            usage=tokens,
            cutoff=question.cutoff,
            asked_at=datetime.now(UTC),
            paid_by=session.run_key,
            credential=credential_of(question.request.headers),
            times=times,
        )
        self._count(recorded, hit=False)
        self._store(recorded, question.packed)
        return True

    def _store(self, recorded: Recorded, packed: PackedRequest | None = None) -> None:
        session = self.session
        if session.cassette is None:
            return
        try:
            session.cassette.keep(session.as_of, recorded, packed)
        except OSError as error:
            session.unkept = f"A reply could not be kept: {error.strerror or type(error).__name__}."
            logger.warning("a reply could not be kept on its cassette: %s", error)

    def _count(self, recorded: Recorded, *, hit: bool) -> None:
        session = self.session
        own = not hit or (recorded.paid_by == session.run_key and recorded.key not in session.counted)
        session.counted.add(recorded.key)
        use = ReplyUse(recorded.model, recorded.usage, own=own, times=recorded.times)
        session.usages.append(use)

    async def _elsewhere(self, request: CliRequest, begin: Begin) -> None:
        """Pass on what asks no model for a reply; a rerun has nobody to pass it to."""
        if self.session.mode == "rerun":
            return await failure(begin, 404, "not_found_error", "a rerun asks nothing")
        content = rewritten_bytes(request.body, self.session.as_of, self.session.folder)
        async with asked_of(self.upstream, self.transport, request, Content(content)) as reply:
            if reply is None:
                return await _unreachable(begin)
            received = await reply.aread()
            send = await begin(reply.status_code, passed_on(reply.headers.raw))
            await send(received, last=True)
        return None

    async def _hold(self, why: str) -> None:
        """End the CLI and give it no answer: to an error it would react, and what it then asks is another request."""
        self.session.stop(why)
        await anyio.sleep_forever()


async def failure(begin: Begin, status: int, kind: str, message: str) -> None:
    """Answer as the API does where it fails."""
    send = await begin(status, [(b"content-type", JSON)])
    await send(json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode(), last=True)


async def _pass_packed(reply: httpx2.Response, packing: bytes, begin: Begin) -> None:
    send = await begin(reply.status_code, [*passed_on(reply.headers.raw), (b"content-encoding", packing)])
    async for part in reply.aiter_raw():
        await send(part)
    await send(b"", last=True)


async def _unreachable(begin: Begin) -> None:
    await failure(begin, 502, "api_error", "Claude's API cannot be reached")
