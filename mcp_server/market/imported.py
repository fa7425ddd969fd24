"""Longer candles from imported shorter ones: who imports hours has the days too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_server.domain.timeframes import candle_open_ms, first_open_ms, timeframe_ms
from mcp_server.market.ranges import common, without

if TYPE_CHECKING:
    from mcp_server.domain.candles import Candles
    from mcp_server.market.candle_cache import CandleCache
    from mcp_server.storage.candles.ranges import Range
    from mcp_server.storage.candles.store import Series


@dataclass(frozen=True, slots=True)
class FromImported:
    """Built candles, the ranges that they cover, and what is to be said of them."""

    ranges: list[Range]
    candles: list[Candles]
    base: str
    note: str


async def longer_from_imported(candle_cache: CandleCache, series: Series, wanted: Range) -> FromImported | None:
    """Build what the store lacks of a range from imported shorter candles, where these are known throughout.

    None if nothing can be built. A longer candle in which shorter ones are missing is built from the others, and the
    note counts those that are missing.
    """
    from mcp_server.domain.candles import resample

    length = timeframe_ms(series.timeframe)
    shorter = [
        (smaller, known)
        for smaller, known in await candle_cache.imported(series.exchange, series.symbol)
        if timeframe_ms(smaller.timeframe) < length and length % timeframe_ms(smaller.timeframe) == 0
    ]
    if not shorter:
        return None
    missing = (await candle_cache.load(series, wanted)).missing
    ranges: list[Range] = []
    candles: list[Candles] = []
    bases: list[str] = []
    lacking = 0
    for smaller, known in sorted(shorter, key=lambda entry: -timeframe_ms(entry[0].timeframe)):
        for start, end in common(missing, list(known)):
            part = (first_open_ms(start, series.timeframe), candle_open_ms(end, series.timeframe))
            stored = await candle_cache.load(smaller, part) if part[0] < part[1] else None
            if stored is None or stored.missing:
                continue
            ranges.append(part)
            candles.append(resample(stored.candles, series.timeframe))
            bases.append(smaller.timeframe)
            lacking += _lacking(stored.candles, smaller.timeframe, candles[-1], part[1])
        missing = without(missing, ranges)
    if not ranges:
        return None
    note = f"Built from imported {' and '.join(dict.fromkeys(bases))} candles."
    if lacking:
        note += f" {lacking} of these are missing, where nothing was traded or the file has none."
    return FromImported(sorted(ranges), candles, bases[0], note)


def _lacking(smaller: Candles, base: str, built: Candles, end_ms: int) -> int:
    """Count the shorter candles that are missing from the first longer one on."""
    if not len(built):
        return 0
    return (end_ms - int(built.open_time_ms[0])) // timeframe_ms(base) - len(smaller)
