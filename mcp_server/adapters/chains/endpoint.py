"""One endpoint on the web: requests within a deadline and a size, and failures in our own words."""

from __future__ import annotations

import json
import logging
import ssl
import time
from functools import cache
from typing import TYPE_CHECKING, Any

import anyio

from mcp_server.errors import Retryable, TraderError, UpstreamRejected
from mcp_server.request_counter import count_request

if TYPE_CHECKING:
    import httpx2

TIMEOUT_S = 6.0
"""Time for one request: even four endpoints that hang fit into the deadline of a question."""

REFUSAL_BYTES = 64_000
"""The longest body of an error status that is read."""

SMALL_BYTES, USUAL_BYTES, LARGE_BYTES = 2_000_000, 8_000_000, 16_000_000
"""The longest answers: lists and fees; headers, whole transactions and Bitcoin's blocks; logs and whole EVM blocks.

Parsing JSON holds up all other work of the server, some 0.1 s for the longest.
"""

NO_LIMITS = (100, None)
"""Calls in one request, and blocks (any number), until an endpoint refuses it."""

LEARNED_S = 900.0
"""The limits of an endpoint are remembered for this long."""

LATEST_S = 253_402_300_799
"""The end of the year 9999: a later time is invalid."""

UNREADABLE = (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError)
"""The errors of code that reads an answer of the wrong form."""

_HTTP: dict[int, tuple[type[TraderError], str]] = {
    401: (UpstreamRejected, "requires a key, or another one"),
    403: (UpstreamRejected, "refuses access"),
    404: (UpstreamRejected, "does not know this"),
    408: (Retryable, "did not answer in time"),
    429: (Retryable, "is asked too often"),
}


class Failed(Exception):
    """A request that failed: the kind of error for the caller, and the reason, in our own words.

    `body` is the JSON that came with an error status, if it may say more than the status does.
    """

    def __init__(self, kind: type[TraderError], why: str, status: int | None = None, body: Any = None) -> None:
        super().__init__(why)
        self.kind = kind
        self.why = why
        self.status = status
        self.body = body


class TooLarge(Failed):
    """The answer is too long; if a smaller request is possible, that is no fault of the endpoint."""

    def __init__(self) -> None:
        super().__init__(UpstreamRejected, "answers with more than can be taken")


def time_ms(seconds: Any) -> int:
    """Read a time in Unix seconds, as Unix ms; raise `ValueError` for an invalid one."""
    if not 0 < int(seconds) <= LATEST_S:
        raise ValueError
    return int(seconds) * 1000


class Endpoint:
    """One endpoint, and what was learned about it.

    A request raises `Failed` where there is no answer, an error status, or no JSON where JSON is expected.

    Args:
        name: its name in errors; never its URL.
        url: where it is, checked.
        timeout_s: how long one request may take; large answers may take twice as long.
    """

    def __init__(self, name: str, url: str, timeout_s: float = TIMEOUT_S) -> None:
        self.name = name
        self.resting_until = 0.0
        self.chain_id: int | None = None
        self._limits: tuple[int, int | None] = NO_LIMITS
        self._learned_at = 0.0
        self._url = url
        self._timeout_s = timeout_s
        self._client: httpx2.AsyncClient | None = None

    @property
    def most_calls(self) -> int:
        """The JSON-RPC calls that it accepts in one request, as far as is known."""
        return self._known_limits()[0]

    @property
    def log_blocks(self) -> int | None:
        """The blocks whose logs it sends in one request; None: no limit is known."""
        return self._known_limits()[1]

    def learn(self, *, most_calls: int | None = None, log_blocks: int | None = None) -> None:
        """Remember a limit for a while only, because a passing fault must not slow all later questions."""
        calls, blocks = self._known_limits()
        limits = [limit for limit in (blocks, log_blocks) if limit is not None]
        self._limits = (min(calls, most_calls or calls), min(limits, default=None))
        self._learned_at = time.monotonic()

    def _known_limits(self) -> tuple[int, int | None]:
        return self._limits if time.monotonic() - self._learned_at < LEARNED_S else NO_LIMITS

    async def post(self, payload: object, *, large: bool = False) -> Any:
        """Send JSON and return the JSON that comes back."""
        most = LARGE_BYTES if large else USUAL_BYTES
        return _json(await self._send("POST", "", json.dumps(payload).encode(), most=most, large=large))

    async def get(self, path: str, *, most: int = SMALL_BYTES) -> Any:
        """Return the JSON at a path, of at most `most` bytes."""
        return _json(await self._send("GET", path, most=most))

    async def get_bytes(self, path: str, *, large: bool = False) -> bytes:
        """Return the bytes at a path."""
        return await self._send("GET", path, most=USUAL_BYTES if large else SMALL_BYTES, large=large)

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _send(
        self, method: str, path: str, body: bytes | None = None, *, most: int, large: bool = False
    ) -> bytes:
        import httpx2

        if self._client is None:
            for noisy in ("httpx2", "httpcore2"):  # they log whole URLs, and so the keys in them
                logging.getLogger(noisy).setLevel(logging.WARNING)
            local = self._url.startswith("http://")  # of this machine: through no proxy, and without TLS
            self._client = httpx2.AsyncClient(
                timeout=None,
                headers={"content-type": "application/json"},
                trust_env=not local,
                verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if local else _trusted(),
            )
        count_request()
        try:
            with anyio.fail_after(self._timeout_s * (2 if large else 1)):
                async with self._client.stream(method, self._url + path, content=body) as answer:
                    return await _read(answer, most)
        except TimeoutError:
            raise Failed(Retryable, "did not answer in time") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError):  # the text of either may hold the URL
            raise Failed(Retryable, "cannot be reached") from None


@cache
def _trusted() -> ssl.SSLContext:
    """Read the trusted certificates once: it takes 30 ms, and each connection needs them."""
    import httpx2

    return httpx2.create_ssl_context()


async def _read(answer: httpx2.Response, most: int) -> bytes:
    if answer.status_code >= 400:
        outage, refusal = (Retryable, "is not available"), (UpstreamRejected, "refuses the request")
        kind, why = _HTTP.get(answer.status_code, refusal if answer.status_code < 500 else outage)
        body = None if answer.status_code in (401, 429) else await _refusal(answer)
        raise Failed(kind, f"{why} ({answer.status_code})", answer.status_code, body)
    if answer.status_code >= 300:
        raise Failed(UpstreamRejected, "redirects elsewhere, and redirects are not followed")
    return await _bytes(answer, most)


async def _refusal(answer: httpx2.Response) -> Any:
    """Return the JSON of an error status, or None."""
    try:
        return _json(await _bytes(answer, REFUSAL_BYTES))
    except Failed:
        return None


async def _bytes(answer: httpx2.Response, most: int) -> bytes:
    parts, size = [], 0
    async for part in answer.aiter_bytes():
        size += len(part)
        if size > most:
            raise TooLarge
        parts.append(part)
    return b"".join(parts)


def _no_number(name: str) -> None:
    raise ValueError(name)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Failed(UpstreamRejected, "answers what is no JSON") from None
