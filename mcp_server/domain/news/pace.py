"""When each feed is asked again: at its own pace, more rarely while it fails, as its server asks, never once gone."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from mcp_server.domain.news.feed import Feed

JITTER = 0.1
"""By up to this share the time between two requests is longer, so that many homes do not ask at one moment."""

MOST_WAIT_S = 4 * 3600.0
"""A feed that fails again and again is asked this often, or at its own pace where that is slower."""

MOST_ASKED_S = 86_400.0
"""The longest that a server may ask us to wait: a wrong answer of its own does not end a feed."""

HOST_REST_S = 5.0
"""So long after an answer of a host nothing else is asked of it."""

AT_A_TIME = 3
"""How many feeds are asked at once."""

GONE = "http_410"
"""The status of a feed whose publisher says that it has ended."""


@dataclass(frozen=True, slots=True)
class FeedPace:
    """How the last request to a feed ended, and when the next one is due.

    `asked_ms` is when it had ended (Unix ms), `wait_s` how long the next one waits from then, None: there is none.
    `failures` counts those in a row.
    """

    asked_ms: int
    wait_s: float | None
    status: str
    failures: int = 0

    def left_s(self, now_ms: int) -> float | None:
        """Return how long until the next request, negative where it is overdue; None: there is none.

        A clock that was set back further than the wait makes it due at once, and never leaves it waiting for hours.
        """
        return None if self.wait_s is None else self.wait_s - abs(now_ms - self.asked_ms) / 1000


def pace_after(
    feed: Feed, failures: int, status: str, at_ms: int, *, asked_s: float | None = None, jitter: float = 0.0
) -> FeedPace:
    """Return the pace of a feed after a request.

    Args:
        feed: the feed.
        failures: how many requests in a row have failed by now, 0 where this one did not.
        status: how it ended, as in `NewsFetch`.
        at_ms: when it had ended, Unix ms.
        asked_s: how long its server asks us to wait, as Retry-After does, in seconds.
        jitter: 0 to 1, drawn anew for each request.
    """
    if status == GONE:
        return FeedPace(at_ms, None, status, failures)
    most_s = max(MOST_WAIT_S, feed.every_s)
    wait_s = min(feed.every_s * 2 ** min(failures, 16), most_s) * (1 + JITTER * jitter)
    return FeedPace(at_ms, max(wait_s, min(asked_s or 0.0, MOST_ASKED_S)), status, failures)


def due(feeds: Sequence[Feed], paces: Mapping[str, FeedPace], asking: Collection[str], now_ms: int) -> list[Feed]:
    """Return the feeds to ask now, what is overdue longest first: never two of one host, few at a time.

    Args:
        feeds: all of them.
        paces: by source; a feed without one is due at once.
        asking: the sources that are being asked.
        now_ms: what time it is, Unix ms.
    """
    resting = {_host(feed) for feed in feeds if _rests(feed, paces, asking, now_ms)}
    waiting: list[tuple[float, Feed]] = []
    for feed in feeds:
        left_s = paces[feed.source].left_s(now_ms) if feed.source in paces else -float("inf")
        if left_s is not None and left_s <= 0 and feed.source not in asking:
            waiting.append((left_s, feed))
    chosen: list[Feed] = []
    for _, feed in sorted(waiting, key=lambda entry: entry[0]):
        if len(asking) + len(chosen) < AT_A_TIME and _host(feed) not in resting:
            chosen.append(feed)
            resting.add(_host(feed))
    return chosen


def _rests(feed: Feed, paces: Mapping[str, FeedPace], asking: Collection[str], now_ms: int) -> bool:
    pace = paces.get(feed.source)
    return feed.source in asking or (pace is not None and abs(now_ms - pace.asked_ms) < 1000 * HOST_REST_S)


def _host(feed: Feed) -> str:
    return urlsplit(feed.url).netloc.lower()
