"""Searches the last candles for divergences of price and one oscillator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcp_server.domain.candles import Candles, Floats
from mcp_server.domain.divergence.find import find_divergences
from mcp_server.domain.divergence.judge import SAMPLE_CANDLES, Judged, judge
from mcp_server.domain.divergence.pivots import swing_lows
from mcp_server.domain.indicators.compute import compute
from mcp_server.domain.indicators.indicator import MOST_HISTORY
from mcp_server.domain.indicators.parse import parse_spec
from mcp_server.domain.indicators.spec import Spec

ATR = "atr(14)"


@dataclass(frozen=True, slots=True)
class Search:
    """The result of a search among the last candles.

    Attributes:
        divergences: newest first.
        values: the oscillator, one value per candle.
        swing_lows, swing_highs: how many were compared.
        searchable: how many candles could have been a confirmed pivot with a value of the oscillator.
        decided: whether these could have held two pivots; if not, the search proves nothing.
    """

    candles: Candles
    values: Floats
    divergences: list[Judged]
    swing_lows: int
    swing_highs: int
    searchable: int
    decided: bool


def candles_wanted(oscillator: Spec, timeframe: str, lookback: int, pivot_candles: int) -> int:
    """Count the candles with which each divergence of the lookback has its whole sample, whatever the as-of.

    Raises:
        BadInput: the oscillator has no value in this timeframe.
    """
    stable = max(oscillator.candles_wanted(timeframe), parse_spec(ATR).history)
    return min(stable + SAMPLE_CANDLES + 2 * lookback + pivot_candles, MOST_HISTORY)


def search(candles: Candles, oscillator: Spec, lookback: int, pivot_candles: int) -> Search:
    """Search for divergences whose pivots both lie within the last `lookback` candles.

    Raises:
        BadInput: when TA-Lib refuses the oscillator's parameters.
    """
    values = compute([oscillator], candles)[oscillator.columns[0]]
    (atr,) = compute([parse_spec(ATR)], candles).values()
    since = max(len(candles) - lookback, 0)
    judged = judge(candles, atr, find_divergences(candles, values, pivot_candles, lookback), since)
    usable = np.isfinite(values)
    usable[: max(since, pivot_candles)] = False
    usable[max(len(candles) - pivot_candles, 0) :] = False
    lows, highs = (int(usable[swing_lows(side, pivot_candles)].sum()) for side in (candles.low, -candles.high))
    positions = np.flatnonzero(usable)
    decided = len(positions) > 0 and int(positions[-1] - positions[0]) > pivot_candles
    return Search(candles, values, judged[::-1], lows, highs, len(positions), decided)
