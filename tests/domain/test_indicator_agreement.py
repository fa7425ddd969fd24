"""Agreement: the catalogue's values against each indicator's own formula, written here once more in plain numpy.

No formula below calls an indicator library. At the end, TA-Lib's values also meet the other library's own code.
Averages that never forget begin at the mean of their first values, as their authors have it. Where a library begins
otherwise, values are compared once that start has faded below 1e-9: `settled` counts the candles after the warm-up.
Where the two differ in meaning, REASONS says how.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from mcp_server.domain.candles import Candles, Floats
from mcp_server.domain.indicators import catalog, pandas_ta_functions, talib_functions
from mcp_server.domain.indicators.compute import compute
from mcp_server.domain.indicators.parse import parse_spec
from tests.domain.test_indicator_values import made_candles
from tests.rigs.hourly_candles import hourly_candles
from tests.rigs.sampled import sampled

ROWS = 2_000
RELATIVE = 1e-9
ROUNDING = 1e-10
"""Of a column's usual size: a value near zero is the difference of larger ones, and has their rounding."""

Formula = Callable[[Candles], Floats | tuple[Floats, ...]]


class Entry(NamedTuple):
    """A formula with one array per output, and the candles after the warm-up until differing starts are forgotten."""

    formula: Formula
    settled: int = 0


# What the formulas are made of. Every one gives as many rows as it gets, NaN where it has no value yet.


def rolling(of: Callable[..., Any], values: Floats, rows: int, **arguments: float) -> Floats:
    out = np.full(len(values), np.nan)
    out[rows - 1 :] = of(sliding_window_view(values, rows), axis=-1, **arguments)
    return out


def sma(values: Floats, rows: int) -> Floats:
    return rolling(np.mean, values, rows)


def highest(values: Floats, rows: int) -> Floats:
    return rolling(np.max, values, rows)


def lowest(values: Floats, rows: int) -> Floats:
    return rolling(np.min, values, rows)


def deviation(values: Floats, rows: int, ddof: int = 0) -> Floats:
    return rolling(np.std, values, rows, ddof=ddof)


def weighted(values: Floats, weights: Any) -> Floats:
    """Weigh each window, its oldest value by the first weight."""
    shares = np.asarray(weights, dtype=np.float64) / np.sum(weights)
    return rolling(lambda windows, axis: windows @ shares, values, len(shares))


def wma(values: Floats, rows: int) -> Floats:
    return weighted(values, np.arange(1, rows + 1))


def smoothed(values: Floats, rows: int, share: float) -> Floats:
    """Begin at the mean of the first values, then move by a share of the distance."""
    start = int(np.argmax(np.isfinite(values))) + rows - 1
    out = np.full(len(values), np.nan)
    out[start] = values[start - rows + 1 : start + 1].mean()
    for row in range(start + 1, len(values)):
        out[row] = out[row - 1] + share * (values[row] - out[row - 1])
    return out


def ema(values: Floats, rows: int) -> Floats:
    return smoothed(values, rows, 2 / (rows + 1))


def wilder(values: Floats, rows: int) -> Floats:
    return smoothed(values, rows, 1 / rows)


def ago(values: Floats, rows: int) -> Floats:
    return np.concatenate([np.full(rows, np.nan), values[:-rows]])


def change(values: Floats) -> Floats:
    return values - ago(values, 1)


def percent(values: Floats, rows: int) -> Floats:
    return 100 * (values / ago(values, rows) - 1)


def gains(values: Floats) -> Floats:
    return np.maximum(change(values), 0)


def losses(values: Floats) -> Floats:
    return np.maximum(-change(values), 0)


def middle(c: Candles) -> Floats:
    return (c.high + c.low) / 2


def typical(c: Candles) -> Floats:
    return (c.high + c.low + c.close) / 3


def session_vwap(c: Candles) -> Floats:
    """Add up traded value and volume anew from each midnight (UTC) on, candle by candle."""
    wanted, paid, traded, day_seen = np.full(len(c), np.nan), 0.0, 0.0, False
    for row, opened in enumerate(c.open_time_ms):
        if opened % 86_400_000 == 0:
            paid, traded, day_seen = 0.0, 0.0, True
        paid, traded = paid + typical(c)[row] * c.volume[row], traded + c.volume[row]
        if day_seen:
            wanted[row] = paid / traded
    return wanted


def true_range(c: Candles) -> Floats:
    before = ago(c.close, 1)
    return np.maximum(c.high, before) - np.minimum(c.low, before)


def atr(c: Candles, rows: int) -> Floats:
    return wilder(true_range(c), rows)


def centre(c: Candles, rows: int) -> Floats:
    return (highest(c.high, rows) + lowest(c.low, rows)) / 2


def place(c: Candles, rows: int) -> Floats:
    """Return the stochastic %K: where the close lies in the range."""
    bottom = lowest(c.low, rows)
    return 100 * (c.close - bottom) / (highest(c.high, rows) - bottom)


def money_flow(c: Candles) -> Floats:
    """Return Chaikin's money flow volume, none for a candle without a range."""
    span = c.high - c.low
    return np.where(span > 0, (2 * c.close - c.high - c.low) / np.where(span > 0, span, 1), 0) * c.volume


def fitted(values: Floats, rows: int, ahead: float) -> Floats:
    """Fit a line to each window by least squares; give its height so many candles after the newest."""
    steps = np.arange(rows) - (rows - 1) / 2
    slope = rolling(lambda windows, axis: windows @ steps / (steps @ steps), values, rows)
    return sma(values, rows) + slope * ((rows - 1) / 2 + ahead)


def slope(values: Floats, rows: int) -> Floats:
    return fitted(values, rows, 1) - fitted(values, rows, 0)


def indexed(values: Any) -> Floats:
    """Turn what is true into 1, what isn't into 0."""
    return np.asarray(values, dtype=np.float64)


# The indicators of more than one line.


def dema(values: Floats, rows: int) -> Floats:
    once = ema(values, rows)
    return 2 * once - ema(once, rows)


def tema(values: Floats, rows: int) -> Floats:
    once = ema(values, rows)
    twice = ema(once, rows)
    return 3 * once - 3 * twice + ema(twice, rows)


def hma(values: Floats, rows: int) -> Floats:
    return wma(2 * wma(values, rows // 2) - wma(values, rows), math.isqrt(rows))


def kama(values: Floats, rows: int) -> Floats:
    out = np.full(len(values), np.nan)
    average = values[rows - 1]
    for row in range(rows, len(values)):
        path = np.abs(np.diff(values[row - rows : row + 1])).sum()
        efficiency = abs(values[row] - values[row - rows]) / path
        average += (efficiency * (2 / 3 - 2 / 31) + 2 / 31) ** 2 * (values[row] - average)
        out[row] = average
    return out


def t3(values: Floats, rows: int, factor: float) -> Floats:
    """Apply Tillson's generalised DEMA three times."""
    for _ in range(3):
        once = ema(values, rows)
        values = (1 + factor) * once - factor * ema(once, rows)
    return values


def bands(basis: Floats, width: Floats) -> tuple[Floats, Floats, Floats]:
    return basis + width, basis, basis - width


def rsi(values: Floats, rows: int) -> Floats:
    up, down = wilder(gains(values), rows), wilder(losses(values), rows)
    return 100 * up / (up + down)


def macd(values: Floats, fast: int, slow: int, signal: int) -> tuple[Floats, Floats, Floats]:
    line = ema(values, fast) - ema(values, slow)
    average = ema(line, signal)
    return line, average, line - average


def stochrsi(values: Floats, rows: int, span: int, smooth: int) -> tuple[Floats, Floats]:
    line = rsi(values, rows)
    bottom = lowest(line, span)
    fast = 100 * (line - bottom) / (highest(line, span) - bottom)
    return fast, sma(fast, smooth)


def cci(c: Candles, rows: int) -> Floats:
    price = typical(c)
    spread = rolling(lambda windows, axis: np.abs(windows - windows.mean(axis, keepdims=True)).mean(axis), price, rows)
    return (price - sma(price, rows)) / (0.015 * spread)


def directional(c: Candles, rows: int) -> tuple[Floats, Floats]:
    """Return Wilder's +DI and -DI."""
    up, down = change(c.high), -change(c.low)
    plus, minus = np.where((up > down) & (up > 0), up, 0.0), np.where((down > up) & (down > 0), down, 0.0)
    plus[0] = minus[0] = np.nan
    return 100 * wilder(plus, rows) / atr(c, rows), 100 * wilder(minus, rows) / atr(c, rows)


def dx(c: Candles, rows: int) -> Floats:
    plus, minus = directional(c, rows)
    return 100 * np.abs(plus - minus) / (plus + minus)


def aroon(c: Candles, rows: int) -> tuple[Floats, Floats]:
    """Count from the newest back to the extreme, the latest of several."""
    low = rolling(lambda windows, axis: np.argmin(windows[:, ::-1], axis), c.low, rows + 1)
    high = rolling(lambda windows, axis: np.argmax(windows[:, ::-1], axis), c.high, rows + 1)
    return 100 * (rows - low) / rows, 100 * (rows - high) / rows


def sar(c: Candles, step: float, most: float) -> Floats:
    """Follow Wilder's parabolic; the first trade is short only when the second candle's move is downward."""
    out = np.full(len(c), np.nan)
    fell, rose = c.low[0] - c.low[1], c.high[1] - c.high[0]
    side = -1 if fell > 0 and fell > rose else 1
    ahead, behind = (side * c.high, side * c.low) if side > 0 else (side * c.low, side * c.high)
    stop, extreme, speed = behind[0], ahead[1], step
    for row in range(1, len(c)):
        last = max(row - 1, 1)
        if behind[row] <= stop:  # stopped and reversed: the mirror image of all prices
            ahead, behind, side = -behind, -ahead, -side
            stop, extreme, speed = -max(extreme, -behind[last], -behind[row]), ahead[row], step
            out[row] = side * stop
        else:
            out[row] = side * stop
            if ahead[row] > extreme:
                extreme, speed = ahead[row], min(speed + step, most)
        stop = min(stop + speed * (extreme - stop), behind[last], behind[row])
    return out


def supertrend(c: Candles, rows: int, factor: float) -> tuple[Floats, Floats]:
    return trailing(c, middle(c), factor * atr(c, rows), c.close, rows)


def trailing(c: Candles, basis: Floats, width: Floats, judged: Floats, start: int) -> tuple[Floats, Floats]:
    """Let a line trail below (1) or above (-1), that turns when what is judged by it crosses it."""
    line, trend = np.full((2, len(c)), np.nan)
    lower, upper, side = basis[start] - width[start], basis[start] + width[start], 1
    for row in range(start, len(c)):
        if row > start:
            low, high = basis[row] - width[row], basis[row] + width[row]
            lower = max(low, lower) if judged[row - 1] > lower else low
            upper = min(high, upper) if judged[row - 1] < upper else high
            side = -1 if side > 0 and judged[row] < lower else 1 if side < 0 and judged[row] > upper else side
        line[row], trend[row] = lower if side > 0 else upper, side
    return line, trend


def obv(c: Candles) -> Floats:
    side = np.sign(change(c.close))
    side[0] = 1  # TA-Lib begins with the first volume
    return np.cumsum(side * c.volume)


def mfi(c: Candles, rows: int) -> Floats:
    flow, moved = typical(c) * c.volume, change(typical(c))
    inwards, outwards = np.where(moved > 0, flow, 0.0), np.where(moved < 0, flow, 0.0)
    inwards[0] = outwards[0] = np.nan
    return 100 * sma(inwards, rows) / (sma(inwards, rows) + sma(outwards, rows))


def ultosc(c: Candles) -> Floats:
    pressure = c.close - np.minimum(c.low, ago(c.close, 1))
    short, medium, long = (sma(pressure, rows) / sma(true_range(c), rows) for rows in (7, 14, 28))
    return 100 * (4 * short + 2 * medium + long) / 7


def vortex(c: Candles, rows: int) -> tuple[Floats, Floats]:
    total = sma(true_range(c), rows)
    return sma(np.abs(c.high - ago(c.low, 1)), rows) / total, sma(np.abs(c.low - ago(c.high, 1)), rows) / total


def tsi(values: Floats, first: int, second: int) -> Floats:
    moved = change(values)
    return 100 * ema(ema(moved, first), second) / ema(ema(np.abs(moved), first), second)


def cmo(values: Floats, rows: int) -> Floats:
    up, down = wilder(gains(values), rows), wilder(losses(values), rows)
    return 100 * (up - down) / (up + down)


def ichimoku(c: Candles) -> tuple[Floats, Floats, Floats, Floats]:
    conversion, base = centre(c, 9), centre(c, 26)
    return ago((conversion + base) / 2, 26), ago(centre(c, 52), 26), conversion, base


def fisher(c: Candles, rows: int) -> tuple[Floats, Floats]:
    price = middle(c)
    bottom = lowest(price, rows)
    lies = 2 * (price - bottom) / (highest(price, rows) - bottom) - 1
    out = np.full(len(c), np.nan)
    out[rows - 1] = value = 0.0
    for row in range(rows, len(c)):
        value = 0.33 * lies[row] + 0.67 * value
        value = math.copysign(0.999, value) if abs(value) > 0.99 else value
        out[row] = math.atanh(value) + out[row - 1] / 2
    return out, ago(out, 1)


def kst(values: Floats) -> tuple[Floats, Floats]:
    terms = [(1, 10, 10), (2, 15, 10), (3, 20, 10), (4, 30, 15)]
    line = np.sum([weight * sma(percent(values, back), rows) for weight, back, rows in terms], axis=0)
    return line, sma(line, 9)


def squeeze(c: Candles) -> tuple[Floats, Floats, Floats, Floats]:
    inner, outer = 2 * deviation(c.close, 20), 1.5 * sma(true_range(c), 20)
    on, off = indexed(inner < outer), indexed(inner > outer)
    return sma(c.close - ago(c.close, 12), 6), on, off, 1 - on - off


def vidya(values: Floats, rows: int) -> Floats:
    up, down = sma(gains(values), rows), sma(losses(values), rows)
    share = 2 / (rows + 1) * np.abs((up - down) / (up + down))
    out = np.full(len(values), np.nan)
    out[rows - 1] = values[:rows].mean()
    for row in range(rows, len(values)):
        out[row] = out[row - 1] + share[row] * (values[row] - out[row - 1])
    return out


def super_smoother(values: Floats, rows: int) -> Floats:
    fade = math.exp(-math.sqrt(2) * math.pi / rows)
    one, two = 2 * fade * math.cos(math.sqrt(2) * math.pi / rows), -fade * fade
    out = values.copy()
    for row in range(2, len(values)):
        out[row] = (1 - one - two) * values[row] + one * out[row - 1] + two * out[row - 2]
    return out


def gaussian(values: Floats, rows: int, sigma: float, offset: float) -> Floats:
    """Return ALMA: its bell curve stands at `offset` of the window, which is 1 at the newest."""
    return weighted(values, np.exp(-((np.arange(rows) - offset * (rows - 1)) ** 2) / (2 * (rows / sigma) ** 2)))


def relative_volatility(values: Floats, rows: int, span: int) -> Floats:
    """Return Dorsey's RVI: Wilder's RSI of the standard deviation in the direction of the close."""
    spread, moved = deviation(values, span), change(values)
    up = wilder(np.where(np.isnan(spread), np.nan, np.where(moved > 0, spread, 0.0)), rows)
    down = wilder(np.where(np.isnan(spread), np.nan, np.where(moved < 0, spread, 0.0)), rows)
    return 100 * up / (up + down)


ENTRIES: dict[str, Entry] = {
    # Averages
    "sma(20)": Entry(lambda c: sma(c.close, 20)),
    "ema(20)": Entry(lambda c: ema(c.close, 20)),
    "wma(20)": Entry(lambda c: wma(c.close, 20)),
    "rma(14)": Entry(lambda c: wilder(c.close, 14)),
    "dema(20)": Entry(lambda c: dema(c.close, 20)),
    "tema(20)": Entry(lambda c: tema(c.close, 20)),
    "trima(9)": Entry(lambda c: weighted(c.close, [1, 2, 3, 4, 5, 4, 3, 2, 1])),
    "trima(10)": Entry(lambda c: weighted(c.close, [1, 2, 3, 4, 5, 5, 4, 3, 2, 1])),
    "hma(16)": Entry(lambda c: hma(c.close, 16)),
    "hma(15)": Entry(lambda c: hma(c.close, 15)),
    "kama(10)": Entry(lambda c: kama(c.close, 10)),
    "t3(5)": Entry(lambda c: t3(c.close, 5, 0.7), settled=200),
    "zlema(11)": Entry(lambda c: ema(2 * c.close - ago(c.close, 5), 11)),
    "vwma(20)": Entry(lambda c: sma(c.close * c.volume, 20) / sma(c.volume, 20)),
    "vwap": Entry(session_vwap),
    "linearreg(14)": Entry(lambda c: fitted(c.close, 14, 0)),
    "linearreg_slope(14)": Entry(lambda c: slope(c.close, 14)),
    "tsf(14)": Entry(lambda c: fitted(c.close, 14, 1)),
    "ssf(10)": Entry(lambda c: super_smoother(c.close, 10)),
    "fwma(10)": Entry(lambda c: weighted(c.close, [1, 1, 2, 3, 5, 8, 13, 21, 34, 55])),
    "alma(10)": Entry(lambda c: gaussian(c.close, 10, 6, 0.85)),
    # Bands and stops
    "bbands(20,2,2)": Entry(lambda c: bands(sma(c.close, 20), 2 * deviation(c.close, 20))),
    "donchian(20)": Entry(lambda c: (highest(c.high, 20), centre(c, 20), lowest(c.low, 20))),
    "kc(20,10,2)": Entry(lambda c: bands(ema(typical(c), 20), 2 * atr(c, 10)), settled=300),
    "sar": Entry(lambda c: sar(c, 0.02, 0.2)),
    "supertrend": Entry(lambda c: supertrend(c, 10, 3)),
    "ichimoku": Entry(ichimoku),
    "ce(22,3)": Entry(
        lambda c: (highest(c.high, 22) - 3 * atr(c, 22), lowest(c.low, 22) + 3 * atr(c, 22)),
    ),
    # Momentum
    "rsi(14)": Entry(lambda c: rsi(c.close, 14)),
    "macd(12,26,9)": Entry(lambda c: macd(c.close, 12, 26, 9), settled=600),
    "ppo(12,26,1)": Entry(lambda c: 100 * (ema(c.close, 12) / ema(c.close, 26) - 1)),
    "apo(12,26,1)": Entry(lambda c: ema(c.close, 12) - ema(c.close, 26)),
    "stoch(14,3,0,3,0)": Entry(lambda c: (sma(place(c, 14), 3), sma(sma(place(c, 14), 3), 3))),
    "stochf(14,3)": Entry(lambda c: (place(c, 14), sma(place(c, 14), 3))),
    "stochrsi(14,14,3)": Entry(lambda c: stochrsi(c.close, 14, 14, 3)),
    "cci(20)": Entry(lambda c: cci(c, 20)),
    "willr(14)": Entry(lambda c: place(c, 14) - 100),
    "roc(10)": Entry(lambda c: percent(c.close, 10)),
    "mom(10)": Entry(lambda c: c.close - ago(c.close, 10)),
    "plus_di(14)": Entry(lambda c: directional(c, 14)[0], settled=400),
    "minus_di(14)": Entry(lambda c: directional(c, 14)[1], settled=400),
    "adx(14)": Entry(lambda c: wilder(dx(c, 14), 14), settled=600),
    "aroon(14)": Entry(lambda c: aroon(c, 14)),
    "trix(15)": Entry(lambda c: percent(ema(ema(ema(c.close, 15), 15), 15), 1)),
    "ultosc": Entry(ultosc),
    "vortex(14)": Entry(lambda c: vortex(c, 14)),
    "tsi(25,13)": Entry(lambda c: tsi(c.close, 25, 13)),
    "cmo(14)": Entry(lambda c: cmo(c.close, 14)),
    "ao": Entry(lambda c: sma(middle(c), 5) - sma(middle(c), 34)),
    "coppock": Entry(lambda c: wma(percent(c.close, 11) + percent(c.close, 14), 10)),
    "fisher(9)": Entry(lambda c: fisher(c, 9)),
    "kst": Entry(lambda c: kst(c.close)),
    "squeeze": Entry(squeeze),
    # Volatility and statistics
    "atr(14)": Entry(lambda c: atr(c, 14)),
    "natr(14)": Entry(lambda c: 100 * atr(c, 14) / c.close),
    "stddev(20)": Entry(lambda c: deviation(c.close, 20)),
    "zscore(30)": Entry(lambda c: (c.close - sma(c.close, 30)) / deviation(c.close, 30, ddof=1)),
    "percentile(30,50)": Entry(lambda c: rolling(np.median, c.close, 30)),
    "quantile(30,0.5)": Entry(lambda c: rolling(np.median, c.close, 30)),
    "rvi(14,10)": Entry(lambda c: relative_volatility(c.close, 14, 10)),
    "hvol(20)": Entry(lambda c: 100 * math.sqrt(365) * deviation(change(np.log(c.close)), 20, ddof=1)),
    "chop(14)": Entry(
        lambda c: (
            100 * np.log10(14 * sma(true_range(c), 14) / (highest(c.high, 14) - lowest(c.low, 14))) / math.log10(14)
        )
    ),
    "ui(14)": Entry(lambda c: 100 * np.sqrt(sma((c.close / highest(c.close, 14) - 1) ** 2, 14))),
    # Volume
    "obv": Entry(obv),
    "ad": Entry(lambda c: np.cumsum(money_flow(c))),
    "adosc(3,10)": Entry(lambda c: ema(np.cumsum(money_flow(c)), 3) - ema(np.cumsum(money_flow(c)), 10), settled=400),
    "cmf(20)": Entry(lambda c: sma(money_flow(c), 20) / sma(c.volume, 20)),
    "mfi(14)": Entry(lambda c: mfi(c, 14)),
    "efi(13)": Entry(lambda c: ema(change(c.close) * c.volume, 13)),
}
"""Spec → its formula."""


class Reason(NamedTuple):
    """Why an entry is not what its formula says, and how far off it is at most, in shares of its usual size."""

    text: str
    at_most: float


REASONS: dict[str, Reason] = {
    "percentile(30,50)": Reason(
        "TA-Lib answers with a value of the window (nearest rank); the median of 30 lies between two of them",
        at_most=0.05,
    ),
}
"""Spec → why it is left to differ."""


class Native(NamedTuple):
    """The other library's own function, its arguments, its columns in our order, and as `Entry`."""

    function: str
    arguments: dict[str, float | str]
    columns: tuple[int, ...] = (0,)
    settled: int = 0


NATIVE: dict[str, Native] = {
    **{f"{name}(20)": Native(name, {"length": 20}) for name in ("sma", "ema", "wma", "dema", "tema", "hma", "rma")},
    **{f"{name}(14)": Native(name, {"length": 14}) for name in ("rsi", "cci", "willr", "roc", "mom", "atr", "natr")},
    **{f"{name}(14)": Native(name, {"length": 14}) for name in ("mfi", "trix", "midpoint", "adx")},
    "kama(10)": Native("kama", {"length": 10}),
    "t3(5)": Native("t3", {"length": 5}),
    "mama": Native("mama", {}, (0, 1)),
    "ht_trendline": Native("ht_trendline", {}),
    "linearreg(14)": Native("linreg", {"length": 14}),
    "bbands(20,2,2)": Native("bbands", {"length": 20, "std": 2.0}, (2, 1, 0)),
    "accbands(20)": Native("accbands", {"length": 20}, (2, 1, 0)),
    "donchian(20)": Native("donchian", {"lower_length": 20, "upper_length": 20}, (2, 1, 0)),
    "macd(12,26,9)": Native("macd", {"fast": 12, "slow": 26, "signal": 9}, (0, 2, 1), settled=600),
    "ppo(12,26,1)": Native("ppo", {"fast": 12, "slow": 26, "mamode": "ema"}),
    "stoch(14,3,0,3,0)": Native("stoch", {"k": 14, "d": 3, "smooth_k": 3}, (0, 1)),
    "kdj": Native("kdj", {}, (0, 1, 2)),
    "aroon(14)": Native("aroon", {"length": 14}, (0, 1)),
    "ultosc": Native("uo", {}),
    "massi": Native("massi", {}),
    "obv": Native("obv", {}),
    "ad": Native("ad", {}),
    "cmf(20)": Native("cmf", {"length": 20}),
}
"""Spec of one that TA-Lib computes → what the other library makes of it by itself."""


def last_real() -> Candles:
    series = hourly_candles()
    return series.slice(len(series) - ROWS, len(series))


@pytest.fixture(scope="module", params=["made", "real"])
def candles(request: pytest.FixtureRequest) -> Candles:
    return made_candles(ROWS) if request.param == "made" else last_real()


def outputs(formula: Formula, of: Candles) -> tuple[Floats, ...]:
    with np.errstate(divide="ignore", invalid="ignore"):  # 0/0 is undefined here as there
        values = formula(of)
    return values if isinstance(values, tuple) else (values,)


def native(of: Native, values: Candles) -> tuple[Floats, ...]:
    import inspect

    import pandas as pd

    function = getattr(pandas_ta_functions.library(), of.function)
    takes = inspect.signature(function).parameters
    names = [name for name in ("high", "low", "close", "volume") if name in takes]
    arguments = {**of.arguments, **({"talib": False} if "talib" in takes else {})}
    answer = function(**{name: pd.Series(getattr(values, name)) for name in names}, **arguments)
    table = np.asarray(answer, dtype=np.float64).reshape(len(values), -1)
    return tuple(table[:, column] for column in of.columns)


def compared(
    text: str, wanted: tuple[Floats, ...], settled: int, of: Candles
) -> Iterator[tuple[str, Floats, Floats, float]]:
    """Return each column's name, ours and the wanted values once they are settled, and their usual size."""
    spec = parse_spec(text)
    for (name, ours), theirs in zip(compute([spec], of).items(), wanted, strict=True):
        start = spec.warm_up + settled
        assert np.isnan(ours[: spec.warm_up]).all()
        assert len(ours) == len(theirs)
        assert start < len(ours) - 1_000
        np.testing.assert_array_equal(np.isnan(ours[start:]), np.isnan(theirs[start:]), err_msg=name)
        yield name, ours[start:], theirs[start:], float(np.nanmedian(np.abs(theirs[start:])))


def differs(text: str, wanted: tuple[Floats, ...], settled: int, of: Candles) -> list[str]:
    """Name the columns that are not the same to 1e-9."""
    return [
        f"{name}: {np.nanmax(np.abs(ours - theirs)):.3g} apart"
        for name, ours, theirs, usual in compared(text, wanted, settled, of)
        if not np.allclose(ours, theirs, rtol=RELATIVE, atol=ROUNDING * usual, equal_nan=True)
    ]


@pytest.mark.parametrize("text", sampled(sorted(set(ENTRIES) - set(REASONS)), 3))
def test_an_indicator_is_what_its_formula_says(text: str, candles: Candles) -> None:
    entry = ENTRIES[text]

    assert differs(text, outputs(entry.formula, candles), entry.settled, candles) == []


@pytest.mark.parametrize("text", sorted(REASONS))
def test_where_an_indicator_is_not_what_its_formula_says_the_difference_is_known(text: str, candles: Candles) -> None:
    entry, reason = ENTRIES[text], REASONS[text]
    wanted = outputs(entry.formula, candles)
    furthest = max(
        float(np.nanmax(np.abs(ours - theirs))) / usual
        for _, ours, theirs, usual in compared(text, wanted, entry.settled, candles)
    )

    assert reason.text
    assert furthest <= reason.at_most
    assert differs(text, wanted, entry.settled, candles), "it agrees now: take it out of REASONS"


@pytest.mark.parametrize("text", sampled(sorted(NATIVE), 3))
def test_two_libraries_that_were_written_apart_have_the_same_values(text: str, candles: Candles) -> None:
    theirs = NATIVE[text]

    assert parse_spec(text).function in talib_functions.names()
    assert differs(text, native(theirs, candles), theirs.settled, candles) == []


def test_each_formula_but_those_with_a_reason_agrees_at_1e_9_and_they_are_at_least_sixty_of_the_catalogue() -> None:
    """On the made candles; on the real ones, and told apart, most are `long`."""
    on = made_candles(ROWS)
    apart = {
        text: columns
        for text, entry in ENTRIES.items()
        if (columns := differs(text, outputs(entry.formula, on), entry.settled, on))
    }
    agreeing = {parse_spec(text).function for text in ENTRIES.keys() - apart.keys()}

    assert {text: columns for text, columns in apart.items() if text not in REASONS} == {}
    assert len(agreeing) >= 60
    assert agreeing <= set(catalog.names())
