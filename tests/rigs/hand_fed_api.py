"""A stand-in for the Messages API whose answers a test feeds part by part: a real HTTP program on loopback."""

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio.to_thread
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from tests.rigs.loopback import served

MOST_S = 30
BREAK = None
"""In place of a part: the connection breaks off here."""

Part = bytes | threading.Event | None
EVENT_STREAM = {"content-type": "text/event-stream; charset=utf-8"}


@dataclass
class Fed:
    """One answer. Where a part is an event, the answer waits until it is set."""

    parts: Sequence[Part]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: EVENT_STREAM)


@dataclass
class Seen:
    """One request as it came."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def value(self) -> Any:
        return json.loads(self.body)


@dataclass
class HandFedApi:
    """Answers requests in the order of `answers`; the last one stays."""

    answers: list[Fed] = field(default_factory=list)
    url: str = ""
    seen: list[Seen] = field(default_factory=list)
    arrived: threading.Event = field(default_factory=threading.Event)
    left: threading.Event = field(default_factory=threading.Event)
    """Set once a caller has hung up in the middle of an answer."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        http = Request(scope, receive)
        query = scope["query_string"].decode()
        target = f"{scope['path']}?{query}" if query else scope["path"]
        self.seen.append(Seen(http.method, target, dict(http.headers), await http.body()))
        self.arrived.set()
        fed = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        async with anyio.create_task_group() as group:
            group.start_soon(self._watch, receive, group.cancel_scope)
            await self._feed(fed, send)
            group.cancel_scope.cancel()

    async def _watch(self, receive: Receive, scope: anyio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.left.set()
        scope.cancel()

    async def _feed(self, fed: Fed, send: Send) -> None:
        headers = [(name.encode(), value.encode()) for name, value in fed.headers.items()]
        await send({"type": "http.response.start", "status": fed.status, "headers": headers})
        for part in fed.parts:
            if part is BREAK:
                return
            if isinstance(part, bytes):
                await send({"type": "http.response.body", "body": part, "more_body": True})
            else:
                await anyio.to_thread.run_sync(part.wait, MOST_S, abandon_on_cancel=True)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


@contextlib.contextmanager
def hand_fed_api(*answers: Fed) -> Iterator[HandFedApi]:
    """Serve an API with these answers; what waits for an event is let go at the end."""
    api = HandFedApi(list(answers))
    events = [part for fed in answers for part in fed.parts if isinstance(part, threading.Event)]
    with served(api) as api.url:
        try:
            yield api
        finally:
            for event in events:
                event.set()


def stream(*texts: str, model: str = "claude-opus-5-5") -> list[bytes]:
    """Give the events of a reply, one part each."""
    counts: dict[str, Any] = {"input_tokens": 100, "output_tokens": 1, "cache_read_input_tokens": 7}
    counts |= {"cache_creation_input_tokens": 3, "cache_creation": {"ephemeral_1h_input_tokens": 2}}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": [], "usage": counts}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": message}]
    events.append({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    for text in texts or ("It costs 42.5.",):
        events.append({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})
    events.append({"type": "content_block_stop", "index": 0})
    events.append({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 20}})
    events.append({"type": "message_stop"})
    return [event(one) for one in events]


def event(data: Mapping[str, Any]) -> bytes:
    return f"event: {data['type']}\ndata: {json.dumps(data)}\n\n".encode()


def refusal(kind: str, message: str = "scripted") -> list[bytes]:
    """Give the body of a refusal of the API."""
    return [json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode()]
