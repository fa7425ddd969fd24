"""Trades what was decided, over candles, at the next open and at a cost: the trades, and the equity that follows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mcp_server.domain.backtest.assumptions import Assumptions
from mcp_server.domain.backtest.curve import equity_at_closes, position_at_closes
from mcp_server.domain.backtest.decisions import Decisions
from mcp_server.domain.backtest.fundings import funding_paid
from mcp_server.domain.backtest.trades import Trades, changes_of
from mcp_server.domain.backtest.unit_trades import UnitTrades, end_in_ruin, unit_trades
from mcp_server.domain.candles import Candles, Floats, Times
from mcp_server.domain.exchange import Funding
from mcp_server.domain.rules.series import BUY, HOLD, SELL, UNDECIDED, Codes
from mcp_server.domain.timeframes import timeframe_ms


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """What came of decisions that were traded. The equity at the start is 1.

    `open_time_ms`, `equity` and `position` have one entry per candle: its open time, the equity at its close, and what
    is held then (1 long, -1 short, 0 nothing). `signals` counts the slots: buy, sell, hold, undecided. `missing` counts
    the candles that are missing between the first and the last one, `unfilled` those of them in which an order would
    have changed the position. `ruined_ms` is the open time of the candle in which the equity came to 0; None: never.
    """

    open_time_ms: Times
    equity: Floats
    position: Codes
    trades: Trades
    signals: Mapping[str, int]
    missing: int
    unfilled: int
    ruined_ms: int | None


def simulate(
    candles: Candles,
    timeframe: str,
    decisions: Decisions,
    assumptions: Assumptions,
    fundings: Sequence[Funding] = (),
) -> Simulation:
    """Trade decisions over the candles of their range.

    BUY opens a long position, and turns a short one at the same open. SELL closes it and, with side `both`, opens a
    short one at the same open. HOLD and no decision keep what is held. A fill is the open, worse by the slippage. A
    stake buys (or sells short) stake ÷ (fill + fee on it) units. Fundings that are settled later than the entry and up
    to the exit are paid. A position is ruined in the candle whose high (long: low) takes the equity to 0: it is closed
    there, and nothing more is traded.

    Args:
        candles: those of the range (`decisions.candles_of_range`).
        timeframe: of the candles.
        decisions: whose fills are positions among these candles.
        assumptions: side, costs and stake.
        fundings: the settled ones of a swap.

    Raises:
        ValueError: the fills are not positions among these candles.
    """
    changes = changes_of(decisions, candles, timeframe, assumptions.side)
    paid = funding_paid(candles, timeframe, fundings)
    trades = unit_trades(changes, candles, assumptions, paid)
    account = _account(trades, assumptions.stake_pct)
    ruined_ms = None
    if account.ruined:
        trades = trades.first(len(account.stake))
        left = account.before[-1] / account.stake[-1]
        ruined_ms = int(candles.open_time_ms[end_in_ruin(trades, candles, paid, assumptions.fee_ratio, left)])
    made = _trades(trades, account.stake)
    names = {"buy": BUY, "sell": SELL, "hold": HOLD, "undecided": UNDECIDED}
    return Simulation(
        open_time_ms=candles.open_time_ms,
        equity=equity_at_closes(made, candles, paid, assumptions.fee_ratio, account.ruined),
        position=position_at_closes(made, len(candles)),
        trades=made,
        signals={name: int(np.count_nonzero(decisions.signal == code)) for name, code in names.items()},
        missing=int((np.diff(candles.open_time_ms) // timeframe_ms(timeframe) - 1).sum()),
        unfilled=int(np.count_nonzero(changes.unfilled_ms <= (np.inf if ruined_ms is None else ruined_ms))),
        ruined_ms=ruined_ms,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Account:
    """The equity before each trade and the stake put into it, up to the one that ruins."""

    before: Floats
    stake: Floats
    ruined: bool


def _account(trades: UnitTrades, stake_pct: float | None) -> _Account:
    """Put a stake into one trade after another."""
    fixed = np.inf if stake_pct is None else stake_pct / 100
    equity, before, stakes, ruined = 1.0, list[float](), list[float](), False
    least = np.minimum(trades.gain, trades.worst)
    for gain, low in zip(trades.gain.tolist(), least.tolist(), strict=True):
        stake = min(fixed, equity)
        before.append(equity)
        stakes.append(stake)
        ruined = stake > 0 and low <= -equity / stake  # thousands of trades at a high cost leave too little for a float
        equity = 0.0 if ruined else equity + stake * gain
        if ruined:
            break
    return _Account(np.array(before), np.array(stakes), ruined)


def _trades(trades: UnitTrades, stake: Floats) -> Trades:
    return Trades(
        side=trades.side.astype(np.int8),
        decided_at_ms=trades.decided_at_ms,
        entry=trades.entry,
        entry_price=trades.entry_price,
        exit=trades.exit,
        exit_price=trades.exit_price,
        stake=stake,
        profit=stake * trades.gain,
        return_ratio=trades.gain,
        fees=stake * trades.fees,
        funding=stake * trades.funding + 0.0,  # a short without fundings has paid 0, and not -0
        open=trades.open,
    )
