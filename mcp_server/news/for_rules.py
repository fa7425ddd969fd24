"""The news that rules look at, given with the candles that they decide on."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from mcp_server.domain.news.pairs import base_of
from mcp_server.domain.timeframes import timeframe_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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

    closes_ms = candles.open_time_ms + timeframe_ms(timeframe)
    columns = {}
    if hours := [one.hours for one in wanted if one.hours is not None]:
        columns = _rates(news, closes_ms, base_of(symbol), hours)
    if len(hours) < len(wanted):
        columns[None] = _index(news, closes_ms)
    return replace(candles, given={one.key: GivenColumn(*columns[one.hours]) for one in wanted})


def _rates(news: News, closes_ms: Times, base: str, hours: Sequence[int]) -> dict[int | None, tuple[Floats, str]]:
    """Return the stories an hour over each number of hours; all of them are counted in one look at the stories."""
    import numpy as np

    from mcp_server.domain.news.rate import HOUR_MS, per_hour, spans_of, why_no_rate

    if not len(closes_ms):
        return {each: (np.empty(0), "") for each in hours}
    first_ms, last_ms = int(closes_ms[0]) - max(hours) * HOUR_MS, int(closes_ms[-1])
    collection = news.collection(last_ms)
    collected, begun = spans_of(collection), news.story_times(base, first_ms, collection)
    rates = {each: per_hour(begun, collected, closes_ms, each) for each in hours}
    return {
        each: (values, _why(closes_ms, values, partial(why_no_rate, collected, hours=each)))
        for each, values in rates.items()
    }


def _index(news: News, closes_ms: Times) -> tuple[Floats, str]:
    from mcp_server.domain.news.rate import why_no_index

    def why(at_ms: int) -> str:
        item = news.index(at_ms)
        return why_no_index(None if item is None else item.first_seen_ms, at_ms)

    values = news.fear_greed(closes_ms)
    return values, _why(closes_ms, values, why)


def _why(closes_ms: Times, values: Floats, why: Callable[[int], str]) -> str:
    """Say why the last of the values that is undefined is so; "" where none is."""
    undefined_ms = closes_ms[values != values]  # noqa: PLR0124 - what differs from itself is NaN
    return why(int(undefined_ms[-1])) if len(undefined_ms) else ""
