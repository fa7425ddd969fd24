"""The rules of `rules.py` once more, in pandas and by hand, for the peers: nothing of this project decides here.

Conditions are pandas' nullable booleans, whose AND and OR know three values. TA-Lib is asked only for MACD and the
directional movement.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd
import talib

from tests.parity.series import HourlySeries

Floats = npt.NDArray[np.float64]
Conditions = tuple[pd.Series, pd.Series]


def signals(name: str, candles: HourlySeries) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return at which candles the rule says BUY and SELL: nowhere that both hold, or that one has no value."""
    buy, sell = CONDITIONS[name](candles)
    decided = (buy.notna() & sell.notna()).to_numpy()
    bought, sold = buy.fillna(False).to_numpy(dtype=bool), sell.fillna(False).to_numpy(dtype=bool)
    return decided & bought & ~sold, decided & sold & ~bought


def column(values: Floats) -> pd.Series:
    return pd.Series(pd.arrays.FloatingArray(values.copy(), np.isnan(values)))


def before(values: pd.Series, candles: int = 1) -> pd.Series:
    return values.shift(candles)


def above(a: pd.Series, b: pd.Series | float) -> pd.Series:
    """Where a crosses above b: it is above now, and was not at the candle before."""
    earlier = before(b) if isinstance(b, pd.Series) else b
    return (a > b) & (before(a) <= earlier)


def below(a: pd.Series, b: pd.Series | float) -> pd.Series:
    earlier = before(b) if isinstance(b, pd.Series) else b
    return (a < b) & (before(a) >= earlier)


def ema(values: Floats, period: int) -> pd.Series:
    """Begin with the mean of the first `period` values."""
    result, alpha = np.full(len(values), np.nan), 2 / (period + 1)
    result[period - 1] = values[:period].mean()
    for i in range(period, len(values)):
        result[i] = result[i - 1] + alpha * (values[i] - result[i - 1])
    return column(result)


def rsi(close: Floats, period: int) -> pd.Series:
    """Wilder's: rises and falls smoothed by 1 ÷ period, beginning with the mean of the first `period` changes."""
    change, result = np.diff(close), np.full(len(close), np.nan)
    rises, falls = np.maximum(change, 0), np.maximum(-change, 0)
    rise, fall = rises[:period].mean(), falls[:period].mean()
    for i in range(period, len(close)):
        if i > period:
            rise += (rises[i - 1] - rise) / period
            fall += (falls[i - 1] - fall) / period
        result[i] = 100 * rise / (rise + fall)
    return column(result)


def rolling(values: Floats, count: int) -> "pd.api.typing.Rolling[pd.Series]":
    return pd.Series(values).rolling(count)


def sma(values: Floats, period: int) -> pd.Series:
    return column(rolling(values, period).mean().to_numpy())


def rsi_turns(candles: HourlySeries) -> Conditions:
    line = rsi(candles.close, 14)
    return above(line, 30.0), below(line, 70.0)


def ema_cross_with_filter(candles: HourlySeries) -> Conditions:
    fast, slow = ema(candles.close, 20), ema(candles.close, 50)
    return above(fast, slow) & (rsi(candles.close, 14) < 70), below(fast, slow)


def bands(candles: HourlySeries) -> Conditions:
    close, middle = column(candles.close), sma(candles.close, 20)
    lower = middle - 2 * column(rolling(candles.close, 20).std(ddof=0).to_numpy())
    return close < lower, close > middle


def _breakout(candles: HourlySeries, up: int, down: int) -> Conditions:
    close = column(candles.close)
    highest, lowest = rolling(candles.high, up).max().to_numpy(), rolling(candles.low, down).min().to_numpy()
    return close > before(column(highest)), close < before(column(lowest))


def breakout(candles: HourlySeries) -> Conditions:
    return _breakout(candles, 20, 10)


def breakout_both_sides(candles: HourlySeries) -> Conditions:
    return _breakout(candles, 55, 55)


def macd_both_sides(candles: HourlySeries) -> Conditions:
    line, signal, _ = talib.MACD(candles.close, 12, 26, 9)
    return above(column(line), column(signal)), below(column(line), column(signal))


def momentum_both_sides(candles: HourlySeries) -> Conditions:
    close, average = column(candles.close), sma(candles.close, 200)
    earlier = before(close, 24)
    return (close > earlier) & (close > average), (close < earlier) & (close < average)


def volume_rush(candles: HourlySeries) -> Conditions:
    close, usual = column(candles.close), sma(candles.volume, 20)
    rush = column(candles.volume) > 2 * usual
    return rush & (close > column(candles.open)), close < before(column(candles.low))


def trend_strength(candles: HourlySeries) -> Conditions:
    bars = candles.high, candles.low, candles.close, 14
    strong = column(talib.ADX(*bars)) > 25
    plus, minus = column(talib.PLUS_DI(*bars)), column(talib.MINUS_DI(*bars))
    return strong & (plus > minus), strong & (plus < minus)


def half_stake_reversal(candles: HourlySeries) -> Conditions:
    line, close = rsi(candles.close, 2), column(candles.close)
    return (line < 10) & (close > sma(candles.close, 100)), line > 90


CONDITIONS: dict[str, Callable[[HourlySeries], Conditions]] = {
    condition.__name__: condition
    for condition in (
        rsi_turns,
        ema_cross_with_filter,
        bands,
        breakout,
        breakout_both_sides,
        macd_both_sides,
        momentum_both_sides,
        volume_rush,
        trend_strength,
        half_stake_reversal,
    )
}
