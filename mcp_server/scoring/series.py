"""Closed candles for judging, one pass over each series: what is stored first, then what the exchange has, in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from mcp_server.domain.timeframes import from_ms, last_closed_open_ms, timeframe_ms
from mcp_server.errors import TraderError
from mcp_server.market.ranges import common, without
from mcp_server.storage.candles.ranges import joined

if TYPE_CHECKING:
    from mcp_server.domain.candles import Candles
    from mcp_server.market.market import Market
    from mcp_server.storage.candles.ranges import Range
    from mcp_server.storage.candles.store import Series

FETCHED, STORED = 3_000, 20_000
"""So many candles are fetched, or read, at a time: what has arrived counts, though there is no time for the rest."""

REQUESTS_AT_A_TIME = 10
"""So many requests may be in vain where the time is over before all of them are answered."""

MOST_REQUESTS = 60
"""One call makes no more requests for candles than these."""


@dataclass(slots=True)
class Allowance:
    """How much work one call may still do: until a moment of anyio's clock, and so many requests to exchanges."""

    until: float
    requests: int = MOST_REQUESTS

    @classmethod
    def of(cls, seconds: float) -> Allowance:
        """Allow work from now on for so many seconds."""
        return cls(anyio.current_time() + seconds)

    @property
    def left_s(self) -> float:
        """Seconds that are left."""
        return max(self.until - anyio.current_time(), 0)

    def take(self, requests: int, candles: int) -> int:
        """Return how many of the candles that take so many requests may be fetched now; their requests count as made.

        None if no request is left, else at least one candle.
        """
        allowed = min(requests, self.requests, REQUESTS_AT_A_TIME)
        self.requests -= allowed
        if allowed == requests:
            return candles
        return max(candles * allowed // requests, 1) if allowed else 0


@dataclass(slots=True)
class Gathered:
    """What is known of a series within the ranges that were asked for.

    `ranges` are those of open times that are known for good, in order of time: a candle that is not among the candles
    does not exist there. Outside of them a candle may be there too. `problem` says why the rest could not be had, `cut`
    that there was no time for it. `symbol` is exact where the market could be asked.
    """

    symbol: str
    candles: Candles
    ranges: Sequence[Range] = ()
    problem: TraderError | None = None
    cut: bool = False


async def series_for(
    market: Market, series: Series, wanted: Sequence[Range], as_of_ms: int, allowance: Allowance
) -> Gathered:
    """Return the closed candles of some ranges of a series; this raises nothing that an exchange answers.

    Stored candles are read without asking the exchange. What is missing is fetched through the market, oldest first,
    and kept, so that a later call goes on where this one had no more time.

    Args:
        market: where candles are had.
        series: exchange, symbol (as a strategy writes it) and timeframe.
        wanted: ranges of open times in Unix ms, on the grid of the timeframe, in order of time, without overlap. A
            candle that closed less than ten minutes ago may still change: whoever asks leaves it out.
        as_of_ms: no candle that closed later is returned.
        allowance: what may still be done, by all for which one call gathers candles.
    """
    from mcp_server.domain.candles import Candles, merge

    gathered = Gathered(series.symbol, Candles.empty())
    until = last_closed_open_ms(as_of_ms, series.timeframe) + timeframe_ms(series.timeframe)
    one_pass = _Pass(market, series, gathered)
    try:
        with anyio.move_on_after(allowance.left_s) as scope:
            await one_pass.go(common(list(wanted), [(0, until)]), allowance)
        gathered.cut = gathered.cut or scope.cancelled_caught
    except TraderError as error:
        gathered.problem = error
    gathered.candles = merge(one_pass.parts)
    return gathered


class _Pass:
    """One pass over a series: adds candles to `parts` piece by piece, and what is known by then to what is gathered."""

    def __init__(self, market: Market, series: Series, gathered: Gathered) -> None:
        self.parts: list[Candles] = []
        self._market = market
        self._name = (series.exchange, series.symbol, series.timeframe)
        self._length = timeframe_ms(series.timeframe)
        self._gathered = gathered
        self._read: tuple[Range, ...] = ()

    async def go(self, wanted: list[Range], allowance: Allowance) -> None:
        """Read what is stored of some ranges, then fetch the rest."""
        known = await self._market.known(*self._name)
        self._gathered.symbol = known.symbol
        stored = list(known.ranges)
        for start, end in common(wanted, stored):
            for begin in range(start, end, STORED * self._length):
                await self._add((begin, min(begin + STORED * self._length, end)), stored)
        for start, end in without(wanted, stored):
            begin = start
            while begin < end:
                piece = (begin, min(begin + FETCHED * self._length, end))
                requests = await self._market.requests(*self._name, [piece])
                count = allowance.take(requests, (piece[1] - begin) // self._length)
                if not count:
                    self._gathered.cut = True
                    return
                await self._add((begin, begin + count * self._length))
                begin += count * self._length

    async def _add(self, piece: Range, stored: list[Range] | None = None) -> None:
        """Add the candles of a piece; without `stored`, what is known of them is looked up after they were fetched."""
        count = (piece[1] - piece[0]) // self._length
        history = await self._market.candles(*self._name, count, from_ms(piece[1]))
        self.parts.append(history.candles.between(*piece))
        self._read = joined(self._read, piece)
        known = stored if stored is not None else list((await self._market.known(*self._name)).ranges)
        self._gathered.ranges = self._read if history.simulated else common(list(self._read), known)
