"""JSON-RPC 2.0 to one endpoint: several calls in one request, as many as it takes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import anyio

from mcp_server.adapters.chains.endpoint import Endpoint, Failed
from mcp_server.errors import Retryable, UpstreamRejected

Call = tuple[str, list[Any]]
"""A method and its parameters."""

AT_ONCE = 4
"""Requests of one question that may run at the same time."""

_BUSY = re.compile(r"rate|too many requests|limit exceeded|quota|capacity|compute units|credits", re.IGNORECASE)
_RANGE = re.compile(
    r"range|block ?span|too many blocks|blocks? (?:distance|count)|more than \d[\d,]* (?:results|logs)|"
    r"response size|too many results|query returned|query timeout|limited to",
    re.IGNORECASE,
)
_TOO_OFTEN = re.compile(r"\brate\b|too many requests|per (?:second|minute|day)|\brps\b|request count", re.IGNORECASE)
_STATED = re.compile(r"(?<![\dxX])(\d[\d,_]*)\s*(k\b)?", re.IGNORECASE)
_RESULTS = re.compile(r"\b(?:results|logs)\b|response size|timeout", re.IGNORECASE)
_STATE_GONE = re.compile(
    r"missing trie node|state .*(?:not available|unavailable|pruned)|historical state|archive|BlockOutOfRange|"
    r"header not found|distance to target block",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class RpcError:
    """An error that an endpoint answers in place of a result. Its text is a stranger's: it is read, never shown."""

    code: int
    text: str

    @property
    def range_too_wide(self) -> bool:
        """The endpoint would answer for fewer blocks."""
        return bool(_RANGE.search(self.text)) and not (self.state_gone or _TOO_OFTEN.search(self.text))

    @property
    def reverted(self) -> bool:
        """The called contract refuses."""
        return self.code == 3 or "revert" in self.text.lower()

    @property
    def about_results(self) -> bool:
        """The limit is on the size of the result, not on the number of blocks."""
        return bool(_RESULTS.search(self.text))

    def most_blocks(self, asked: int) -> int | None:
        """Return the limit on blocks that it states after `asked` blocks were too many; None if it states none."""
        if self.about_results:
            return None
        stated = [int(re.sub(r"[,_]", "", digits)) * (1000 if k else 1) for digits, k in _STATED.findall(self.text)]
        likely = [number for number in stated if 1 <= number < asked]
        return likely[-1] if likely else None

    @property
    def state_gone(self) -> bool:
        """The endpoint no longer keeps the state of that block."""
        return bool(_STATE_GONE.search(self.text))

    def failed(self) -> Failed:
        """Return the failure that the caller sees."""
        if self.code in (-32005, 429) or _BUSY.search(self.text):
            return Failed(Retryable, "is asked too often")
        if self.code == -32601:
            return Failed(UpstreamRejected, "does not offer this method")
        if self.code in (-32603, -32000):
            return Failed(Retryable, f"failed by itself (code {self.code})")
        return Failed(UpstreamRejected, f"refuses the request (code {self.code})")


async def call_all(endpoint: Endpoint, calls: Sequence[Call], *, large: bool = False) -> list[Any]:
    """Return the result of each call, or its `RpcError`, in few requests; where it takes several, some at a time."""
    size = endpoint.most_calls
    while True:
        parts = [calls[place : place + size] for place in range(0, len(calls), size)]
        try:
            results = [result for part in await _together(endpoint, parts, large=large) for result in part]
        except _TooMany:
            longest = len(parts[0])
            size = 10 if longest > 10 else 3 if longest > 3 else 1
            continue
        if size < endpoint.most_calls:  # fewer calls work, so their number was the problem
            endpoint.learn(most_calls=size)
        return results


class _TooMany(Exception):
    """The endpoint does not accept this many calls at once."""


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
    try:
        answer = await endpoint.post(asked[0] if len(asked) == 1 else asked, large=large)
    except Failed as failed:
        if len(asked) > 1 and failed.status in (400, 403, 405, 413, 415, 422, 500, 501):
            raise _TooMany from None
        raise
    if isinstance(answer, dict) and len(asked) > 1:
        raise _TooMany
    answers = [answer] if isinstance(answer, dict) else answer
    if not isinstance(answers, list) or not all(isinstance(one, dict) for one in answers):
        raise Failed(UpstreamRejected, "answers what is no JSON-RPC")
    by_id = {one["id"]: one for one in answers if type(one.get("id")) is int}
    if len(asked) == 1 and len(answers) == 1:  # some answer an error without the id
        return [_result(answers[0])]
    if any(place not in by_id for place in range(len(asked))):
        raise Failed(UpstreamRejected, "left out an answer")
    return [_result(by_id[place]) for place in range(len(asked))]


def _result(answer: dict[str, Any]) -> Any:
    error = answer.get("error")
    if error is None:
        if "result" not in answer:
            raise Failed(UpstreamRejected, "answers what is no JSON-RPC")
        return answer["result"]
    code, text = (error.get("code"), error.get("message")) if isinstance(error, dict) else (0, error)
    return RpcError(code if isinstance(code, int) else 0, text[:500] if isinstance(text, str) else "")
