"""How many candles an indicator needs, so that more of them would not change its last value."""

from functools import cache, lru_cache

import numpy as np

from mcp_server.domain.candles import Floats
from mcp_server.domain.indicators.catalog import call, find, lookback
from mcp_server.domain.indicators.extras import EXTRAS
from mcp_server.domain.indicators.from_news import FROM_NEWS
from mcp_server.domain.indicators.indicator import MOST_HISTORY, Number

LEAST_HISTORY = 250

_TOLERANCE, _STABLE = 1e-10, 1e-9
"""Relative: what is aimed at, ten times stricter than what is promised."""

_NEARLY_NOTHING = 1e-3
"""Of an output's usual size. What is smaller is compared with this much: of a zero that rounding left at 1e-15, each
further candle, and each kind of processor, changes everything."""

_ENDS = tuple(range(MOST_HISTORY + 50, MOST_HISTORY + 950, 37))
"""The decisions at which a short history is compared with the whole one, as numbers of candles."""

_SLOW_STEP = 5
"""Where each computation takes milliseconds, every fifth of these decisions is enough."""


@lru_cache(maxsize=1024)
def wanted_history(
    name: str, inputs: tuple[str, ...], parameters: tuple[tuple[str, Number], ...], longest_period: int
) -> tuple[int, bool]:
    """Count the candles after which the last value is stable to 1e-9 relative, and say whether it is then.

    A value that is nearly nothing beside the output's usual ones is stable to 1e-9 of a thousandth of those.

    Smoothing of any kind (EMA, Wilder's, nested) forgets its start slowly, and TA-Lib's metadata doesn't say how
    slowly. So it is measured: on a fixed made-up series, the last value from a short history is compared with the one
    from the whole at several decisions, and the history grows until it agrees, then by a quarter more for safety.

    Returns:
        At least 250 and ten times the longest period, at most 10,000: with some periods even those are not enough. A
        running total (OBV, AD) depends on where it starts however long the history: it gets the least, and only its
        changes mean something. So does what begins anew each day: `Spec.candles_wanted` adds the day. What is given
        needs the one candle.
    """
    if name in FROM_NEWS:
        return 1, True
    warm_up = lookback(find(name), dict(parameters))
    least = min(max(LEAST_HISTORY, 10 * longest_period, warm_up + 1), MOST_HISTORY)
    if find(name).by_session:
        return least, True
    probe = _Probe(name, inputs, parameters)  # also where nothing is measured: it refuses what the library refuses
    if find(name).totals or (name in EXTRAS and not EXTRAS[name].recursive):
        return least, True
    history, error = least, probe.error(least)
    while error > _TOLERANCE and history < MOST_HISTORY:
        history = min(history * 5 // 4, MOST_HISTORY)
        error = probe.error(history)
    return (least if history == least else min(history * 5 // 4, MOST_HISTORY)), error <= _STABLE


class _Probe:
    """One indicator on the made-up series: how far the last value from a short history is off."""

    def __init__(self, name: str, inputs: tuple[str, ...], parameters: tuple[tuple[str, Number], ...]) -> None:
        self._indicator = find(name)
        self._ends = _ENDS[::_SLOW_STEP] if name in EXTRAS else _ENDS
        self._columns = [made_up_candles()[column] for column in inputs]
        self._parameters = dict(parameters)
        self._whole = call(self._indicator, self._columns, self._parameters)
        sizes = (np.abs(output[np.isfinite(output)]) for output in self._whole)
        self._least = np.array([_NEARLY_NOTHING * np.median(size) if len(size) else 0.0 for size in sizes])

    def error(self, history: int) -> float:
        """Return the largest relative error over all outputs and decisions, from that many candles.

        The first that is too large to be stable is enough: the others are not looked at.
        """
        largest = 0.0
        for end in self._ends:
            largest = max(largest, self._error_at(end, history))
            if largest > _STABLE:
                break
        return largest

    def _error_at(self, end: int, history: int) -> float:
        short = call(self._indicator, [column[end - history : end] for column in self._columns], self._parameters)
        short_values = np.array([output[-1] for output in short])
        whole_values = np.array([output[end - 1] for output in self._whole])
        both_undefined = np.isnan(short_values) & np.isnan(whole_values)
        sizes = np.maximum(np.abs(whole_values), self._least)
        with np.errstate(divide="ignore", invalid="ignore"):
            errors = np.where(
                (short_values == whole_values) | both_undefined, 0.0, np.abs(short_values - whole_values) / sizes
            )
        return float(np.max(np.nan_to_num(errors, nan=np.inf)))


@cache
def made_up_candles() -> dict[str, Floats]:
    """Make a random walk that is the same in every process: about 1 % a candle, with gaps and changing volume."""
    length = MOST_HISTORY + 1_000
    steps, above, below, gap, traded = (_noise(length, seed) for seed in range(1, 6))
    close = 100 * np.exp(np.cumsum(0.02 * (steps - 0.5)) - 0.3 * np.sin(np.arange(length) / 500))
    opened = np.roll(close, 1) * (1 + 0.002 * (gap - 0.5))
    opened[0] = close[0]
    high = np.maximum(opened, close) * (1 + 0.01 * above)
    low = np.minimum(opened, close) * (1 - 0.01 * below)
    periods = 6 + 40 * _noise(length, 6)
    return {"open": opened, "high": high, "low": low, "close": close, "volume": 10 + 90 * traded, "periods": periods}


def _noise(length: int, seed: int) -> Floats:
    """Return uniform numbers in [0, 1) by a fixed rule, whatever the version of the numeric library."""
    mixed = (np.arange(1, length + 1, dtype=np.uint64) + np.uint64(seed << 32)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11), dtype=np.float64) / 2.0**53
