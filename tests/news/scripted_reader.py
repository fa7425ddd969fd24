"""A reader of feeds that answers as a test says, and remembers what it was asked."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import anyio

from mcp_server.adapters.news.reader import NewsReader, Reading, Validators
from mcp_server.domain.news.feed import Feed
from mcp_server.domain.news.item import Told


def told(guid: str, headline: str = "") -> Told:
    """Make an item of a feed."""
    return Told(guid, f"https://desk.example/{guid}", headline or f"Headline {guid}", None)


def listed(*items: Told, etag: str | None = None) -> Reading:
    """Make the answer of a feed that holds these items."""
    return Reading("ok", list(items), None if etag is None else Validators(etag))


class ScriptedReader(NewsReader):
    """`answers` gives what each source answers, or waits for `free` where it is None; `asked` is what was asked."""

    def __init__(self) -> None:
        super().__init__(lambda: datetime.now(UTC))
        self.answers: dict[str, Reading | Callable[[], Reading] | None] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.free = anyio.Event()

    async def read(self, feed: Feed, known: Validators | None = None) -> Reading:
        self.asked.append((feed.source, known.etag if known else None))
        answer = self.answers.get(feed.source, Reading("unchanged"))
        if answer is None:
            await self.free.wait()
            return Reading("unchanged")
        answer = answer() if callable(answer) else answer
        return answer if answer.status == "ok" else replace(answer, validators=known)

    def sources(self) -> list[str]:
        """Return the sources asked since the last call."""
        sources = [source for source, _ in self.asked]
        self.asked.clear()
        return sources
