"""Closed candles as of any moment: those that are known already, and the rest from the exchange, kept from then on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import anyio

from mcp_server.domain.timeframes import candle_open_ms, first_open_ms, timeframe_ms, to_ms
from mcp_server.errors import Retryable
from mcp_server.market.imported import longer_from_imported
from mcp_server.market.ranges import EARLIEST_MS, base_timeframe, common, newest_chunk, without
from mcp_server.market.recent import RecentCandles
from mcp_server.moment import Clock
from mcp_server.single_flight import SingleFlight

if TYPE_CHECKING:
    from mcp_server.domain.candles import Candles
    from mcp_server.domain.exchange import Exchange
    from mcp_server.market.candle_cache import CandleCache
    from mcp_server.storage.candles.ranges import Range
    from mcp_server.storage.candles.store import Series, Stored

SETTLE_MS = 2_000
"""A candle is requested this long after its close at the earliest: by then exchanges have entered its last trades."""

LATE_MS = 600_000
"""This long after its close a candle does not change any more, and one that is not published yet will not come."""

RECENT = 60
"""In this many candles something was traded, or the market is dead."""


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
    """What a reader must know: why there are fewer candles than asked for, what they were built from, a wrong clock."""

    @property
    def age_s(self) -> float | None:
        """Seconds from the last candle's close to the as-of; None without candles."""
        if not len(self.candles):
            return None
        return (self.as_of_ms - int(self.candles.open_time_ms[-1]) - timeframe_ms(self.timeframe)) / 1000

    def last(self, count: int) -> History | None:
        """Return the answer to the same question for fewer candles; None where there is more to say of them."""
        if self.note is not None or len(self.candles) < count:
            return None
        return replace(self, candles=self.candles.slice(len(self.candles) - count))


@dataclass(frozen=True, slots=True)
class ClosedCandles:
    """Closed candles of the range that was asked for, and where they come from."""

    asked: Range
    candles: Candles
    built_from: str | None = None
    """The smaller timeframe that they were built from."""
    behind_ms: int = 0
    """How far the exchange's clock was behind this machine's, where that kept a candle out."""
    corrections: str | None = None
    """Which of them the exchange has corrected since they were first answered."""
    imported: str | None = None
    """What is to be said of candles that were built from imported ones."""


class Histories:
    """Finds closed candles: in the candle cache, else at the exchange, where each candle is fetched once."""

    def __init__(self, candle_cache: CandleCache, clock: Clock) -> None:
        self._candle_cache = candle_cache
        self._clock = clock
        self._single_flight = SingleFlight()
        self._recent = RecentCandles()

    async def closed(self, exchange: Exchange, symbol: str, timeframe: str, wanted: Range) -> ClosedCandles:
        """Return the candles that open within `wanted`, oldest first; `wanted` ends where a closed candle does."""
        if exchange.simulated:
            fetched = await exchange.candles(symbol, timeframe, *wanted)
            return ClosedCandles(wanted, fetched.candles.between(*wanted))
        from mcp_server.domain.candles import merge
        from mcp_server.storage.candles.store import Series

        series = Series(exchange.id, symbol, timeframe)
        built = await longer_from_imported(self._candle_cache, series, wanted)
        if built is None:
            return await self._not_imported(exchange, series, wanted)
        parts = [await self._not_imported(exchange, series, part) for part in without([wanted], built.ranges)]
        candles = merge([*built.candles, *(part.candles for part in parts)])
        behind_ms = max([0, *(part.behind_ms for part in parts)])
        corrections = next((part.corrections for part in parts if part.corrections), None)
        return ClosedCandles(wanted, candles, built.base, behind_ms, corrections, built.note)

    async def _not_imported(self, exchange: Exchange, series: Series, wanted: Range) -> ClosedCandles:
        """Return candles as the exchange has them, or had them when they were kept."""
        from mcp_server.domain.candles import merge

        timeframe = series.timeframe
        stored = await self._candle_cache.load(series, wanted)
        if stored.missing and timeframe not in await exchange.timeframes():
            return await self._built(exchange, series, wanted, stored)
        fresh = self._recent.fresh(series, to_ms(self._clock()))
        fetches = [ClosedCandles(*fresh)] if fresh else []
        while True:
            asked = [fetch.asked for fetch in fetches]
            missing = without(stored.missing, asked)
            if not missing:
                behind_ms = max([0, *(fetch.behind_ms for fetch in fetches)])
                candles = merge([stored.candles, *_loose(stored.missing, fetches)])
                corrections = self._recent.corrections(series, wanted, to_ms(self._clock()))
                return ClosedCandles(wanted, candles, behind_ms=behind_ms, corrections=corrections)
            chunk = newest_chunk(missing, timeframe)
            try:
                fetches.append(await self._single_flight.share(series, partial(self._fetch, exchange, series, chunk)))
            except Retryable:  # another's question may have failed, when this one is answered already
                stored = await self._candle_cache.load(series, wanted)
                if without(stored.missing, asked):
                    raise
            else:
                stored = await self._candle_cache.load(series, wanted)

    async def forming(self, exchange: Exchange, symbol: str, timeframe: str) -> Candles:
        """Return the candle that is forming now: one candle or none. It is never kept."""
        from mcp_server.domain.candles import resample

        opened = candle_open_ms(to_ms(self._clock()), timeframe)
        served = await exchange.timeframes()
        base = timeframe if timeframe in served else base_timeframe(exchange.id, served, timeframe)
        fetched = await exchange.candles(symbol, base, opened, opened + timeframe_ms(timeframe))
        return resample(fetched.candles, timeframe)

    async def _fetch(self, exchange: Exchange, series: Series, chunk: Range) -> ClosedCandles:
        """Fetch the missing candles of a chunk, and keep those that will not change any more.

        If the chunk reaches into the last `LATE_MS`, all candles since then are asked for: one request for them all.
        """
        from mcp_server.domain.candles import merge

        changing_ms = candle_open_ms(to_ms(self._clock()) - LATE_MS, series.timeframe)
        chunk = (min(chunk[0], changing_ms), chunk[1]) if chunk[1] > changing_ms else chunk
        # Another task may have fetched some of it, and been cancelled.
        stored = await self._candle_cache.load(series, chunk)
        parts, behind_ms = [stored.candles], 0
        for start, end in reversed(stored.missing):
            await self._settled(end)
            asked_ms = to_ms(self._clock())
            fetched = await exchange.candles(series.symbol, series.timeframe, min(max(start, EARLIEST_MS), end), end)
            now_ms = to_ms(self._clock())
            clock_ms = now_ms if fetched.clock_ms is None else min(now_ms, fetched.clock_ms)
            candles = fetched.candles.between(start, end).closed_by(clock_ms, series.timeframe)
            if clock_ms < end:
                behind_ms = max(behind_ms, now_ms - clock_ms)
            final_ms = candle_open_ms(clock_ms - LATE_MS, series.timeframe)
            known = (start, min(end, final_ms))
            if known[1] > start and (len(candles) > 0 or await self._answers(exchange, series)):
                self._candle_cache.keep(series, candles.between(*known), known)
            changing = (max(start, final_ms), min(end, _published_until(candles, series.timeframe, final_ms)))
            self._recent.keep(series, asked_ms, ((start, end), candles), changing)
            parts.append(candles)
        return ClosedCandles(chunk, merge(parts), behind_ms=behind_ms)

    async def _answers(self, exchange: Exchange, series: Series) -> bool:
        """Return whether the exchange has any recent candle of a series.

        An empty answer may be a hiccup and would be kept as a hole for good. So it only counts from an exchange that
        answers for the series at all.
        """
        now_ms, length = to_ms(self._clock()), timeframe_ms(series.timeframe)
        recent = await exchange.candles(series.symbol, series.timeframe, now_ms - RECENT * length, now_ms + 1)
        return len(recent.candles) > 0

    async def _settled(self, end_ms: int) -> None:
        """Wait until the last candle before `end_ms` has been closed for `SETTLE_MS`."""
        early_ms = end_ms + SETTLE_MS - to_ms(self._clock())
        if 0 < early_ms <= SETTLE_MS:
            await anyio.sleep(early_ms / 1000)

    async def _built(self, exchange: Exchange, series: Series, wanted: Range, stored: Stored) -> ClosedCandles:
        """Build the missing candles from smaller ones, except those of which a part is still to be published."""
        from mcp_server.domain.candles import merge, resample

        base = base_timeframe(exchange.id, await exchange.timeframes(), series.timeframe)
        parts, behind_ms, corrections = [stored.candles], 0, None
        for start, end in stored.missing:
            smaller = await self.closed(
                exchange, series.symbol, base, (max(start, first_open_ms(EARLIEST_MS, series.timeframe)), end)
            )
            whole_until = self._whole_until(smaller.candles, base, series.timeframe, (start, end))
            parts.append(resample(smaller.candles.between(start, whole_until), series.timeframe))
            behind_ms = max(behind_ms, smaller.behind_ms)
            corrections = corrections or smaller.corrections
        return ClosedCandles(wanted, merge(parts), base, behind_ms, corrections)

    def _whole_until(self, candles: Candles, base: str, timeframe: str, within: Range) -> int:
        """Return the end of what can be built: the first candle with a part that may still be published."""
        since = max(within[0], candle_open_ms(to_ms(self._clock()) - LATE_MS, base))
        received = set(candles.between(since, within[1]).open_time_ms.tolist())
        awaited = (opened for opened in range(since, within[1], timeframe_ms(base)) if opened not in received)
        first = next(awaited, None)
        return within[1] if first is None else candle_open_ms(first, timeframe)


def _published_until(candles: Candles, timeframe: str, since_ms: int) -> int:
    """Return the open time of the first candle since a moment that the exchange has not published yet."""
    received = set(candles.between(since_ms, 1 << 62).open_time_ms.tolist())
    while since_ms in received:
        since_ms += timeframe_ms(timeframe)
    return since_ms


def _loose(missing: list[Range], fetches: list[ClosedCandles]) -> list[Candles]:
    """Return the fetched candles that are not kept because they may still change, each once."""
    parts = []
    for fetch in fetches:
        parts += [fetch.candles.between(*part) for part in common(missing, [fetch.asked])]
        missing = without(missing, [fetch.asked])
    return parts
