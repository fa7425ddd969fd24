"""How collecting went, read from the requests to feeds, of which there are a million in a year."""

from mcp_server.domain.news.collection import AWAY_MS, GAP_MS, READ, Collection, SourceState
from mcp_server.storage.news.rows import milliseconds, moment_of
from mcp_server.storage.sql import SqlConnection

_READ = f"status IN {READ}"

_STATUSES = """
SELECT source, status, min(fetched_at), max(fetched_at) FROM news_fetches WHERE fetched_at <= ?
GROUP BY source, status, CAST(fetched_at AS DATE) ORDER BY source, min(fetched_at)
"""
"""Within a day no source is away for `AWAY_MS`."""

_INDEXES = "SELECT DISTINCT source FROM news WHERE kind = 'index' AND first_seen_at <= ?"

_FAILURES = "SELECT count(*) FROM news_fetches WHERE source = ? AND fetched_at > ? AND fetched_at <= ?"

_GAPS = f"""
SELECT earlier, since FROM (
    SELECT since, lag(until) OVER (ORDER BY since) AS earlier FROM (
        SELECT min(fetched_at) AS since, max(fetched_at) AS until FROM news_fetches
        WHERE {_READ} AND fetched_at <= ? AND source = ANY(CAST(? AS VARCHAR[])) GROUP BY date_trunc('hour', fetched_at)
    ) hours
) neighbours WHERE since - earlier > INTERVAL '{GAP_MS // 1000}' SECOND ORDER BY since
"""  # noqa: S608 - ours
"""Within an hour of the clock there is no gap; to compare the hours takes a third of what all requests take."""


def collected(connection: SqlConnection, until_ms: int, source: str | None = None) -> Collection:
    """Return what was known of collecting at a moment (Unix ms), from all sources or from one."""
    until = moment_of(until_ms)
    by_source: dict[str, list[tuple[str, int, int]]] = {}
    for name, status, first, last in connection.execute(_STATUSES, [until]).fetchall():
        if source in (None, name):
            by_source.setdefault(name, []).append((status, milliseconds(first), milliseconds(last)))
    indexes = {name for (name,) in connection.execute(_INDEXES, [until]).fetchall()}
    states = tuple(_state(connection, name, days, until_ms, name in indexes) for name, days in by_source.items())
    began = {state.source: state.since_ms for state in states if state.since_ms is not None and not state.index}
    gaps = [
        (milliseconds(earlier), milliseconds(since))
        for earlier, since in connection.execute(_GAPS, [until, [*began]]).fetchall()
    ]
    collection = Collection(until_ms, min(began.values(), default=None), states, tuple(gaps))
    return collection.continued((), until_ms)


def _state(
    connection: SqlConnection, source: str, days: list[tuple[str, int, int]], until_ms: int, index: bool
) -> SourceState:
    """Return how a source stands; `days` are its first and its last request of each day and status, oldest first."""
    begun_ms: list[int] = []
    read_ms: int | None = None
    for status, first_ms, last_ms in days:
        if status in READ:
            if read_ms is None or first_ms - read_ms > AWAY_MS:
                begun_ms.append(first_ms)
            read_ms = last_ms if read_ms is None else max(read_ms, last_ms)
    fetched_ms, status = max((last_ms, status) for status, _, last_ms in days)
    failures = 0
    if status not in READ:
        after = moment_of(0 if read_ms is None else read_ms)
        ((failures,),) = connection.execute(_FAILURES, [source, after, moment_of(until_ms)]).fetchall()
    return SourceState(source, fetched_ms, status, tuple(begun_ms), read_ms, int(failures), index)
