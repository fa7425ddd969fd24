"""How collecting went, read from the requests to feeds, of which there are a million in a year."""

from typing import TYPE_CHECKING

from mcp_server.domain.news.collection import GAP_MS, READ, Collection, SourceState
from mcp_server.storage.news.rows import milliseconds, moment_of

if TYPE_CHECKING:
    import duckdb

_READ = f"status IN {READ}"

_STATUSES = """
SELECT source, status, min(fetched_at), max(fetched_at) FROM news_fetches WHERE fetched_at <= ?
GROUP BY source, status ORDER BY source
"""

_FAILURES = "SELECT count(*) FROM news_fetches WHERE source = ? AND fetched_at > ? AND fetched_at <= ?"

_GAPS = f"""
SELECT earlier, since FROM (
    SELECT since, lag(until) OVER (ORDER BY since) AS earlier FROM (
        SELECT min(fetched_at) AS since, max(fetched_at) AS until FROM news_fetches
        WHERE {_READ} AND fetched_at <= ? GROUP BY date_trunc('hour', fetched_at)
    ) hours
) neighbours WHERE since - earlier > INTERVAL '{GAP_MS // 1000}' SECOND ORDER BY since
"""  # noqa: S608 - ours
"""Within an hour of the clock there is no gap; to compare the hours takes a third of what all requests take."""


def collected(connection: "duckdb.DuckDBPyConnection", until_ms: int) -> Collection:
    """Return what was known of collecting at a moment (Unix ms)."""
    by_source: dict[str, dict[str, tuple[int, int]]] = {}
    for source, status, first, last in connection.execute(_STATUSES, [moment_of(until_ms)]).fetchall():
        by_source.setdefault(source, {})[status] = milliseconds(first), milliseconds(last)
    sources = tuple(_state(connection, source, statuses, until_ms) for source, statuses in by_source.items())
    gaps = [
        (milliseconds(earlier), milliseconds(since))
        for earlier, since in connection.execute(_GAPS, [moment_of(until_ms)]).fetchall()
    ]
    since_ms = min((source.since_ms for source in sources if source.since_ms is not None), default=None)
    collection = Collection(until_ms, since_ms, sources, tuple(gaps))
    return collection.continued((), until_ms)


def _state(
    connection: "duckdb.DuckDBPyConnection", source: str, statuses: dict[str, tuple[int, int]], until_ms: int
) -> SourceState:
    """Return how a source stands; `statuses` are its first and its last request of each status."""
    read = [statuses[status] for status in READ if status in statuses]
    since_ms, read_ms = (min(first for first, _ in read), max(last for _, last in read)) if read else (None, None)
    fetched_ms, status = max((last, status) for status, (_, last) in statuses.items())
    failures = 0
    if status not in READ:
        after = moment_of(0 if read_ms is None else read_ms)
        ((failures,),) = connection.execute(_FAILURES, [source, after, moment_of(until_ms)]).fetchall()
    return SourceState(source, fetched_ms, status, since_ms, read_ms, int(failures))
