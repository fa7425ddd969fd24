"""The candles of recently used series, in memory and within a size."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcp_server.domain.candles import Candles
    from mcp_server.storage.candles.ranges import Range
    from mcp_server.storage.candles.store import Series, Stored

MOST_BYTES = 64 * 2**20
MOST_PER_SERIES = 20_000
"""Candles; the oldest of a series go first. The largest answer has half as many."""

_BYTES_PER_CANDLE = 6 * 8
_BYTES_PER_SERIES = 1_000  # names, arrays' headers


@dataclass(frozen=True, slots=True)
class _Hot:
    known: Range
    candles: Candles

    @property
    def size(self) -> int:
        return _BYTES_PER_SERIES + len(self.candles) * _BYTES_PER_CANDLE


class MemoryCache:
    """One range of each series in which every candle is known for good; the least recently used series go first."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._hot: OrderedDict[Series, _Hot] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._hot)

    def load(self, series: Series, wanted: Range) -> Stored:
        """Return the candles of a range that are here, oldest first, and the parts of the range that are missing."""
        from mcp_server.domain.candles import Candles
        from mcp_server.storage.candles.ranges import holes
        from mcp_server.storage.candles.store import Stored

        hot = self._hot.get(series)
        if hot is None:
            return Stored(Candles.empty(), [wanted])
        self._hot.move_to_end(series)
        return Stored(hot.candles.between(*wanted), holes(wanted, [hot.known]))

    def keep(self, series: Series, candles: Candles, known: Range) -> None:
        """Keep all candles of a range in place of those that are here; candles that do not touch it are dropped."""
        from mcp_server.domain.candles import merge

        hot = self._hot.get(series)
        if hot is not None and hot.known[0] <= known[1] and known[0] <= hot.known[1]:
            before, after = hot.candles.between(0, known[0]), hot.candles.between(known[1], hot.known[1])
            candles = merge([before, candles, after])
            known = (min(known[0], hot.known[0]), max(known[1], hot.known[1]))
        if len(candles) > MOST_PER_SERIES:
            candles = candles.slice(len(candles) - MOST_PER_SERIES)
            known = (int(candles.open_time_ms[0]), known[1])
        self.forget(series)
        self._hot[series] = hot = _Hot(known, candles)
        self.bytes += hot.size
        while self.bytes > self._most_bytes and len(self._hot) > 1:
            self.forget(next(iter(self._hot)))

    def forget(self, series: Series) -> None:
        """Drop a series."""
        hot = self._hot.pop(series, None)
        self.bytes -= hot.size if hot else 0
