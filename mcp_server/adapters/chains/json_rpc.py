"""JSON-RPC 2.0 to one endpoint: several calls in one request, as many as it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio

from mcp_server.adapters.chains.endpoint import Endpoint, Failed
from mcp_server.adapters.chains.rpc_error import RpcError, error_in
from mcp_server.errors import UpstreamRejected

Call = tuple[str, list[Any]]
"""A method and its parameters."""

AT_ONCE = 4
"""Requests of one question that may run at the same time."""


async def call_all(endpoint: Endpoint, calls: Sequence[Call], *, large: bool = False) -> list[Any]:
    """Return the result of each call, or its `RpcError`, in few requests; where it takes several, some at a time."""
    size, doubted = endpoint.most_calls, False
    while True:
        parts = [calls[place : place + size] for place in range(0, len(calls), size)]
        try:
            results = [result for part in await _together(endpoint, parts, large=large) for result in part]
        except _TooMany as refusal:
            if refusal.doubtful and not doubted:  # a passing fault must not be remembered as a limit
                doubted = True
                continue
            longest = len(parts[0])
            size = 10 if longest > 10 else 3 if longest > 3 else 1
            continue
        if size < endpoint.most_calls:  # fewer calls work, so their number was the problem
            endpoint.learn(most_calls=size)
        return results


class _TooMany(Exception):
    """The endpoint does not accept this many calls at once; doubtful, if another fault may be the reason."""

    def __init__(self, *, doubtful: bool) -> None:
        super().__init__()
        self.doubtful = doubtful


async def _together(endpoint: Endpoint, parts: Sequence[Sequence[Call]], *, large: bool) -> list[list[Any]]:
    """Send the first part alone, as it may fail for all of them, then the others a few at a time."""
    results: dict[int, list[Any]] = {0: await _post(endpoint, parts[0], large=large)}
    failures: list[Exception] = []
    limiter = anyio.Semaphore(AT_ONCE)

    async def send(place: int) -> None:
        async with limiter:
            if failures:
                return
            try:
                results[place] = await _post(endpoint, parts[place], large=large)
            except (Failed, _TooMany) as failure:
                failures.append(failure)

    async with anyio.create_task_group() as tasks:
        for place in range(1, len(parts)):
            tasks.start_soon(send, place)
    if failures:
        raise failures[0]
    return [results[place] for place in range(len(parts))]


async def _post(endpoint: Endpoint, calls: Sequence[Call], *, large: bool) -> list[Any]:
    asked = [
        {"jsonrpc": "2.0", "id": place, "method": method, "params": params}
        for place, (method, params) in enumerate(calls)
    ]
    several = len(asked) > 1
    try:
        answer = await endpoint.post(asked if several else asked[0], large=large)
    except Failed as failed:
        answer = failed.body
        if not any(error.understood or error.too_many_calls for error in _errors(answer)):
            if several and failed.status in (400, 403, 405, 413, 415, 422, 500, 501):
                raise _TooMany(doubtful=failed.status == 500) from None
            raise
    if several and (isinstance(answer, dict) or (isinstance(answer, list) and len(answer) == 1 and _errors(answer))):
        return [_of_all(answer)] * len(asked)
    answers = answer if isinstance(answer, list) else [answer]
    if not all(isinstance(one, dict) for one in answers):
        raise Failed(UpstreamRejected, "answers what is no JSON-RPC")
    if not several and len(answers) == 1:  # some answer an error without the id
        return [_result(answers[0])]
    by_id = {one["id"]: one for one in answers if type(one.get("id")) is int}
    if any(place not in by_id for place in range(len(asked))):
        raise Failed(UpstreamRejected, "left out an answer")
    return [_result(by_id[place]) for place in range(len(asked))]


def _of_all(answer: Any) -> RpcError:
    """Return the error that is the one answer to several calls; `_TooMany` if fewer calls may help."""
    error = next(iter(_errors(answer)), None)
    if error is None or error.too_many_calls or not error.understood:
        raise _TooMany(doubtful=error is not None and not error.too_many_calls and error.code in (-32000, -32603))
    return error


def _errors(answer: Any) -> list[RpcError]:
    answers = answer if isinstance(answer, list) else [answer]
    return [error for one in answers if (error := error_in(one)) is not None]


def _result(answer: dict[str, Any]) -> Any:
    if (error := error_in(answer)) is not None:
        return error
    if "result" not in answer:
        raise Failed(UpstreamRejected, "answers what is no JSON-RPC")
    return answer["result"]
