"""What became of one signal, from its outcome in the journal; `signals` has the same of many, for statistics."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

SignalVerdict = Literal["right", "wrong", "pending", "void"]
"""What became of a BUY or SELL by its horizon."""


@dataclass(frozen=True, slots=True)
class KnownOutcome:
    """What the market did after a signal, as the journal has it. Times are aware; what is void has no prices.

    `r` is exit by entry, less 1; `cost_bps` is a trade in and out, `funding_bps` what a long position paid meanwhile.
    """

    state: str
    r: float | None
    cost_bps: float
    funding_bps: float | None
    entry_time: datetime
    entry_price: float | None
    exit_time: datetime
    exit_price: float | None

    def net_pct(self, signal: str | None) -> float | None:
        """Return what a BUY or SELL brought after all costs, in per cent; None for a HOLD, and where it is void."""
        side = {"BUY": 1, "SELL": -1}.get(signal or "")
        if side is None or self.r is None:
            return None
        return 100 * (side * (self.r - (self.funding_bps or 0) / 10_000) - self.cost_bps / 10_000)


def verdict(signal: str | None, outcome: KnownOutcome | None) -> SignalVerdict | None:
    """Return what became of a signal; None for a HOLD, and where there is none."""
    if signal not in ("BUY", "SELL"):
        return None
    if outcome is None:
        return "pending"
    net_pct = outcome.net_pct(signal)
    if outcome.state != "judged" or net_pct is None:
        return "void"
    return "right" if net_pct > 0 else "wrong"
