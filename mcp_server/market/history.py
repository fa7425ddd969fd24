"""Closed candles as of any moment: what is known already, and the rest from the exchange, which is then known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import anyio

from mcp_server.domain.timeframes import TIMEFRAMES, candle_open_ms, last_closed_open_ms, timeframe_ms, to_ms
from mcp_server.errors import NotSupported, Retryable
from mcp_server.single_flight import SingleFlight

if TYPE_CHECKING:
    from mcp_server.domain.candles import Candles
    from mcp_server.domain.exchange import Exchange
    from mcp_server.market.candle_cache import CandleCache
    from mcp_server.storage.candles.store import Range, Series, Stored

SETTLE_MS = 2_000
"""A candle is asked for no sooner after its close: by then exchanges have put its last trades in."""

LATE_MS = 600_000
"""A candle that an exchange has not published this long after its close is not coming any more."""

EARLIEST_MS = 1_262_304_000_000
"""2010-01-01: no exchange is asked for anything before it."""

RECENT = 60
"""Among so many candles there is one that was traded in, or the market is dead."""

CHUNK = 3_000
"""Candles that are fetched and kept at a time, newest first: a call that runs out of time is not in vain."""


@dataclass(frozen=True, slots=True)
class History:
    """Closed candles up to a moment."""

    exchange: str
    symbol: str
    timeframe: str
    as_of_ms: int
    candles: Candles
    simulated: bool
    built_from: str | None = None
    note: str | None = None
    """What a reader must know: fewer than asked for and why, built from smaller ones, a clock that is wrong."""

    @property
    def age_s(self) -> float | None:
        """Seconds from the last candle's close to the as-of; None without candles."""
        if not len(self.candles):
            return None
        return (self.as_of_ms - int(self.candles.open_time_ms[-1]) - timeframe_ms(self.timeframe)) / 1000


@dataclass(frozen=True, slots=True)
class ClosedCandles:
    """Closed candles of the range that was asked for, and where they come from."""

    asked: Range
    candles: Candles
    built_from: str | None = None
    """The smaller timeframe that they were built from."""
    behind_ms: int = 0
    """How far the exchange's clock was behind this machine's, where that kept a candle out."""


class Histories:
    """Finds closed candles: on the candle_cache, else at the exchange, where each candle is fetched once."""

    def __init__(self, candle_cache: CandleCache, clock: Callable[[], datetime]) -> None:
        self._candle_cache = candle_cache
        self._clock = clock
        self._single_flight = SingleFlight()

    async def closed(self, exchange: Exchange, symbol: str, timeframe: str, wanted: Range) -> ClosedCandles:
        """Give the candles that open within `wanted`, whose end is that of a closed candle; oldest first.

        Raises:
            NotSupported, Retryable, UpstreamRejected: as the exchange's adapter.
        """
        if exchange.simulated:
            fetched = await exchange.candles(symbol, timeframe, *wanted)
            return ClosedCandles(wanted, fetched.candles.between(*wanted))
        from mcp_server.domain.candles import merge
        from mcp_server.storage.candles.store import Series

        series = Series(exchange.id, symbol, timeframe)
        stored = await self._candle_cache.load(series, wanted)
        if not stored.missing:
            return ClosedCandles(wanted, stored.candles)
        if timeframe not in await exchange.timeframes():
            return await self._built(exchange, series, wanted, stored)
        fetches: list[ClosedCandles] = []
        while True:
            asked = [fetch.asked for fetch in fetches]
            missing = _without(stored.missing, asked)
            if not missing:
                behind_ms = max([0, *(fetch.behind_ms for fetch in fetches)])
                candles = merge([stored.candles, *_loose(stored.missing, fetches)])
                return ClosedCandles(wanted, candles, behind_ms=behind_ms)
            chunk = _newest_chunk(missing, timeframe)
            try:
                fetches.append(await self._single_flight.share(series, partial(self._fetch, exchange, series, chunk)))
            except Retryable:  # another's question may have failed, when this one is answered already
                stored = await self._candle_cache.load(series, wanted)
                if _without(stored.missing, asked):
                    raise
            else:
                stored = await self._candle_cache.load(series, wanted)

    async def forming(self, exchange: Exchange, symbol: str, timeframe: str) -> Candles:
        """Give the candle that is forming now, as one candle or none; it is never kept.

        Raises:
            NotSupported, Retryable, UpstreamRejected: as the exchange's adapter.
        """
        from mcp_server.domain.candles import resample

        opened = candle_open_ms(to_ms(self._clock()), timeframe)
        served = await exchange.timeframes()
        base = timeframe if timeframe in served else base_timeframe(exchange, served, timeframe)
        fetched = await exchange.candles(symbol, base, opened, opened + timeframe_ms(timeframe))
        return resample(fetched.candles, timeframe)

    async def _fetch(self, exchange: Exchange, series: Series, chunk: Range) -> ClosedCandles:
        """Fetch what is missing of a chunk, and keep what of it will not change any more."""
        from mcp_server.domain.candles import merge

        stored = await self._candle_cache.load(
            series, chunk
        )  # somebody may have fetched some of it, and been cancelled
        parts, behind_ms = [stored.candles], 0
        for start, end in reversed(stored.missing):
            await self._settled(end)
            fetched = await exchange.candles(series.symbol, series.timeframe, min(max(start, EARLIEST_MS), end), end)
            now_ms = to_ms(self._clock())
            told_ms = now_ms if fetched.told_ms is None else min(now_ms, fetched.told_ms)
            candles = fetched.candles.between(start, end).closed_by(told_ms, series.timeframe)
            if told_ms < end:
                behind_ms = max(behind_ms, now_ms - told_ms)
            known = (start, min(end, _known_until(candles, series.timeframe, told_ms)))
            if known[1] > start and (len(candles) > 0 or await self._answers(exchange, series)):
                self._candle_cache.keep(series, candles.between(*known), known)
            parts.append(candles)
        return ClosedCandles(chunk, merge(parts), behind_ms=behind_ms)

    async def _answers(self, exchange: Exchange, series: Series) -> bool:
        """Say whether the exchange has any recent candle of a series.

        An empty answer may be a hiccup; kept, it would be a hole for good. So it counts only from an exchange that
        shows that it answers for the series at all.
        """
        now_ms, length = to_ms(self._clock()), timeframe_ms(series.timeframe)
        recent = await exchange.candles(series.symbol, series.timeframe, now_ms - RECENT * length, now_ms + 1)
        return len(recent.candles) > 0

    async def _settled(self, end_ms: int) -> None:
        """Wait until the last candle before `end_ms` has been closed for a moment."""
        early_ms = end_ms + SETTLE_MS - to_ms(self._clock())
        if 0 < early_ms <= SETTLE_MS:
            await anyio.sleep(early_ms / 1000)

    async def _built(self, exchange: Exchange, series: Series, wanted: Range, stored: Stored) -> ClosedCandles:
        """Build what is missing from smaller candles, but none of which a part is still to be published."""
        from mcp_server.domain.candles import merge, resample

        base = base_timeframe(exchange, await exchange.timeframes(), series.timeframe)
        parts, behind_ms = [stored.candles], 0
        for start, end in stored.missing:
            smaller = await self.closed(exchange, series.symbol, base, (max(start, _first_open(series.timeframe)), end))
            whole_until = self._whole_until(smaller.candles, base, series.timeframe, (start, end))
            parts.append(resample(smaller.candles.between(start, whole_until), series.timeframe))
            behind_ms = max(behind_ms, smaller.behind_ms)
        return ClosedCandles(wanted, merge(parts), base, behind_ms)

    def _whole_until(self, candles: Candles, base: str, timeframe: str, within: Range) -> int:
        """Give up to where candles can be built: to the one with the first part that may still be published."""
        since = max(within[0], candle_open_ms(to_ms(self._clock()) - LATE_MS, base))
        received = set(candles.between(since, within[1]).open_time_ms.tolist())
        awaited = (opened for opened in range(since, within[1], timeframe_ms(base)) if opened not in received)
        first = next(awaited, None)
        return within[1] if first is None else candle_open_ms(first, timeframe)


def base_timeframe(exchange: Exchange, served: Sequence[str], timeframe: str) -> str:
    """Give the longest of the served timeframes that candles of `timeframe` can be built from.

    Raises:
        NotSupported: there is none.
    """
    names = [name for name in TIMEFRAMES if name in served]
    if not names:
        raise NotSupported(f"{exchange.id!r} has no candles at all. Try another exchange, like 'kraken' or 'coinbase'.")
    length = timeframe_ms(timeframe)
    smaller = [name for name in names if length % TIMEFRAMES[name] == 0 and TIMEFRAMES[name] < length]
    if not smaller:
        raise NotSupported(
            f"{exchange.id!r} has no {timeframe} candles and none to build them from. Use one of {', '.join(names)}."
        )
    return max(smaller, key=timeframe_ms)


def last_closed(as_of_ms: int, timeframe: str, count: int) -> Range:
    """Give the range of the last `count` candles that are closed at a moment."""
    end = last_closed_open_ms(as_of_ms, timeframe) + timeframe_ms(timeframe)
    return max(end - count * timeframe_ms(timeframe), 0), end


def _first_open(timeframe: str) -> int:
    """Give the first open time at or after `EARLIEST_MS`, so that what is built begins whole."""
    opened = candle_open_ms(EARLIEST_MS, timeframe)
    return opened if opened == EARLIEST_MS else opened + timeframe_ms(timeframe)


def _known_until(candles: Candles, timeframe: str, told_ms: int) -> int:
    """Give up to where what was fetched is known for good: an exchange may publish its newest candles late."""
    length = timeframe_ms(timeframe)
    received = set(candles.open_time_ms[-(LATE_MS // length + 2) :].tolist())
    until = candle_open_ms(told_ms - LATE_MS, timeframe)
    while until in received:
        until += length
    return until


def _newest_chunk(missing: list[Range], timeframe: str) -> Range:
    """Give the newest part that is fetched at a time; what would reach before all exchanges goes with the last."""
    start, end = missing[-1]
    begin = end - CHUNK * timeframe_ms(timeframe)
    return (start if begin < max(start, EARLIEST_MS) else begin), end


def _loose(missing: list[Range], fetches: list[ClosedCandles]) -> list[Candles]:
    """Give what fetches brought of what is still missing because it may change: each candle once."""
    parts = []
    for fetch in fetches:
        parts += [fetch.candles.between(*part) for part in _common(missing, [fetch.asked])]
        missing = _without(missing, [fetch.asked])
    return parts


def _common(ranges: list[Range], others: list[Range]) -> list[Range]:
    """Give the parts of ranges that lie in others as well."""
    pairs = [(max(a[0], b[0]), min(a[1], b[1])) for a in ranges for b in others]
    return [part for part in pairs if part[0] < part[1]]


def _without(ranges: list[Range], others: list[Range]) -> list[Range]:
    """Give the parts of ranges that lie in none of the others."""
    from mcp_server.storage.candles.store import holes

    return [hole for part in ranges for hole in holes(part, sorted(_common([part], others)))]
