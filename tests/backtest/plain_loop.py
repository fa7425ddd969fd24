"""The simulation once more, as one slow and plain loop over candles that keeps cash and coins.

It shares nothing with the code that it checks but the shapes of its input.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mcp_server.domain.backtest.assumptions import Assumptions
from mcp_server.domain.candles import Candles
from mcp_server.domain.exchange import Funding
from mcp_server.domain.timeframes import first_open_ms, timeframe_ms

BUY, SELL = 1, -1


@dataclass
class PlainTrade:
    side: int
    decided_at_ms: int
    entry: int
    entry_price: float
    stake: float
    fees: float
    funding: float = 0.0
    exit: int = -1
    exit_price: float = 0.0
    profit: float = 0.0
    open: bool = False


@dataclass
class PlainLoop:
    """`slots` are (slot in ms, code of the signal), oldest first."""

    candles: Candles
    timeframe: str
    slots: Sequence[tuple[int, int]]
    assumptions: Assumptions
    fundings: Sequence[Funding] = ()
    cash: float = 1.0
    coins: float = 0.0
    trade: PlainTrade | None = None
    trades: list[PlainTrade] = field(default_factory=list)
    equity: list[float] = field(default_factory=list)
    position: list[int] = field(default_factory=list)
    unfilled: int = 0
    ruined_ms: int | None = None

    def run(self) -> "PlainLoop":
        length = timeframe_ms(self.timeframe)
        orders: dict[int, tuple[int, int]] = {}
        for slot, code in self.slots:
            if code in (BUY, SELL):
                orders[first_open_ms(slot, self.timeframe)] = (slot, code)  # a later one takes the place
        waiting = sorted(orders)
        fundings = sorted(self.fundings, key=lambda funding: funding.time_ms)
        before = None
        for i in range(len(self.candles)):
            opened, open_price = int(self.candles.open_time_ms[i]), float(self.candles.open[i])
            while waiting and waiting[0] < opened:
                self.lapse(orders[waiting.pop(0)][1])
            while fundings and fundings[0].time_ms <= opened:
                funding = fundings.pop(0)
                if before is not None or funding.time_ms == opened:
                    self.pay(funding, open_price if funding.time_ms == opened else before or 0.0)
            if waiting and waiting[0] == opened:
                self.order(i, *orders[waiting.pop(0)])
            while fundings and fundings[0].time_ms < opened + length:
                self.pay(fundings.pop(0), open_price)
            self.look_at_worst(i)
            before = float(self.candles.close[i])
            self.equity.append(self.cash + self.coins * before)
            self.position.append(self.trade.side if self.trade else 0)
        self.mark()
        return self

    def lapse(self, code: int) -> None:
        held = self.trade.side if self.trade else 0
        changes = code != held and not (code == SELL and held == 0 and self.assumptions.side == "long")
        if changes and self.ruined_ms is None:
            self.unfilled += 1

    def pay(self, funding: Funding, price: float) -> None:
        if self.trade:
            paid = funding.rate * self.coins * price
            self.cash -= paid
            self.trade.funding += paid

    def order(self, i: int, slot: int, code: int) -> None:
        if self.ruined_ms is not None or (self.trade and self.trade.side == code):
            return
        if self.trade:
            self.close(i, self.trade)
        if self.ruined_ms is None and (code == BUY or self.assumptions.side == "both"):
            self.enter(i, slot, code)

    def enter(self, i: int, slot: int, side: int) -> None:
        fee = self.assumptions.fee_bps / 10_000
        price = float(self.candles.open[i]) * (1 + side * self.assumptions.slippage_bps / 10_000)
        stake = self.cash
        if self.assumptions.stake_pct is not None:
            stake = min(stake, self.assumptions.stake_pct / 100)
        amount = stake / (price * (1 + fee))
        self.coins = side * amount
        self.cash -= self.coins * price + amount * price * fee
        self.trade = PlainTrade(side, slot, i, price, stake, amount * price * fee)
        self.trades.append(self.trade)

    def close(self, i: int, trade: PlainTrade) -> None:
        fee = self.assumptions.fee_bps / 10_000
        price = float(self.candles.open[i]) * (1 - trade.side * self.assumptions.slippage_bps / 10_000)
        left = self.cash + self.coins * price - abs(self.coins) * price * fee
        if left <= 0:
            self.ruin(i, trade)
            return
        trade.fees += abs(self.coins) * price * fee
        trade.exit, trade.exit_price, trade.profit = i, price, self.profit_of(trade, price)
        self.cash, self.coins, self.trade = left, 0.0, None

    def look_at_worst(self, i: int) -> None:
        if self.trade:
            worst = self.candles.low[i] if self.trade.side > 0 else self.candles.high[i]
            if self.cash + self.coins * float(worst) <= 0:
                self.ruin(i, self.trade)

    def ruin(self, i: int, trade: PlainTrade) -> None:
        trade.exit, trade.exit_price = i, -self.cash / self.coins
        trade.profit = self.profit_of(trade, trade.exit_price)
        self.cash, self.coins, self.trade = 0.0, 0.0, None
        self.ruined_ms = int(self.candles.open_time_ms[i])

    def mark(self) -> None:
        if self.trade:
            self.trade.exit, self.trade.open = len(self.candles) - 1, True
            self.trade.exit_price = float(self.candles.close[-1])
            self.trade.profit = self.profit_of(self.trade, self.trade.exit_price)

    def profit_of(self, trade: PlainTrade, price: float) -> float:
        return self.coins * (price - trade.entry_price) - trade.fees - trade.funding
