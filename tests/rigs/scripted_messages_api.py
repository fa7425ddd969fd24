"""A stand-in for the Messages API that follows a script: a real HTTP program on loopback for the real agent CLI.

A script says, for each role, what the model answers turn by turn. The role of a request is the key that its system
prompt contains, else `ORCHESTRATOR`; its turn is the number of assistant messages it carries, so that a repeated
request gets the same step and several agents may run at once:

    script = {
        ORCHESTRATOR: [Reply(calls=[start("price-monitor", "BTC/USDT")]), answer({"signal": "BUY", ...})],
        "[price-monitor]": [use("mcp__trader__get_price", {"symbol": "BTC/USDT"}), say("It costs 42.5.")],
    }
    with ScriptedMessagesApi(script) as api:
        environment = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "dummy"}

Every request is kept in `requests`. One that the script does not foresee is refused, and fails the test at the end.
"""

import itertools
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.rigs.loopback import served

ORCHESTRATOR = "orchestrator"
"""The role of a request whose system prompt contains none of the script's other keys."""


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call in a reply."""

    tool: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model says in one turn: text, tool calls, or both. With `at_once` no caller can leave in its midst."""

    text: str = ""
    calls: Sequence[Call] = ()
    usage: Mapping[str, int] = field(default_factory=lambda: {"input_tokens": 100, "output_tokens": 20})
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class Fail:
    """An HTTP error in place of an answer: 529 overloaded, 401 bad key, 500."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hang:
    """No answer at all, until the caller hangs up."""


@dataclass(frozen=True, slots=True)
class Held:
    """A reply that is kept back until an event is set."""

    reply: Reply
    until: threading.Event


Step = Reply | Fail | Hang | Held
Script = Mapping[str, Sequence[Step]]


def say(text: str) -> Reply:
    """Answer in plain text, which ends a turn."""
    return Reply(text=text)


def use(tool: str, arguments: Mapping[str, Any]) -> Reply:
    """Call one tool."""
    return Reply(calls=[Call(tool, arguments)])


def start(agent: str, prompt: str) -> Call:
    """Start a sub-agent; several in one reply run in parallel."""
    return Call("Agent", {"description": agent, "prompt": prompt, "subagent_type": agent})


def answer(structured: Mapping[str, Any]) -> Reply:
    """Give the structured answer that the caller's schema asks for."""
    return use("StructuredOutput", structured)


@dataclass(frozen=True, slots=True)
class Request:
    """One request to the Messages API, as it came."""

    role: str
    turn: int
    body: Mapping[str, Any]
    headers: Mapping[str, str]

    @property
    def tools(self) -> set[str]:
        """The names of the tools that the model is offered."""
        return {tool["name"] for tool in self.body.get("tools", [])}

    @property
    def text(self) -> str:
        """The whole body as JSON text, to search in."""
        return json.dumps(self.body)


Change = Callable[[Request, Step], Step]


class ScriptedMessagesApi:
    """Use it as a context manager; `url` is what ANTHROPIC_BASE_URL takes.

    `change` is called with each request and the step that the script has for it; what it returns is done instead. No
    byte of a request, its address and headers included, may be part of what `never` holds.
    """

    def __init__(self, script: Script, change: "Change | None" = None, never: Iterable[str] = ()) -> None:
        self._change = change
        self._never = tuple(never)
        self.url = ""
        self.requests: list[Request] = []
        self.unforeseen: list[str] = []
        self.arrived = threading.Event()
        """Set once a request has come: a hanging run is under way."""
        self._script = script
        self._ids = itertools.count(1)
        self._leaving = ExitStack()

    def __enter__(self) -> "ScriptedMessagesApi":
        routes = [
            Route("/v1/messages", self._messages, methods=["POST"]),
            Route("/v1/messages/count_tokens", self._tokens, methods=["POST"]),
            Route("/{path:path}", self._elsewhere, methods=["GET", "POST", "PUT", "DELETE"]),
        ]
        self.url = self._leaving.enter_context(served(Starlette(routes=routes)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.close()
        if self.unforeseen and kind is None:
            raise AssertionError(f"requests that the script does not foresee: {self.unforeseen}")

    def of(self, role: str) -> list[Request]:
        """Give the requests of one role, in the order they came."""
        return [request for request in self.requests if request.role == role]

    async def _messages(self, http: HttpRequest) -> Response:
        await self._check(http)
        request = self._read(await http.json(), dict(http.headers))
        self.requests.append(request)
        self.arrived.set()
        steps = self._script.get(request.role, ())
        if request.turn >= len(steps):
            self.unforeseen.append(f"{request.role} turn {request.turn}")
            return _failure(400, f"the script has no turn {request.turn} for {request.role!r}")
        step = steps[request.turn]
        if self._change is not None:
            step = self._change(request, step)
        if isinstance(step, Fail):
            return _failure(step.status, "scripted", step.headers)
        if isinstance(step, Hang):
            while (await http.receive())["type"] != "http.disconnect":
                pass
            return Response(status_code=499)
        if isinstance(step, Held):
            await anyio.to_thread.run_sync(step.until.wait)
            step = step.reply
        return self._reply(step, request)

    async def _tokens(self, http: HttpRequest) -> Response:
        """Count as the CLI itself does where nobody counts for it."""
        await self._check(http)
        return JSONResponse({"input_tokens": len(await http.body()) // 4})

    async def _check(self, http: HttpRequest) -> None:
        """Look at each byte of a request for what must not be in it, also behind JSON's escapes."""
        body = await http.body()
        sent = [str(http.url), *(f"{name}: {value}" for name, value in http.headers.items())]
        everything = "\n".join((*sent, body.decode(), json.dumps(json.loads(body), ensure_ascii=False)))
        self.unforeseen += [f"{words!r} in a request" for words in self._never if words in everything]

    def _read(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> Request:
        system = json.dumps(body.get("system") or "")
        roles = [role for role in self._script if role != ORCHESTRATOR and role in system]
        turn = sum(message["role"] == "assistant" for message in body["messages"])
        return Request(roles[0] if roles else ORCHESTRATOR, turn, body, headers)

    async def _elsewhere(self, http: HttpRequest) -> Response:
        self.unforeseen.append(f"{http.method} {http.url.path}")
        return _failure(404, "the script knows POST /v1/messages only")

    def _reply(self, step: Reply, request: Request) -> Response:
        blocks = list(self._blocks(step))
        message = {
            "id": f"msg_{next(self._ids)}",
            "type": "message",
            "role": "assistant",
            "model": request.body["model"],
            "content": blocks,
            "stop_reason": "tool_use" if step.calls else "end_turn",
            "stop_sequence": None,
            "usage": {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, **step.usage},
        }
        if not request.body.get("stream"):
            return JSONResponse(message)
        events = map(_event, _events(message))
        return StreamingResponse(["".join(events)] if step.at_once else events, media_type="text/event-stream")

    def _blocks(self, step: Reply) -> Iterator[dict[str, Any]]:
        if step.text:
            yield {"type": "text", "text": step.text}
        for call in step.calls:
            yield {"type": "tool_use", "id": f"toolu_{next(self._ids)}", "name": call.tool, "input": call.arguments}


def _failure(status: int, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    kinds = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error", 529: "overloaded_error"}
    error = {"type": kinds.get(status, "api_error"), "message": message}
    return JSONResponse({"type": "error", "error": error}, status_code=status, headers=headers)


def _events(message: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """Cut a message into the events of a streaming answer."""
    usage = message["usage"]
    opening = {**message, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    yield {"type": "message_start", "message": opening}
    for index, block in enumerate(message["content"]):
        empty: dict[str, Any]
        if block["type"] == "text":
            empty, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": block["text"]}
        else:
            arguments = json.dumps(block["input"])
            empty, delta = {**block, "input": {}}, {"type": "input_json_delta", "partial_json": arguments}
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    stopped = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": stopped, "usage": {"output_tokens": usage["output_tokens"]}}
    yield {"type": "message_stop"}


def _event(data: Mapping[str, Any]) -> str:
    return f"event: {data['type']}\ndata: {json.dumps(data)}\n\n"
