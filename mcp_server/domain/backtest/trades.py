"""The trades that decisions lead to, before it is known how much was put into each."""

from dataclasses import dataclass

import numpy as np

from mcp_server.domain.backtest.assumptions import Side
from mcp_server.domain.backtest.decisions import Decisions, Positions, fill_open_ms
from mcp_server.domain.candles import Candles, Floats, Mask, Times
from mcp_server.domain.rules.series import BUY, SELL, Codes


@dataclass(frozen=True, slots=True, eq=False)
class Trades:
    """Trades as arrays of one length, oldest first. Prices are in quote, amounts in units of the equity at the start.

    `side`: 1 long, -1 short. `decided_at_ms`: the slot that opened it. A trade is opened in the open of the candle at
    the position `entry` and closed in the open of the one at `exit`; prices contain slippage. Where `open` is true it
    was not closed: `exit` is the last candle and `exit_price` its close. A trade that ruins ends within the candle at
    `exit`, at the price at which nothing was left. `stake` was put into it, `profit` came of it and `return_ratio` is
    profit ÷ stake, net of the `fees` and of the `funding` that were paid (below 0: received).
    """

    side: Codes
    decided_at_ms: Times
    entry: Positions
    entry_price: Floats
    exit: Positions
    exit_price: Floats
    stake: Floats
    profit: Floats
    return_ratio: Floats
    fees: Floats
    funding: Floats
    open: Mask

    def __len__(self) -> int:
        return len(self.side)


@dataclass(frozen=True, slots=True, eq=False)
class PositionChanges:
    """The orders that change the position, oldest first, at most one for each candle.

    `sign`: 1 to be long, -1 to be out or short. `fill`: the position of the candle in whose open it fills.
    `unfilled_ms`: when the candles would have opened that are missing, so that an order lapsed.
    """

    sign: Codes
    decided_at_ms: Times
    fill: Positions
    unfilled_ms: Times


def changes_of(decisions: Decisions, candles: Candles, timeframe: str, side: Side) -> PositionChanges:
    """Return the orders of decisions that change the position.

    An order waits for the next open, and a later one for the same open takes its place. Where that candle is missing it
    lapses, and the position stays. One after the last candle waits still: it neither fills nor lapses.

    Raises:
        ValueError: the fills are positions among other candles.
    """
    ordered = np.flatnonzero((decisions.signal == BUY) | (decisions.signal == SELL))
    opens = fill_open_ms(decisions.slot_ms[ordered], timeframe)
    last = np.append(opens[1:] != opens[:-1], True)[: len(ordered)]
    ordered, opens = ordered[last], opens[last]
    sign, fill = decisions.signal[ordered], decisions.fill[ordered]
    filled = fill >= 0
    number = np.maximum.accumulate(np.where(filled, np.arange(len(ordered)), -1))
    before = np.full(len(ordered), -1 if side == "long" else 0, dtype=np.int8)
    before[1:] = np.where(number[:-1] >= 0, sign[number[:-1]], before[1:])
    changes = sign != before
    end_ms = int(candles.open_time_ms[-1]) if len(candles) else -1
    kept = changes & filled
    if not np.array_equal(candles.open_time_ms.take(fill[kept], mode="clip") if len(candles) else [], opens[kept]):
        raise ValueError("the fills are positions among other candles: give those of candles_of_range")
    lapsed = changes & ~filled & (opens <= end_ms)
    return PositionChanges(sign[kept], decisions.slot_ms[ordered][kept], fill[kept], opens[lapsed])
