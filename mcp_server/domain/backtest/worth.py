"""What a Sharpe ratio is worth: how far off it may be, and how much of it is the reward of trying often."""

from dataclasses import dataclass


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

    sharpe_ci95: tuple[float, float] | None
    sharpe_probabilistic: float | None
    sharpe_deflated: float | None
    trials: int
    min_track_record_days: float | None
