"""The exchanges that were asked for: one adapter each, so that its rate limit counts for everyone who asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcp_server.domain.exchange import Exchange


class Exchanges:
    """One adapter for each exchange, made when it is first asked for."""

    def __init__(self, make: Callable[[str], Exchange]) -> None:
        self._make = make
        self._made: dict[str, Exchange] = {}

    def get(self, exchange_id: str) -> Exchange:
        """Give the adapter of an exchange.

        Raises:
            NotFound: there is no such exchange; the nearest is named.
        """
        if exchange_id not in self._made:
            self._made[exchange_id] = self._make(exchange_id)
        return self._made[exchange_id]

    async def close(self) -> None:
        """Close every adapter that was made."""
        for exchange in self._made.values():
            await exchange.close()
