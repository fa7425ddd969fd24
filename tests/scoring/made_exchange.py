"""An exchange of our own making with many markets, and runs that are to be judged on them."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import anyio
import numpy as np

from mcp_server.adapters.simulated.exchange import SimulatedExchange
from mcp_server.domain.candles import Candles
from mcp_server.domain.exchange import Exchange, Fetched, Funding, Listing, Listings, OrderBook, PerpetualState, Ticker
from mcp_server.domain.scoring.terms import DEFINITION, Terms
from mcp_server.domain.timeframes import candle_open_ms, from_ms, timeframe_ms
from mcp_server.errors import NotFound, NotSupported, Retryable
from mcp_server.market.candle_cache import CandleCache
from mcp_server.market.market import Market
from mcp_server.storage.candles.fundings import FundingStore
from mcp_server.storage.candles.store import CandleStore
from mcp_server.storage.database import Database
from mcp_server.storage.journal.outcomes import DueRun

BEGIN_MS = candle_open_ms(1_780_000_000_000, "1w")
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
TEN_MINUTES_MS = 600_000


def walk(seed: int, timeframe: str = "1h", count: int = 400, gaps: float = 0.0) -> Candles:
    """A random walk since `BEGIN_MS`, in which each open differs from the close before, with a share of gaps."""
    rng = np.random.default_rng(seed)
    times = BEGIN_MS + np.arange(count, dtype=np.int64) * timeframe_ms(timeframe)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, count)))
    opened = close * np.exp(rng.normal(0, 0.01, count))
    there = rng.random(count) >= gaps
    high, low = np.maximum(opened, close), np.minimum(opened, close)
    return Candles(times[there], *(column[there] for column in (opened, high, low, close, np.ones(count))))


class MadeExchange:
    """Sends the candles in `series`, and counts the requests for each.

    `late_ms`: a candle is published so long after its close, by (symbol, open time). `unlisted`: markets that are gone;
    `halted`: those that are listed, but not traded. `blank`: it sends no candles at all, as on a bad day. `held`: the
    question that it never answers.
    """

    simulated = False

    def __init__(self, name: str = "made", *, now_ms: int = BEGIN_MS + 400 * HOUR_MS) -> None:
        self.id = name
        self.now_ms = now_ms
        self.series: dict[tuple[str, str], Candles] = {}
        self.settled: dict[str, Sequence[Funding] | None] = {}
        self.late_ms: dict[tuple[str, int], int] = {}
        self.unlisted: set[str] = set()
        self.halted: set[str] = set()
        self.reachable = True
        self.blank = False
        self.held: str | None = None
        self.fundings_reachable = True
        self.served = ["1m", "1h", "4h"]
        self.a_request = 1_000
        self.requests: Counter[tuple[str, str]] = Counter()
        self.sent = 0

    async def symbol(self, text: str) -> str:
        await self._answering("symbol")
        self._listed(text)
        return text

    async def swap_symbol(self, text: str) -> str:
        return await self.symbol(text)

    async def timeframes(self) -> Sequence[str]:
        return self.served

    async def candles(self, symbol: str, timeframe: str, start_ms: int, end_ms: int) -> Fetched:
        await self._answering("candles")
        self._listed(symbol)
        self.requests[symbol, timeframe] += 1
        length = timeframe_ms(timeframe)
        part = self.series.get((symbol, timeframe), Candles.empty()).between(start_ms, end_ms)
        closed = part.open_time_ms + length
        published = closed + [self.late_ms.get((symbol, at), 0) for at in part.open_time_ms.tolist()]
        there = (published <= self.now_ms) & (not self.blank)
        columns = (part.open, part.high, part.low, part.close, part.volume)
        self.sent += int(there.sum())
        return Fetched(Candles(part.open_time_ms[there], *(column[there] for column in columns)))

    async def candles_a_request(self, symbol: str) -> int:
        return self.a_request

    async def fundings_between(self, symbol: str, start_ms: int, end_ms: int) -> Sequence[Funding]:
        await self._answering("fundings_between")
        self._listed(symbol)
        self.requests[symbol, "fundings"] += 1
        if not self.fundings_reachable:
            raise Retryable("'made' does not answer for its fundings.")
        settled = self.settled.get(symbol)
        if settled is None:
            raise NotSupported("'made' has no history of fundings.")
        return [one for one in settled if start_ms <= one.time_ms <= min(end_ms, self.now_ms)]

    async def listings(self) -> Listings:
        await self._answering("listings")
        self._reach()
        names = sorted({symbol for symbol, _ in self.series} - self.unlisted)
        return Listings(self.now_ms, [Listing(name, "spot", "?", "?", name not in self.halted) for name in names])

    async def ticker(self, symbol: str) -> Ticker:
        raise NotSupported("Nobody asks.")

    async def order_book(self, symbol: str, depth: int) -> OrderBook:
        raise NotSupported("Nobody asks.")

    async def perpetual_state(self, symbol: str) -> PerpetualState:
        raise NotSupported("Nobody asks.")

    async def fundings(self, symbol: str, end_ms: int, count: int) -> Sequence[Funding]:
        raise NotSupported("Nobody asks.")

    async def close(self) -> None:
        pass

    async def _answering(self, question: str) -> None:
        if question == self.held:
            await anyio.Event().wait()

    def _reach(self) -> None:
        if not self.reachable:
            raise Retryable("'made' cannot be reached\u202e or is not available.", "Try again.")

    def _listed(self, symbol: str) -> None:
        self._reach()
        if symbol in self.unlisted:
            raise NotFound(f"Unknown symbol {symbol!r} on 'made'.")


def market_of(exchange: MadeExchange, home: Path) -> Market:
    """Compose a market over a home's database, as a new process would."""
    database = Database(home / "claude_trader.duckdb")

    def clock() -> datetime:
        return from_ms(exchange.now_ms)

    def make(name: str) -> Exchange:
        return SimulatedExchange(clock) if name == "simulated" else exchange

    return Market(make, CandleCache(CandleStore(database)), clock, tuple, fundings=FundingStore(database))


def terms(symbol: str = "BTC/USD", timeframe: str = "1h", horizon_s: int = 24 * 3600, exchange: str = "made") -> Terms:
    return Terms(exchange, symbol, timeframe, horizon_s, 30.0, DEFINITION, "decides")


def due(number: int, decided_ms: int, of: Terms, late_ms: int = 1_000) -> DueRun:
    return DueRun(number, decided_ms, decided_ms + late_ms, of)
