"""An endpoint between the project and a node: it counts what is asked, has limits of its own, and fails as it is told.

with RpcProxy(chain.url, log_blocks=1000) as endpoint:
    endpoint.url, endpoint.requests, endpoint.methods
"""

import json
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import anyio.to_thread
import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.rigs.loopback import plain_client, served

Change = Callable[[dict[str, Any], Any], Any]
"""What was asked, and what the node answered → what is answered instead."""

ChangeAll = Callable[[list[dict[str, Any]], list[Any]], list[Any]]


@dataclass
class RpcProxy:
    """Use it as a context manager.

    `log_blocks`, `log_results`, `most_calls` are its limits; `limit_says` is how it words the first of them, with
    `{limit}` and `{asked}` in it, `limit_data` what else the error holds. `error_status` is the HTTP status of answers
    with an error, and with `one_error` that error alone answers the whole request. `status` and `silent_s` are faults
    of every request, `change` alters answers, and `change_all` the results of all calls of a request together; `errors`
    are answered to methods instead of results, `past_errors` only where they ask for another block than the latest,
    and `to_several` to requests of several calls.
    """

    node: str
    log_blocks: int | None = None
    log_results: int | None = None
    most_calls: int | None = None
    limit_code: int = -32005
    limit_says: str = "exceed maximum block range: {limit}"
    limit_data: str | None = None
    error_status: int = 200
    one_error: bool = False
    to_several: dict[str, Any] | None = None
    status: int | None = None
    silent_s: float = 0.0
    body: str | None = None
    change: Change | None = None
    change_all: ChangeAll | None = None
    errors: dict[str, dict[str, Any]] = field(default_factory=dict)
    past_errors: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: int = 0
    methods: Counter[str] = field(default_factory=Counter)
    url: str = ""
    _client: httpx2.Client = field(default_factory=lambda: plain_client(60))
    _over: threading.Event = field(default_factory=threading.Event)
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        app = Starlette(routes=[Route("/{path:path}", self._answer, methods=["POST"])])
        self.url = self._stack.enter_context(served(app))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._stack.close()
        self._client.close()

    def forget(self) -> None:
        """Begin to count anew."""
        self.requests = 0
        self.methods.clear()

    async def _answer(self, request: Request) -> Response:
        asked = json.loads(await request.body())
        return await anyio.to_thread.run_sync(self._answered, asked)

    def _answered(self, asked: Any) -> Response:
        calls = asked if isinstance(asked, list) else [asked]
        self.requests += 1
        self.methods.update(call["method"] for call in calls)
        if self.silent_s and self._over.wait(self.silent_s):
            return Response("over", 503)
        if self.status is not None:
            return Response("no", self.status)
        if self.body is not None:
            return Response(self.body, media_type="application/json")
        if self.most_calls is not None and len(calls) > self.most_calls:
            error = {"code": -32600, "message": f"batch of more than {self.most_calls} calls"}
            return JSONResponse({"jsonrpc": "2.0", "id": None, "error": error})
        if self.to_several is not None and len(calls) > 1:
            return JSONResponse(self.to_several)
        told = self._client.post(self.node, json=calls).json()
        answers = [self._limited(call, answer) for call, answer in zip(calls, told, strict=True)]
        if self.change_all is not None:
            results = self.change_all(calls, [answer.get("result") for answer in answers])
            answers = [{**answer, "result": result} for answer, result in zip(answers, results, strict=True)]
        failed = [answer for answer in answers if "error" in answer]
        whole = {**failed[0], "id": None} if failed and self.one_error else answers
        return JSONResponse(whole if isinstance(asked, list) else answers[0], self.error_status if failed else 200)

    def _limited(self, call: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        past = call["params"][-1:] not in ([], ["latest"])
        error = self.errors.get(call["method"]) or (self.past_errors.get(call["method"]) if past else None)
        if call["method"] == "eth_getLogs":
            span = call["params"][0]
            asked = int(span["toBlock"], 16) - int(span["fromBlock"], 16) + 1
            if self.log_blocks is not None and asked > self.log_blocks:
                facts = {"limit": self.log_blocks, "asked": asked}
                error = {"code": self.limit_code, "message": self.limit_says.format(**facts)}
                error |= {} if self.limit_data is None else {"data": self.limit_data.format(**facts)}
            elif self.log_results is not None and len(answer.get("result") or ()) > self.log_results:
                error = {"code": -32005, "message": f"query returned more than {self.log_results} results"}
        if error is not None:
            return {"jsonrpc": "2.0", "id": answer["id"], "error": error}
        if self.change is not None and "result" in answer:
            return {**answer, "result": self.change(call, answer["result"])}
        return answer
