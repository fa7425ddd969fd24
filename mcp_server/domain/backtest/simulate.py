"""Trades what was decided, over candles, at the next open and at a cost: the trades, and the equity that follows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mcp_server.domain.backtest.assumptions import Assumptions
from mcp_server.domain.backtest.decisions import Decisions, Positions
from mcp_server.domain.backtest.fundings import FundingPaid, funding_paid
from mcp_server.domain.backtest.trades import Orders, Trades, orders_of
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
    _check(candles, decisions)
    orders = orders_of(decisions, candles, timeframe, assumptions.side)
    paid = funding_paid(candles, timeframe, fundings)
    run = _Run(candles, assumptions, paid, orders)
    ruined = run.ruined_ms
    lapsed = orders.unfilled_ms if ruined is None else orders.unfilled_ms[orders.unfilled_ms <= ruined]
    names = {"buy": BUY, "sell": SELL, "hold": HOLD, "undecided": UNDECIDED}
    return Simulation(
        open_time_ms=candles.open_time_ms,
        equity=run.equity(),
        position=run.position(),
        trades=run.trades,
        signals={name: int(np.count_nonzero(decisions.signal == code)) for name, code in names.items()},
        missing=int((np.diff(candles.open_time_ms) // timeframe_ms(timeframe) - 1).sum()),
        unfilled=len(lapsed),
        ruined_ms=ruined,
    )


def _check(candles: Candles, decisions: Decisions) -> None:
    filled = decisions.fill >= 0
    fill = decisions.fill[filled]
    if len(fill) and (fill.max() >= len(candles) or (candles.open_time_ms[fill] < decisions.slot_ms[filled]).any()):
        raise ValueError("the fills are positions among other candles: give those of candles_of_range")


class _Run:
    """The trades in their order. Names in small letters are arrays with one entry per trade."""

    def __init__(self, candles: Candles, assumptions: Assumptions, paid: FundingPaid, orders: Orders) -> None:
        self._candles, self._paid = candles, paid
        self._fee = assumptions.fee_ratio
        self._fixed = None if assumptions.stake_pct is None else assumptions.stake_pct / 100
        entries = np.flatnonzero((orders.sign == BUY) | (assumptions.side == "both"))
        self.side = orders.sign[entries].astype(np.float64)
        self.entry = orders.fill[entries]
        self.end = np.append(orders.fill, len(candles))[entries + 1]
        self.open = self.end == len(candles)
        self.decided_at_ms = orders.decided_at_ms[entries]
        slip = self.side * assumptions.slippage_ratio
        self.entry_price = candles.open[self.entry] * (1 + slip)
        self.exit = np.where(self.open, len(candles) - 1, self.end)
        closing = candles.open[self.exit] * (1 - slip)
        self.exit_price = np.where(self.open, candles.close[self.exit], closing) if len(candles) else closing
        self.units = 1 / (self.entry_price * (1 + self._fee))
        """Of base, for a stake of 1."""
        self.ruined_ms: int | None = None
        self._stake_all()
        self.trades = self._trades()

    def _stake_all(self) -> None:
        """Put a stake into one trade after another, up to the one that ruins."""
        settled = np.where(self.open, self._paid.at_close[self.exit], self._paid.at_open[self.exit])
        self.funding = self.side * self.units * (settled - self._paid.at_open[self.entry])
        self.fees = self.units * self._fee * (self.entry_price + np.where(self.open, 0.0, self.exit_price))
        self.gain = self.side * self.units * (self.exit_price - self.entry_price) - self.fees - self.funding
        least = np.minimum(self.gain, self._worst())
        equity, before, stakes = 1.0, list[float](), list[float]()
        for gain, low in zip(self.gain.tolist(), least.tolist(), strict=True):
            stake = equity if self._fixed is None else min(self._fixed, equity)
            before.append(equity)
            stakes.append(stake)
            if equity + stake * low <= 0:
                break
            equity += stake * gain
        else:
            self.before, self.stake, self.final = np.array(before), np.array(stakes), equity
            return
        self.before, self.stake, self.final = np.array(before), np.array(stakes), 0.0
        self._ruin(len(before) - 1)

    def _worst(self) -> Floats:
        """Return the gain of a stake of 1 at the worst price of each trade, before it is closed."""
        if not len(self.entry):
            return np.empty(0)
        bounds = np.column_stack([self.entry, self.end]).ravel()
        bounds = bounds[bounds < len(self._candles)]
        low = np.minimum.reduceat(self._candles.low - self._paid.at_close, bounds)[::2]
        high = np.maximum.reduceat(self._candles.high - self._paid.at_close, bounds)[::2]
        return self._gain_at(np.where(self.side > 0, low, high), slice(None))

    def _gain_at(self, price: Floats, trade: slice | int) -> Floats:
        """Return the gain of a stake of 1 that is not closed, at a price less `at_close` of the fundings."""
        moved = price + self._paid.at_open[self.entry[trade]] - self.entry_price[trade]
        gain: Floats = self.units[trade] * (self.side[trade] * moved - self._fee * self.entry_price[trade])
        return gain

    def _ruin(self, last: int) -> None:
        """End the last trade where the equity comes to 0, and drop those after it."""
        for name in ("side", "entry", "end", "open", "decided_at_ms", "entry_price", "exit", "exit_price", "units"):
            setattr(self, name, getattr(self, name)[: last + 1].copy())
        for name in ("funding", "fees", "gain"):
            setattr(self, name, getattr(self, name)[: last + 1].copy())
        entry, end, side, units = self.entry[last], self.end[last], self.side[last], self.units[last]
        held = slice(entry, end)
        adverse = (self._candles.low if side > 0 else self._candles.high)[held] - self._paid.at_close[held]
        broke = self.before[last] + self.stake[last] * self._gain_at(adverse, last) <= 0
        at = int(entry + np.argmax(broke)) if broke.any() else int(end)
        settled = (self._paid.at_close if broke.any() else self._paid.at_open)[at] - self._paid.at_open[entry]
        left = self.before[last] / self.stake[last]
        price = self.entry_price[last]
        self.exit_price[last] = price + settled + side * (self._fee * price - left / units)
        self.funding[last], self.fees[last] = side * units * settled, units * self._fee * price
        self.gain[last], self.exit[last], self.end[last], self.open[last] = -left, at, at, False
        self.ruined_ms = int(self._candles.open_time_ms[at])

    def _trades(self) -> Trades:
        return Trades(
            side=self.side.astype(np.int8),
            decided_at_ms=self.decided_at_ms,
            entry=self.entry,
            entry_price=self.entry_price,
            exit=self.exit,
            exit_price=self.exit_price,
            stake=self.stake,
            profit=self.stake * self.gain,
            return_ratio=self.gain,
            fees=self.stake * self.fees,
            funding=self.stake * self.funding,
            open=self.open,
        )

    def equity(self) -> Floats:
        """Return the equity at each close: a constant, and while a trade is held its units at the close."""
        held = self.stake * self.units * self.side
        spent = self.stake * self.units * self.entry_price * (self.side + self._fee)
        constant = self.before - spent + held * self._paid.at_open[self.entry]
        after = np.append(self.before[1:], self.final)
        constants, units = self._each_candle(1.0, constant, after), self._each_candle(0.0, held, np.zeros(len(held)))
        return constants + units * (self._candles.close - self._paid.at_close)

    def position(self) -> Codes:
        """Return the side that is held at each close."""
        return self._each_candle(0.0, self.side, np.zeros(len(self.side))).astype(np.int8)

    def _each_candle(self, first: float, during: Floats, after: Floats) -> Floats:
        """Return a value for each candle: of before the first trade, and during and after each trade."""
        bounds: Positions = np.column_stack([self.entry, self.end]).ravel()
        lengths = np.diff(bounds, prepend=0, append=len(self._candles))
        return np.repeat(np.append(first, np.column_stack([during, after]).ravel()), lengths)
