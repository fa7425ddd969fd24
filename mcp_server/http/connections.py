"""Closes connections that send no request: each has a limited time to send the head of one."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 10.0
"""Time for the head of a request to arrive, from its first byte or from the beginning of the connection."""

MOST_CONNECTIONS = 512
"""With more connections, the one that has been silent for longest is closed; if all are at work, the new one is."""


class BoundedConnection(H11Protocol):
    """One connection, closed when the head of a request does not arrive in time."""

    head_s = HEAD_S
    since = 0.0
    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Make room for this connection, and wait for its first request."""
        super().connection_made(transport)
        self.since = self.loop.time()
        if len(self.connections) > MOST_CONNECTIONS:
            idle: list[Any] = [
                connection
                for connection in self.connections
                if isinstance(connection, BoundedConnection) and not connection.at_work
            ]
            min(idle, key=lambda connection: connection.since).transport.abort()
        self._wait()

    @property
    def at_work(self) -> bool:
        """True while a request of it is being answered; not when that was given up, and nobody takes the rest."""
        return self.cycle is not None and not self.cycle.response_complete and not self.transport.is_closing()

    def data_received(self, data: bytes) -> None:
        """Process data, and keep waiting if the head is not complete."""
        super().data_received(data)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        """Run the timer while a head is awaited; more bytes of the head do not restart it."""
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self._waiting is None:
            self._waiting = self.loop.call_later(self.head_s, self._give_up)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        self._waiting = None
        if not self.at_work and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            self.transport.close()
