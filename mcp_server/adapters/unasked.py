"""An exchange that is never asked: for answers that rest on what is stored, and must not wait."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from mcp_server.domain.timeframes import TIMEFRAMES
from mcp_server.errors import Retryable


@dataclass(frozen=True, slots=True)
class UnaskedExchange:
    """It takes each symbol for exact, and has nothing: whatever is not stored raises `Retryable`."""

    id: str
    simulated: bool = False

    async def symbol(self, text: str) -> str:
        """Return the text: what is stored under it is found."""
        return text

    async def swap_symbol(self, text: str) -> str:
        """Return the text."""
        return text

    async def timeframes(self) -> Sequence[str]:
        """List every timeframe, so that none is built from others that the exchange may not have."""
        return tuple(TIMEFRAMES)

    async def candles_a_request(self, symbol: str) -> int:
        """Return one: no request is made."""
        return 1

    async def candles(self, symbol: str, timeframe: str, start_ms: int, end_ms: int) -> NoReturn:
        """Raise `Retryable`."""
        raise self._unasked()

    async def ticker(self, symbol: str) -> NoReturn:
        """Raise `Retryable`."""
        raise self._unasked()

    async def order_book(self, symbol: str, depth: int) -> NoReturn:
        """Raise `Retryable`."""
        raise self._unasked()

    async def perpetual_state(self, symbol: str) -> NoReturn:
        """Raise `Retryable`."""
        raise self._unasked()

    async def fundings(self, symbol: str, end_ms: int, count: int) -> NoReturn:
        """Raise `Retryable`."""
        raise self._unasked()

    async def fundings_between(self, symbol: str, start_ms: int, end_ms: int) -> NoReturn:
        """Raise `Retryable`."""
        raise self._unasked()

    async def listings(self) -> NoReturn:
        """Raise `Retryable`."""
        raise self._unasked()

    async def close(self) -> None:
        """Do nothing: nothing was opened."""

    def _unasked(self) -> Retryable:
        return Retryable(f"{self.id!r} is not asked here.", "get_performance asks it.")
