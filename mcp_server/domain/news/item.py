"""A headline: as a feed told it, and as it was entered. Times are milliseconds since 1970, UTC."""

from dataclasses import dataclass

from mcp_server.domain.news.feed import NewsKind

MAX_HEADLINE = 300
"""The most characters of a headline that are kept; answers show fewer."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a feed told of one item, its text cleaned. `published_ms` is None where the feed gives no certain moment.

    `url` is an https address or None; `value` is the number of an index, else None.
    """

    guid: str
    url: str | None
    headline: str
    published_ms: int | None
    value: float | None = None


@dataclass(frozen=True, slots=True)
class NewsItem:
    """One headline as it was first seen. An edited headline is an item of its own with the same `story`.

    `first_seen_ms` is of our own clock; the item exists for an answer as of T iff `first_seen_ms <= T`.
    `story` is the id of the earliest item that tells the same, by address, guid or near-equal headline: its own id
    where it is the first. It is settled when the item is entered, from what was there then, and never changes.
    """

    id: int
    source: str
    guid: str
    url: str | None
    headline: str
    kind: NewsKind
    published_ms: int | None
    first_seen_ms: int
    story: int
    value: float | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class NewsFetch:
    """One request to a feed. `status` is `ok`, `unchanged`, or a short name of what was wrong, like `http_429`.

    `count` is how many items it held, None where it was not read.
    """

    source: str
    at_ms: int
    status: str
    count: int | None = None
