"""The settings of OAuth: the address under which others reach this server, and the clients that may ask for access."""

import re
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator

from mcp_server.domain.loopback import is_loopback
from mcp_server.storage.setting_types import json_value

_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|[0-9a-f:.]+")
_CLIENT = re.compile(r"[!#-\[\]-~]{1,500}")
"""What RFC 6749 lets a client's name be made of, but for spaces, quotes and backslashes."""

_REDIRECT = re.compile(r"[!$-;=?-\[\]-~]{1,1000}")
_DEFAULT_PORTS = {"https": 443, "http": 80}


def _public_url(value: str | None) -> str | None:
    """Return scheme and host, as they stand in every other address of this server: lower case, without a slash."""
    if value is None:
        return None
    parts = _parts(value.strip())
    if parts.path not in ("", "/") or parts.query or parts.fragment or value.strip().endswith(("?", "#")):
        raise ValueError(
            "write scheme and host alone, such as https://trader.example: clients then connect to "
            "https://trader.example/mcp"
        )
    return origin_of(parts)


def _lists(value: object) -> object:
    """Read the JSON; a client may have one address instead of a list of them."""
    clients = json_value(value)
    if not isinstance(clients, Mapping):
        return clients
    return {client: (to,) if isinstance(to, str) else to for client, to in clients.items()}


def _clients(value: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
    for client, redirects in value.items():
        _check_client(client)
        for redirect in redirects:
            _check_redirect(client, redirect)
    return value


def _check_client(client: str) -> None:
    if not _CLIENT.fullmatch(client):
        raise ValueError("a client's id has 1 to 500 printable ASCII characters without spaces")
    if "://" in client and not (client.startswith("https://") and _parts(client).path.strip("/")):
        raise ValueError(
            "a client's id is the https address of its document, such as https://app.example/client.json, "
            "or a name without '://'"
        )


def _check_redirect(client: str, redirect: str) -> None:
    try:
        if not _REDIRECT.fullmatch(redirect):
            raise ValueError("write its exact address in at most 1,000 printable ASCII characters, without '#'")
        _parts(redirect)
    except ValueError as error:
        raise ValueError(f"a redirect of {client[:80]!r} cannot be used: {error}") from None


def _parts(url: str) -> SplitResult:
    """Split an address; it is https, or http on this machine, and has no user in it."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("it is not an address, such as https://trader.example") from None
    if not _HOST.fullmatch(host) or "@" in parts.netloc or parts.netloc.endswith(":") or "\\" in url:
        raise ValueError("it is not an address, such as https://trader.example")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise ValueError("use https; http is for this machine alone (http://127.0.0.1:8000)")
    return parts


def origin_of(parts: SplitResult) -> str:
    """Return scheme, host and port of an address, the port only where it is not the usual one."""
    host = parts.hostname or ""
    written = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f":{parts.port}"
    return f"{parts.scheme}://{written}{port}"


PublicUrl = Annotated[str | None, AfterValidator(_public_url)]
OAuthClients = Annotated[Mapping[str, tuple[str, ...]], AfterValidator(_clients), BeforeValidator(_lists)]
"""Client id → its redirects. They are compared with what a client sends, letter by letter."""
