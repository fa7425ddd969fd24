"""Serves an ASGI app as a real HTTP program on a loopback port of its own, in a thread."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

START_LIMIT_S = 10


@contextlib.contextmanager
def served(app: ASGIApp | uvicorn.Config, *, date_header: bool = True) -> Iterator[str]:
    """Give the app's base URL, like `http://127.0.0.1:40123`; requests that are open at the end are dropped.

    Args:
        app: what answers, or how it is to be served.
        date_header: each answer says this machine's time; without it the app may say another.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ready = threading.Event()
        config = (
            app
            if isinstance(app, uvicorn.Config)
            else uvicorn.Config(
                app, log_level="critical", ws="none", timeout_graceful_shutdown=0, date_header=date_header
            )
        )
        server = _Server(config, ready)
        thread = threading.Thread(target=server.run, args=([listener],), name="loopback-server", daemon=True)
        thread.start()
        if not ready.wait(START_LIMIT_S):
            raise RuntimeError("the loopback server did not start")
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(START_LIMIT_S)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: threading.Event) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._ready.set()
