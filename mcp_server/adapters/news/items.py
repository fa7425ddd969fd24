"""What feeds of every form have in common: an item as it is written becomes one as it is told."""

import hashlib
import html
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit, urlunsplit

from mcp_server.domain.loopback import is_private
from mcp_server.domain.news.item import MAX_HEADLINE, Told
from mcp_server.domain.text import cleaned

MOST_ITEMS = 300
"""So many items of one answer are taken, from its beginning."""

MOST_GUID, MOST_URL = 200, 1_000
_LOOKED_AT = 5_000
_PARTING = re.compile(r"</?(?:br|p|div|li|tr|h[1-6])\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<!--.*?(?:-->|\Z)", re.DOTALL)
_HOST = re.compile(r"[a-z0-9_.-]+|[0-9a-f:.]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class WrittenItem:
    """One item as its feed wrote it; nothing is cleaned. `published_ms` is certain, or None."""

    title: str
    url: str | None
    guid: str | None
    published_ms: int | None
    value: float | None = None


def told_items(written: Iterable[WrittenItem], base: str) -> list[Told]:
    """Return the items that have a headline.

    Addresses may be relative to `base`, whose query is left out: it may hold a key.
    """
    items: list[Told] = []
    base = urlunsplit(urlsplit(base)._replace(query="", fragment=""))
    for item in written:
        if headline := headline_of(item.title):
            url = https_url(item.url, base)
            items.append(Told(_guid(item.guid, url, headline), url, headline, item.published_ms, item.value))
        if len(items) == MOST_ITEMS:
            break
    return items


def headline_of(title: str) -> str:
    """Return a title as one line of plain text: tags out, then HTML's entities decoded, once."""
    title = _TAG.sub("", _PARTING.sub(" ", title[:_LOOKED_AT]))
    return cleaned(html.unescape(title), MAX_HEADLINE)


def https_url(url: str | None, base: str) -> str | None:
    """Return an address if it is https, public and all of it can be seen, else None. Its host is in ASCII."""
    url = (url or "").strip()
    if not url or len(url) > MOST_URL:
        return None
    try:
        parts = urlsplit(url)
        if not parts.scheme:
            parts = urlsplit(urljoin(base, url))
        host, port = (parts.hostname or "").encode("idna").decode("ascii"), parts.port
    except (ValueError, UnicodeError):
        return None
    if parts.scheme != "https" or not _HOST.fullmatch(host) or "@" in parts.netloc or is_private(host):
        return None
    where = f"[{host}]" if ":" in host else host
    whole = urlunsplit(("https", where if port in (None, 443) else f"{where}:{port}", *parts[2:]))
    return whole if " " not in whole and whole == cleaned(whole, MOST_URL) else None


def _guid(guid: str | None, url: str | None, headline: str) -> str:
    """Return what the item is known by: its own guid, else its address, else its headline; long ones as a hash."""
    name = cleaned(guid or "", MOST_URL) or url or f"headline:{headline}"
    if len(guid or "") > MOST_URL or len(name) > MOST_GUID or name.startswith("headline:"):
        text = guid if guid and cleaned(guid, MOST_URL) else name
        return f"sha256:{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()}"
    return name
