"""The judged signals of one record: what every statistic of skill is computed from."""

from dataclasses import dataclass

import numpy as np

from mcp_server.domain.candles import Floats, Mask, Times
from mcp_server.domain.rules.series import BUY, HOLD, SELL, Codes


@dataclass(frozen=True, slots=True, eq=False)
class JudgedSignals:
    """The BUY, SELL and HOLD of one record that are judged, oldest first, as parallel arrays of one length.

    Pending, void and failed runs are not among them. Times are Unix ms; `signal` has the codes of `rules.series`.
    """

    execution_id: Times
    decided_ms: Times
    entry_ms: Times
    exit_ms: Times
    signal: Codes
    r: Floats
    """Exit ÷ entry - 1."""
    cost: Floats
    """What the round trip costs, as a ratio."""
    funding: Floats
    """What a long position paid for fundings over this time, as a ratio of the entry price; 0 on spot."""
    confidence: Floats
    """The stated probability of being right, from 0 to 1; NaN where none is stated."""

    @classmethod
    def none(cls) -> "JudgedSignals":
        """No signals at all."""
        times, values = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float64)
        signal = np.empty(0, dtype=np.int8)
        return cls(times, times, times, times, signal, values, values, values, values)

    def __len__(self) -> int:
        return len(self.execution_id)

    @property
    def directed(self) -> Mask:
        """Which signals are BUY or SELL: only these are right or wrong."""
        directed: Mask = (self.signal == BUY) | (self.signal == SELL)
        return directed

    @property
    def net(self) -> Floats:
        """What each BUY and SELL returned after all costs, as a ratio; NaN for a HOLD."""
        side = np.where(self.directed, self.signal, np.nan)
        return side * (self.r - self.funding) - self.cost

    @property
    def right(self) -> Mask:
        """Which BUY and SELL returned more than 0 after all costs; never a HOLD."""
        return self.net > 0  # NaN is not

    @property
    def quiet(self) -> Mask:
        """Which HOLDs saw a move that costs would have eaten up; never a BUY or SELL."""
        quiet: Mask = (self.signal == HOLD) & (np.abs(self.r) <= self.cost)
        return quiet

    def pick(self, mask: Mask) -> "JudgedSignals":
        """Return those that a mask chooses."""
        return JudgedSignals(
            self.execution_id[mask],
            self.decided_ms[mask],
            self.entry_ms[mask],
            self.exit_ms[mask],
            self.signal[mask],
            self.r[mask],
            self.cost[mask],
            self.funding[mask],
            self.confidence[mask],
        )
