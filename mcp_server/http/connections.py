"""Connections that do not ask anything hold nothing up: each has a moment to send its request's head."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 10.0
"""So long may the head of a request take to arrive, from its first byte or the connection's beginning."""

MOST_CONNECTIONS = 512
"""Beyond so many the one that has been silent for longest makes room, and none comes in while all are at work."""


class BoundedConnection(H11Protocol):
    """One connection, closed when the head of a request does not arrive in time."""

    head_s = HEAD_S
    since = 0.0
    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Make room for it, and begin to wait for its first request."""
        super().connection_made(transport)
        self.since = self.loop.time()
        if len(self.connections) > MOST_CONNECTIONS:
            idle: list[Any] = [
                each for each in self.connections if isinstance(each, BoundedConnection) and not each.at_work
            ]
            min(idle, key=lambda each: each.since).transport.abort()
        self._wait()

    @property
    def at_work(self) -> bool:
        """True while a request of it is being answered; not when that was given up, and nobody takes the rest."""
        return self.cycle is not None and not self.cycle.response_complete and not self.transport.is_closing()

    def data_received(self, data: bytes) -> None:
        """Take data in, and wait on for a head that is not complete."""
        super().data_received(data)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the time."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        """Have the time run while a head is awaited; more bytes of it do not make it run anew."""
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
