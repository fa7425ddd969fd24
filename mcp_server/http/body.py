"""Reads the whole body of a request, within a size and a time, before anything else happens."""

from typing import TYPE_CHECKING

import anyio

from mcp_server.http.refusal import Refused

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope

MOST_BYTES = 1024 * 1024
"""Ten times the largest strategy that can be written."""

BODY_S = 10.0
"""Time for a body to arrive."""

MOST_DISCARDED = 16 * MOST_BYTES
"""Of a body that is too large, this much is still read, so that its sender gets to read the answer."""


async def read_body(
    scope: "Scope", receive: "Receive", *, within_s: float = BODY_S, most: int = MOST_BYTES
) -> "Receive":
    """Read the body, and return a `receive` that hands it over whole.

    Raises:
        Refused: 413 when it is too large, 408 when it takes too long.
        EOFError: the client has gone.
    """
    size, parts = 0, []
    with anyio.move_on_after(within_s) as limit:
        more = True
        while more and size <= MOST_DISCARDED:
            message = await receive()
            if message["type"] != "http.request":
                raise EOFError
            part = message.get("body", b"")
            size += len(part)
            if size <= most:
                parts.append(part)
            else:
                parts.clear()
            more = message.get("more_body", False)
    if size > most:
        raise Refused(413, f"The body of a request may have at most {most:,} bytes.")
    if limit.cancelled_caught:
        raise Refused(408, f"The body of a request must arrive within {within_s:g} s.")
    first: list[Message] = [{"type": "http.request", "body": b"".join(parts), "more_body": False}]

    async def next_message() -> "Message":
        return first.pop() if first else await receive()

    return next_message
