"""An exchange of our own making, whose every answer is known: for what the market does with answers."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import anyio

from mcp_server.domain.candles import Candles
from mcp_server.domain.exchange import Exchange, Fetched, Funding, Listings, OrderBook, PerpetualState, Ticker
from mcp_server.domain.timeframes import TIMEFRAMES, to_ms
from mcp_server.errors import NotSupported, Retryable, UpstreamRejected
from mcp_server.market.candle_cache import CandleCache
from mcp_server.market.market import Market
from mcp_server.moment import DEADLINE_S

FUNDING_MS = 8 * 3_600_000
NOON = datetime(2026, 5, 20, 12, tzinfo=UTC)


class ScriptedExchange:
    """An exchange with a candle for every hour since 2026-05-01, at the price of its number, that counts requests."""

    simulated = False
    id = "scripted"

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.unpublished = 0
        self.missing: set[int] = set()
        self.requests: list[tuple[str, int]] = []
        self.reachable = True
        self.refuses = False
        self.blank = False
        self.served = ["1h", "1d"]
        self.behind: timedelta | None = None
        self.asked = anyio.Event()
        self.held: anyio.Event | None = None
        self.hold_after: int | None = None
        self.first = to_ms(datetime(2026, 5, 1, tzinfo=UTC))

    async def symbol(self, text: str) -> str:
        self._ask("symbol", 1)
        return "BTC/USD"

    async def timeframes(self) -> Sequence[str]:
        return self.served

    async def candles(self, symbol: str, timeframe: str, start_ms: int, end_ms: int) -> Fetched:
        length = TIMEFRAMES[timeframe]
        self._ask(f"candles {timeframe}", (end_ms - start_ms) // length)
        await self._answering()
        first = self.first
        forming = to_ms(self.now) // length * length
        opens = range(max(start_ms, first), min(end_ms, forming + length - self.unpublished * length), length)
        rows = [(at, *[float((at - first) // length + 1)] * 4, 1.0) for at in opens if at not in self.missing]
        rows = [] if self.blank else rows
        told = None if self.behind is None else to_ms(self.now - self.behind)
        return Fetched(Candles.from_rows(rows), told)

    async def candles_a_request(self, symbol: str) -> int:
        return 1_000

    async def ticker(self, symbol: str) -> Ticker:
        self._ask("ticker", 1)
        await self._answering()
        return Ticker(observed_at_ms=to_ms(self.now), last=777.0, bid=776.0, ask=778.0)

    async def swap_symbol(self, text: str) -> str:
        return f"{await self.symbol(text)}:USD"

    async def order_book(self, symbol: str, depth: int) -> OrderBook:
        self._ask("book", depth)
        return OrderBook(to_ms(self.now), [(776.0, 1.0)] * depth, [(778.0, 1.0)] * depth)

    async def perpetual_state(self, symbol: str) -> PerpetualState:
        self._ask("derivatives", 1)
        raise NotSupported("scripted tells nothing of its swaps.")

    async def fundings_between(self, symbol: str, start_ms: int, end_ms: int) -> Sequence[Funding]:
        self._ask("fundings between", end_ms - start_ms)
        numbers = range(-(-start_ms // FUNDING_MS), end_ms // FUNDING_MS + 1)
        return [Funding(number * FUNDING_MS, number / 1e9) for number in numbers]

    async def fundings(self, symbol: str, end_ms: int, count: int) -> Sequence[Funding]:
        self._ask("fundings", count)
        first = end_ms // FUNDING_MS - count + 1
        return [Funding(number * FUNDING_MS, number / 1e9) for number in range(first, first + count)]

    async def listings(self) -> Listings:
        self._ask("listings", 1)
        return Listings(to_ms(self.now), [])

    async def close(self) -> None:
        pass

    async def _answering(self) -> None:
        """Wait as long as the test wants the answer to take."""
        self.asked.set()
        if self.hold_after is not None and len(self.requests) > self.hold_after:
            self.held = anyio.Event()
        if self.held is not None:
            await self.held.wait()

    def _ask(self, what: str, count: int) -> None:
        if self.refuses:
            raise UpstreamRejected("'scripted' refuses requests from this location.")
        if not self.reachable:
            raise Retryable("'scripted' cannot be reached")
        self.requests.append((what, count))


def market_on(exchange: ScriptedExchange, candle_cache: CandleCache, deadline_s: float = DEADLINE_S) -> Market:
    def make(_: str) -> Exchange:
        return exchange

    return Market(make, candle_cache, lambda: exchange.now, tuple, deadline_s=deadline_s)
