"""Closed candles for judging, one pass over each series: what is stored first, then what the exchange has, in time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
        """Return how many of the candles that take so many requests may be fetched; those requests count as made."""
        if requests <= self.requests:
            self.requests -= requests
            return candles
        candles, self.requests = candles * self.requests // requests, 0
        return candles


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
    parts: list[Candles] = []
    length = timeframe_ms(series.timeframe)
    until = last_closed_open_ms(as_of_ms, series.timeframe) + length
    try:
        with anyio.move_on_after(allowance.left_s) as scope:
            await _gather(market, series, common(list(wanted), [(0, until)]), allowance, gathered, parts)
        gathered.cut = gathered.cut or scope.cancelled_caught
    except TraderError as error:
        gathered.problem = error
    gathered.candles = merge(parts)
    return gathered


async def _gather(
    market: Market,
    series: Series,
    wanted: list[Range],
    allowance: Allowance,
    gathered: Gathered,
    parts: list[Candles],
) -> None:
    """Add candles to `parts` piece by piece, and what is known by then to `gathered`."""
    name = (series.exchange, series.symbol, series.timeframe)
    length = timeframe_ms(series.timeframe)
    known = await market.known(*name)
    gathered.symbol = known.symbol
    before, read = list(known.ranges), tuple["Range", ...]()
    missing = without(wanted, before)
    for start, end in [*_pieces(common(wanted, before), series, STORED), *_pieces(missing, series, FETCHED)]:
        fetched, count = bool(common([(start, end)], missing)), (end - start) // length
        if fetched:
            requests = await market.requests(*name, [(start, end)])
            count = allowance.take(requests, count)
        piece = (start, start + count * length)
        gathered.cut = piece[1] < end
        if count:
            history = await market.candles(*name, count, from_ms(piece[1]))
            parts.append(history.candles.between(*piece))
            read = joined(read, piece)
            after = (await market.known(*name)).ranges if fetched else before
            gathered.ranges = read if history.simulated else common(list(read), list(after))
        if gathered.cut:
            return


def _pieces(ranges: Sequence[Range], series: Series, most: int) -> Iterator[Range]:
    """Cut ranges into pieces of so many candles at most, oldest first."""
    step = most * timeframe_ms(series.timeframe)
    for start, end in ranges:
        for begin in range(start, end, step):
            yield begin, min(begin + step, end)
