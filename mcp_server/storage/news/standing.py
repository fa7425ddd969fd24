"""How collecting stands in a home, for people: whether a program collects, and which sources do not answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from mcp_server.domain.news.collection import FAILS_FROM, READ
from mcp_server.domain.news.pace import GONE
from mcp_server.domain.timeframes import naive
from mcp_server.errors import TraderError
from mcp_server.storage.home import Home
from mcp_server.storage.journal.liveness import is_alive
from mcp_server.storage.sql import JournalDatabase, SqlConnection

ONE_DAY = timedelta(days=1)

PATIENCE_S = 1.0
"""How long counting waits for a database that another process holds."""


@dataclass(frozen=True, slots=True)
class NewsStanding:
    """How it stands. Times are aware UTC; None: there is none.

    `collecting`: a program does so now. `since`: when a feed was first read. Of the last day, `sources` is how many
    were asked, `failing` has the status of each that does not answer, and `read_at` is when one last did. `unknown`:
    why the database could not be read; the rest is not known then.
    """

    collecting: bool
    sources: int = 0
    failing: Mapping[str, str] = field(default_factory=dict)
    since: datetime | None = None
    read_at: datetime | None = None
    unknown: TraderError | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "collecting": self.collecting,
            "since": self.since.isoformat() if self.since else None,
            "last_read": self.read_at.isoformat() if self.read_at else None,
            "sources": self.sources,
            "failing": dict(self.failing),
        }


def news_standing(home: Home, database: JournalDatabase, now: datetime) -> NewsStanding:
    """Look how collecting stands; nothing is changed."""
    collecting = is_alive(home.news_lock)
    if not database.exists():
        return NewsStanding(collecting)
    try:
        since, fetches = database.read(partial(_last_day, now))
    except TraderError as error:
        return NewsStanding(collecting, unknown=error)
    failures: dict[str, tuple[int, str]] = {}
    read_at = None
    for source, fetched_at, status in fetches:
        read_at = fetched_at if status in READ else read_at
        failures[source] = (0 if status in READ else failures.get(source, (0, ""))[0] + 1, status)
    failing = {source: status for source, (count, status) in failures.items() if count >= FAILS_FROM or status == GONE}
    return NewsStanding(collecting, len(failures), failing, _aware(since), _aware(read_at))


def _last_day(now: datetime, connection: SqlConnection) -> tuple[datetime | None, list[tuple[str, datetime, str]]]:
    """Return when a feed was first read, and the requests of the last day, oldest first."""
    query = f"SELECT min(fetched_at) FROM news_fetches WHERE status IN {READ}"  # noqa: S608 - ours
    first = connection.execute(query).fetchone()
    query = (
        "SELECT source, fetched_at, status FROM news_fetches WHERE fetched_at > ? AND fetched_at <= ? "
        "ORDER BY fetched_at"
    )
    span = [naive(now - ONE_DAY), naive(now + ONE_DAY)]  # later ones are of a clock that was wrong
    return first[0] if first else None, connection.execute(query, span).fetchall()


def _aware(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class NewsCounts:
    """How many items of each source are stored, and how many requests to it came to each status."""

    items: Mapping[str, int] = field(default_factory=dict)
    fetches: Mapping[tuple[str, str], int] = field(default_factory=dict)


def news_counts(database: JournalDatabase) -> NewsCounts:
    """Count what is stored; raise as `Database.read`."""

    def work(connection: SqlConnection) -> NewsCounts:
        items = connection.execute("SELECT source, count(*) FROM news GROUP BY source ORDER BY source").fetchall()
        query = "SELECT source, status, count(*) FROM news_fetches GROUP BY source, status ORDER BY source, status"
        fetches = connection.execute(query).fetchall()
        return NewsCounts(dict(items), {(source, status): count for source, status, count in fetches})

    return database.read(work, patience_s=PATIENCE_S)
