"""Ranges of candles' open times: which a question covers, and which parts of them are still missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mcp_server.domain.timeframes import TIMEFRAMES, last_closed_open_ms, timeframe_ms
from mcp_server.errors import NotSupported

if TYPE_CHECKING:
    from mcp_server.storage.candles.ranges import Range

EARLIEST_MS = 1_262_304_000_000
"""2010-01-01: no exchange is asked for anything before it."""

CHUNK = 3_000
"""Candles that are fetched and kept at a time, newest first, so that a call that runs out of time is not in vain."""


def base_timeframe(exchange_id: str, served: Sequence[str], timeframe: str) -> str:
    """Return the longest of the timeframes that an exchange serves from which candles of `timeframe` can be built."""
    names = [name for name in TIMEFRAMES if name in served]
    if not names:
        raise NotSupported(
            f"{exchange_id!r} has no candles at all.", "Try another exchange, like 'kraken' or 'coinbase'."
        )
    length = timeframe_ms(timeframe)
    smaller = [name for name in names if length % TIMEFRAMES[name] == 0 and TIMEFRAMES[name] < length]
    if not smaller:
        raise NotSupported(
            f"{exchange_id!r} has no {timeframe} candles and none to build them from.",
            f"Use one of {', '.join(names)}.",
        )
    return max(smaller, key=timeframe_ms)


def last_closed(as_of_ms: int, timeframe: str, count: int) -> Range:
    """Return the range of the last `count` candles that are closed at a moment."""
    end = last_closed_open_ms(as_of_ms, timeframe) + timeframe_ms(timeframe)
    return max(end - count * timeframe_ms(timeframe), 0), end


def newest_chunk(missing: list[Range], timeframe: str) -> Range:
    """Return the newest part to fetch at a time; what would reach before `EARLIEST_MS` goes with the last part."""
    start, end = missing[-1]
    begin = end - CHUNK * timeframe_ms(timeframe)
    return (start if begin < max(start, EARLIEST_MS) else begin), end


def common(ranges: list[Range], others: list[Range]) -> list[Range]:
    """Return the parts of ranges that lie in others as well."""
    pairs = [(max(a[0], b[0]), min(a[1], b[1])) for a in ranges for b in others]
    return [part for part in pairs if part[0] < part[1]]


def without(ranges: list[Range], others: list[Range]) -> list[Range]:
    """Return the parts of ranges that lie in none of the others."""
    from mcp_server.storage.candles.ranges import holes

    return [hole for part in ranges for hole in holes(part, sorted(common([part], others)))]
