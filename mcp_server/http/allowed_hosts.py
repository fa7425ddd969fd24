"""Checks the names in a request: its Host, and the Origin of the page that sent it.

A page of another site can make a browser call this server under a name that its owner points here (DNS rebinding). So
only known names are answered. An address is not a name: nobody can point it elsewhere.
"""

import ipaddress
import re
from collections.abc import Collection

from starlette.datastructures import Headers

from mcp_server.domain.loopback import is_loopback
from mcp_server.http.refusal import Refused

_WRITTEN = re.compile(r"(?P<name>[a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
"""The form of a Host in lower case: a name or an address, and optionally a port."""


class AllowedHosts:
    """The names that this server answers to: host and port that it listens on, and public names without a port.

    The public names are those of a platform's proxy, or of a container.
    """

    def __init__(self, host: str, port: int, public: Collection[str] = ()) -> None:
        self._public = {name.lower().rstrip(".") for name in public}
        self._any_address = not is_loopback(host)
        written = f"[{host}]" if ":" in host else host
        self._exact = {f"{name}:{port}" for name in (written.lower(), "localhost", "127.0.0.1")}
        if port == 80:
            self._exact |= {name.removesuffix(":80") for name in self._exact}

    def check(self, host: str, origin: str | None) -> None:
        """Check that a request calls this server by a known name, and comes from no page or from one of its own.

        Raises:
            Refused: 421 for the Host, 403 for the Origin.
        """
        if not self.know(host):
            raise Refused(
                421, f"This server is not called {host[:80]!a}. Its operator adds public names to TRADER_PUBLIC_HOSTS."
            )
        if origin is not None and not self._own(origin):
            raise Refused(403, f"Pages of {origin[:80]!a} may not call this server.")

    def know(self, host: str) -> bool:
        """Return whether a Host is one of this server's."""
        netloc = host.lower()
        if netloc in self._exact:
            return True
        written = _WRITTEN.fullmatch(netloc)
        if written is None:
            return False
        name = written["name"].rstrip(".")
        return name in self._public or (self._any_address and _is_address(name.strip("[]")))

    def _own(self, origin: str) -> bool:
        scheme, _, netloc = origin.partition("://")
        return scheme in ("http", "https") and self.know(netloc)


def from_browser(headers: Headers) -> bool:
    """Return whether a request was sent by a page: browsers say so, and no page can keep them from it."""
    return "sec-fetch-site" in headers or "origin" in headers


def from_own_page(headers: Headers) -> bool:
    """Return whether a page of this very server sent a request.

    Browsers send `Sec-Fetch-Site` to https and to this machine. To others the page's `Origin` must be what `Host`
    says: a page of another port is another program's. A proxy that ends TLS keeps `Host`, and Origin has the scheme.
    """
    if sites := headers.getlist("sec-fetch-site"):
        return sites == ["same-origin"]
    origins, hosts = headers.getlist("origin"), headers.getlist("host")
    if len(origins) != 1 or len(hosts) != 1:
        return False
    scheme, _, netloc = origins[0].lower().partition("://")
    usual_port = {"http": ":80", "https": ":443"}.get(scheme)
    return usual_port is not None and hosts[0].lower().removesuffix(usual_port) == netloc.removesuffix(usual_port)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost"
    return True
