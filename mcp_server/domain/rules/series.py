"""What rules decide at every candle of a series, as arrays."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcp_server.domain.outcome import SignalName

Codes = npt.NDArray[np.int8]

BUY, SELL, HOLD, UNDECIDED = 1, -1, 0, 2
"""The codes of signals, in the arrays that hold one for each candle or slot."""

SIGNALS: dict[int, SignalName | None] = {BUY: "BUY", SELL: "SELL", HOLD: "HOLD", UNDECIDED: None}


@dataclass(frozen=True, slots=True, eq=False)
class RuleSeries:
    """Whether the two rules hold at each candle, oldest first: 1 yes, 0 no, -1 undefined.

    A rule that the strategy does not have is 0 everywhere; one that is unsound is -1 everywhere.
    """

    buy: Codes
    sell: Codes

    def __len__(self) -> int:
        return len(self.buy)

    def at(self, position: int) -> tuple[int, int]:
        """Return buy and sell at one candle."""
        return int(self.buy[position]), int(self.sell[position])

    def signals(self) -> Codes:
        """Return the signal at each candle, as `verdict.decide` decides it."""
        undecided = (self.buy < 0) | (self.sell < 0) | (self.buy & self.sell == 1)
        return np.where(undecided, np.int8(UNDECIDED), self.buy - self.sell)
