"""Indicators that look ahead, and some that only seem to: what each row says would, or would not, be known by then."""

from collections.abc import Callable, Sequence
from itertools import accumulate

import numpy as np

from mcp_server.domain.backtest.futures import TAIL, Columns, Provable, another_future, first_difference
from mcp_server.domain.backtest.look_ahead import Leak
from mcp_server.domain.candles import Candles, Floats, Mask, Times

Indicator = Callable[[Candles], Floats]
DAY_MS = 86_400_000


class Computed:
    """Columns that a function computes, and of which nothing else is made: as `prove` takes them."""

    sources: Sequence[str] = ("all",)
    reach = 0

    def __init__(self, compute: Callable[[Candles], Columns]) -> None:
        self._compute = compute

    def columns_of(self, source: str, candles: Candles) -> Columns:
        assert source == "all"
        return self._compute(candles)

    def parts(self, columns: Columns, stretch: Times) -> Columns:
        assert all(len(values) == len(stretch) for values in columns.values())
        return {}


def columns_of(proved: Provable, candles: Candles) -> Columns:
    """Return the columns of all sources."""
    return {name: own for source in proved.sources for name, own in proved.columns_of(source, candles).items()}


def steps_of(proved: Provable, candles: Candles) -> Columns:
    """Return all that is compared: the columns, and what is made of them."""
    columns = columns_of(proved, candles)
    return {**columns, **proved.parts(columns, np.zeros(len(candles), dtype=np.int64))}


def proved_one_by_one(proved: Provable, candles: Candles, order: Sequence[int], recent: int) -> tuple[Leak, ...]:
    """Prove as `prove` does, in the plain way: all anew after each cut, and parts of the last `recent` candles."""
    whole, earliest = steps_of(proved, candles), dict[str, tuple[int, int]]()
    for cut in order:
        columns = columns_of(proved, another_future(candles, cut))
        count = min(cut + 1 + TAIL, len(candles))
        start = max(count - recent, 0)
        before = min(start, proved.reach)
        rows = {name: values[start - before :] for name, values in columns.items()}
        parts = proved.parts(rows, np.zeros(count - start + before, dtype=np.int64))
        compared = {name: (0, values) for name, values in columns.items()}
        compared |= {name: (start, values[before:]) for name, values in parts.items()}
        for name, (first, values) in compared.items():
            change = first_difference(whole[name][first : cut + 1], values[: cut + 1 - first])
            if change is not None:
                at = first + change
                earliest[name] = min(earliest.get(name, (at, cut)), (at, cut))
    times = candles.open_time_ms
    leaks = [Leak(name, int(times[at]), int(times[cut])) for name, (at, cut) in earliest.items()]
    return tuple(sorted(leaks, key=lambda leak: (leak.at_ms, leak.column)))


def shifted(values: Floats, by: int) -> Floats:
    """Move values to later rows, or (below 0) to earlier ones; NaN where there is none."""
    moved = np.full(len(values), np.nan)
    if by >= 0:
        moved[by:] = values[: len(values) - by]
    else:
        moved[:by] = values[-by:]
    return moved


def mean(values: Floats, count: int) -> Floats:
    """Return the mean of the last `count` values, summed in the same order whatever comes later."""
    total = shifted(values, 0)
    for by in range(1, count):
        total[by:] += values[:-by]
    total[: count - 1] = np.nan
    return np.asarray(total / count)


def highest(values: Floats, count: int) -> Floats:
    most = shifted(values, 0)
    for by in range(1, count):
        np.maximum(most[by:], values[:-by], out=most[by:])
    most[: count - 1] = np.nan
    return most


def ema(values: Floats, share: float) -> Floats:
    return np.array([*accumulate(values.tolist(), lambda level, value: level + share * (value - level))])


def is_signal(c: Candles) -> Mask:
    """The candles on which a rule decides: a new high of 30 candles."""
    return np.asarray(c.high >= highest(c.high, 30))


def is_spike(c: Candles) -> Mask:
    return np.asarray(c.volume > 3 * shifted(mean(c.volume, 20), 1))


def _where(chosen: Mask, c: Candles) -> Floats:
    """Leak the next close on the chosen candles only."""
    return np.where(chosen, shifted(c.close, -1), c.close)


def _forming(c: Candles, length_ms: int, values: Floats, end: bool) -> Floats:
    """Return, at each candle, a value of the longer candle that it is in: of its last candle, or of its first."""
    bucket = c.open_time_ms // length_ms
    starts = np.flatnonzero(np.diff(bucket, prepend=bucket[:1] - 1))
    rows = np.append(starts[1:], len(c)) - 1 if end else starts
    return np.asarray(values[rows][np.searchsorted(starts, np.arange(len(c)), side="right") - 1])


def _filled_backwards(values: Floats) -> Floats:
    rows = np.arange(len(values))
    next_known = np.minimum.accumulate(np.where(np.isfinite(values), rows, len(values) - 1)[::-1])[::-1]
    return np.asarray(values[next_known])


def _filled_forwards(values: Floats) -> Floats:
    rows = np.arange(len(values))
    return np.asarray(values[np.maximum.accumulate(np.where(np.isfinite(values), rows, 0))])


def _gappy(c: Candles) -> Floats:
    return np.where(np.arange(len(c)) % 3 == 0, c.close, np.nan)


def _smoothed_by_fft(values: Floats) -> Floats:
    spectrum = np.fft.rfft(values)
    spectrum[len(spectrum) // 10 :] = 0
    return np.asarray(np.fft.irfft(spectrum, len(values)), dtype=np.float64)


def _trend_line(values: Floats) -> Floats:
    rows = np.arange(len(values))
    return np.asarray(np.polyval(np.polyfit(rows, values, 1), rows), dtype=np.float64)


def _pivot(c: Candles, known_after: int) -> Floats:
    """Return 1 where a high is the highest of five before and five after it, so many candles after it."""
    top = (c.high >= highest(c.high, 6)) & (c.high >= shifted(highest(c.high, 6), -5))
    return shifted(top.astype(np.float64), known_after)


def _divided_by_steps(c: Candles, k: int) -> Mask:
    return np.asarray(np.arange(len(c)) % k == k - 1)


LOOKING_AHEAD: dict[str, Indicator] = {
    "shifted by one": lambda c: shifted(c.close, -1),
    "shifted by ten": lambda c: shifted(c.close, -10),
    "shifted by 2,000": lambda c: shifted(c.close, -2000),
    "centred mean": lambda c: shifted(mean(c.close, 21), -10),
    "z-score of the whole": lambda c: (c.close - np.mean(c.close)) / np.std(c.close),
    "scaled to the whole range": lambda c: (c.close - np.min(c.close)) / np.ptp(c.close),
    "above the median of the whole": lambda c: (c.close > np.median(c.close)).astype(np.float64),
    "ranked in the whole": lambda c: np.argsort(np.argsort(c.close, kind="stable")).astype(np.float64),
    "the forming day's close": lambda c: _forming(c, DAY_MS, c.close, end=True),
    "the day's high at its open": lambda c: np.where(
        c.open_time_ms % DAY_MS == 0, _forming(c, DAY_MS, highest(c.high, 24), end=True), np.nan
    ),
    "gaps filled backwards": lambda c: _filled_backwards(_gappy(c)),
    "interpolated": lambda c: np.interp(np.arange(len(c)), np.arange(0, len(c), 5), c.close[::5]),
    "smoothed by FFT": lambda c: _smoothed_by_fft(c.close),
    "regression over the whole": lambda c: _trend_line(c.close),
    "highest of what comes": lambda c: shifted(highest(c.high, 20), -20),
    "whether the next candle rises": lambda c: (shifted(c.close, -1) > c.close).astype(np.float64),
    "pivots confirmed too early": lambda c: _pivot(c, 0),
    "pivots confirmed one candle too early": lambda c: _pivot(c, 4),
    "divided by the last": lambda c: c.close / c.close[-1:],
    "added up from the end": lambda c: np.cumsum(c.volume[::-1])[::-1],
    "mean of its own block": lambda c: _forming(c, 7 * 3_600_000, mean(c.close, 7), end=True),
    "smoothed forwards and backwards": lambda c: ema(ema(c.close, 0.2)[::-1], 0.2)[::-1],
    "on every 50th candle": lambda c: _where(_divided_by_steps(c, 50), c),
    "on every 199th candle": lambda c: _where(_divided_by_steps(c, 199), c),
    "on volume spikes": lambda c: _where(is_spike(c), c),
    "on signals": lambda c: _where(is_signal(c), c),
    "in the last bits": lambda c: c.close + 1e-15 * np.nan_to_num(shifted(c.close, -1)),
    "the sign of zero": lambda c: np.where(shifted(c.close, -1) > c.close, 0.0, -0.0),
}

HONEST: dict[str, Indicator] = {
    "close": lambda c: c.close,
    "shifted back": lambda c: shifted(c.close, 1),
    "mean": lambda c: mean(c.close, 21),
    "z-score so far": lambda c: (c.close - mean(c.close, 50)) / np.sqrt(mean(c.close**2, 50)),
    "range so far": lambda c: c.close / np.maximum.accumulate(c.high),
    "added up from the beginning": lambda c: np.cumsum(c.volume),
    "smoothed": lambda c: ema(c.close, 0.2),
    "day's open": lambda c: _forming(c, DAY_MS, c.open, end=False),
    "gaps filled forwards": lambda c: _filled_forwards(_gappy(c)),
    "pivots when they are known": lambda c: _pivot(c, 5),
    "every 50th candle": lambda c: np.where(_divided_by_steps(c, 50), c.open, c.close),
    "volume spikes": lambda c: is_spike(c).astype(np.float64),
    "signals": lambda c: is_signal(c).astype(np.float64),
    "nothing": lambda c: np.full(len(c), np.nan),
}
