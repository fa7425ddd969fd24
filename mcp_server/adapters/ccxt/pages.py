"""Candles through ccxt, page by page: exchanges cut an answer at their limit without saying so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from mcp_server.domain.timeframes import DAY_MS, TIMEFRAMES, candle_open_ms, iso, timeframe_ms
from mcp_server.errors import BadInput, NotSupported

MAX_PAGES = 150
"""A range that needs more requests is refused: they would not end within the deadline anyway."""

CAREFUL_PAGE = 100
"""Candles per request where ccxt does not know an exchange's limit: every exchange serves this many."""

Row = Sequence[float]
Ask = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]


def served_timeframes(client: Any) -> list[str]:
    """List the timeframes of up to a day that an exchange serves itself, shortest first."""
    served = client.timeframes or {}
    return [name for name, length in TIMEFRAMES.items() if name in served and length <= DAY_MS]


def candles_a_request(client: Any, symbol: str) -> int:
    """Return how many candles an exchange sends at most at a time."""
    return int(client.feature_value(symbol, "fetchOHLCV", "limit", None) or CAREFUL_PAGE)


async def fetch_pages(ask: Ask, client: Any, symbol: str, timeframe: str, span: tuple[int, int]) -> Sequence[Row]:
    """Fetch page by page until the span (Unix ms, open times) is covered; return its rows in order of time, each once.

    Each page begins where the one before it ended. An empty page is not the end: some exchanges answer for a window
    of time, and nothing may have been traded in it.
    """
    length = timeframe_ms(timeframe)
    most = candles_a_request(client, symbol)
    rows: dict[int, Row] = {}
    start, end = span
    for asked in range(MAX_PAGES + 1):
        if start >= end:
            return [rows[opened] for opened in sorted(rows)]
        if asked + (end - start) / (most * length) > MAX_PAGES:
            break
        count = min(most, -(-(end - start) // length))
        page = await ask(partial(client.fetch_ohlcv, symbol, timeframe, start, count))
        new = {int(row[0]): row for row in page if row[0] is not None and row[0] >= start}
        rows |= {opened: row for opened, row in new.items() if opened < end}
        start = max(new) + length if new else start + count * length
    raise BadInput(
        f"{timeframe} candles from {iso(span[0])} to {iso(end)} take more than {MAX_PAGES} requests to {client.id!r}.",
        "Ask for fewer candles or a longer timeframe.",
    )


def whole_candles(rows: Sequence[Row], exchange_id: str, timeframe: str) -> list[Row]:
    """Return the rows that have every value and open where candles of this timeframe do; raise if no whole one does."""
    whole = [row for row in rows if None not in row[:6]]
    on_grid = [row for row in whole if candle_open_ms(int(row[0]), timeframe) == row[0]]
    if whole and not on_grid:
        raise NotSupported(
            f"{exchange_id!r} opens its {timeframe} candles at other times than multiples of {timeframe} in UTC.",
            "Use a shorter timeframe.",
        )
    return on_grid
