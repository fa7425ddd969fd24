"""Collects headlines: asks each feed at its own pace, and enters what it tells, with each request, into the store."""

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.to_thread

from mcp_server.domain.news.collection import FAILS_FROM, READ
from mcp_server.domain.news.feed import Feed
from mcp_server.domain.news.item import NewsFetch
from mcp_server.domain.news.pace import GONE, FeedPace, due, pace_after
from mcp_server.domain.timeframes import to_ms
from mcp_server.errors import TraderError
from mcp_server.news.feed_list import FILE

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from mcp_server.adapters.news.reader import NewsReader, Reading, Validators
    from mcp_server.news.feed_list import FeedList
    from mcp_server.storage.news.store import NewsStore

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0
"""How often it looks which feeds are due, and whether `feeds.json` has changed."""

AWAY_S = 30.0
"""How often it tries a database that cannot be used: whoever is answered waits for each try."""

DATABASE = "the database"
"""What a trouble with it is about; other troubles are about `feeds.json` or a source."""

LOST = "lost"
"""The status of a feed whose answer could not be entered: it is asked once more at once, and then at its pace."""

T = TypeVar("T")


@dataclass(slots=True)
class _Asked:
    """What is known of a feed that was asked: as it stood in the list, when it is next due, what it last was."""

    feed: Feed
    pace: FeedPace
    validators: "Validators | None" = None


@dataclass(frozen=True, slots=True)
class Collected:
    """How collecting stands: how many feeds there are, why each failing one fails, and what else is wrong."""

    feeds: int = 0
    failing: Mapping[str, str] = field(default_factory=dict)
    troubles: tuple[str, ...] = ()


class Collector:
    """Collects the feeds of one home. One at a time does so; see `Collecting`.

    What a feed tells is entered with its request or, where the database cannot be written, not at all: then the feed is
    asked again for all of it. Another thread may read `state`.

    Args:
        feeds: which ones.
        store: where they are kept.
        reader: asks them.
        now: our one clock, which gives an aware datetime.
        jitter: draws a number of 0 to 1 for each request.
    """

    def __init__(
        self,
        feeds: "FeedList",
        store: "NewsStore",
        reader: "NewsReader",
        now: Callable[[], datetime],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._feeds = feeds
        self._store = store
        self._reader = reader
        self._now = now
        self._jitter = jitter
        self._asked: dict[str, _Asked] = {}
        self._asking: set[str] = set()
        self._one_ended = anyio.Event()
        self._resumed = False
        self._troubles: dict[str, str] = {}
        self.state = Collected()

    async def collect(self) -> None:
        """Collect until this is cancelled."""
        async with anyio.create_task_group() as tasks:
            while True:
                self._one_ended = anyio.Event()
                await self.look(tasks)
                with anyio.move_on_after(LOOK_EVERY_S if self._resumed else AWAY_S):
                    await self._one_ended.wait()

    async def look(self, tasks: "TaskGroup") -> None:
        """Begin to ask the feeds that are due."""
        feeds = self._listed()
        if self._resumed or await self._resume(feeds):
            paces = {source: asked.pace for source, asked in self._asked.items()}
            for feed in due(feeds, paces, self._asking, self._now_ms()):
                self._asking.add(feed.source)
                tasks.start_soon(self._ask, feed)

    def _listed(self) -> Sequence[Feed]:
        """Return the feeds; what was known of one whose entry has changed, or has gone, is forgotten."""
        feeds = self._feeds.feeds()
        listed = {feed.source: feed for feed in feeds}
        for source, asked in list(self._asked.items()):
            if listed.get(source) != asked.feed:
                del self._asked[source]
                self._troubles.pop(source, None)
        self._note(FILE, str(self._feeds.trouble or ""))
        self.state = replace(self.state, feeds=len(feeds))
        return feeds

    async def _resume(self, feeds: Sequence[Feed]) -> bool:
        """Go on at the pace at which feeds were asked before; False: the database cannot be read, so none is asked.

        So a program that is started again and again asks no more often, and a feed whose answer could not be entered
        is asked once more as soon as it can.
        """
        try:
            known = await _in_thread(partial(self._store.collection, self._now_ms()))
        except TraderError as error:
            self._note(DATABASE, str(error))
            return False
        states = {state.source: state for state in known.sources}
        for feed in feeds:
            if feed.source not in self._asked and (state := states.get(feed.source)) is not None:
                status = "" if state.status == GONE else state.status  # whether it is still gone is asked once a start
                pace = pace_after(feed, state.failures, status, state.fetched_ms, jitter=self._jitter())
                self._asked[feed.source] = _Asked(feed, pace)
        if all(asked.pace.status != LOST for asked in self._asked.values()):  # else it is well once one is entered
            self._note(DATABASE, "")
        self._resumed = True
        return True

    async def _ask(self, feed: Feed) -> None:
        """Ask one feed, and enter what it tells."""
        before = self._asked.get(feed.source)
        try:
            reading = await self._reader.read(feed, before.validators if before else None)
            fetch = NewsFetch(feed.source, self._now_ms(), reading.status, _count(reading))
            await _in_thread(partial(self._store.enter, fetch, feed, reading.told or ()))
        except TraderError as error:
            self._note(DATABASE, str(error))
            self._asked[feed.source] = self._after_loss(feed, before)
            self._resumed = False
        except Exception as error:  # whatever one feed brings about, the others go on
            if feed.source not in self._troubles:
                logger.exception("news: %s", feed.source)
            self._note(feed.source, f"It brought about an unexpected {type(error).__name__}; the log has more.")
            failures = 1 + (before.pace.failures if before else 0)
            self._asked[feed.source] = _Asked(feed, pace_after(feed, failures, "unexpected", self._now_ms()))
        else:
            self._note(DATABASE, "")
            self._asked[feed.source] = self._after(feed, reading, before)
        finally:
            self._asking.discard(feed.source)
            self._one_ended.set()

    def _after(self, feed: Feed, reading: "Reading", before: _Asked | None) -> _Asked:
        """Return what is known of a feed after a request that was entered."""
        failures = 0 if reading.status in READ else 1 + (before.pace.failures if before else 0)
        asked_s, jitter = reading.retry_after_s, self._jitter()
        pace = pace_after(feed, failures, reading.status, self._now_ms(), asked_s=asked_s, jitter=jitter)
        why = f"It does not answer ({reading.status})." if failures >= FAILS_FROM else ""
        why = "It has ended, says its publisher (410)." if pace.wait_s is None else why
        self._note(feed.source, why)
        return _Asked(feed, pace, reading.validators)

    def _after_loss(self, feed: Feed, before: _Asked | None) -> _Asked:
        """Return what is known of a feed whose answer was not entered: it is asked for all of it again.

        A database may be readable all the time, and never writable, as on a full disk: that must not make it ask often.
        """
        failures = before.pace.failures if before else 0
        if before is None or before.pace.status != LOST:
            return _Asked(feed, FeedPace(self._now_ms(), 0.0, LOST, failures))
        return _Asked(feed, pace_after(feed, failures, LOST, self._now_ms(), jitter=self._jitter()))

    def _note(self, about: str, why: str) -> None:
        """Log what is wrong with something as it begins, and as it ends; of `feeds.json` each new mistake."""
        before = self._troubles.pop(about, "")
        if why:
            self._troubles[about] = why
        if why and (not before or (about == FILE and why != before)):
            logger.warning("news: %s%s", "" if about in (DATABASE, FILE) else f"{about}: ", why)
        elif before and not why:
            logger.info("news: %s: all is well again.", about)
        general = [self._troubles[about] for about in (DATABASE, FILE) if about in self._troubles]
        failing = {about: why for about, why in self._troubles.items() if about not in (DATABASE, FILE)}
        self.state = replace(self.state, failing=failing, troubles=tuple(general))

    def _now_ms(self) -> int:
        return to_ms(self._now())


def _count(reading: "Reading") -> int | None:
    return None if reading.told is None else len(reading.told)


async def _in_thread(work: Callable[[], T]) -> T:
    """Work in a thread that nobody waits for when this program ends: a transaction that is stopped never began."""
    return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
