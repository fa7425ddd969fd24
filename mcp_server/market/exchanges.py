"""One adapter for each exchange in use, so that its rate limit counts for all who ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcp_server.domain.exchange import Exchange


class Exchanges:
    """Makes the adapter of an exchange when it is first needed."""

    def __init__(self, make: Callable[[str], Exchange]) -> None:
        self._make = make
        self._made: dict[str, Exchange] = {}

    def get(self, exchange_id: str) -> Exchange:
        """Return the adapter of an exchange.

        Raises:
            UnknownExchange: there is no such exchange; the nearest is named.
        """
        if exchange_id not in self._made:
            self._made[exchange_id] = self._make(exchange_id)
        return self._made[exchange_id]

    async def close(self) -> None:
        """Close every adapter that was made."""
        for exchange in self._made.values():
            await exchange.close()
