"""A TCP proxy on loopback that can lose every packet in both directions, as a cable does that is pulled.

    with LossyProxy(port) as proxy:
        connect(proxy.port)
        proxy.cut()      # nobody is told anything: no reset, no acknowledgement, not of keepalives either
        proxy.mend()     # what both sides still send arrives again

The kernel drops what comes in for its sockets, by a filter on each: to stop reading would not do, as the kernel would
go on to acknowledge. Only Linux has these filters.
"""

import ctypes
import socket
import struct
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
RETURN = 0x06
"""The instruction of a filter that says how many bytes of a packet are kept."""


class LossyProxy:
    """Use it as a context manager; `port` is where it listens.

    Args:
        target: the port to which it connects, on loopback.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._turn = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._cut = False

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept, name="lossy proxy", daemon=True)
        self._accepting.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.mend()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        with self._turn:
            for side in self._sockets:
                _shut(side)

    def cut(self) -> None:
        """Lose every packet from now on."""
        with self._turn:
            self._cut = True
            for side in (self._listener, *self._sockets):
                _lose(side)

    def mend(self) -> None:
        """Lose nothing more."""
        with self._turn:
            self._cut = False
            for side in (self._listener, *self._sockets):
                with suppress(OSError):
                    side.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)

    def _accept(self) -> None:
        while True:
            try:
                outside, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connected, args=[outside], daemon=True).start()

    def _connected(self, outside: socket.socket) -> None:
        with outside:
            try:
                inside = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            with inside:
                both = {outside, inside}
                for side in both:
                    side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._turn:
                    self._sockets |= both
                    if self._cut:
                        for side in both:
                            _lose(side)
                back = threading.Thread(target=_pass_on, args=[inside, outside], daemon=True)
                back.start()
                _pass_on(outside, inside)
                back.join()
                with self._turn:
                    self._sockets -= both


def _lose(side: socket.socket) -> None:
    instruction = ctypes.create_string_buffer(struct.pack("HBBI", RETURN, 0, 0, 0))
    program = struct.pack("HP", 1, ctypes.addressof(instruction))
    with suppress(OSError):  # it is closed already
        side.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(65536):
            target.sendall(part)
    _shut(source)
    _shut(target)


def _shut(side: socket.socket) -> None:
    with suppress(OSError):
        side.shutdown(socket.SHUT_RDWR)
