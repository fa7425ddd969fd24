"""Closes connections that send no request: each has a limited time to send the head of one, and there is a limit."""

import asyncio
import sys

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

if sys.platform != "win32":  # imported now: with no file left to open, nothing can be imported
    import resource

HEAD_S = 10.0
"""Time for the head of a request to arrive, from its first byte or from the beginning of the connection."""

MOST_CONNECTIONS = 512
"""With more connections, the one that has been silent for longest is closed; if all are at work, the new one is."""

MOST_ACCEPTED = 128
"""The event loop accepts this many waiting connections before it handles any of them."""

OWN_FILES = 128
"""Files that the process opens beside connections: its home, its log, exchanges, chains."""


def connection_limits() -> tuple[int, int]:
    """Return how many connections may be open, and how many may be accepted at once.

    Half of the files that this process may open is left for connections that are accepted but not yet counted.
    """
    if sys.platform == "win32":
        return MOST_CONNECTIONS, MOST_ACCEPTED
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS, MOST_ACCEPTED
    room = max(files - OWN_FILES, files // 4)
    return min(MOST_CONNECTIONS, room // 2), max(1, min(MOST_ACCEPTED, room // 8))


class BoundedConnection(H11Protocol):
    """One connection, closed when the head of a request does not arrive in time."""

    head_s = HEAD_S
    since = 0.0
    gone = False
    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Make room for this connection, and wait for its first request."""
        super().connection_made(transport)
        self.since = self.loop.time()
        most, _ = connection_limits()
        here = [one for one in self.connections if isinstance(one, BoundedConnection) and not one.gone]
        if len(here) > most:
            idle = [one for one in here if not one.at_work]
            min(idle, key=lambda one: one.since).abort()
        if not self.gone:
            self._wait()

    def abort(self) -> None:
        """Close it at once. It no longer counts, although the event loop forgets it only later."""
        self.gone = True
        self._stop_waiting()
        self.transport.abort()

    @property
    def at_work(self) -> bool:
        """True while a request is being answered, and the answer is taken; not when that was given up."""
        answering = self.cycle is not None and not self.cycle.response_complete
        return answering and not self.flow.write_paused and not self.transport.is_closing()

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
            self.since = self.loop.time()
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
