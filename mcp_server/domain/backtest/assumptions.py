"""What a backtest assumes of the trading that follows a signal."""

from dataclasses import dataclass
from typing import Literal

Side = Literal["long", "both"]


@dataclass(frozen=True, slots=True)
class Assumptions:
    """How signals become trades, and what each trade costs.

    `side`: `long` buys and sells again; `both` also sells short, once the equity. `fee_bps` and `slippage_bps` are paid
    on each side of a trade, in hundredths of a per cent of its value. `stake_pct` is put into each trade, in per cent
    of the equity at the start, as far as there is so much; None puts in all that there is.
    """

    side: Side = "long"
    fee_bps: float = 10.0
    slippage_bps: float = 5.0
    stake_pct: float | None = None

    @property
    def fee_ratio(self) -> float:
        """The fee of one side, as a ratio of its value."""
        return self.fee_bps / 10_000

    @property
    def slippage_ratio(self) -> float:
        """How much worse than the open one side is filled, as a ratio of the open."""
        return self.slippage_bps / 10_000
