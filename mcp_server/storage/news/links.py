"""The addresses of the headlines that a run's sub-agents saw: answers to models leave them out."""

from typing import Any

from mcp_server.domain.news.in_trace import Links, news_seen
from mcp_server.storage.sql import SqlConnection


def links_of(connection: SqlConnection, trace: Any) -> Links:
    """Return the addresses of the news that a trace tells of, by id and source."""
    ids = sorted({item.id for seen in news_seen(trace) for item in seen.headlines if item.id is not None})
    if not ids:
        return {}
    marks = ", ".join("?" * len(ids))
    query = f"SELECT id, source, url FROM news WHERE url IS NOT NULL AND id IN ({marks})"  # noqa: S608 - marks alone
    return {(int(id_), source): url for id_, source, url in connection.execute(query, ids).fetchall()}
