"""Collects in a thread of its own, on a home on which no other program does; else it waits until that one has ended."""

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from mcp_server.errors import Retryable, TraderError
from mcp_server.storage.home import Home, unwritable
from mcp_server.storage.sql import JournalDatabase

if TYPE_CHECKING:
    from mcp_server.adapters.news.reader import NewsReader
    from mcp_server.news.collector import Collector
    from mcp_server.storage.news.store import NewsStore

logger = logging.getLogger(__name__)

BEGIN_AFTER_S = 3.0
"""So long after its start the server begins: those who wait for it come first."""

ANEW_AFTER_S = 15.0
"""How often it looks whether another program still collects, and how soon it begins anew after an error of its own."""


class Collecting:
    """Collects the news of one home from `begin` on, until the process ends: it waits for nothing then.

    It has an event loop of its own: what reading feeds takes of time, answers do not wait for.

    Args:
        home: whose feeds and database.
        database: the home's, which the tools use too.
        now: our one clock, which gives an aware datetime.
        make_reader: makes what asks feeds; called in that thread.
        begin_after_s: how long it waits before it imports anything.
        anew_after_s: how long after it could not collect it tries again.
    """

    def __init__(
        self,
        home: Home,
        database: JournalDatabase,
        now: Callable[[], datetime],
        make_reader: "Callable[[], NewsReader]",
        *,
        begin_after_s: float = BEGIN_AFTER_S,
        anew_after_s: float = ANEW_AFTER_S,
    ) -> None:
        self._home = home
        self._database = database
        self._now = now
        self._make_reader = make_reader
        self._begin_after_s = begin_after_s
        self._anew_after_s = anew_after_s
        self._collector: Collector | None = None
        self._waits = ""
        self._told: set[str] = set()

    def begin(self) -> None:
        """Begin; return at once."""
        logging.getLogger("mcp_server.news").setLevel(logging.INFO)  # it says little
        threading.Thread(target=self._keep, name="news", daemon=True).start()

    def check(self) -> dict[str, Any]:
        """Return how it stands, for `/health`: that a feed fails is no reason not to be ready."""
        if (collector := self._collector) is None:
            return {"ok": True, "collecting": False, **({"why": self._waits} if self._waits else {})}
        state = collector.state
        failing = {"failing": dict(state.failing)} if state.failing else {}
        why = {"why": " ".join(state.troubles)} if state.troubles else {}
        return {"ok": True, "collecting": True, "feeds": state.feeds, **failing, **why}

    def _keep(self) -> None:
        time.sleep(self._begin_after_s)
        while True:
            try:
                self._alone()
            except TraderError as error:
                self._wait(str(error))
            except Exception as error:  # of the machine, say: it goes on
                self._wait(f"It ended by an unexpected {type(error).__name__}, and begins anew.", error)
            time.sleep(self._anew_after_s)

    def _wait(self, why: str, error: Exception | None = None) -> None:
        self._waits = why
        self._say(why, error)

    def _say(self, text: str, error: Exception | None = None) -> None:
        """Log a sentence, once: it may hold for days, and come back every few seconds."""
        if text not in self._told:
            self._told.add(text)
            logger.log(logging.INFO if error is None else logging.ERROR, "news: %s", text, exc_info=error)

    def _alone(self) -> None:
        """Collect while holding the lock, for ever.

        Raises:
            Retryable: another program holds it.
            Misconfigured: the home cannot be written.
        """
        self._home.prepare()
        lock = FileLock(self._home.news_lock, thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise Retryable("Another program collects the news of this home.") from None
        except OSError as error:
            raise unwritable(self._home.news_lock, error) from None
        try:
            self._collect()
        finally:
            lock.release()

    def _collect(self) -> None:
        import anyio

        from mcp_server.news.collector import Collector
        from mcp_server.news.feed_list import FeedList

        async def collect() -> None:
            store = steady_store(self._database, self._now)
            self._collector = Collector(FeedList(self._home.root), store, self._make_reader(), self._now)
            self._say("This server collects the news of this home.")
            await self._collector.collect()

        try:
            anyio.run(collect)
        finally:
            self._collector = None


def steady_store(database: JournalDatabase, now: Callable[[], datetime]) -> "NewsStore":
    """Return the store, by our clock; where that is set back, what it enters is not seen earlier for it."""
    from mcp_server.domain.timeframes import to_ms
    from mcp_server.storage.news.steady_clock import SteadyClock
    from mcp_server.storage.news.store import NewsStore

    if database.path is None:  # machines share it, and its own clock
        return NewsStore(database)
    return NewsStore(database, SteadyClock(lambda: 1_000_000 * to_ms(now())))
