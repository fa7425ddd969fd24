"""The calibrated confidence: what a stated confidence has been worth, by Platt's scaling, shrunk to the base rate."""

from dataclasses import dataclass

from mcp_server.domain.candles import Floats
from mcp_server.domain.scoring.hit_rate import Flags


@dataclass(frozen=True, slots=True)
class PlattFit:
    """P(right) = logistic(intercept + slope x logit(confidence)), from `signals` outcomes."""

    intercept: float
    slope: float
    signals: int


def platt_fit(confidence: Floats, right: Flags) -> PlattFit | None:
    """Return the fit to confidences from 0 to 1 (NaN doesn't count); None below 30 signals with a confidence."""
    raise NotImplementedError


def calibrated_confidence(confidence: Floats, fit: PlattFit, base_rate: Floats | float) -> Floats:
    """Return the probabilities that signals with these confidences are right, shrunk to the base rate.

    The fit has weight n / (n + 50), n the signals it is from; the base rate has the rest.
    """
    raise NotImplementedError
