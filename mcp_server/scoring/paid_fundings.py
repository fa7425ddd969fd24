"""What the runs on a swap paid for fundings, where their candles are known from entry to exit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import numpy as np

from mcp_server.domain.exchange import LONGEST_FUNDING_MS
from mcp_server.domain.scoring.held_fundings import held_fundings
from mcp_server.domain.timeframes import from_ms
from mcp_server.errors import BadInput, NotSupported, TraderError

if TYPE_CHECKING:
    from mcp_server.domain.candles import Floats, Mask
    from mcp_server.market.market import Market
    from mcp_server.scoring.over_runs import OverRuns
    from mcp_server.scoring.series import Allowance, Gathered


@dataclass(frozen=True, slots=True, eq=False)
class PaidFundings:
    """What a long position paid, as a ratio of the entry price; NaN where it is not known.

    `problem` says why none could be had, `cut` that there was no time for them.
    """

    ratio: Floats
    problem: TraderError | None = None
    cut: bool = False

    @property
    def never(self) -> bool:
        """Whether the exchange has no history of fundings, so that none will ever be known."""
        return isinstance(self.problem, NotSupported)

    @property
    def answered(self) -> bool:
        """Whether the exchange told all that it knows; it may publish the rest later."""
        return not self.cut and (self.problem is None or isinstance(self.problem, BadInput))


async def paid_fundings(
    market: Market, over: OverRuns, gathered: Gathered, held: Mask, as_of_ms: int, allowance: Allowance
) -> PaidFundings:
    """Return what a long position paid in those of the runs that a mask chooses."""
    unknown = np.full(len(held), np.nan)
    if not held.any():
        return PaidFundings(unknown)
    first, last = int(over.entry_ms[held].min()) - 2 * LONGEST_FUNDING_MS, int(over.exit_ms[held].max())
    series = over.series
    try:
        with anyio.move_on_after(allowance.left_s):
            history = await market.fundings(series.exchange, gathered.symbol, first, last, from_ms(as_of_ms))
            times = (over.entry_ms, over.exit_ms)
            ratio = held_fundings(gathered.candles, series.timeframe, history.fundings, *times)
            return PaidFundings(np.where(held, ratio, np.nan))
    except TraderError as error:
        return PaidFundings(unknown, error)
    return PaidFundings(unknown, cut=True)
