"""The errors of JSON-RPC endpoints: what each of many wordings means, and the limit that it states."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mcp_server.adapters.chains.endpoint import Failed, TooLarge
from mcp_server.errors import Retryable, TraderError, UpstreamRejected

MOST_CODE = 10**9
MOST_TEXT = 500
"""This much of a message is read, and as much of its data."""


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_BUSY = _words(r"\brate\b|rate.?limit|too many requests|limit exceeded|quota|capacity|compute units|credits")
_TOO_OFTEN = _words(r"\brate\b|too many requests|per (?:second|minute|day)|\brps\b|request count")
_BATCH = _words(r"\bbatch")
_RANGE = _words(
    r"range|block ?span|too many blocks|requested blocks|blocks? (?:distance|count)|at most \d[\d,]* blocks|"
    r"more than \d[\d,]* (?:results|logs)|too many (?:results|logs)|max results|logs matched|response size|"
    r"response (?:is )?too (?:large|big)|query returned|query timeout|limited to"
)
_AHEAD = _words(r"beyond (?:the )?current head")
_INVALID = _words(r"invalid block range")
_RESULTS = _words(r"\b(?:results|logs)\b|response size|response (?:is )?too (?:large|big)|timeout")
_STATE_GONE = _words(
    r"missing trie node|state .*(?:not available|unavailable|pruned)|no state available|historical state|archive|"
    r"pruned|BlockOutOfRange|header not found|distance to target block"
)
_REVERTED = _words(r"revert|invalid opcode|bad instruction|invalid jump|out of gas|stack (?:under|over)flow")

_COUNT = r"(?<![\w.,/#-])(\d[\d,_]*)(?:\s?(k))?\b(?!\s*-\s*\d)"
"""A number by itself: none in hexadecimal, in an address of a page or in an id, and no beginning of a range."""

_BLOCKS = _words(rf"{_COUNT}\s+blocks?\b|block range(?: limit)?\s*(?:is|of|:)?\s*{_COUNT}|blocks is\s*{_COUNT}")
"""A number of blocks, or of a block range."""
_MOST = _words(rf"(?:limit(?:ed)?|max(?:imum)?|at most|up to|over|exceeds?)\b[^\d]{{0,40}}?{_COUNT}")
"""A number that is called a limit."""

_BY_CODE: dict[int, tuple[type[TraderError], str]] = {
    -32000: (Retryable, "failed by itself (code {})"),
    -32601: (UpstreamRejected, "does not offer this method"),
    -32603: (Retryable, "failed by itself (code {})"),
}


@dataclass(frozen=True, slots=True)
class RpcError:
    """An error that an endpoint answers in place of a result. Its text is a stranger's: it is read, never shown."""

    code: int
    text: str

    @property
    def range_too_wide(self) -> bool:
        """The endpoint would answer for fewer blocks."""
        another = _TOO_OFTEN.search(self.text) or _INVALID.search(self.text) or self.lags or self.state_gone
        return bool(_RANGE.search(self.text)) and not another

    @property
    def reverted(self) -> bool:
        """The called contract refuses, or fails."""
        return self.code == 3 or bool(_REVERTED.search(self.text))

    @property
    def about_results(self) -> bool:
        """The limit is on the size of the result, not on the number of blocks."""
        return bool(_RESULTS.search(self.text))

    @property
    def too_many_calls(self) -> bool:
        """The endpoint would answer fewer calls in one request."""
        return self.code != 429 and bool(_BATCH.search(self.text)) and not _TOO_OFTEN.search(self.text)

    @property
    def state_gone(self) -> bool:
        """The endpoint no longer keeps the state of that block."""
        return not self.reverted and bool(_STATE_GONE.search(self.text))

    @property
    def lags(self) -> bool:
        """The endpoint does not have the newest of the blocks yet."""
        return bool(_AHEAD.search(self.text))

    @property
    def too_often(self) -> bool:
        """The endpoint is asked too often, or for too much in all."""
        busy = self.code in (-32005, 429) or bool(_BUSY.search(self.text))
        return busy and not (self.range_too_wide or self.too_many_calls)

    @property
    def understood(self) -> bool:
        """The text says what to do about it, whatever the status or form of the answer that it stands in."""
        return self.range_too_wide or self.reverted or self.state_gone or self.too_often or self.lags

    def most_blocks(self, asked: int) -> int | None:
        """Return the limit on blocks that it states after `asked` blocks were too many; None if it states none."""
        for pattern in (_BLOCKS,) if self.about_results else (_BLOCKS, _MOST):
            if counts := [count for count in _counts(pattern, self.text) if 1 <= count < asked]:
                return max(counts)
        return None

    def failed(self) -> Failed:
        """Return the failure that the caller sees."""
        if self.range_too_wide and self.about_results:
            return TooLarge()
        if self.state_gone:
            return Failed(UpstreamRejected, "does not keep the state of a block that old")
        if self.lags:
            return Failed(Retryable, "lags behind: it does not have all blocks yet")
        if self.too_often:
            return Failed(Retryable, "is asked too often")
        kind, why = _BY_CODE.get(self.code, (UpstreamRejected, "refuses the request (code {})"))
        return Failed(kind, why.format(self.code))


def error_in(answer: Any) -> RpcError | None:
    """Return the error that an answer holds; some endpoints, and gateways before them, answer the error alone."""
    if not isinstance(answer, dict):
        return None
    if (error := answer.get("error")) is None:
        if "result" in answer or not {"code", "message"} & answer.keys():
            return None
        error = answer
    if not isinstance(error, dict):
        error = {**answer, "message": error}
    message, data = (" ".join(_texts(error.get(key)))[:MOST_TEXT] for key in ("message", "data"))
    return RpcError(_code(error.get("code")), f"{message} {data}".strip())


def _texts(value: Any, depth: int = 3) -> Iterator[str]:
    """List the texts in a part of an error, which may be a text, or hold some by name."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict) and depth:
        for part in value.values():
            yield from _texts(part, depth - 1)


def _code(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,9}", value, re.ASCII):
        return int(value)
    return value if type(value) is int and abs(value) < MOST_CODE else 0


def _counts(pattern: re.Pattern[str], text: str) -> Iterator[int]:
    for match in pattern.finditer(text):
        groups = match.groups()
        for digits, thousand in zip(groups[::2], groups[1::2], strict=True):
            if digits:
                yield int(re.sub(r"[,_]", "", digits)) * (1000 if thousand else 1)
