"""One exchange with the Messages API: the request as it goes on, and the reply as it comes."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import lru_cache

import anyio
import httpx2

from runner.claude.proxy.model_request import CliRequest
from runner.claude.proxy.upstream import TIMEOUTS_S, Upstream

logger = logging.getLogger(__name__)


class BrokenOff(Exception):
    """The API's answer ended before its end."""


class Content(httpx2.AsyncByteStream):
    """The body of a request. `once_sent` is called when the API has it, and so costs nothing while the API works."""

    def __init__(self, content: bytes, once_sent: Callable[[], object] | None = None) -> None:
        self.content = content
        self._once_sent = once_sent

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.content
        if self._once_sent is not None:
            self._once_sent()


@lru_cache(maxsize=16)
def _address(base: str, target: str) -> httpx2.URL:
    return httpx2.URL(f"{base}{target}")


def parts_of(reply: httpx2.Response) -> AsyncIterator[bytes]:
    """Return the parts of a body, unpacked; one that is not packed as it comes, which takes less time."""
    if "content-encoding" not in reply.headers and isinstance(reply.stream, httpx2.AsyncByteStream):
        return aiter(reply.stream)
    return reply.aiter_bytes()


@asynccontextmanager
async def asked_of(
    upstream: Upstream, transport: httpx2.AsyncHTTPTransport, request: CliRequest, content: Content
) -> AsyncIterator[httpx2.Response | None]:
    """Ask the API; None where it cannot be reached."""
    forwarded = httpx2.Request(
        request.method,
        _address(upstream.base, request.target),
        headers=upstream.headers(request.headers),
        content=content.content,
        extensions={"timeout": TIMEOUTS_S},
    )
    forwarded.stream = content
    try:
        reply = await transport.handle_async_request(forwarded)
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
