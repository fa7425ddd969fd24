"""What a Sharpe ratio is worth: how far off it may be, and how much of it is the reward of trying often.

All formulas take the Sharpe ratio per candle with the number of candles; only the interval is annual.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, variance

import numpy as np

from mcp_server.domain.backtest.bootstrap import resampled_sharpes
from mcp_server.domain.backtest.returns import FEWEST_DAYS, candles_per_year, days_of, sharpe_of
from mcp_server.domain.candles import Floats
from mcp_server.domain.timeframes import DAY_MS, timeframe_ms

CONFIDENCE = 0.95
_NORMAL = NormalDist()
_EULER = 0.5772156649015329


@dataclass(frozen=True, slots=True)
class Trial:
    """Another variant of the same family that was backtested: its Sharpe ratio per candle of its timeframe, not annual.

    None where it is undefined (it never traded): such a trial counts, but adds nothing to the variance.
    """

    sharpe_per_period: float | None
    timeframe: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """How much a Sharpe ratio may be trusted, under the names of a backtest's answer. None is undefined.

    Attributes:
        sharpe_ci95: the annual Sharpe ratio lies within with 95 % confidence.
        sharpe_probabilistic: probability (0 to 1) that the true Sharpe ratio is above 0.
        sharpe_deflated: probability (0 to 1) that it is above what the best of so many trials without skill would show.
        trials: how many variants were tried, this one included.
        min_track_record_days: so long the record would have to be to show at 95 % that the Sharpe ratio is above 0.
    """

    sharpe_ci95: tuple[float, float] | None = None
    sharpe_probabilistic: float | None = None
    sharpe_deflated: float | None = None
    trials: int
    min_track_record_days: float | None = None


@dataclass(frozen=True, slots=True)
class Moments:
    """What the deflation of a Sharpe ratio needs of the returns: the ratio per candle, their number and their shape."""

    sharpe: float
    candles: int
    skew: float
    kurtosis: float


def worth(returns: Floats, timeframe: str, others: Sequence[Trial]) -> Worth:
    """Return what the Sharpe ratio of these returns is worth; all undefined for a record under 90 days.

    Args:
        returns: of each candle, see `grid_returns`.
        timeframe: of the candles.
        others: the other variants of the family that were tried, without this one.
    """
    moments = moments_of(returns, timeframe)
    if moments is None:
        return Worth(trials=len(others) + 1)
    candles = min_track_record(moments.sharpe, moments.skew, moments.kurtosis)
    low, high = np.quantile(resampled_sharpes(returns), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    annual = math.sqrt(candles_per_year(timeframe))
    return Worth(
        sharpe_ci95=(float(low) * annual, float(high) * annual),
        sharpe_probabilistic=probabilistic_sharpe(moments.sharpe, moments.candles, moments.skew, moments.kurtosis),
        sharpe_deflated=deflated_sharpe(moments, timeframe, others),
        trials=len(others) + 1,
        min_track_record_days=None if candles is None else candles * timeframe_ms(timeframe) / DAY_MS,
    )


def moments_of(returns: Floats, timeframe: str) -> Moments | None:
    """Return the moments of returns; None for a record under 90 days, and where they do not vary."""
    sharpe = sharpe_of(returns)
    if sharpe is None or days_of(returns, timeframe) < FEWEST_DAYS:
        return None
    return Moments(sharpe, len(returns), *shape_of(returns))


def deflated_sharpe(moments: Moments, timeframe: str, others: Sequence[Trial]) -> float | None:
    """Return the probability that the Sharpe ratio is above what the best of all these trials would show by luck."""
    scaled = [moments.sharpe, *(each for trial in others if (each := _scaled(trial, timeframe)) is not None)]
    luck = luckiest_sharpe(variance(scaled) if len(scaled) > 1 else 0.0, len(others) + 1)
    return probabilistic_sharpe(moments.sharpe, moments.candles, moments.skew, moments.kurtosis, luck)


def shape_of(returns: Floats) -> tuple[float, float]:
    """Return skewness and kurtosis (3 for a normal distribution) by the moments of the sample, without correction."""
    centred = returns - np.mean(returns)
    squares = centred * centred
    second = float(np.mean(squares))
    return float(np.mean(squares * centred)) / second**1.5, float(np.mean(squares * squares)) / second**2


def probabilistic_sharpe(sharpe: float, candles: int, skew: float, kurtosis: float, above: float = 0.0) -> float | None:
    """Return the probability that the true Sharpe ratio is above `above`.

    Bailey and López de Prado (2012), "The Sharpe Ratio Efficient Frontier": normal in the estimate, whose variance
    takes skewness and kurtosis of the returns into account. None where that variance is 0.
    """
    error = _error(sharpe, skew, kurtosis)
    return _NORMAL.cdf((sharpe - above) * math.sqrt(candles - 1) / error) if error else None


def luckiest_sharpe(spread: float, trials: int) -> float:
    """Return the Sharpe ratio to expect of the best of so many trials without skill, whose ratios vary by `spread`.

    Bailey and López de Prado (2014), "The Deflated Sharpe Ratio": the expected maximum of normal values with variance
    `spread`. One trial has nothing to choose from: 0.
    """
    if trials < 2:
        return 0.0
    best = (1 - _EULER) * _NORMAL.inv_cdf(1 - 1 / trials) + _EULER * _NORMAL.inv_cdf(1 - 1 / (trials * math.e))
    return math.sqrt(spread) * best


def min_track_record(sharpe: float, skew: float, kurtosis: float, above: float = 0.0) -> float | None:
    """Return how many candles it takes until `probabilistic_sharpe` reaches 95 %, all else equal.

    Bailey and López de Prado (2012). None where the Sharpe ratio is not above `above`: no record is long enough.
    """
    if sharpe <= above:
        return None
    quantile = _NORMAL.inv_cdf(CONFIDENCE)
    return float(1 + (_error(sharpe, skew, kurtosis) * quantile / (sharpe - above)) ** 2)


def _error(sharpe: float, skew: float, kurtosis: float) -> float:
    """Return the standard error of a Sharpe ratio, times the root of the number of candles less one."""
    return math.sqrt(max(1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe**2, 0.0))


def _scaled(trial: Trial, timeframe: str) -> float | None:
    """Return a trial's Sharpe ratio per candle of this timeframe: it grows with the square root of time."""
    if trial.sharpe_per_period is None:
        return None
    return trial.sharpe_per_period * math.sqrt(timeframe_ms(timeframe) / timeframe_ms(trial.timeframe))
