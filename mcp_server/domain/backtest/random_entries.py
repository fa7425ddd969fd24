"""What chance does: as many trades as a rule made, as long and as dear as its own, at random places."""

from collections.abc import Iterator, Sequence

import numpy as np

from mcp_server.domain.backtest.assumptions import Assumptions
from mcp_server.domain.backtest.decisions import Positions
from mcp_server.domain.backtest.fundings import FundingPaid, funding_paid
from mcp_server.domain.backtest.simulate import Simulation
from mcp_server.domain.candles import Candles, Floats, Mask
from mcp_server.domain.exchange import Funding

SETS = 1000
_SEED = 20_260_102
_NUMBERS_AT_ONCE = 500_000


def random_equities(
    simulation: Simulation, candles: Candles, timeframe: str, assumptions: Assumptions, fundings: Sequence[Funding] = ()
) -> Floats:
    """Return the final equities of 1,000 sets of random entries.

    Each set has the rule's trades, each with its own holding time in candles, side, stake and costs, in random order.
    The candles in which the rule holds nothing lie at random between them: each trade begins after so many of these as
    a uniform draw says, and no two overlap. The first candle is left out, unless the rule itself traded in it. A trade
    that the rule has not closed is not charged for its end here either. A short one is ruined as the rule's are.

    Args:
        simulation: of the rule; it has at least one trade.
        candles: those that it traded on.
        timeframe: of the candles.
        assumptions: those of its simulation.
        fundings: those of its simulation.
    """
    market = _Market(candles, assumptions, funding_paid(candles, timeframe, fundings))
    trades, held = simulation.trades, holding_times(simulation)
    equities = []
    for order, entry, end in random_places(held, min(1, int(trades.entry[0])), len(candles)):
        gain, least = market.gains((trades.side < 0)[order], entry, end, trades.open[order])
        equities.append(_compounded(gain, least, assumptions.stake_pct))
    return np.concatenate(equities)


def holding_times(simulation: Simulation) -> Positions:
    """Return in how many candles each trade was held: one that ruins also in the candle in which it ends."""
    trades = simulation.trades
    end = np.where(trades.open, len(simulation.equity), trades.exit)
    if simulation.ruined_ms is not None:
        end[-1] += 1
    return end - trades.entry


def random_places(held: Positions, start: int, stop: int) -> Iterator[tuple[Positions, Positions, Positions]]:
    """Yield, for some sets at a time, the order of the trades and the positions in [start, stop] where each is held.

    Running sums of exponential numbers, over their total, are uniform numbers in order: nothing needs to be sorted.
    """
    generator = np.random.default_rng(_SEED)
    free = stop - start - int(held.sum())
    rows = max(1, _NUMBERS_AT_ONCE // len(held))
    for first in range(0, SETS, rows):
        count = min(rows, SETS - first)
        order = generator.permuted(np.tile(np.arange(len(held)), (count, 1)), axis=1)
        points = np.cumsum(generator.standard_exponential((count, len(held) + 1)), axis=1)
        before = np.minimum((points[:, :-1] / points[:, -1:] * (free + 1)).astype(np.int64), free)
        lengths = held[order]
        end = start + before + np.cumsum(lengths, axis=1)
        yield order, end - lengths, end


class _Market:
    """What is paid and received for one unit, by the position of the candle: long ones, then short ones.

    The position after the last candle stands for the last close.
    """

    def __init__(self, candles: Candles, assumptions: Assumptions, paid: FundingPaid) -> None:
        sides = np.array([[1.0], [-1.0]])
        fee, slippage = assumptions.fee_ratio, sides * assumptions.slippage_ratio
        self._price, self._paid = np.append(candles.open, candles.close[-1]), np.append(paid.at_open, paid.at_close[-1])
        self._high = candles.high - paid.at_close
        self._stake = (self._price * (1 + slippage) * (1 + fee)).ravel()
        self._in = (self._price * (1 + slippage) * (sides + fee) - sides * self._paid).ravel()
        self._out = (self._price * (1 - slippage) * (sides - fee) - sides * self._paid).ravel()
        self._marked = (sides * (self._price - self._paid)).ravel()

    def gains(self, short: Mask, entry: Positions, end: Positions, is_open: Mask) -> tuple[Floats, Floats]:
        """Return what trades gain for a stake of 1, as the simulation computes it, and the least on the way to it.

        That is looked for in short ones alone: a long one cannot lose more than its stake.
        """
        any_short, any_open = short.any(), is_open.any()
        entered, left = (at + short * len(self._price) if any_short else at for at in (entry, end))
        received = self._out[left]
        if any_open:
            received[is_open] = self._marked[left[is_open]]
        gain = np.asarray((received - self._in[entered]) / self._stake[entered])
        if not any_short:
            return gain, gain
        least, entered = gain.copy(), entered[short]
        highest = self._highest(entry[short], end[short])
        least[short] = np.minimum(gain[short], (-highest - self._in[entered]) / self._stake[entered])
        return gain, least

    def _highest(self, entry: Positions, end: Positions) -> Floats:
        """Return the highest price in [entry, end): the higher of two windows of a power of two that cover it."""
        power = np.frexp((end - entry).astype(np.float64))[1] - 1
        highest, window = np.empty(len(entry)), self._high
        for exponent in range(int(power.max()) + 1):
            chosen = np.flatnonzero(power == exponent)
            length = 1 << exponent
            highest[chosen] = np.maximum(window[entry[chosen]], window[end[chosen] - length])
            window = np.maximum(window[:-length], window[length:]) if exponent < power.max() else window
        return highest


def _compounded(gain: Floats, least: Floats, stake_pct: float | None) -> Floats:
    """Return the equity after all trades of each set (a row): all of it staked each time, or a fixed stake.

    Where the least leaves nothing, the equity stays 0.
    """
    if stake_pct is None:
        return np.asarray(np.prod(np.where(least > -1, 1.0 + gain, 0.0), axis=1))
    fixed = stake_pct / 100
    after = 1.0 + fixed * np.cumsum(gain, axis=1)
    before = after - fixed * gain
    poor = ((before < fixed) | (before + fixed * least <= 0)).any(axis=1)
    equity = np.ones(np.count_nonzero(poor))
    for gained, lowest in zip(gain[poor].T, least[poor].T, strict=True):
        stake = np.minimum(fixed, equity)
        equity = np.where(equity + stake * lowest > 0, equity + stake * gained, 0.0)
    final = after[:, -1].copy()
    final[poor] = equity
    return final
