"""Serves the recording proxy: loaded while the first agent CLI starts, as it takes a moment."""

import asyncio
import logging
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import anyio
import anyio.to_thread
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from runner.claude.proxy.answering import Answering, Begin, Send, failure
from runner.claude.proxy.exchange import BrokenOff
from runner.claude.proxy.model_request import CliRequest
from runner.claude.proxy.upstream import Header, Upstream

if TYPE_CHECKING:
    import httpx2
    from starlette.types import Receive, Scope
    from starlette.types import Send as AsgiSend

    from runner.claude.proxy.session import Session

IDLE_S = 3600
"""How long a connection of the CLI may be silent: one that is closed while it asks again would be an error to it."""

_ANSWERS = "answers"
"""The task that answers a request, in the state of its scope."""

logger = logging.getLogger(__name__)


async def serve(sessions: Mapping[str, "Session"], upstream: Upstream, listener: socket.socket) -> None:
    """Serve until this task is cancelled; requests that are open then are dropped."""
    transport = await anyio.to_thread.run_sync(upstream.transport)
    state = ServerState()
    config = uvicorn.Config(
        _App(sessions, upstream, transport),
        lifespan="off",
        ws="none",
        log_config=None,
        log_level="critical",
        access_log=False,  # it would tell the secret paths
        proxy_headers=False,
        timeout_keep_alive=IDLE_S,
    )

    def connection() -> H11Protocol:
        return _Connection(config=config, server_state=state, app_state={})

    server = await asyncio.get_running_loop().create_server(connection, sock=listener)
    try:
        await anyio.sleep_forever()
    finally:
        server.close()
        for task in state.tasks:
            task.cancel()
        await asyncio.gather(*state.tasks, return_exceptions=True)
        for one in list(state.connections):
            one.transport.close()
        await transport.aclose()


class _Connection(H11Protocol):
    """A connection that ends the answer to a CLI that has hung up. A task that waits for this would cost more."""

    def connection_lost(self, exc: Exception | None) -> None:
        """End what answers its last request, if it still does."""
        super().connection_lost(exc)
        task = self.scope["state"].get(_ANSWERS) if self.scope is not None else None
        if task is not None:
            task.cancel()


class _App:
    """Finds the session of a request by the secret that its path begins with."""

    def __init__(
        self, sessions: Mapping[str, "Session"], upstream: Upstream, transport: "httpx2.AsyncHTTPTransport"
    ) -> None:
        self._sessions = sessions
        self._upstream = upstream
        self._transport = transport
        self._locks: WeakValueDictionary[object, anyio.Lock] = WeakValueDictionary()

    async def __call__(self, scope: "Scope", receive: "Receive", send: "AsgiSend") -> None:
        begin = _begin(send)
        secret, slash, rest = scope["raw_path"].decode("ascii").removeprefix("/").partition("/")
        session = self._sessions.get(secret)
        if session is None or not slash:
            await failure(begin, 404, "not_found_error", "not found")
        else:
            query = scope["query_string"].decode("ascii")
            target = f"/{rest}?{query}" if query else f"/{rest}"
            body = await _body(receive)
            if body is None:
                return
            request = CliRequest(scope["method"], target, list(scope["headers"]), body)
            scope["state"][_ANSWERS] = asyncio.current_task()
            await _answer(Answering(session, self._upstream, self._transport, self._locks), request, begin)


async def _answer(answering: Answering, request: CliRequest, begin: Begin) -> None:
    """Answer a request as long as its CLI is there.

    An answer that has no end closes the connection without one, so that the CLI takes it for none.
    """
    try:
        await answering.answer(request, begin)
    except asyncio.CancelledError:
        pass  # the CLI has hung up, or the proxy ends: nothing follows
    except BrokenOff as error:
        logger.warning("Claude's API broke off its answer: %s", error)
    except Exception:
        logger.exception("the recording proxy")


def _begin(send: "AsgiSend") -> Begin:
    async def begin(status: int, headers: list[Header]) -> Send:
        await send({"type": "http.response.start", "status": status, "headers": headers})

        async def part(content: bytes, *, last: bool = False) -> None:
            await send({"type": "http.response.body", "body": content, "more_body": not last})

        return part

    return begin


async def _body(receive: "Receive") -> bytes | None:
    """Return the whole body of a request; None where its sender hung up before its end."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)
