"""How a fetch is entered: its stamp, what of it is new, and which stories that tells. All of it in one transaction.

It rests on rows of earlier stamps alone, so that a home which ends there would come to the same.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mcp_server.domain.news.feed import Feed
from mcp_server.domain.news.item import NewsFetch, NewsItem, Told
from mcp_server.domain.news.same_story import HEADLINE_MS, SAME_PAGE_MS, KnownStories, shared_addresses
from mcp_server.storage.news.rows import COLUMNS, address_hash, item_of, milliseconds, moment_of, repetition_hash
from mcp_server.storage.news.steady_clock import MOST_BACK_MS
from mcp_server.storage.sql import SqlConnection

MOST_NEW = 500
"""So many new items of one fetch are entered; the others follow with the next one, if the feed still has them."""

MOST_COMPARED_WITH = 5_000
"""So many items of the last two days a new one is compared with, the latest."""

_WRITTEN = f"{COLUMNS}, hash, address"
_AT_A_TIME = 50


def entered(connection: SqlConnection, fetch: NewsFetch, feed: Feed, told: Sequence[Told], now_ms: int) -> int:
    """Enter a fetch and what is new in it; return how many items that are."""
    stamp_ms = _stamp(connection, now_ms)
    connection.execute(
        "INSERT INTO news_fetches (source, fetched_at, status, count) VALUES (?, ?, ?, ?)",
        [feed.source, moment_of(stamp_ms), fetch.status, fetch.count],
    )
    if not (new := _new(connection, feed, told, stamp_ms)):
        return 0
    same_page = _same_page(connection, feed.source, new, stamp_ms)
    known = KnownStories(_recent(connection, stamp_ms), same_page, shared_addresses(told))
    rows = []
    for id_, one in zip(_ids(connection, len(new)), new, strict=True):
        item = _item(id_, feed, one, stamp_ms)
        if not known.repeats(item):
            story = known.story_of(item)
            rows.append(item if story is None else replace(item, story=story))
            known.add(rows[-1])
    for at in range(0, len(rows), _AT_A_TIME):
        _insert(connection, rows[at : at + _AT_A_TIME])
    return len(rows)


def _stamp(connection: SqlConnection, now_ms: int) -> int:
    """Return a moment later than now, to the ms, and than every other stamp: no answer was given as of it.

    Stamps of a clock that was wrong by more than `MOST_BACK_MS` do not count.
    """
    query = "SELECT max(fetched_at) FROM news_fetches WHERE fetched_at > ? AND fetched_at <= ?"
    (latest,) = _first(connection, query, [moment_of(now_ms), moment_of(now_ms + MOST_BACK_MS)])
    return (now_ms if latest is None else milliseconds(latest)) + 1


def _new(connection: SqlConnection, feed: Feed, told: Sequence[Told], stamp_ms: int) -> list[Told]:
    """Return the items whose text was never told under their guid; each once."""
    by_hash = {repetition_hash(feed.source, one.guid, one.headline): one for one in reversed(told)}
    query = "SELECT hash FROM news WHERE first_seen_at <= ? AND hash = ANY(?)"
    known = {row[0] for row in connection.execute(query, [moment_of(stamp_ms), list(by_hash)]).fetchall()}
    return [one for hash_, one in reversed(by_hash.items()) if hash_ not in known][:MOST_NEW]


def _recent(connection: SqlConnection, stamp_ms: int) -> list[NewsItem]:
    """Return the latest rows with whose headlines new items are compared, in the order of being seen."""
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM news WHERE first_seen_at > ? AND first_seen_at <= ? "  # noqa: S608 - ours
        "ORDER BY first_seen_at DESC, id DESC LIMIT ?",
        [moment_of(stamp_ms - HEADLINE_MS), moment_of(stamp_ms), MOST_COMPARED_WITH],
    ).fetchall()
    return [item_of(row) for row in reversed(rows)]


def _same_page(connection: SqlConnection, source: str, new: Sequence[Told], stamp_ms: int) -> list[NewsItem]:
    """Return the rows that have the guid or the address of a new item, in the order of being seen."""
    addresses = [address for one in new if (address := address_hash(one.url)) is not None]
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM news WHERE first_seen_at > ? AND first_seen_at <= ? "  # noqa: S608 - ours
        "AND (source = ? AND guid = ANY(?) OR address = ANY(?)) ORDER BY first_seen_at, id",
        [moment_of(stamp_ms - SAME_PAGE_MS), moment_of(stamp_ms), source, [one.guid for one in new], addresses],
    ).fetchall()
    return [item_of(row) for row in rows]


def _ids(connection: SqlConnection, count: int) -> list[int]:
    rows = connection.execute("SELECT nextval('news_ids') FROM generate_series(1, ?)", [count]).fetchall()
    return sorted(int(id_) for (id_,) in rows)


def _item(id_: int, feed: Feed, one: Told, stamp_ms: int) -> NewsItem:
    published_ms = None if moment_of(one.published_ms) is None else one.published_ms
    values = (feed.source, one.guid, one.url, one.headline, feed.kind, published_ms, stamp_ms, id_, one.value)
    return NewsItem(id_, *values, feed.language)


def _insert(connection: SqlConnection, items: Sequence[NewsItem]) -> None:
    """Insert rows by one statement: one by one they would hold the file for long."""
    values = [
        value
        for item in items
        for value in (
            *(item.id, item.source, item.guid, item.url, item.headline, item.kind),
            *(moment_of(item.published_ms), moment_of(item.first_seen_ms), item.story, item.value, item.language),
            *(repetition_hash(item.source, item.guid, item.headline), address_hash(item.url)),
        )
    ]
    places = ", ".join(["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"] * len(items))
    connection.execute(f"INSERT INTO news ({_WRITTEN}) VALUES {places}", values)  # noqa: S608 - ours


def _first(connection: SqlConnection, query: str, values: Sequence[Any]) -> tuple[Any, ...]:
    row = connection.execute(query, list(values)).fetchone()
    assert row is not None  # noqa: S101 (an aggregate always gives a row)
    return row
