"""Stories: the headlines that tell the same, as one; which are shown, which are withheld and which are counted."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from mcp_server.domain.news.collection import SETTLING_MS
from mcp_server.domain.news.item import NewsItem

HOUR_MS = 3_600_000

SAME_STORY_MS = 48 * HOUR_MS
"""A headline joins a story that was told within this time before it; later the story begins anew."""

FRESH_MS = 48 * HOUR_MS
"""What its publisher dates further back when we first see it is shown, but not counted: a feed that is read for the
first time brings weeks at once."""

Trouble = Literal["undated", "dated in the future"]

Aliases = Sequence[str | None]
"""By which words each of some headlines is about a subject; None where it is not."""


@dataclass(slots=True)
class Story:
    """One story as it was known by some moment.

    `first` is the headline that it counts from: the first that is about the subject. `alias` are the words by which it
    is. `later` are the headlines that told the same afterwards, edits of the first as well as those of others.
    """

    first: NewsItem
    alias: str
    later: list[NewsItem] = field(default_factory=list)

    @property
    def headline(self) -> str:
        """The latest wording of the source that told it first."""
        own = [item.headline for item in self.later if item.source == self.first.source]
        return own[-1] if own else self.first.headline


def trouble_of(item: NewsItem) -> Trouble | None:
    """Return why a headline is withheld; None where it is not. A publisher's time may be missing, or impossible."""
    if item.published_ms is None:
        return "undated"
    return "dated in the future" if item.published_ms > item.first_seen_ms else None


def beginnings(items: Sequence[NewsItem], aliases: Aliases, after_ms: int) -> list[int]:
    """Return the places of the headlines with which stories about a subject begin after a moment, oldest first.

    A story begins with a headline about the subject, unless another of it did within `SAME_STORY_MS` before. So what
    it is at a moment rests on the headlines of that time alone, whatever comes later, and however far back they go.
    What is withheld begins none.

    Args:
        items: headlines in the order in which they were first seen, from `after_ms - SAME_STORY_MS` on.
        aliases: of each of them.
        after_ms: a story that begins later counts (Unix ms).
    """
    begun: list[int] = []
    last_ms: dict[int, int] = {}
    for place, (item, alias) in enumerate(zip(items, aliases, strict=True)):
        seen_ms = item.first_seen_ms
        if alias is None or item.published_ms is None or item.published_ms > seen_ms:  # withheld, as `trouble_of` says
            continue
        before_ms = last_ms.get(item.story)
        last_ms[item.story] = seen_ms
        if seen_ms > after_ms and (before_ms is None or seen_ms - before_ms > SAME_STORY_MS):
            begun.append(place)
    return begun


def stories(items: Sequence[NewsItem], aliases: Aliases, begun: Sequence[int]) -> list[Story]:
    """Return the stories that begin at some of the `beginnings`: at the last ones, from any of them on."""
    found = {place: Story(items[place], aliases[place] or "") for place in begun}
    asked = {story.first.story for story in found.values()}
    open_: dict[int, Story] = {}
    last_ms: dict[int, int] = {}
    for place in range(begun[0] if begun else len(items), len(items)):
        item = items[place]
        if item.story not in asked or trouble_of(item) is not None:
            continue
        if place in found:
            open_[item.story] = found[place]
        elif item.story in open_ and item.first_seen_ms - last_ms[item.story] <= SAME_STORY_MS:
            open_[item.story].later.append(item)
        if aliases[place] is not None:
            last_ms[item.story] = item.first_seen_ms
    return list(found.values())


def counted(items: Sequence[NewsItem], begun: Iterable[int], begun_ms: Mapping[str, Sequence[int]]) -> list[int]:
    """Return when each story that counts began (Unix ms), in rising order: those that were new when they were seen.

    New is what is dated at most `FRESH_MS` before. A source that is first read brings days of headlines at once: in its
    first `SETTLING_MS`, only what is dated so little before is new.

    Args:
        items: headlines in the order in which they were first seen.
        begun: the places of those with which stories begin.
        begun_ms: when each source was first read, or anew after it was away (Unix ms), by its name.
    """
    first = (items[place] for place in begun)
    return [
        item.first_seen_ms
        for item in first
        if item.published_ms is not None
        and item.first_seen_ms - item.published_ms <= _new_for(item, begun_ms.get(item.source, ()))
    ]


def _new_for(item: NewsItem, begun_ms: Sequence[int]) -> int:
    place = bisect_right(begun_ms, item.first_seen_ms) - 1
    settled = place >= 0 and item.first_seen_ms - begun_ms[place] > SETTLING_MS
    return FRESH_MS if settled else SETTLING_MS
