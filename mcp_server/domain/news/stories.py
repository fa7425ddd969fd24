"""Stories: the headlines that tell the same, as one; which are shown, which are withheld and which are counted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

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


def is_fresh(item: NewsItem) -> bool:
    """Return whether a headline was new when it was first seen, as its publisher says: only these are counted."""
    return item.published_ms is not None and 0 <= item.first_seen_ms - item.published_ms <= FRESH_MS


def stories(items: Sequence[NewsItem], aliases: Aliases, after_ms: int) -> list[Story]:
    """Return the stories about a subject that begin after a moment, oldest first; what is withheld is in none.

    A story begins with a headline about the subject, unless another of it did within `SAME_STORY_MS` before. So what
    it is at a moment rests on the headlines of that time alone, whatever comes later, and however far back they go.

    Args:
        items: headlines in the order in which they were first seen, from `after_ms - SAME_STORY_MS` on.
        aliases: of each of them.
        after_ms: a story that begins later counts (Unix ms).
    """
    asked = {item.story for item, alias in zip(items, aliases, strict=True) if alias is not None}
    begun: list[Story] = []
    open_: dict[int, Story] = {}
    last_ms: dict[int, int] = {}
    for item, alias in zip(items, aliases, strict=True):
        if item.story not in asked or trouble_of(item) is not None:
            continue
        before_ms = last_ms.get(item.story)
        is_over = before_ms is None or item.first_seen_ms - before_ms > SAME_STORY_MS
        if alias is not None:
            last_ms[item.story] = item.first_seen_ms
        if is_over:
            open_.pop(item.story, None)
            if alias is not None and item.first_seen_ms > after_ms:
                begun.append(open_.setdefault(item.story, Story(item, alias)))
        elif item.story in open_:
            open_[item.story].later.append(item)
    return begun


def counted(items: Iterable[Story]) -> list[int]:
    """Return when each story that counts began (Unix ms), in rising order."""
    return [story.first.first_seen_ms for story in items if is_fresh(story.first)]
