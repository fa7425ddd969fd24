"""Which candles can be had without asking the exchange: those that are stored, or built from stored ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mcp_server.domain.timeframes import candle_open_ms, first_open_ms, timeframe_ms

if TYPE_CHECKING:
    from mcp_server.market.candle_cache import CandleCache
    from mcp_server.storage.candles.ranges import Range
    from mcp_server.storage.candles.store import Series


async def known_ranges(candle_cache: CandleCache, series: Series, served: Sequence[str]) -> list[Range]:
    """Return the ranges of a series that are known, in order of time, joined where they touch.

    Shorter candles count where longer ones are built from them: imported ones, and those of an exchange that does not
    serve the timeframe itself.
    """
    from mcp_server.storage.candles.ranges import joined

    length, ranges = timeframe_ms(series.timeframe), tuple["Range", ...]()
    for stored, known in await candle_cache.known(series.exchange, series.symbol):
        shorter = timeframe_ms(stored.timeframe) < length and length % timeframe_ms(stored.timeframe) == 0
        builds = shorter and (known.revision or series.timeframe not in served)
        if stored.timeframe != series.timeframe and not builds:
            continue
        for start, end in known.ranges:
            whole = (first_open_ms(start, series.timeframe) if start else 0, candle_open_ms(end, series.timeframe))
            ranges = joined(ranges, whole) if whole[0] < whole[1] else ranges
    return list(ranges)
