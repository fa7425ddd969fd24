"""Where the Messages API is, and how this machine reaches it: by the same proxy and certificates as the agent CLI."""

import logging
import os
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

from mcp_server.errors import Misconfigured
from runner.no_proxy import no_proxy

if TYPE_CHECKING:
    import ssl

    import httpx2

ANTHROPIC = "https://api.anthropic.com"
BASE_URL = "ANTHROPIC_BASE_URL"
TIMEOUTS_S = {"connect": 30.0, "read": None, "write": None, "pool": None}
"""The CLI decides how long it waits for a reply."""

Header = tuple[bytes, bytes]

_ONE_HOP = frozenset((
    *(b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer"),
    *(b"transfer-encoding", b"upgrade", b"host", b"content-length", b"accept-encoding", b"content-encoding", b"date"),
))  # fmt: skip
"""Headers of one connection, or of a body as it was packed for it."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Upstream:
    """The address of the Messages API. `login` is what the address itself holds as user and password."""

    base: str
    login: bytes | None
    proxy: str | None

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Upstream":
        """Read the address from the runner's credentials, and the proxy from the process's environment.

        Raises:
            Misconfigured: the address or the proxy is none.
        """
        address = environment.get(BASE_URL, "").strip() or ANTHROPIC
        try:
            parts = urlsplit(address)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = None
        if not host or parts.scheme not in ("http", "https"):
            raise Misconfigured(f"{BASE_URL} is no http or https address.", "Set it to the gateway's, or unset it.")
        bare = f"[{host}]" if ":" in host else host
        base = f"{parts.scheme}://{bare}{f':{port}' if port else ''}{parts.path.rstrip('/')}"
        login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}".encode()
        basic = b"Basic " + b64encode(login) if parts.username or parts.password else None
        return cls(base, basic, _proxy_for(parts.scheme, bare, port))

    def transport(self) -> "httpx2.AsyncHTTPTransport":
        """Make what sends requests; this takes a while. A whole client would take longer for each, and log it."""
        import httpx2

        return httpx2.AsyncHTTPTransport(
            verify=_trusted() if self.base.startswith("https:") or self.proxy else False,
            proxy=self.proxy,
            trust_env=False,
            limits=httpx2.Limits(max_connections=None),
        )

    def headers(self, sent: Iterable[Header]) -> list[Header]:
        """Return the headers of a request as they go on."""
        headers = [(name, value) for name, value in passed_on(sent)]
        if self.login is not None and not any(name == b"authorization" for name, _ in headers):
            headers.append((b"authorization", self.login))
        return [*headers, (b"accept-encoding", b"identity")]


def passed_on(headers: Iterable[Header]) -> list[Header]:
    """Return the headers that go on to the next connection."""
    return [(name.lower(), value) for name, value in headers if name.lower() not in _ONE_HOP]


def _proxy_for(scheme: str, host: str, port: int | None) -> str | None:
    proxies = getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    if not proxy or _is_kept_off(host, port):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if urlsplit(proxy).scheme not in ("http", "https"):
        name = f"{scheme.upper()}_PROXY"
        raise Misconfigured(f"{name} is no http or https proxy.", f"Set {name} to one, or name {host!r} in NO_PROXY.")
    return proxy


def _is_kept_off(host: str, port: int | None) -> bool:
    """Return whether NO_PROXY names a host, a domain above it, or `*`; this machine never needs a proxy."""
    for entry in no_proxy()["NO_PROXY"].split(","):
        name = entry.strip().removeprefix("*").removeprefix(".").lower()
        if entry.strip() == "*" or name in (host, f"{host}:{port}") or (name and host.endswith(f".{name}")):
            return True
    return False


def _trusted() -> "ssl.SSLContext":
    import httpx2

    context = httpx2.create_ssl_context()
    if extra := os.environ.get("NODE_EXTRA_CA_CERTS"):
        try:
            context.load_verify_locations(extra)
        except OSError as error:  # ssl.SSLError among them; the CLI goes on without it too
            logger.warning("NODE_EXTRA_CA_CERTS cannot be read (%s): it is not used", type(error).__name__)
    return context
