"""What the Python interface gives of a backtest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcp_server.backtest.redo import BacktestAgain, curves
from mcp_server.domain.backtest.answer import listed_trades
from mcp_server.trader.frame import Frame, Kind
from mcp_server.trader.score_report import ScoreReport

if TYPE_CHECKING:
    from mcp_server.domain.backtest.run import Simulated

TRADE: dict[str, Kind] = {
    "side": "text", "decided_at": "time", "entry_time": "time", "entry_price": "number", "exit_time": "time",
    "exit_price": "number", "return_pct": "number", "fees": "number", "funding": "number", "open": "flag",
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class BacktestReport(ScoreReport):
    """One backtest: its figures, and what they are made of.

    Attributes:
        trades: all trades. `fees` and `funding` are parts of the first equity: 0.05 is 5 %.
        equity: a row for each candle: `time` is its close; `equity_pct` and `holding_pct` are the gain since the
            beginning in per cent, of the rules and of holding; `drawdown_pct` is positive.
    """

    trades: Frame
    equity: Frame

    @classmethod
    def of(cls, figures: Mapping[str, Any], again: BacktestAgain, simulated: Simulated) -> BacktestReport:
        """Return it, with what was simulated anew from the candles of a recorded backtest."""
        about = {name: figures[name] for name in ("strategy_name", "exchange", "symbol", "timeframe", "backtest_id")}
        trades = [list(trade.values()) for trade in listed_trades(simulated)]
        times, *values = curves(simulated)
        names = ("equity_pct", "holding_pct", "drawdown_pct")
        numbers: dict[str, tuple[Kind, Any]] = {
            name: ("number", value) for name, value in zip(names, values, strict=True)
        }
        equity = Frame({"time": ("time", times.astype("datetime64[ms]")), **numbers}, about)
        different = again.difference(simulated)
        note = " ".join(filter(None, [figures.get("note"), different])) or None
        return cls({**figures, "note": note}, Frame.of_rows(TRADE, trades, about), equity)
