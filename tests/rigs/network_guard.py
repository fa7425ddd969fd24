"""Makes a test that would reach anything but loopback fail, in this process and in the programs it starts.

In this process an audit hook refuses lookups and connections. Programs that honour proxies (the agent CLI among them)
are given a proxy on loopback that refuses and remembers every request.
"""

import ipaddress
import os
import socket
import socketserver
import sys
import threading
from types import TracebackType
from typing import Any

_PROXY_NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
_BYPASS_NAMES = ("NO_PROXY", "no_proxy")
_OUTWARD = frozenset({"socket.connect", "socket.getaddrinfo", "socket.gethostbyname"})


class NetworkGuard:
    """Use it as a context manager; an audit hook can't be removed, so leaving it only disarms it.

    Args:
        armed: False: it guards nothing, for the tests whose very purpose is to go out.
    """

    def __init__(self, *, armed: bool = True) -> None:
        self._attempts: list[str] = []
        self._wanted = armed
        self._armed = False
        self._proxy = _RefusingProxy(self._attempts)

    def __enter__(self) -> "NetworkGuard":
        self._armed = self._wanted
        sys.addaudithook(self._on_event)
        threading.Thread(target=self._proxy.serve_forever, name="refusing-proxy", daemon=True).start()
        if not self._wanted:
            return self
        host, port = self._proxy.server_address[:2]
        os.environ.update(dict.fromkeys(_PROXY_NAMES, f"http://{host!s}:{port}"))
        os.environ.update(dict.fromkeys(_BYPASS_NAMES, "127.0.0.1,localhost,::1"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._armed = False
        self._proxy.shutdown()
        self._proxy.server_close()

    def take_attempts(self) -> list[str]:
        """Give what was tried since the last call, and forget it."""
        attempts = list(self._attempts)
        self._attempts.clear()
        return attempts

    def _on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _OUTWARD or not self._armed:  # in this order, as there are thousands of events a second
            return
        if event == "socket.connect":
            connecting, address = arguments
            if connecting.family in (socket.AF_INET, socket.AF_INET6):
                self._check(str(address[0]), event)
        elif arguments[0]:
            name = arguments[0]
            self._check(name.decode() if isinstance(name, bytes) else str(name), event)

    def _check(self, host: str, event: str) -> None:
        if not is_loopback(host):
            self._attempts.append(f"{event} {host}")
            raise ConnectionRefusedError(f"tests reach loopback only, not {host!r}")


def is_loopback(host: str) -> bool:
    """True for loopback addresses, their names, and addresses one listens on."""
    if host in ("localhost", "0.0.0.0", "::", "testserver"):  # noqa: S104 (compared, not bound)
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _RefusingProxy(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, attempts: list[str]) -> None:
        self.attempts = attempts
        super().__init__(("127.0.0.1", 0), _RefuseRequest)


class _RefuseRequest(socketserver.StreamRequestHandler):
    server: _RefusingProxy

    def handle(self) -> None:
        first_line = self.rfile.readline(500).decode("ascii", "replace").strip()
        self.server.attempts.append(f"proxy {first_line}")
        self.wfile.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
