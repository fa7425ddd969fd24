"""A year of collected news: 200,000 headlines of ten sources with doubles and edits, and a million fetches."""

import csv
import random
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb

from mcp_server.domain.news.feed import Feed, NewsKind
from mcp_server.domain.timeframes import DAY_MS, from_ms, naive
from mcp_server.storage.database import Database
from mcp_server.storage.news.rows import address_hash, repetition_hash

DAYS, ITEMS, EVERY_MS = 365, 200_000, 300_000
DOUBLED, EDITED, UNDATED = 0.10, 0.04, 0.02
"""Parts of the items: also told by another source, told with another headline later, without a time."""

KINDS: dict[str, NewsKind] = {
    "coindesk": "press",
    "theblock": "press",
    "cointelegraph": "press",
    "decrypt": "press",
    "binance": "announcement",
    "okx": "announcement",
    "sec": "regulator",
    "fed": "regulator",
    "gdelt": "news",
    "fear_greed": "index",
}
WEIGHTS = (40, 30, 90, 25, 25, 20, 5, 1, 310, 1)
"""How many items each source has in a day, about."""

FEEDS = [Feed(source, f"https://{source}.example/feed", kind) for source, kind in KINDS.items()]
COLUMNS = "id, source, guid, url, headline, kind, language, value, published_at, first_seen_at, story, hash, address"
_SYLLABLES = re.findall(
    r"\w+", "ba co di fu ga ho in ja ke lo mi nu or pa qui re so ti un ve wa xi yo za bit eth mar fin"
)


class Writer:
    """Writes headlines, addresses and names; the same for the same seed."""

    def __init__(self, seed: int = 7) -> None:
        self.random = random.Random(seed)  # noqa: S311 - no secret
        self.words = ["".join(self.random.choices(_SYLLABLES, k=self.random.randint(1, 4))) for _ in range(6_000)]
        self.frequent = [1 / (place + 3) for place in range(len(self.words))]

    def headline(self) -> str:
        words = self.random.choices(self.words, self.frequent, k=self.random.randint(6, 14))
        if self.random.random() < 0.3:
            words[self.random.randrange(len(words))] = (
                f"${self.random.randint(1, 999)},{self.random.randint(0, 999):03}"
            )
        return " ".join(words).capitalize()

    def url(self, source: str, headline: str, at_ms: int) -> str:
        slug = headline.lower().replace("$", "").replace(",", "").replace(" ", "-")
        return f"https://www.{source}.example/{from_ms(at_ms):%Y/%m/%d}/{slug}"


def fill(database: Database, until_ms: int, *, days: int = DAYS, items: int = ITEMS) -> None:
    """Fill a database with news of so many days until a moment."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "news.csv")
        with file.open("w", newline="") as out:
            csv.writer(out).writerows(_rows(until_ms - days * DAY_MS, until_ms, items))

        def work(connection: duckdb.DuckDBPyConnection) -> None:
            connection.execute(
                f"INSERT INTO news ({COLUMNS}) SELECT * FROM read_csv('{file}', header = false, nullstr = '', "
                "all_varchar = true)"
            )
            connection.execute(f"SELECT nextval('news_ids') FROM range({items})").fetchall()
            connection.execute(
                "INSERT INTO news_fetches SELECT source, t + to_milliseconds(n), "
                "CASE WHEN hash(t, n) % 400 = 0 THEN 'http_503' WHEN hash(t, n) % 5 = 1 THEN 'ok' "
                "ELSE 'unchanged' END, "
                "CASE WHEN hash(t, n) % 5 = 1 THEN 40 END "
                "FROM generate_series(?::TIMESTAMP, ?::TIMESTAMP, to_milliseconds(?)) times(t), "
                "(SELECT unnest(?) AS source, unnest(range(?)) AS n) ORDER BY t, n",
                [_text(until_ms - days * DAY_MS), _text(until_ms - EVERY_MS), EVERY_MS, list(KINDS), len(KINDS)],
            )

        database.write(work)


def _rows(start_ms: int, until_ms: int, items: int) -> Iterator[tuple[Any, ...]]:
    writer = Writer()
    chance = writer.random.random
    recent: list[tuple[int, str, str, str]] = []
    for id_ in range(1, items + 1):
        seen_ms = start_ms + (until_ms - start_ms) * id_ // (items + 1) // EVERY_MS * EVERY_MS + 1
        (source,) = writer.random.choices(list(KINDS), WEIGHTS)
        headline, story = writer.headline(), id_
        url = guid = writer.url(source, headline, seen_ms)
        kind = chance()
        if recent and kind < DOUBLED:
            story, headline, _, _ = writer.random.choice(recent)
            url = guid = writer.url(source, headline, seen_ms)
        elif recent and kind < DOUBLED + EDITED:
            story, _, url, source = writer.random.choice(recent)
            guid = url
        recent = [*recent[-200:], (story, headline, url, source)]
        published = "" if chance() < UNDATED else _text(seen_ms - writer.random.randint(60, 7_200) * 1000)
        value = writer.random.randint(5, 95) if source == "fear_greed" else ""
        hash_ = repetition_hash(source, guid, headline)
        yield (
            *(id_, source, guid, url, headline, KINDS[source], "en", value, published, _text(seen_ms), story, hash_),
            address_hash(url),
        )


def _text(at_ms: int) -> str:
    return naive(from_ms(at_ms)).isoformat(sep=" ")
