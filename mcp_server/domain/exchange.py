"""What the project asks of an exchange: a small protocol that every adapter fulfils."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mcp_server.domain.candles import Candles


@dataclass(frozen=True, slots=True)
class Ticker:
    """A snapshot of one market. Prices in quote, volume in base; what the exchange does not say is None."""

    observed_at_ms: int
    last: float
    bid: float | None = None
    ask: float | None = None
    volume_24h_base: float | None = None
    change_24h_pct: float | None = None


class Exchange(Protocol):
    """One venue's public market data, in the project's own types and errors.

    Every method raises only `TraderError`s: `NotFound` for an unknown symbol (with the nearest ones),
    `NotSupported` for what this venue cannot do, `Retryable` for what may work later and `UpstreamRejected` for a
    refusal. No method waits longer than its own deadline, which is below 30 s.
    """

    @property
    def id(self) -> str:
        """The name by which callers ask for it: a ccxt id, or `simulated`."""

    @property
    def simulated(self) -> bool:
        """True when its prices are invented."""

    async def symbol(self, text: str) -> str:
        """Give the exact unified symbol (`BTC/USDT`) that `text` means."""

    async def timeframes(self) -> Sequence[str]:
        """List the timeframes that this venue serves itself, of those in `domain.timeframes`."""

    async def candles(self, symbol: str, timeframe: str, start_ms: int, end_ms: int) -> Candles:
        """Fetch candles whose open time is in [start_ms, end_ms), oldest first; the forming one may be the last.

        `symbol` is exact and `timeframe` one of `timeframes()`. Fewer candles than the range holds means that the
        venue has no more: before the listing, or where nothing was traded.
        """

    async def ticker(self, symbol: str) -> Ticker:
        """Fetch the present snapshot of a market; `symbol` is exact."""

    async def close(self) -> None:
        """Release connections. Nothing may be asked afterwards."""
