"""Serves an ASGI app as a real HTTP program on a loopback port of its own, in a thread."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator

import httpx2
import uvicorn
from starlette.types import ASGIApp

START_LIMIT_S = 10


@contextlib.contextmanager
def served(
    app: ASGIApp | uvicorn.Config, *, date_header: bool = True, listener: socket.socket | None = None
) -> Iterator[str]:
    """Give the app's base URL, like `http://127.0.0.1:40123`; requests that are open at the end are dropped.

    Args:
        app: what answers, or how it is to be served.
        date_header: each answer says this machine's time; without it the app may say another.
        listener: what it listens at, where its port had to be known before; it is closed at the end.
    """
    with listener or socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else the end of an answer waits 40 ms
        ready = threading.Event()
        config = (
            app
            if isinstance(app, uvicorn.Config)
            else uvicorn.Config(
                app, log_level="critical", ws="none", timeout_graceful_shutdown=0, date_header=date_header
            )
        )
        server = _Server(config, ready)
        thread = threading.Thread(target=server.run, args=([listening],), name="loopback-server", daemon=True)
        thread.start()
        if not ready.wait(START_LIMIT_S):
            raise RuntimeError("the loopback server did not start")
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.leave()
            thread.join(START_LIMIT_S)


def plain_client(timeout_s: float) -> httpx2.Client:
    """Give a client for loopback without TLS: reading the world's certificates would take 16 ms."""
    return httpx2.Client(timeout=timeout_s, trust_env=False, verify=False)


class _Server(uvicorn.Server):
    """Ends the moment it is told to; uvicorn's own looks every 0.1 s whether it should, and then waits as long."""

    def __init__(self, config: uvicorn.Config, ready: threading.Event) -> None:
        super().__init__(config)
        self._ready = ready
        self._over = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def leave(self) -> None:
        """Have it end; called from another thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._over.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._loop = asyncio.get_running_loop()
        self._ready.set()

    async def main_loop(self) -> None:
        ticking = asyncio.ensure_future(super().main_loop())
        await self._over.wait()
        ticking.cancel()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        for task in list(self.server_state.tasks):
            task.cancel()
        for _ in range(3):  # what was closed and cancelled comes to its end
            await asyncio.sleep(0)
        await self.lifespan.shutdown()
