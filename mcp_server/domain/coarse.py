"""A long series on few points: neighbours are merged, and the extremes of each group are kept."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from mcp_server.domain.candles import Candles, Floats, Times
from mcp_server.domain.timeframes import timeframe_ms


@dataclass(frozen=True, eq=False)
class Coarse:
    """Equally long groups of neighbouring slots, a slot being the time of one candle, whether it is there or missing.

    Attributes:
        times: open times of the candles (Unix ms), not empty.
        slot_ms: how long a candle is.
        merged: how many slots make one group; 1: none are merged.
    """

    times: Times
    slot_ms: int
    merged: int

    @classmethod
    def of(cls, times: Times, timeframe: str, most: int) -> "Coarse":
        """Merge as few slots as leave at most `most` groups."""
        slot_ms = timeframe_ms(timeframe)
        slots = int(times[-1] - times[0]) // slot_ms + 1
        return cls(times, slot_ms, -(-slots // most))

    @property
    def start_ms(self) -> int:
        """When the first group begins."""
        return int(self.times[0])

    @property
    def step_ms(self) -> int:
        """How long a group is."""
        return self.slot_ms * self.merged

    @cached_property
    def groups(self) -> npt.NDArray[np.int64]:
        """The group of each candle."""
        groups: npt.NDArray[np.int64] = (self.times - self.times[0]) // self.step_ms
        return groups

    @property
    def count(self) -> int:
        """How many groups there are; some may have no candle."""
        return int(self.groups[-1]) + 1

    @cached_property
    def first(self) -> npt.NDArray[np.int64]:
        """The position of the first candle of each group that has one."""
        return np.concatenate([[0], np.flatnonzero(np.diff(self.groups)) + 1])

    @property
    def last(self) -> npt.NDArray[np.int64]:
        """The position of the last candle of each group that has one."""
        return np.append(self.first[1:], len(self.times)) - 1

    @property
    def filled(self) -> npt.NDArray[np.int64]:
        """The groups that have a candle."""
        return self.groups[self.first]

    def candles(self, candles: Candles) -> tuple[Floats, Floats, Floats, Floats]:
        """Merge candles: the first open, the highest high, the lowest low and the last close of each filled group."""
        high, low = np.maximum.reduceat(candles.high, self.first), np.minimum.reduceat(candles.low, self.first)
        return candles.open[self.first], high, low, candles.close[self.last]

    def values(self, values: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Return the first, the highest, the lowest and the last of the values of each filled group."""
        high, low = np.maximum.reduceat(values, self.first), np.minimum.reduceat(values, self.first)
        return values[self.first], high, low, values[self.last]
