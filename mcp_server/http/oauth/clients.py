"""The clients that may ask for access: an allow-list of client-id documents and their redirects, never fetched.

A document would say no more than its redirects, and to fetch it would let strangers make this server call addresses.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from mcp_server.domain.loopback import is_loopback

BUILT_IN = {
    "https://claude.ai/oauth/mcp-oauth-client-metadata": (
        "https://claude.ai/api/mcp/auth_callback",
        "https://claude.com/api/mcp/auth_callback",
    )
}
"""Claude in the browser, in its desktop and its mobile apps. Anthropic asks servers to know both addresses."""


class Clients:
    """Knows each client by its id and its exact redirects; an empty list of `added` withdraws one that is built in."""

    def __init__(self, added: Mapping[str, tuple[str, ...]]) -> None:
        self._redirects = {**BUILT_IN, **added}

    def knows(self, client: str) -> bool:
        """Return whether a client may ask at all."""
        return bool(self._redirects.get(client))

    def allows(self, client: str, redirect: str) -> bool:
        """Return whether a client may be answered at an address."""
        return redirect in self._redirects.get(client, ())


def called(client: str) -> str:
    """Return what people call a client: the host of its document, or its name."""
    return (urlsplit(client).hostname or client) if "://" in client else client


def lands_at(redirect: str) -> str:
    """Return whom a redirect leads to, for people."""
    host = urlsplit(redirect).hostname or ""
    return f"a program on this computer ({host})" if is_loopback(host) else host
