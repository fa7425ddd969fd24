"""What scikit-learn, scoringrules and statsmodels compute of made up signals: oracles for the statistics of a score.

The signals are made of numpy alone (`record_of`), so that the tests have them to the last bit.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

BINS = (10, 4)
LAGS = (0, 1, 24, 35)
"""Of the HAC variance: bandwidths of 1, 2, 25 and 36 candles."""

SEPARABLE = ("apart", "one_way")
"""Without targets between 0 and 1 these have no optimum."""

RECORDS = {"few": 30, "many": 700, "apart": 60, "one_way": 40, "percents": 400}


def record_of(kind: str) -> tuple[Floats, Flags]:
    """Make confidences and whether each signal was right.

    `few` and `many` are overconfident; `percents` are whole per cents from 0 to 100; in `apart` the confidence tells
    right from wrong without an error, and in `one_way` all are right.
    """
    count = RECORDS[kind]
    uniform = np.random.RandomState(count).random_sample((count, 2))
    confidence = np.round(uniform[:, 0], 2) if kind == "percents" else uniform[:, 0] * 0.96 + 0.02
    right = uniform[:, 1] < 0.3 + 0.4 * confidence
    if kind == "apart":
        right = confidence > 0.55
    if kind == "one_way":
        right = np.ones(count, dtype=bool)
    return confidence, right


def base_of(kind: str) -> Floats:
    """Make a base rate for each signal."""
    return 0.4 + 0.1 * np.random.RandomState(RECORDS[kind] + 1).random_sample(RECORDS[kind])


def overlapping() -> Floats:
    """Make net returns of signals that overlap for 24 candles."""
    noise = np.random.RandomState(24).random_sample((640, 4)).sum(axis=1) - 2
    return np.convolve(noise, np.ones(24), mode="valid") * 0.01


def logit_of(confidence: Floats) -> Floats:
    kept = np.clip(confidence, 0.005, 0.995)
    return np.log(kept / (1 - kept))


def scoring() -> dict[str, Any]:
    """Ask the oracles; only in the peers' environment."""
    return {"records": {kind: _of_record(kind) for kind in RECORDS}, "hac": {str(lags): _hac(lags) for lags in LAGS}}


def _of_record(kind: str) -> dict[str, Any]:
    import scoringrules
    from sklearn.calibration import calibration_curve
    from sklearn.metrics import brier_score_loss

    confidence, right = record_of(kind)
    curves = {bins: calibration_curve(right, confidence, n_bins=bins, strategy="uniform") for bins in BINS}
    base = base_of(kind)
    return {
        "brier": float(brier_score_loss(right, confidence)),
        "brier_scoringrules": float(np.mean(scoringrules.brier_score(right.astype(float), confidence))),
        "brier_base": float(brier_score_loss(right, base)),
        "curves": {bins: [list(map(float, side)) for side in curve] for bins, curve in curves.items()},
        "platt": _platt(confidence, right, platt_target(right)),
        "logistic": None if kind in SEPARABLE else _platt(confidence, right, right.astype(float)),
    }


def platt_target(right: Flags) -> Floats:
    """Return the targets of Platt's paper."""
    of_right, count = int(right.sum()), len(right)
    return np.where(right, (of_right + 1) / (of_right + 2), 1 / (count - of_right + 2))


def _platt(confidence: Floats, right: Flags, target: Floats) -> dict[str, Any]:
    """Fit by scikit-learn, without a penalty, each signal twice: as right and as wrong, weighted by the target."""
    from sklearn.linear_model import LogisticRegression

    x = logit_of(confidence)[:, None]
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-14, max_iter=1000)
    model.fit(np.vstack([x, x]), np.repeat([1, 0], len(right)), sample_weight=np.concatenate([target, 1 - target]))
    return {"intercept": float(model.intercept_[0]), "slope": float(model.coef_[0, 0])}


def _hac(lags: int) -> float:
    import statsmodels.api

    values = overlapping()
    fit = statsmodels.api.OLS(values, np.ones(len(values))).fit(
        cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": True}
    )
    return float(fit.cov_params()[0, 0])
