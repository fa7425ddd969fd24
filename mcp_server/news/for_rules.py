"""The news that rules look at, given with the candles that they decide on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mcp_server.domain.timeframes import timeframe_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_server.domain.candles import Candles, Floats, Times
    from mcp_server.domain.indicators.from_news import GivenNews
    from mcp_server.news.news import News


def with_news(news: News, candles: Candles, timeframe: str, symbol: str, wanted: Sequence[GivenNews]) -> Candles:
    """Return candles with the news that rules want, as known at each candle's close; it may wait for the database.

    A value at a close rests only on what was first seen by then, so a run at that moment and a later backtest see the
    same.

    Args:
        news: what was collected.
        candles: closed ones.
        timeframe: of the candles.
        symbol: whose coin the stories are about.
        wanted: what the rules want; nothing of it: the candles come back as they are.

    Raises:
        TraderError: the database cannot be read.
    """
    if not wanted:
        return candles
    from mcp_server.domain.candles import GivenColumn
    from mcp_server.domain.news.pairs import base_of

    closes_ms, base = candles.open_time_ms + timeframe_ms(timeframe), base_of(symbol)
    given = {}
    for one in wanted:
        values = news.fear_greed(closes_ms) if one.hours is None else news.per_hour(base, closes_ms, one.hours)
        given[one.key] = GivenColumn(values, _why(news, closes_ms, values, one.hours))
    return replace(candles, given=given)


def _why(news: News, closes_ms: Times, values: Floats, hours: int | None) -> str:
    """Say why the last of the values that is undefined is so; "" where none is."""
    import numpy as np

    from mcp_server.domain.news.rate import why_no_index, why_no_rate

    undefined_ms = closes_ms[np.isnan(values)]
    if not len(undefined_ms):
        return ""
    at_ms = int(undefined_ms[-1])
    if hours is None:
        item = news.index(at_ms)
        return why_no_index(None if item is None else item.first_seen_ms, at_ms)
    return why_no_rate(news.collected(at_ms), at_ms, hours)
