"""The store of news: headlines as they were first seen, and each request to a feed. A row never changes.

What an answer as of a moment told is what every later answer as of that moment tells. For that, an entry is stamped
with our clock within its transaction, while nobody else reads (`in_turn`): whoever read before has an earlier as-of,
and whoever reads later sees the entry. A file has one user at a time; in Postgres readers share a lock which the entry
takes alone, and the database's clock stamps, than which no machine's idea of it is ever later.
"""

from collections.abc import Callable, Sequence
from typing import Any

from mcp_server.domain.news.collection import Collection
from mcp_server.domain.news.feed import Feed, NewsKind
from mcp_server.domain.news.item import NewsFetch, NewsItem, Told
from mcp_server.domain.timeframes import from_ms, naive, to_ms
from mcp_server.storage.news.collected import collected
from mcp_server.storage.news.entry import entered
from mcp_server.storage.news.rows import COLUMNS, item_of, milliseconds
from mcp_server.storage.news.steady_clock import SteadyClock
from mcp_server.storage.sql import JournalDatabase, SqlConnection

About = Callable[[str, NewsKind], str | None]
"""Says by which words a headline of a kind of source is wanted; None: it is not."""

_HEADLINE, _KIND = 4, 5
"""Where they stand in a row of `COLUMNS`."""


class NewsStore:
    """The news of one home. Times are Unix ms, and `until_ms` is the moment as of which an answer is given.

    Every method raises what `Database.read` and `Database.write` raise; then nothing has changed.

    Args:
        database: the home's.
        clock: says what time it is, in Unix ms; by default the database's own, or a `SteadyClock`.
    """

    def __init__(self, database: JournalDatabase, clock: Callable[[], int] | None = None) -> None:
        self._database = database
        self._clock, self._steady = clock, SteadyClock()

    def enter(self, fetch: NewsFetch, feed: Feed, told: Sequence[Told] = ()) -> int:
        """Enter a request to a feed, and what of its items is new, in one transaction; return how many those are.

        Both are entered as of now, not as of `fetch.at_ms`: until now no answer knew of them.
        """
        return self._database.write(lambda connection: entered(connection, fetch, feed, told, self._now_ms(connection)))

    def _now_ms(self, connection: SqlConnection) -> int:
        if self._clock is not None:
            return self._clock()
        now = self._database.now_within(connection)
        return self._steady() if now is None else to_ms(now)

    def seen(self, after_ms: int, until_ms: int, *, index: bool = False, about: About | None = None) -> list[NewsItem]:
        """Return what was first seen after `after_ms` and by `until_ms`, oldest first.

        Args:
            after_ms: of an earlier answer, the latest `first_seen_ms` in it: what is new since.
            until_ms: as of when.
            index: return the numbers of indexes instead, which are left out otherwise.
            about: which headlines are wanted; None: all. What is not is left before an item is made of it.
        """

        def work(connection: SqlConnection) -> list[tuple[Any, ...]]:
            query = (
                f"SELECT {COLUMNS} FROM news WHERE first_seen_at > ? AND first_seen_at <= ? "  # noqa: S608 - ours
                f"AND kind {'=' if index else '<>'} 'index' ORDER BY first_seen_at, id"
            )
            return connection.execute(query, [_moment(after_ms), _moment(until_ms)]).fetchall()

        rows = self._database.read(work, in_turn=True)
        return [item_of(row) for row in rows if about is None or about(row[_HEADLINE], row[_KIND]) is not None]

    def index(self, until_ms: int) -> NewsItem | None:
        """Return the number of an index that was seen last."""

        def work(connection: SqlConnection) -> tuple[Any, ...] | None:
            query = (
                f"SELECT {COLUMNS} FROM news WHERE kind = 'index' AND first_seen_at <= ? "  # noqa: S608 - ours
                "ORDER BY first_seen_at DESC, id DESC LIMIT 1"
            )
            return connection.execute(query, [_moment(until_ms)]).fetchone()

        row = self._database.read(work, in_turn=True)
        return item_of(row) if row else None

    def fetches(self, after_ms: int, until_ms: int) -> list[NewsFetch]:
        """Return the requests that were entered after `after_ms` and by `until_ms`, oldest first."""

        def work(connection: SqlConnection) -> list[tuple[Any, ...]]:
            query = (
                "SELECT source, fetched_at, status, count FROM news_fetches WHERE fetched_at > ? AND fetched_at <= ? "
                "ORDER BY fetched_at, source"
            )
            return connection.execute(query, [_moment(after_ms), _moment(until_ms)]).fetchall()

        rows = self._database.read(work, in_turn=True)
        return [NewsFetch(source, milliseconds(at), status, count) for source, at, status, count in rows]

    def collection(self, until_ms: int, source: str | None = None) -> Collection:
        """Return what was known of collecting, from all sources or from one."""
        return self._database.read(lambda connection: collected(connection, until_ms, source), in_turn=True)


def _moment(at_ms: int) -> Any:
    return naive(from_ms(at_ms))
