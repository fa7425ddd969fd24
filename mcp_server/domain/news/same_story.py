"""Whether a new item tells a story that is there already: by guid, by address, or by a nearly equal headline."""

import re
from collections import defaultdict
from collections.abc import Iterable
from urllib.parse import parse_qsl, urlencode, urlsplit

from mcp_server.domain.news.headlines import ends_of, near_equal
from mcp_server.domain.news.item import NewsItem, Told
from mcp_server.domain.timeframes import DAY_MS

HEADLINE_MS = 2 * DAY_MS
"""Headlines that are nearly equal tell one story if they are no further apart."""

SAME_PAGE_MS = 30 * DAY_MS
"""A guid or an address that is told again, with another headline, is the same story for so long."""

MOST_COMPARED = 200
"""The latest headlines of the same first or last word that one is compared with."""

_OWN_NEWS = frozenset(("announcement", "regulator"))
"""Sources that tell of themselves: two of them that say the same speak of two things."""

_TRACKING = re.compile(
    r"utm_\w+|fbclid|gclid|dclid|msclkid|yclid|twclid|igshid|mc_cid|mc_eid|ocid|cmpid|ncid|guccounter|guce_\w+|_hs\w+",
    re.IGNORECASE,
)
"""Parameters of an address that only say by which way a reader came."""


class KnownStories:
    """The items that a new one is compared with. Each list must be sorted by when its items were first seen.

    Args:
        recent: those of the last `HEADLINE_MS`; only their headlines are compared.
        same_page: those of the last `SAME_PAGE_MS` that may have its guid or address.
        shared: canonical addresses that name no single story.
    """

    def __init__(
        self,
        recent: Iterable[NewsItem] = (),
        same_page: Iterable[NewsItem] = (),
        shared: frozenset[str] = frozenset(),
    ) -> None:
        self._shared = shared
        self._by_guid: dict[tuple[str, str], int] = {}
        self._by_address: dict[str, int] = {}
        self._by_end: dict[tuple[int, str], list[NewsItem]] = defaultdict(list)
        for item in recent:
            self._add_headline(item)
        for item in same_page:
            self._add_page(item)

    def add(self, item: NewsItem) -> None:
        """Compare later items with this one, too."""
        self._add_headline(item)
        self._add_page(item)

    def _add_headline(self, item: NewsItem) -> None:
        for end in enumerate(ends_of(item.headline)):
            self._by_end[end].append(item)

    def _add_page(self, item: NewsItem) -> None:
        guid, address = (item.source, item.guid), self._address(item)
        self._by_guid[guid] = min(item.story, self._by_guid.get(guid, item.story))
        if address is not None:
            self._by_address[address] = min(item.story, self._by_address.get(address, item.story))

    def story_of(self, item: NewsItem) -> int | None:
        """Return the earliest story that an item tells, None where it is a new one.

        Its guid decides, then its address, then its headline.
        """
        story = self._by_guid.get((item.source, item.guid))
        address = self._address(item)
        if story is None and address is not None:
            story = self._by_address.get(address)
        if story is None:
            story = min((other.story for other in self._alike(item) if _tells_the_same(item, other)), default=None)
        return story

    def repeats(self, item: NewsItem) -> bool:
        """Return whether its source has told the very same under another guid, with the same time."""
        return any(
            (other.source, other.headline, other.published_ms) == (item.source, item.headline, item.published_ms)
            and _day(other) == _day(item)
            for other in self._by_end[(0, ends_of(item.headline)[0])][-MOST_COMPARED:]
        )

    def _alike(self, item: NewsItem) -> Iterable[NewsItem]:
        for end in enumerate(ends_of(item.headline)):
            yield from self._by_end[end][-MOST_COMPARED:]

    def _address(self, item: NewsItem) -> str | None:
        address = None if item.url is None or item.kind == "index" else canonical_url(item.url)
        return None if address in self._shared else address


def shared_addresses(told: Iterable[Told]) -> frozenset[str]:
    """Return the canonical addresses that a feed gives to several of its items."""
    guids: dict[str, set[str]] = defaultdict(set)
    for item in told:
        if item.url is not None and (address := canonical_url(item.url)) is not None:
            guids[address].add(item.guid)
    return frozenset(address for address, of in guids.items() if len(of) > 1)


def canonical_url(url: str) -> str | None:
    """Return the address of a page without scheme, `www.`, trailing slash, fragment and parameters that only track.

    None where it names no page: a host alone, or no http address at all.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = (parts.hostname or "").removeprefix("www.").rstrip("."), parts.port
    except ValueError:
        return None
    kept = [(key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True) if not _tracks(key)]
    path = parts.path.rstrip("/")
    if parts.scheme not in ("http", "https") or not host or not (path or kept):
        return None
    place = host if port in (None, 80, 443) else f"{host}:{port}"
    return f"{place}{path}" + (f"?{urlencode(sorted(kept))}" if kept else "")


def _tells_the_same(item: NewsItem, other: NewsItem) -> bool:
    if "index" in (item.kind, other.kind) or abs(_told_ms(item) - _told_ms(other)) > HEADLINE_MS:
        return False
    if item.source == other.source and _day(item) != _day(other):
        return False  # a headline that comes back: "Fed issues FOMC statement"
    if item.source != other.source and {item.kind, other.kind} <= _OWN_NEWS:
        return False  # "Scheduled maintenance" of two exchanges
    return abs(item.first_seen_ms - other.first_seen_ms) <= HEADLINE_MS and near_equal(item.headline, other.headline)


def _told_ms(item: NewsItem) -> int:
    """Return when an item was published, if that can be; else when it was first seen."""
    published = item.published_ms
    return item.first_seen_ms if published is None or published > item.first_seen_ms else published


def _day(item: NewsItem) -> int:
    return _told_ms(item) // DAY_MS


def _tracks(key: str) -> bool:
    return _TRACKING.fullmatch(key) is not None
