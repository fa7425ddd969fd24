"""What is held at each candle, and the equity at its close: both follow from the trades, to the last bit."""

import numpy as np

from mcp_server.domain.backtest.fundings import FundingPaid
from mcp_server.domain.backtest.trades import Trades
from mcp_server.domain.candles import Candles, Floats
from mcp_server.domain.rules.series import Codes


def position_at_closes(trades: Trades, candles: int) -> Codes:
    """Return what is held at the close of each of so many candles: 1 long, -1 short, 0 nothing."""
    return _each_candle(trades, candles, 0, trades.side, 0 * trades.side).astype(np.int8)


def equity_at_closes(trades: Trades, candles: Candles, paid: FundingPaid, fee_ratio: float, ruined: bool) -> Floats:
    """Return the equity at each close: while a trade is held, a constant and its units at the price less fundings.

    Args:
        trades: all of them; their stakes and profits are in units of the equity at the start.
        candles: to whose positions they refer.
        paid: the fundings of these candles.
        fee_ratio: of one side.
        ruined: whether the last trade left nothing.
    """
    side, units = trades.side.astype(np.float64), 1 / (trades.entry_price * (1 + fee_ratio))
    account = np.cumsum(np.append(1.0, trades.profit))
    if ruined:
        account[-1] = 0.0
    held = trades.stake * units * side
    entry_fee = trades.stake * units * trades.entry_price * fee_ratio
    constant = account[:-1] - entry_fee - held * (trades.entry_price - paid.at_open[trades.entry])
    holding = _each_candle(trades, len(candles), 0, held, 0 * held)
    return _each_candle(trades, len(candles), 1, constant, account[1:]) + holding * (candles.close - paid.at_close)


def _each_candle(trades: Trades, candles: int, first: float, during: Floats | Codes, after: Floats | Codes) -> Floats:
    """Return a value for each candle: the one of before the first trade, then those of during and after each trade."""
    bounds = np.column_stack([trades.entry, trades.exit + trades.open]).ravel()
    values = np.append(float(first), np.column_stack([during, after]).ravel())
    return np.repeat(values, np.diff(bounds, prepend=0, append=candles))
