"""The calibrated confidence: what a stated confidence has been worth, by Platt's scaling, shrunk to the base rate."""

from dataclasses import dataclass

import numpy as np

from mcp_server.domain.candles import Floats
from mcp_server.domain.scoring.hit_rate import Flags
from mcp_server.domain.scoring.reliability import FEWEST

SHRINKAGE = 50
"""A fit from this many signals and the base rate count the same."""

_SUREST = 0.995
"""Confidences are whole per cents: 0 and 100 stand for anything within half of one."""

_SAME = 1e-9
"""Logits that differ by less are the same but for the rounding of floats."""


@dataclass(frozen=True, slots=True)
class PlattFit:
    """P(right) = logistic(intercept + slope x logit(confidence)), from `signals` outcomes."""

    intercept: float
    slope: float
    signals: int


def platt_fit(confidence: Floats, right: Flags) -> PlattFit | None:
    """Return the fit to confidences from 0 to 1 (NaN doesn't count); None below 30 signals with a confidence.

    Logistic regression on the logit of the confidence, with the targets of Platt (1999), "Probabilistic outputs for
    support vector machines": (r + 1) / (r + 2) for the r that were right and 1 / (w + 2) for the w that were wrong. So
    there is a fit also where a confidence tells right from wrong without an error, or where all are right. Where the
    confidence never changes, the slope is 0.
    """
    stated = ~np.isnan(confidence)
    confidence, right = confidence[stated], right[stated]
    count, of_right = len(right), int(right.sum())
    if count < FEWEST:
        return None
    target = np.where(right, (of_right + 1) / (of_right + 2), 1 / (count - of_right + 2))
    stated_logit = logit(confidence)
    if np.ptp(stated_logit) < _SAME:
        return PlattFit(float(logit(target.mean())), 0.0, count)
    intercept, slope = logistic_regression(stated_logit, target)
    return PlattFit(float(intercept), float(slope), count)


def calibrated_confidence(confidence: Floats, fit: PlattFit, base_rate: Floats | float) -> Floats:
    """Return the probabilities that signals with these confidences are right, shrunk to the base rate.

    The fit has weight n / (n + 50), n the signals it is from; the base rate has the rest.
    """
    weight = fit.signals / (fit.signals + SHRINKAGE)
    result: Floats = weight * _logistic(fit.intercept + fit.slope * logit(confidence)) + (1 - weight) * base_rate
    return result


def logit(probability: Floats) -> Floats:
    """Return log(p / (1 - p)), of a probability that is kept off 0 and 1."""
    kept = np.clip(probability, 1 - _SUREST, _SUREST)
    return np.log(kept) - np.log1p(-kept)


def logistic_regression(x: Floats, target: Floats) -> Floats:
    """Return intercept and slope of the highest likelihood, by Newton's method.

    A step that raises the loss is halved: far from the optimum a whole one may jump over it.
    """
    design = np.stack([np.ones(len(x)), x])
    fit, loss = np.zeros(2), _loss(np.zeros(len(x)), target)
    for _ in range(100):
        probability = _logistic(fit @ design)
        step = np.linalg.solve(design * (probability * (1 - probability)) @ design.T, design @ (target - probability))
        while (lower := _loss((fit + step) @ design, target)) > loss and np.abs(step).max() > 1e-9:
            step /= 2
        fit, loss = fit + step, lower
        if np.abs(step).max() <= 1e-14 * max(1.0, float(np.abs(fit).max())):
            break
    return fit


def _loss(score: Floats, target: Floats) -> float:
    return float(np.sum(np.logaddexp(0.0, score) - target * score))


def _logistic(score: Floats) -> Floats:
    return (1 + np.tanh(score / 2)) / 2
