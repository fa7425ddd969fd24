"""The protocol that every exchange adapter implements, and the types of its answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from mcp_server.domain.candles import Candles

Level = tuple[float, float]
"""A price of an order book, in quote, and the size at it, in base (contracts on a contract market)."""

MOST_SYMBOL = 60
"""Characters of a symbol; no true one is longer."""

ALIASES = {"XBT": "BTC", "XDG": "DOGE"}
"""Other names of assets → ours."""

LONGEST_FUNDING_MS = 8 * 3_600_000
"""Perpetual swaps settle fundings every eight hours, or more often."""

Kind = Literal["spot", "swap", "future", "option"]


@dataclass(frozen=True, slots=True)
class Fetched:
    """Candles as an exchange sent them, and its own clock at that time (Unix ms; None: not stated).

    That clock decides which candles are closed, however wrong this machine's is.
    """

    candles: Candles
    clock_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Ticker:
    """A snapshot of one market. Prices in quote, volume in base; what the exchange does not publish is None."""

    observed_at_ms: int
    last: float
    bid: float | None = None
    ask: float | None = None
    volume_24h_base: float | None = None
    change_24h_pct: float | None = None
    note: str | None = None
    """Why a figure is missing."""


@dataclass(frozen=True, slots=True)
class OrderBook:
    """The bids, highest first, and asks, lowest first, at one moment."""

    observed_at_ms: int
    bids: Sequence[Level]
    asks: Sequence[Level]


@dataclass(frozen=True, slots=True)
class PerpetualState:
    """A perpetual swap at one moment. Prices in quote; what the exchange does not publish is None.

    `funding_rate` is what longs pay shorts at `next_funding_ms`, as a ratio of the position for one funding interval
    (0.0001 is 0.01 %). Open interest is what the exchange counts: in base, in quote, or (inverse swaps) in contracts.
    """

    observed_at_ms: int
    funding_rate: float | None = None
    next_funding_ms: int | None = None
    mark_price: float | None = None
    index_price: float | None = None
    open_interest_base: float | None = None
    open_interest_quote: float | None = None
    open_interest_contracts: float | None = None
    lacking: Sequence[str] = ()
    """What is not available and why, in sentences."""


@dataclass(frozen=True, slots=True)
class Funding:
    """One settled funding: when, and at which rate (a ratio of the position)."""

    time_ms: int
    rate: float


@dataclass(frozen=True, slots=True)
class Listing:
    """One market of an exchange. `active` is None where the exchange does not say."""

    symbol: str
    kind: Kind
    base: str
    quote: str
    active: bool | None = None
    settle: str | None = None


@dataclass(frozen=True, slots=True)
class Listings:
    """Every market of an exchange at a moment."""

    observed_at_ms: int
    markets: Sequence[Listing]


@dataclass(frozen=True, slots=True)
class ExchangeInfo:
    """What an exchange can do; known without asking it."""

    id: str
    name: str
    countries: Sequence[str]
    timeframes: Sequence[str]
    """The timeframes that it serves; others are built from them."""
    candles_per_request: int | None
    order_book: bool
    funding: bool
    open_interest: bool


class Exchange(Protocol):
    """The public market data of one exchange, in the project's own types and errors.

    Every method raises only `TraderError`s: `NotFound` for an unknown symbol (with the nearest ones),
    `NotSupported` for what this exchange cannot do, `Retryable` for what may work later and `UpstreamRejected` for a
    refusal. No method waits longer than its own deadline, which is below 30 s.
    """

    @property
    def id(self) -> str:
        """The name by which callers ask for it: a ccxt id, or `simulated`."""

    @property
    def simulated(self) -> bool:
        """True when its prices are invented."""

    async def symbol(self, text: str) -> str:
        """Return the exact unified symbol (`BTC/USDT`) that `text` means."""

    async def swap_symbol(self, text: str) -> str:
        """Return the exact symbol of the perpetual swap that `text` means: `BTC/USDT` means `BTC/USDT:USDT` here."""

    async def timeframes(self) -> Sequence[str]:
        """List the timeframes that this exchange serves itself, of those in `domain.timeframes`."""

    async def candles(self, symbol: str, timeframe: str, start_ms: int, end_ms: int) -> Fetched:
        """Fetch candles whose open time is in [start_ms, end_ms), oldest first; the forming one may be the last.

        `symbol` is exact and `timeframe` one of `timeframes()`. Fewer candles than the range holds means that the
        exchange has no more: before the listing, or where nothing was traded.
        """

    async def candles_a_request(self, symbol: str) -> int:
        """Return how many candles come with one request at most; `symbol` is exact."""

    async def ticker(self, symbol: str) -> Ticker:
        """Fetch the present snapshot of a market; `symbol` is exact."""

    async def order_book(self, symbol: str, depth: int) -> OrderBook:
        """Fetch the present order book of a market, up to `depth` prices a side; `symbol` is exact."""

    async def perpetual_state(self, symbol: str) -> PerpetualState:
        """Fetch the present funding rate and open interest of a perpetual swap; `symbol` is exact."""

    async def fundings(self, symbol: str, end_ms: int, count: int) -> Sequence[Funding]:
        """Fetch the last `count` fundings that were settled at `end_ms` or before, oldest first; `symbol` is exact."""

    async def fundings_between(self, symbol: str, start_ms: int, end_ms: int) -> Sequence[Funding]:
        """Fetch fundings settled from `start_ms` to `end_ms`, oldest first; `symbol` is exact.

        Of a range that takes more than a few requests, the latest part is given.
        """

    async def listings(self) -> Listings:
        """List every market of this exchange."""

    async def close(self) -> None:
        """Release connections. No other method may be called afterwards."""
