"""A question about news: what it asks for, and what had been seen of that by its moment."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_server.domain.error_hints import nearest
from mcp_server.domain.news.coverage import USUAL_DAYS, missing, second_of, unread, usual
from mcp_server.domain.news.stories import SAME_STORY_MS, Story, beginnings, counted, stories, trouble_of
from mcp_server.domain.news.topic import topic_matcher
from mcp_server.domain.timeframes import DAY_MS, from_ms, iso
from mcp_server.errors import NotFound, NotSupported, Retryable
from mcp_server.moment import is_now

if TYPE_CHECKING:
    from mcp_server.domain.news.collection import Collection, SourceState
    from mcp_server.domain.news.item import NewsItem
    from mcp_server.domain.news.stories import Aliases
    from mcp_server.news.news import News

HOUR_MS = 3_600_000

ASKED_LATELY_MS = 48 * HOUR_MS
"""A source that was asked no more for so long, and not in the hours of a question, was taken off the list of feeds."""

COLLECTING = "`claude-trader up` collects news while it runs, unless TRADER_NEWS is off"


@dataclass(frozen=True, slots=True)
class NewsQuestion:
    """What is asked: about which coin, with which words, of which source; None: any. Its moment is in Unix ms."""

    base: str | None
    topic: str | None
    source: str | None
    hours: int
    limit: int
    until_ms: int

    @property
    def after_ms(self) -> int:
        """What is first seen later is asked for (Unix ms)."""
        return self.until_ms - self.hours * HOUR_MS


@dataclass(frozen=True, slots=True)
class NewsRate:
    """How many stories an hour began in the hours asked about, and usually, and how many days the latter rests on.

    None: news was not collected throughout these hours, or for a day.
    """

    now: float | None
    usual: float | None
    days: float


@dataclass(frozen=True, slots=True)
class SeenNews:
    """The stories that were seen, the latest first, what was withheld, and what all of it rests on."""

    stories: Sequence[Story]
    withheld: Sequence[NewsItem]
    rate: NewsRate
    collected_since_ms: int
    sources: Sequence[SourceState]
    missing: Sequence[str]


def ask_news(news: News, question: NewsQuestion) -> SeenNews:
    """Return what had been seen by the moment of a question.

    Raises:
        BadInput: the topic has no word, or an operator.
        NotFound: there is no such source.
        NotSupported: nothing was collected by that moment, or in the hours asked about.
        Retryable: likewise, but the hours reach until now: the same question may be answered later.
        TraderError: as `Database.read`.
    """
    since_ms = question.until_ms - USUAL_DAYS * DAY_MS - HOUR_MS
    collection = news.collection(question.until_ms)
    if collection.since_ms is None:
        raise _not_yet(news, question)
    sources = _sources(news, question, collection)
    if why := unread(sources, question.after_ms):
        raise _unanswered(news, question, why)
    if question.source is not None:
        collection = news.collection(question.until_ms, question.source)
    assert collection.since_ms is not None  # noqa: S101 (it was read in these hours)
    after_ms = question.after_ms
    items = news.seen(min(since_ms, after_ms) - SAME_STORY_MS, question.until_ms)
    aliases = _aliases(news, question, items)
    begun = beginnings(items, aliases, min(since_ms, after_ms))
    return SeenNews(
        stories=_latest(items, aliases, begun, question),
        withheld=[
            item
            for item, alias in zip(items, aliases, strict=True)
            if alias is not None and item.first_seen_ms > after_ms and trouble_of(item)
        ],
        rate=_rate(counted(items, begun, collection.begun_ms), collection, question),
        collected_since_ms=collection.since_ms,
        sources=[s for s in sources if s.fetched_ms > min(after_ms, question.until_ms - ASKED_LATELY_MS)],
        missing=missing(collection, after_ms),
    )


def _latest(
    items: Sequence[NewsItem], aliases: Aliases, begun: Sequence[int], question: NewsQuestion
) -> Sequence[Story]:
    """Return the latest stories that are asked for; of those seen at once, the one comes first that is dated latest."""
    seen_ms = [items[place].first_seen_ms for place in begun]
    first = bisect_right(seen_ms, question.after_ms)
    if len(begun) - first > question.limit:
        first = max(first, bisect_left(seen_ms, seen_ms[-question.limit]))
    found = stories(items, aliases, begun[first:])
    return sorted(found, key=_latest_first, reverse=True)[: question.limit]


def _latest_first(story: Story) -> tuple[int, int, int]:
    """Order stories by when they were first seen; of those seen at once, by what their publishers say."""
    return story.first.first_seen_ms, story.first.published_ms or 0, story.first.id


def _aliases(news: News, question: NewsQuestion, items: Sequence[NewsItem]) -> Aliases:
    """Return which headlines are asked for, and those of a coin by which words."""
    aliases = news.aliases(question.base, items) if question.base else [""] * len(items)
    if question.topic is None and question.source is None:
        return aliases
    holds = topic_matcher(question.topic) if question.topic else None
    return [
        alias
        if alias is not None and question.source in (None, item.source) and (holds is None or holds(item.headline))
        else None
        for item, alias in zip(items, aliases, strict=True)
    ]


def _sources(news: News, question: NewsQuestion, collection: Collection) -> list[SourceState]:
    """Return the sources that are asked, none of which is that of an index."""
    feeds = news.feeds()
    indexes = {feed.source for feed in feeds if feed.kind == "index"}
    indexes |= {state.source for state in collection.sources if state.index}
    sources = [state for state in collection.sources if state.source not in indexes]
    if question.source is None:
        return sources
    known = {state.source for state in sources} | {feed.source for feed in feeds} - indexes
    if question.source not in known:
        raise NotFound(f"There is no source of news {question.source!r}.", nearest(question.source, known))
    return [state for state in sources if state.source == question.source]


def _rate(seen_ms: Sequence[int], collection: Collection, question: NewsQuestion) -> NewsRate:
    import numpy as np

    from mcp_server.domain.news.rate import per_hour, spans_of

    collected = spans_of(collection)
    times = np.array([question.until_ms], dtype=np.int64)
    now = float(per_hour(np.array(seen_ms, dtype=np.int64), collected, times, question.hours)[0])
    return NewsRate(None if math.isnan(now) else now, *usual(seen_ms, collected, question.until_ms))


def _not_yet(news: News, question: NewsQuestion) -> NotSupported:
    until = iso(question.until_ms)
    begun_ms = news.collected_since(news.now_ms())
    if begun_ms is None:
        return NotSupported(
            f"No news had been collected by {until}, so what there was is not known.",
            f"{COLLECTING}; `claude-trader doctor` says what keeps it from that. What was not collected then is lost.",
        )
    return NotSupported(
        f"News was first collected at {second_of(begun_ms)}, so what had been seen by {until} is not known.",
        "Ask as of a later time. A strategy that rests on news can be replayed from then on.",
    )


def _unanswered(news: News, question: NewsQuestion, why: str) -> NotSupported | Retryable:
    if is_now(from_ms(question.until_ms), news.clock):
        return Retryable(why, f"{COLLECTING}; `claude-trader doctor` asks the feeds. Ask for more hours, or later.")
    return NotSupported(why, "Ask for more hours, or as of another time.")
