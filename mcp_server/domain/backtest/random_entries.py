"""What chance does: as many trades as a rule made, as long and as dear as its own, at random places."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from mcp_server.domain.backtest.assumptions import Assumptions
from mcp_server.domain.backtest.decisions import Positions
from mcp_server.domain.backtest.fundings import FundingPaid, funding_paid
from mcp_server.domain.backtest.simulate import Simulation
from mcp_server.domain.candles import Candles, Floats, Mask
from mcp_server.domain.exchange import Funding

SETS = 1000
FEWEST_SETS = 20
"""With fewer, none that is better would still not show that chance seldom is."""

MOST_TRADES = 10_000_000
"""So many trades in all sets take about a second."""

_SEED = 20_260_102
_NUMBERS_AT_ONCE = 500_000


def random_equities(
    simulation: Simulation, candles: Candles, timeframe: str, assumptions: Assumptions, fundings: Sequence[Funding] = ()
) -> Floats:
    """Return the final equities of sets of random entries, as many as `sets_of` says.

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
    trades, held = simulation.trades, holding_times(simulation)
    longest = int(held[trades.side < 0].max(initial=0))
    market = _Market(candles, assumptions, funding_paid(candles, timeframe, fundings), longest)
    places = random_places(held, min(1, int(trades.entry[0])), len(candles))
    sets = (market.gains((trades.side < 0)[order], entry, end, trades.open[order]) for order, entry, end in places)
    if assumptions.stake_pct is not None:
        return _fixed(sets, (sets_of(len(held)), len(held)), assumptions.stake_pct / 100)
    return np.concatenate([np.prod(np.where(least > -1, 1.0 + gain, 0.0), axis=1) for gain, least in sets])


def sets_of(trades: int) -> int:
    """Return how many sets a rule with so many trades is held against: 1,000 up to 10,000 trades, then fewer."""
    return max(FEWEST_SETS, min(SETS, MOST_TRADES // trades))


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
    sets, rows = sets_of(len(held)), max(1, _NUMBERS_AT_ONCE // len(held))
    for first in range(0, sets, rows):
        count = min(rows, sets - first)
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

    def __init__(self, candles: Candles, assumptions: Assumptions, paid: FundingPaid, longest_short: int) -> None:
        sides = np.array([[1.0], [-1.0]])
        fee, slippage = assumptions.fee_ratio, sides * assumptions.slippage_ratio
        self._price, self._paid = np.append(candles.open, candles.close[-1]), np.append(paid.at_open, paid.at_close[-1])
        self._highest_of = [candles.high - paid.at_close]
        """By the position and the power of two of so many candles from there on."""
        self._stake = (self._price * (1 + slippage) * (1 + fee)).ravel()
        self._in = (self._price * (1 + slippage) * (sides + fee) - sides * self._paid).ravel()
        self._out = (self._price * (1 - slippage) * (sides - fee) - sides * self._paid).ravel()
        self._marked = (sides * (self._price - self._paid)).ravel()
        entry = np.arange(len(candles) if longest_short else 0)
        self._perilous = self._least(entry, np.minimum(entry + longest_short, len(candles))) <= -1
        """Whether a short trade from there on can lose its stake: seldom, and only then is its least looked for."""

    def gains(self, short: Mask, entry: Positions, end: Positions, is_open: Mask) -> tuple[Floats, Floats]:
        """Return what trades gain for a stake of 1, as the simulation computes it, and the least on the way to it.

        The least is exact where it is -1 or below; else it may be the gain, as nothing is lost on the way to that.
        """
        any_short, any_open = short.any(), is_open.any()
        entered, left = (at + short * len(self._price) if any_short else at for at in (entry, end))
        received = self._out[left]
        if any_open:
            received[is_open] = self._marked[left[is_open]]
        gain = np.asarray((received - self._in[entered]) / self._stake[entered])
        if not any_short:
            return gain, gain
        least, perilous = gain.copy(), np.nonzero(short & self._perilous[entry])
        least[perilous] = np.minimum(gain[perilous], self._least(entry[perilous], end[perilous]))
        return gain, least

    def _least(self, entry: Positions, end: Positions) -> Floats:
        """Return what short trades gain at the highest price in [entry, end)."""
        if not len(entry):
            return np.empty(0)
        entered = entry + len(self._price)
        return np.asarray((-self._highest(entry, end) - self._in[entered]) / self._stake[entered])

    def _highest(self, entry: Positions, end: Positions) -> Floats:
        """Return the highest price in [entry, end): the higher of two windows of a power of two that cover it."""
        power = np.frexp((end - entry).astype(np.float64))[1] - 1
        highest, windows = np.empty(len(entry)), self._highest_of
        for exponent in range(int(power.max()) + 1):
            if exponent == len(windows):
                windows.append(np.maximum(windows[-1][: -(1 << exponent - 1)], windows[-1][1 << exponent - 1 :]))
            chosen = np.flatnonzero(power == exponent)
            window = windows[exponent]
            highest[chosen] = np.maximum(window[entry[chosen]], window[end[chosen] - (1 << exponent)])
        return highest


def _fixed(sets: Iterable[tuple[Floats, Floats]], shape: tuple[int, int], stake: float) -> Floats:
    """Return the equity after all trades of each set (a row), with the same stake in each, or all that is left.

    Where the least leaves nothing, the equity stays 0. A set that always has the stake needs only a sum. The others are
    gone through trade by trade, all at once: the work grows with the trades of one set.
    """
    finals, poors, first = list[Floats](), list[Mask](), 0
    gains, leasts = np.empty(shape), np.empty(shape)  # takes memory for as many rows as are written
    for gain, least in sets:
        after = 1.0 + stake * np.cumsum(gain, axis=1)
        before = after - stake * gain
        poor = np.any((before < stake) | (before + stake * least <= 0), axis=1)
        finals.append(after[:, -1])
        poors.append(poor)
        rows = slice(first, first + int(np.count_nonzero(poor)))
        gains[rows], leasts[rows], first = gain[poor], least[poor], rows.stop
    final = np.concatenate(finals)
    final[np.concatenate(poors)] = _one_by_one(gains[:first], leasts[:first], stake)
    return final


def _one_by_one(gains: Floats, leasts: Floats, fixed: float) -> Floats:
    """Return the equity after all trades of each set (a row) with a fixed stake, or all that is left."""
    equity, staked = np.ones(len(gains)), np.empty(len(gains))
    for gain, least, wipes in zip(gains.T, leasts.T, np.any(leasts <= -1, axis=0).tolist(), strict=True):
        np.minimum(equity, fixed, out=staked)
        lost = equity + staked * least <= 0 if wipes else None
        staked *= gain
        equity += staked
        if lost is not None:
            equity[lost] = 0.0
    return equity
