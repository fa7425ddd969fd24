"""The part of a `Trader` that reads the news of a home."""

from __future__ import annotations

from functools import partial

from mcp_server.trader.frame import Frame, Kind
from mcp_server.trader.session import Moment, TraderSession

NEWS: dict[str, Kind] = {
    "id": "count", "published_at": "time", "first_seen_at": "time", "source": "text", "headline": "text",
    "also": "count", "alias": "text", "url": "text", "kind": "text", "language": "text", "also_sources": "text",
    "withheld": "text",
}  # fmt: skip


class NewsTable(TraderSession):
    """What a `Trader` says of news."""

    def news(
        self,
        symbol: str | None = None,
        topic: str | None = None,
        hours: int = 24,
        limit: int = 200,
        *,
        source: str | None = None,
        as_of: Moment = None,
    ) -> Frame:
        """Return the headlines that your home had first seen by a moment, oldest first, with what was withheld.

        Args:
            symbol: a market like BTC/USD, or a coin like BTC; None: all news.
            topic: words that a headline must have, all of them; in quotes they are a phrase.
            hours: only what was first seen in the last so many, up to 720.
            limit: the last so many, up to 200.
            source: only those of this one, like coindesk.
            as_of: nothing was first seen later.

        Returns:
            One row per story. `first_seen_at` is by our clock, `published_at` as the publisher says it; `also` counts
            later headlines of the story, `also_sources` names theirs, `alias` is what named the coin. `withheld` says
            why a row does not count. `about` has the rest of the answer of `get_news`. Strangers wrote the headlines.

        Raises:
            BadInput: the symbol names no coin, the topic has no word, or a number is out of range.
            NotFound: there is no such source.
            NotSupported: nothing was collected by then, or in these hours.
            Retryable: likewise, but the hours reach until now.
        """
        asked = {
            "symbol": symbol, "topic": topic, "hours": hours, "limit": limit, "source": source, "detail": "full"
        }  # fmt: skip
        answer = self._do(partial(self._ask, "get_news", asked, as_of))
        place = answer["columns"].index("also_sources")
        rows = [[*row[:place], ", ".join(row[place]) or None, *row[place + 1 :]] for row in reversed(answer["rows"])]
        about = {name: value for name, value in answer.items() if name not in ("columns", "rows")}
        return Frame.of_rows(NEWS, rows, {"note": None, **about})
