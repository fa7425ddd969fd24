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
    from mcp_server.market.history import History
    from mcp_server.market.market import Market
    from mcp_server.storage.candles.ranges import Range
    from mcp_server.storage.candles.store import Series

FETCHED, STORED = 3_000, 20_000
"""So many candles are fetched, or read, at a time: what has arrived counts, though there is no time for the rest."""

MOST_REQUESTS = 60
"""One call makes no more requests for candles than these."""

LEAST_S = 0.2
"""With less time left than this, no exchange is asked."""


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

    def take(self, requests: int) -> bool:
        """Return whether so many more requests are allowed; if so, they count as made."""
        if requests and (requests > self.requests or self.left_s < LEAST_S):
            return False
        self.requests -= requests
        return True


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
        await _gather(market, series, common(list(wanted), [(0, until)]), allowance, gathered, parts)
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
    known = await market.known(*name)
    gathered.symbol = known.symbol
    before, read = list(known.ranges), tuple["Range", ...]()
    missing = without(wanted, before)
    for piece in [*_pieces(common(wanted, before), series, STORED), *_pieces(missing, series, FETCHED)]:
        fetched = bool(common([piece], missing))
        requests = await market.requests(*name, [piece]) if fetched else 0
        history = await _read(market, series, piece, allowance) if allowance.take(requests) else None
        if history is None:
            gathered.cut = True
            return
        parts.append(history.candles.between(*piece))
        read = joined(read, piece)
        after = (await market.known(*name)).ranges if fetched else before
        gathered.ranges = read if history.simulated else common(list(read), list(after))


async def _read(market: Market, series: Series, piece: Range, allowance: Allowance) -> History | None:
    """Return the candles of a piece; None if there is no time for them."""
    count = (piece[1] - piece[0]) // timeframe_ms(series.timeframe)
    with anyio.move_on_after(allowance.left_s):
        return await market.candles(series.exchange, series.symbol, series.timeframe, count, from_ms(piece[1]))
    return None


def _pieces(ranges: Sequence[Range], series: Series, most: int) -> Iterator[Range]:
    """Cut ranges into pieces of so many candles at most, oldest first."""
    step = most * timeframe_ms(series.timeframe)
    for start, end in ranges:
        for begin in range(start, end, step):
            yield begin, min(begin + step, end)
