"""A chart as data: `draw` makes a picture of it, and `caption` a description."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np

from mcp_server.domain.candles import Candles, Floats, Times
from mcp_server.domain.chart_layout import Layout
from mcp_server.domain.timeframes import last_closed_open_ms, timeframe_ms, to_ms

ThemeName = Literal["dark", "light"]
Side = Literal["BUY", "SELL"]

_FEWEST_SLOTS = 12
"""With fewer candles than this, the chart still has this many slots, so that candles are not drawn too wide."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Signals of one side at one candle: its position among the candles drawn, and how many there are."""

    position: int
    side: Side
    count: int = 1


@dataclass(frozen=True, slots=True)
class Marks:
    """A strategy's signals: those to mark, and the number of HOLD beside them."""

    strategy: str
    marks: tuple[Mark, ...] = ()
    holds: int = 0

    def count(self, side: Side) -> int:
        """Count the signals of one side."""
        return sum(mark.count for mark in self.marks if mark.side == side)


@dataclass(frozen=True, slots=True)
class Join:
    """One divergence: the positions of its two pivots among the candles drawn."""

    first: int
    second: int
    bullish: bool
    hidden: bool


@dataclass(frozen=True, slots=True)
class Joins:
    """Divergences of price and one column."""

    column: str
    joins: tuple[Join, ...] = ()

    def count(self, *, bullish: bool) -> int:
        """Count those of one direction."""
        return sum(join.bullish is bullish for join in self.joins)


@dataclass(frozen=True, slots=True, eq=False)
class Chart:
    """One chart. `candles` is not empty; `columns` has a value, or NaN, for each candle."""

    symbol: str
    exchange: str
    timeframe: str
    as_of_ms: int
    simulated: bool
    candles: Candles
    layout: Layout
    columns: Mapping[str, Floats]
    marks: Marks | None = None
    joins: Joins | None = None
    theme: ThemeName = "dark"

    @property
    def slots(self) -> Times:
        """Open times from the first candle to the last one closed by the as-of: a missing candle has its slot too."""
        length = timeframe_ms(self.timeframe)
        end = max(last_closed_open_ms(self.as_of_ms, self.timeframe), int(self.candles.open_time_ms[-1])) + length
        first = min(int(self.candles.open_time_ms[0]), end - _FEWEST_SLOTS * length)
        return np.arange(first, end, length, dtype=np.int64)

    @property
    def positions(self) -> Times:
        """The slot of each candle."""
        slots: Times = (self.candles.open_time_ms - self.slots[0]) // timeframe_ms(self.timeframe)
        return slots

    def on_slots(self, values: Floats) -> Floats:
        """Spread values of candles over slots, NaN where a candle is missing."""
        spread = np.full(len(self.slots), np.nan)
        spread[self.positions] = values
        return spread

    @property
    def missing(self) -> int:
        """How many candles are missing between the first and the last."""
        return int(self.positions[-1] - self.positions[0]) + 1 - len(self.candles)

    @property
    def change_pct(self) -> float | None:
        """From the first open to the last close drawn, in percent; None from a price of zero."""
        first = float(self.candles.open[0])
        return (float(self.candles.close[-1]) / first - 1) * 100 if first else None


def marks_of(
    strategy: str, signals: Sequence[tuple[datetime, str | None]], candles: Candles, timeframe: str, until_ms: int
) -> Marks:
    """Find the candle of each signal: the last one that was closed when the signal was given.

    Args:
        strategy: the strategy that gave the signals.
        signals: the as-of (aware) and the name of each, in any order.
        candles: those that are drawn.
        timeframe: their length.
        until_ms: signals of a later as-of (Unix ms) are left out, and those before the first candle's close.
    """
    closes = candles.open_time_ms + timeframe_ms(timeframe)
    counts: dict[tuple[int, Side], int] = {}
    holds = 0
    for as_of, signal in signals:
        position = int(np.searchsorted(closes, to_ms(as_of), side="right")) - 1
        if position < 0 or to_ms(as_of) > until_ms:
            continue
        match signal:
            case "BUY" | "SELL":
                counts[position, signal] = counts.get((position, signal), 0) + 1
            case "HOLD":
                holds += 1
    return Marks(strategy, tuple(Mark(*where, count) for where, count in sorted(counts.items())), holds)
