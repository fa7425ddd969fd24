"""What arch, skfolio, holdout-backtest and scikit-learn compute of made up returns: oracles for our statistics.

The returns are made of numpy alone (`returns_of`), so that the tests have them to the last bit.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

COUNT = 6_000
"""Returns of one hour: 250 days."""

TRIALS = (0.012, -0.004, 0.021, 0.003, 0.017, -0.011, 0.008)
VARIANTS, PBO_ROWS, PBO_BLOCKS = 12, 960, 16
FOLDS, FOLD_ROWS, EMBARGO = 5, 1_000, 24
RESAMPLES = 20_000


def returns_of(kind: str) -> Floats:
    """Make returns: `even`, with `heavy` tails, that `depend` on the one before, or that come in `waves` of size."""
    uniform = np.random.RandomState(len(kind)).random_sample((COUNT, 4))
    noise: Floats = (uniform.sum(axis=1) - 2) * 0.01
    drift = 0.0002
    if kind == "heavy":
        noise *= noise * noise * 4e3
    if kind == "depend":
        drift = 0.0003
        for i in range(1, COUNT):
            noise[i] += 0.6 * noise[i - 1]
    if kind == "waves":
        noise *= np.repeat(uniform[: COUNT // 100, 0] * 2, 100)
    noise += drift
    return noise


KINDS = ("even", "heavy", "depend", "waves")


def variants() -> Floats:
    """Make the returns of twelve variants, of which one is better than the others."""
    uniform = np.random.RandomState(12).random_sample((PBO_ROWS, VARIANTS, 4))
    result: Floats = (uniform.sum(axis=2) - 2) * 0.01
    result[:, 3] += 0.0005
    return result


def statistics() -> dict[str, Any]:
    """Ask the oracles; only in the peers' environment."""
    from holdout import pbo
    from sklearn.model_selection import TimeSeriesSplit

    splits = TimeSeriesSplit(n_splits=FOLDS, gap=EMBARGO).split(np.zeros(FOLD_ROWS))
    result = pbo.probability_of_backtest_overfitting(variants(), n_blocks=PBO_BLOCKS)
    return {
        "returns": {kind: _of_returns(returns_of(kind)) for kind in KINDS},
        "pbo": {"pbo": float(result.pbo), "mean_logit": float(np.mean(result.logits))},
        "folds": [[int(train[-1]), int(test[0]), int(test[-1])] for train, test in splits],
    }


def _of_returns(returns: Floats) -> dict[str, Any]:
    from arch.bootstrap import StationaryBootstrap, optimal_block_length
    from holdout.deflated import minimum_track_record_length
    from skfolio import measures

    def sharpe(sample: Floats) -> float:
        return float(sample.mean() / sample.std(ddof=1))

    block = float(optimal_block_length(returns)["stationary"].iloc[0])
    used = max(block, COUNT ** (1 / 3))
    skew, kurtosis = float(measures.skew(returns)), float(measures.kurtosis(returns))
    bootstrap = StationaryBootstrap(used, returns, seed=1)
    resampled = bootstrap.apply(sharpe, RESAMPLES)
    return {
        "sharpe": sharpe(returns),
        "skew": skew,
        "kurtosis": kurtosis,
        "probabilistic": float(measures.probabilistic_sharpe_ratio(returns)),
        "deflated": float(measures.deflated_sharpe_ratio(returns, [sharpe(returns), *TRIALS])),
        "min_track_record": float(minimum_track_record_length(sharpe(returns), skewness=skew, kurtosis=kurtosis)),
        "block_length": block,
        "interval": [float(quantile) for quantile in np.quantile(resampled, [0.025, 0.975])],
    }
