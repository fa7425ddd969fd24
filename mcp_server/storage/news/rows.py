"""Rows of the table `news`: how an item is written and read back."""

from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any

from mcp_server.domain.news.item import NewsItem
from mcp_server.domain.news.same_story import canonical_url

COLUMNS = "id, source, guid, url, headline, kind, published_at, first_seen_at, story, value, language"
"""In the order of the fields of `NewsItem`."""

_FIRST = datetime(1970, 1, 1)  # noqa: DTZ001 - as the database keeps times
_MILLISECOND = timedelta(milliseconds=1)


def item_of(row: tuple[Any, ...]) -> NewsItem:
    """Read back a row of `COLUMNS`."""
    id_, source, guid, url, headline, kind, published, first_seen, story, value, language = row
    published_ms = None if published is None else milliseconds(published)
    first_seen_ms = milliseconds(first_seen)
    return NewsItem(id_, source, guid, url, headline, kind, published_ms, first_seen_ms, int(story), value, language)


def milliseconds(moment: datetime) -> int:
    """Convert a time of the database to Unix ms."""
    return (moment - _FIRST) // _MILLISECOND


def moment_of(at_ms: int | None) -> datetime | None:
    """Convert Unix ms to a time of the database; None where it is none that a database can keep."""
    return None if at_ms is None or not 0 <= at_ms < 253_370_764_800_000 else _FIRST + at_ms * _MILLISECOND


def repetition_hash(source: str, guid: str, headline: str) -> int:
    """Return the number by which the very same text of the same source is known again."""
    return _hash("\0".join((source, guid, headline)))


def address_hash(url: str | None) -> int | None:
    """Return the number of an address, whatever it is that only tracks who reads it; None where it names no page."""
    address = None if url is None else canonical_url(url)
    return None if address is None else _hash(address)


def _hash(text: str) -> int:
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
