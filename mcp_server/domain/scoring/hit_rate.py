"""The share of signals that were right, with an interval that is honest about outcomes that overlap."""

import numpy as np
import numpy.typing as npt

from mcp_server.domain.candles import Times
from mcp_server.domain.scoring.hac import Interval

Flags = npt.NDArray[np.bool_]


def hit_rate_interval(right: Flags, time_ms: Times, bandwidth_ms: float) -> Interval | None:
    """Return the share of True and its 95 % interval, within 0 and 1; None where `hac.mean_interval` gives none.

    It has a width also where all are right or all are wrong.
    """
    raise NotImplementedError
