"""The simulation once more, candle by candle, as one would write it by hand: nothing of it is shared with ours."""

from collections.abc import Sequence

from tests.parity.rules import ParityRule
from tests.parity.series import HourlySeries

Trade = tuple[int, int, float, int, float]
"""Side, entry, its price, exit, its price."""


def plain_loop(candles: HourlySeries, signals: Sequence[int], rule: ParityRule) -> tuple[list[Trade], list[float]]:
    """Return the closed trades, and the equity at each close. A signal (1, -1, else none) fills in the next open."""
    fee, slippage = rule.fee_bps / 10_000, rule.slippage_bps / 10_000
    cash, units, entered = 1.0, 0.0, (0, 0.0)
    trades, equity = list[Trade](), list[float]()
    opens, closes = candles.open.tolist(), candles.close.tolist()
    for i, (opened, close) in enumerate(zip(opens, closes, strict=True)):
        order = signals[i - 1] if i else 0
        side = (units > 0) - (units < 0)
        wanted = order if order in {1, -1} else side
        if rule.side == "long":
            wanted = max(wanted, 0)
        if wanted != side:
            if side:
                price = opened * (1 - side * slippage)
                cash += units * price - abs(units) * price * fee
                trades.append((side, *entered, i, price))
                units = 0.0
            if wanted:
                price = opened * (1 + wanted * slippage)
                stake = cash if rule.stake_pct is None else min(cash, rule.stake_pct / 100)
                units = wanted * stake / (price * (1 + fee))
                cash -= units * price + abs(units) * price * fee
                entered = (i, price)
        equity.append(cash + units * close)
    return trades, equity
