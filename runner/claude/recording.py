"""The recording proxy between the agent CLI and the Messages API, on loopback.

It rewrites the CLI's date to the as-of's, answers what is on the cassette for nothing, forwards the rest as it comes,
and keeps whole replies.
"""

import asyncio
import logging
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import anyio.to_thread

from runner.claude.proxy.session import Session
from runner.claude.proxy.upstream import Upstream

LOOPBACK = "127.0.0.1"
NO_CREDENTIAL = "sk-ant-none-is-needed-for-a-rerun"
"""What a rerun gives to the CLI, which wants one: nobody but this program ever sees it."""

logger = logging.getLogger(__name__)


class Proxy:
    """The proxy of a program; several runs may use it at once."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.sessions: dict[str, Session] = {}
        """The sessions that are open, each by its secret."""

    @contextmanager
    def session(self, session: Session) -> Iterator[Session]:
        """Let one run use the proxy, under a secret path of its own, for the block."""
        secret = secrets.token_urlsafe(24)
        session.environment["ANTHROPIC_BASE_URL"] = f"http://{LOOPBACK}:{self._port}/{secret}"
        if session.mode == "rerun":
            session.environment[_credential(session)] = NO_CREDENTIAL
        self.sessions[secret] = session
        try:
            yield session
        finally:
            del self.sessions[secret]


@asynccontextmanager
async def recording_proxy(environment: Mapping[str, str]) -> AsyncIterator[Proxy]:
    """Serve a proxy to the API that `environment` names, else to Anthropic's own.

    It listens at once, and loads what it serves with while the CLI starts.

    Args:
        environment: the credentials of the runner and, where there is one, ANTHROPIC_BASE_URL.

    Raises:
        Misconfigured: the address of the API, or of a proxy on the way to it, is none.
    """
    upstream = Upstream.of(environment)
    with socket.create_server((LOOPBACK, 0), backlog=1024) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else the end of an answer waits 40 ms
        proxy = Proxy(listener.getsockname()[1])
        serving = asyncio.create_task(_serve(proxy, upstream, listener))
        try:
            yield proxy
        finally:
            serving.cancel()
            with anyio.CancelScope(shield=True), suppress(asyncio.CancelledError):
                await serving  # a cancellation of this task would reach that one, in the middle of closing


async def _serve(proxy: Proxy, upstream: Upstream, listener: socket.socket) -> None:
    try:
        serve = await anyio.to_thread.run_sync(_loaded)
        await serve(proxy.sessions, upstream, listener)
    except Exception:
        logger.exception("the recording proxy")
        listener.close()  # so that nobody waits for it


def _loaded() -> "Callable[[Mapping[str, Session], Upstream, socket.socket], Coroutine[Any, Any, None]]":
    from runner.claude.proxy.server import serve

    return serve


def _credential(session: Session) -> str:
    """Return the variable that holds the credential when the moment was recorded: on it depends what the CLI asks."""
    recorded = session.cassette.at(session.as_of) if session.cassette else []
    return recorded[0].credential if recorded else "ANTHROPIC_API_KEY"
