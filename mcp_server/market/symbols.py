"""Exact symbols for whatever a caller wrote, remembered for each exchange."""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcp_server.domain.exchange import Exchange
    from mcp_server.market.candle_cache import CandleCache

_MOST = 4_096

_PERPETUAL = re.compile(r"[^:]+:[^:-]+")
"""A swap's symbol; one of a future or an option goes on with a date."""


class Symbols:
    """Resolves symbols; one with stored candles is exact, so it needs no market list from the exchange."""

    def __init__(self, candle_cache: CandleCache) -> None:
        self._candle_cache = candle_cache
        self._exact: OrderedDict[tuple[str, str, bool], str] = OrderedDict()

    async def exact(self, exchange: Exchange, text: str, *, swap: bool = False) -> str:
        """Return the symbol that a text means on an exchange; with `swap`, that of a perpetual swap."""
        resolve = exchange.swap_symbol if swap else exchange.symbol
        if exchange.simulated:
            return await resolve(text)
        key = (exchange.id, text, swap)
        if key not in self._exact:
            exact = not swap or _PERPETUAL.fullmatch(text)
            stored = exact and await self._candle_cache.timeframes(exchange.id, text)
            self._exact[key] = text if stored else await resolve(text)
            if len(self._exact) > _MOST:
                self._exact.popitem(last=False)
        return self._exact[key]
