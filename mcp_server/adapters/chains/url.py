"""Checks the URLs of endpoints and explorers."""

from urllib.parse import urlsplit

from mcp_server.domain.loopback import is_loopback
from mcp_server.errors import Misconfigured

MOST_URL = 2_000


def checked_url(url: str, name: str) -> str:
    """Check that an endpoint is https, or http on this machine; no error shows it, for it may contain a key.

    Raises:
        Misconfigured: it is neither, or carries a user name.
    """
    try:
        if not url.isprintable() or " " in url or len(url) > MOST_URL:
            raise ValueError
        parts = urlsplit(url)
        host = parts.hostname or ""
        good = bool(host) and not (parts.username or parts.password or parts.fragment)
        good = good and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))
        _ = parts.port
    except ValueError:
        good = False
    if not good:
        raise Misconfigured(
            f"{name} must be an https URL, or an http one of this machine, without a user name.",
            "Put a key into the path, as its provider writes it.",
        )
    return url.rstrip("/")
