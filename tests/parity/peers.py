"""Runs vectorbt and backtesting.py on one rule each: their trades and their final equity, from an equity of 1."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import talib
import vectorbt
from backtesting import Backtest, Strategy

from tests.parity.rules import ParityRule
from tests.parity.series import COLUMNS, HourlySeries

UNITS = 1e14
"""backtesting.py trades whole units: with so much cash in the beginning, a unit is 1e-14 of it."""

CASH = 1e9
"""vectorbt takes sizes below 1e-8 for nothing, which so much cash stays away from."""

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class PeerRun:
    """`open`: the last trade was not closed; its exit is then the last candle and its close."""

    side: npt.NDArray[np.int64]
    entry: npt.NDArray[np.int64]
    exit: npt.NDArray[np.int64]
    entry_price: npt.NDArray[np.float64]
    exit_price: npt.NDArray[np.float64]
    open: bool
    final_equity: float
    figures: dict[str, float]


def vectorbt_run(rule: ParityRule, candles: HourlySeries, buy: Bools, sell: Bools) -> PeerRun:
    """Fill a signal in the next open. `lock_cash` keeps a short position at the equity, as 1 x means."""
    buy, sell = np.append(False, buy[:-1]), np.append(False, sell[:-1])
    both = rule.side == "both"
    fee, slippage = rule.fee_bps / 10_000, rule.slippage_bps / 10_000
    stake = rule.stake_pct and CASH * rule.stake_pct / 100 / (candles.open * (1 + slippage) * (1 + fee))
    portfolio = vectorbt.Portfolio.from_signals(
        candles.close,
        entries=buy,
        exits=None if both else sell,
        short_entries=sell if both else None,
        price=candles.open,
        size=np.inf if stake is None else stake,
        fees=fee,
        slippage=slippage,
        init_cash=CASH,
        lock_cash=True,
        freq="1h",
    )
    trades = portfolio.trades.records
    return PeerRun(
        side=1 - 2 * trades["direction"].to_numpy(dtype=np.int64),
        entry=trades["entry_idx"].to_numpy(dtype=np.int64),
        exit=trades["exit_idx"].to_numpy(dtype=np.int64),
        entry_price=trades["entry_price"].to_numpy(),
        exit_price=trades["exit_price"].to_numpy(),
        open=bool(len(trades)) and int(trades["status"].iloc[-1]) == 0,
        final_equity=float(portfolio.value().iloc[-1]) / CASH,
        figures=_figures(portfolio),
    )


def _figures(portfolio: Any) -> dict[str, float]:
    """Return figures that vectorbt has by the same definition as we do; of trades, of the closed ones."""
    closed = portfolio.trades.closed
    yearly = {"year_freq": "365 days"}
    figures = {
        "max_drawdown": -portfolio.max_drawdown(),
        "sharpe": portfolio.sharpe_ratio(**yearly),
        "volatility": portfolio.annualized_volatility(**yearly),
        "win_rate": closed.win_rate(),
        "profit_factor": closed.profit_factor(),
        "best": closed.returns.max(),
        "worst": closed.returns.min(),
        "average": closed.returns.mean(),
        "fees": portfolio.orders.records["fees"].sum() / CASH,
        "cagr": portfolio.annualized_return(**yearly),
        "sortino": portfolio.sortino_ratio(**yearly),
        "calmar": portfolio.calmar_ratio(**yearly),
        "average_drawdown": -portfolio.drawdowns.avg_drawdown(),
        "exposure": portfolio.position_coverage(),
        "expectancy": closed.expectancy() / CASH,
        "sqn": closed.sqn(),
    }
    return {name: float(value) for name, value in figures.items()}


class Scripted(Strategy):  # type: ignore[misc, unused-ignore]
    """Trades the signals that it is given."""

    buys: Any = None
    sells: Any = None
    both = False
    units: Any = None

    def init(self) -> None:
        pass

    def next(self) -> None:
        i = len(self.data) - 1
        if i + 1 == len(self.buys):
            return
        size = {} if self.units is None else {"size": self.units[i + 1]}
        if self.buys[i] and not self.position.is_long:
            self.buy(**size)
        elif self.sells[i] and self.both and not self.position.is_short:
            self.sell(**size)
        elif self.sells[i] and not self.both and self.position:
            self.position.close()


def backtesting_run(rule: ParityRule, candles: HourlySeries, buy: Bools, sell: Bools) -> PeerRun:
    """Without slippage: it charges its spread at the entry alone."""
    frame = _frame(candles)
    cash, fee = UNITS * candles.open[0], rule.fee_bps / 10_000
    test = Backtest(frame, Scripted, cash=cash, commission=fee, exclusive_orders=True, finalize_trades=False)
    units = None
    if rule.stake_pct is not None:
        units = np.floor(cash * rule.stake_pct / 100 / (candles.open * (1 + fee)))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*Broker canceled.*")
        warnings.filterwarnings("ignore", message=".*Some trades remain open.*")
        stats: Any = test.run(buys=buy, sells=sell, both=rule.side == "both", units=units)
    trades = stats["_trades"]
    broker_trades = stats["_strategy"].trades
    is_open = bool(broker_trades)
    size, entry, exit_, entry_price, exit_price = (
        trades[name].to_list() for name in ("Size", "EntryBar", "ExitBar", "EntryPrice", "ExitPrice")
    )
    if is_open:
        (last,) = broker_trades
        size, entry, entry_price = [*size, last.size], [*entry, last.entry_bar], [*entry_price, last.entry_price]
        exit_, exit_price = [*exit_, len(candles) - 1], [*exit_price, candles.close[-1]]
    return PeerRun(
        side=np.sign(size).astype(np.int64),
        entry=np.array(entry, dtype=np.int64),
        exit=np.array(exit_, dtype=np.int64),
        entry_price=np.array(entry_price, dtype=np.float64),
        exit_price=np.array(exit_price, dtype=np.float64),
        open=is_open,
        final_equity=float(stats["_equity_curve"]["Equity"].iloc[-1]) / cash,
        figures={
            "max_drawdown": -stats["Max. Drawdown [%]"] / 100,
            "win_rate": stats["Win Rate [%]"] / 100,
            "sqn": stats["SQN"],
            "buy_and_hold": stats["Buy & Hold Return [%]"] / 100,
        },
    )


def _frame(candles: HourlySeries) -> pd.DataFrame:
    columns = {name.title(): getattr(candles, name) for name in COLUMNS}
    return pd.DataFrame(columns, index=pd.to_datetime(candles.open_time_ms, unit="ms"))


def readme_idea(candles: HourlySeries) -> dict[str, float]:
    """Return backtesting.py's figures of README's idea, in whole bitcoins from a million at 0.2 % a side.

    Its holding begins at the first candle that has an RSI.
    """

    class ReadmeIdea(Strategy):  # type: ignore[misc, unused-ignore]
        def init(self) -> None:
            self.rsi = self.I(talib.RSI, self.data.Close, 14)

        def next(self) -> None:
            if not self.position and self.rsi[-2] <= 30 < self.rsi[-1]:
                self.buy()
            elif self.position and self.rsi[-2] >= 70 > self.rsi[-1]:
                self.position.close()

    stats = Backtest(_frame(candles), ReadmeIdea, cash=1_000_000, commission=0.002).run()
    names = ["# Trades", "Win Rate [%]", "Return [%]", "Max. Drawdown [%]", "Buy & Hold Return [%]"]
    return {name: float(stats[name]) for name in names}
