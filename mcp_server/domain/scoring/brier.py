"""How well stated probabilities fit what happened: the Brier score, and its skill against the base rate."""

import numpy as np

from mcp_server.domain.candles import Floats
from mcp_server.domain.scoring.hit_rate import Flags


def brier_score(confidence: Floats, right: Flags) -> float | None:
    """Return mean (confidence - right)², confidences from 0 to 1; those that are NaN don't count. None without any."""
    stated = ~np.isnan(confidence)
    return float(np.mean((confidence[stated] - right[stated]) ** 2)) if stated.any() else None


def brier_skill(confidence: Floats, right: Flags, base: Floats | float) -> float | None:
    """Return 1 - Brier score ÷ that of the base rate: above 0 is better than always stating the base rate.

    Args:
        confidence: Stated probabilities, 0 to 1; NaN where none was stated. Such signals don't count on either side.
        right: Whether each signal was right.
        base: The base rate as a forecast: one for all signals, or one for each, as it was known at its entry. A signal
            whose base rate is NaN doesn't count either.

    Returns:
        At most 1; None where no signal counts, and where the base rate made no error.
    """
    both = np.where(np.isnan(confidence), np.nan, np.broadcast_to(base, confidence.shape))
    reference = brier_score(both, right)
    if not reference:
        return None
    score = brier_score(np.where(np.isnan(both), np.nan, confidence), right)
    return None if score is None else 1 - score / reference
