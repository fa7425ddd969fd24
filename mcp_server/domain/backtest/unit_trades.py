"""What trades gain and cost for a stake of 1, before it is known how much is put into each."""

from dataclasses import dataclass, fields

import numpy as np

from mcp_server.domain.backtest.assumptions import Assumptions
from mcp_server.domain.backtest.decisions import Positions
from mcp_server.domain.backtest.fundings import FundingPaid
from mcp_server.domain.backtest.trades import PositionChanges
from mcp_server.domain.candles import Candles, Floats, Mask, Times
from mcp_server.domain.rules.series import BUY


@dataclass(frozen=True, slots=True, eq=False)
class UnitTrades:
    """Trades with a stake of 1 each, as arrays of one length, oldest first.

    One is held at the closes of the candles from `entry` up to, not including, `end`. `units` is how much base the
    stake buys or sells short. `gain` is what it gains until it is closed or, where it is `open`, until the last close;
    `worst` is the least that it gains on the way, at the low of a candle, or at the high where it is short.
    """

    side: Floats
    decided_at_ms: Times
    entry: Positions
    entry_price: Floats
    end: Positions
    exit: Positions
    exit_price: Floats
    units: Floats
    fees: Floats
    funding: Floats
    gain: Floats
    worst: Floats
    open: Mask

    def first(self, count: int) -> "UnitTrades":
        """Return the first ones, in arrays of their own."""
        return UnitTrades(*(getattr(self, field.name)[:count].copy() for field in fields(self)))


def unit_trades(changes: PositionChanges, candles: Candles, assumptions: Assumptions, paid: FundingPaid) -> UnitTrades:
    """Return the trades that changes of the position lead to: each is closed by the change that follows it."""
    entries = np.flatnonzero((changes.sign == BUY) | (assumptions.side == "both"))
    side = changes.sign[entries].astype(np.float64)
    entry, end = changes.fill[entries], np.append(changes.fill, len(candles))[entries + 1]
    is_open = end == len(candles)
    last = end - is_open
    slippage, fee = side * assumptions.slippage_ratio, assumptions.fee_ratio
    entry_price = candles.open[entry] * (1 + slippage)
    exit_price = np.where(is_open, candles.close[last], candles.open[last] * (1 - slippage))
    units = 1 / (entry_price * (1 + fee))
    fees = units * fee * (entry_price + np.where(is_open, 0.0, exit_price))
    settled = np.where(is_open, paid.at_close[last], paid.at_open[last]) - paid.at_open[entry]
    funding = side * units * settled
    gain = side * units * (exit_price - entry_price) - fees - funding
    adverse = _adverse(candles, paid, side, entry, end) + paid.at_open[entry]
    worst = _unclosed(side, units, entry_price, fee, adverse)
    decided_at_ms = changes.decided_at_ms[entries]
    return UnitTrades(
        side, decided_at_ms, entry, entry_price, end, last, exit_price, units, fees, funding, gain, worst, is_open
    )


def _adverse(candles: Candles, paid: FundingPaid, side: Floats, entry: Positions, end: Positions) -> Floats:
    """Return the worst price at which each trade is held, less what fundings have taken since the first candle."""
    if not len(entry):
        return np.empty(0)
    bounds = np.column_stack([entry, end]).ravel()
    bounds = bounds[bounds < len(candles)]  # the last end, where the trade stays open
    low = np.minimum.reduceat(candles.low - paid.at_close, bounds)[::2]
    high = np.maximum.reduceat(candles.high - paid.at_close, bounds)[::2]
    return np.where(side > 0, low, high)


def end_in_ruin(trades: UnitTrades, candles: Candles, paid: FundingPaid, fee_ratio: float, left: float) -> int:
    """End the last of these trades, in place, where nothing is left. Return the position of that candle.

    It is the first candle whose low (short: high) leaves nothing, or the one in whose open it was to be closed. The
    trade ends at the price at which nothing is left, and is not charged for that.

    Args:
        trades: the last one ruins.
        candles: those of the backtest.
        paid: the fundings of these candles.
        fee_ratio: of one side.
        left: the equity before that trade, for a stake of 1.
    """
    side, units, price = trades.side[-1], trades.units[-1], trades.entry_price[-1]
    entry, end = int(trades.entry[-1]), int(trades.end[-1])
    held, before = slice(entry, end), paid.at_open[entry]
    adverse = (candles.low if side > 0 else candles.high)[held] - paid.at_close[held] + before
    broke = _unclosed(side, units, price, fee_ratio, adverse) <= -left
    at = entry + int(np.argmax(broke)) if broke.any() else min(end, len(candles) - 1)
    settled = (paid.at_close if at < end else paid.at_open)[at] - before
    trades.exit_price[-1] = price + settled + side * (fee_ratio * price - left / units)
    trades.fees[-1], trades.funding[-1] = units * fee_ratio * price, side * units * settled
    trades.gain[-1], trades.open[-1] = -left, False
    trades.end[-1] = trades.exit[-1] = at
    return at


def _unclosed(side: Floats, units: Floats, entry_price: Floats, fee_ratio: float, price: Floats) -> Floats:
    """Return the gain of a stake of 1 that is not closed, at a price less the fundings since the entry."""
    return side * units * (price - entry_price) - units * fee_ratio * entry_price
