"""Our trades are those of vectorbt and backtesting.py, which `make parity` ran in an environment of their own.

The rules of the peers are written once more in pandas (`tests/parity/signals.py`), so that candles in and trades out
are compared: indicators, conditions and simulation at once. Where a peer's model differs:

- backtesting.py charges its spread at the entry alone, so it runs without slippage, and so do we beside it. It trades
  whole units; it is given so much cash that a unit is 1e-14 of it.
- vectorbt sells as much short as one asks for; with `lock_cash` it stops at the equity, which is our 1 x.
- vectorbt divides a trade's profit by the entry's value without its fee, we by the stake, which contains the fee.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import count
from typing import Any

import numpy as np
import pytest

from mcp_server.domain.backtest.assumptions import Assumptions
from mcp_server.domain.backtest.figures import figures as figures_of
from mcp_server.domain.backtest.run import BacktestTask, Simulated, run_backtest, run_simulation
from mcp_server.domain.candles import Candles
from mcp_server.domain.strategy.parse import parse_strategy
from tests.backtest.plain_loop import PlainLoop
from tests.parity import fixtures
from tests.parity.rules import RULES, ParityRule
from tests.parity.series import COLUMNS, HOUR_MS, SERIES, HourlySeries
from tests.rigs.sampled import sampled

BY_NAME = {rule.name: rule for rule in RULES}
CASES = [(series, rule.name) for series in SERIES for rule in RULES]


@cache
def series_named(name: str) -> HourlySeries:
    if (series := SERIES[name]()) is None:
        pytest.skip("the real candles are not beside the checkout")
    return series


@cache
def fixture_named(name: str) -> dict[str, Any]:
    return fixtures.read(name)


@cache
def ours(series_name: str, rule: ParityRule, first: int | None = None) -> Simulated:
    series = series_named(series_name)
    candles = Candles(series.open_time_ms, *(getattr(series, name) for name in COLUMNS)).slice(0, first)
    rules = {"indicators": list(rule.indicators), "buy": rule.buy, "sell": rule.sell}
    config = {"name": "parity", "trading_pair": "BTC/USD", "interval": "1h", "engine": "rules", "rules": rules}
    return run_simulation(
        BacktestTask(
            strategy=parse_strategy("parity", config, None),
            exchange="coinbase",
            symbol="BTC/USD",
            candles=candles,
            start_ms=int(candles.open_time_ms[0]),
            end_ms=int(candles.open_time_ms[-1]) + HOUR_MS,
            assumptions=Assumptions(rule.side, rule.fee_bps, rule.slippage_bps, rule.stake_pct),
        )
    )


def rows(simulated: Simulated) -> Iterator[tuple[int, int, float, int, float]]:
    trades = simulated.simulation.trades
    columns = (trades.side, trades.entry, trades.entry_price, trades.exit, trades.exit_price)
    return zip(*(column.tolist() for column in columns), strict=True)


def peer_positions(runs: dict[str, Any], peer: str, key: str) -> list[int]:
    text = runs["vectorbt"][key] if runs[peer][key] == "as vectorbt" else runs[peer][key]
    return [int(position) for position in fixtures.unpacked(text)]


@pytest.mark.parametrize("series_name", SERIES)
def test_the_candles_are_those_that_the_peers_saw(series_name: str) -> None:
    series, fixture = series_named(series_name), fixture_named(series_name)
    assert (len(series), series.sha256) == (fixture["candles"], fixture["candles_sha256"])
    assert list(fixture["rules"]) == list(BY_NAME)


@pytest.mark.parametrize("peer", ["vectorbt", "backtesting"])
@pytest.mark.parametrize(("series_name", "rule_name"), sampled(CASES, 6))
def test_every_trade_and_the_final_equity_are_those_of_the_peer(series_name: str, rule_name: str, peer: str) -> None:
    rule = BY_NAME[rule_name] if peer == "vectorbt" else replace(BY_NAME[rule_name], slippage_bps=0.0)
    simulated = ours(series_name, rule)
    runs = fixture_named(series_name)["rules"][rule_name]
    theirs, simulation = runs[peer], simulated.simulation
    side, entry, exit_ = (peer_positions(runs, peer, key) for key in ("side", "entry", "exit"))
    trades = list(rows(simulated))
    compared = zip([(row[0], row[1], row[3]) for row in trades], zip(side, entry, exit_, strict=True), strict=False)
    different = [(number, mine, peers) for number, (mine, peers) in enumerate(compared) if mine != peers]
    assert not different, f"the first trade that differs: {different[0]}"
    assert len(trades) == theirs["trades"] > 50
    assert bool(simulation.trades.open.any()) == theirs["open"]
    readable = zip(trades[: fixtures.SHOWN] + trades[-fixtures.SHOWN :], theirs["first"] + theirs["last"], strict=True)
    for mine, peers in readable:
        assert mine == pytest.approx(peers, rel=1e-11)
    assert fixtures.hashed([price for row in trades for price in (row[2], row[4])]) == theirs["prices_sha256"]
    assert simulation.equity[-1] == pytest.approx(theirs["final_equity"], rel=1e-9)


@pytest.mark.parametrize(("series_name", "rule_name"), sampled(CASES, 3))
def test_figures_that_both_define_alike_are_those_of_vectorbt(series_name: str, rule_name: str) -> None:
    rule = BY_NAME[rule_name]
    simulated = ours(series_name, rule)
    figures = figures_of(simulated.simulation, simulated.candles, "1h", simulated.task.assumptions)
    without_fee = 1 + rule.fee_bps / 10_000
    mine = {
        "max_drawdown": figures.max_drawdown_pct / 100,
        "sharpe": figures.sharpe,
        "volatility": unless_none(figures.volatility_pct) / 100,
        "win_rate": unless_none(figures.win_rate_pct) / 100,
        "profit_factor": figures.profit_factor,
        "best": unless_none(figures.best_pct) * without_fee / 100,
        "worst": unless_none(figures.worst_pct) * without_fee / 100,
        "average": unless_none(figures.average_pct) * without_fee / 100,
        "fees": figures.fees_paid,
        "cagr": unless_none(figures.cagr_pct) / 100,
        "sortino": figures.sortino,
        "calmar": figures.calmar,
        "average_drawdown": unless_none(figures.average_drawdown_pct) / 100,
        "exposure": unless_none(figures.exposure_pct) / 100,
        "expectancy": unless_none(figures.expectancy_pct) / 100,
        "sqn": figures.sqn,
    }
    assert mine == pytest.approx(fixture_named(series_name)["rules"][rule_name]["vectorbt"]["figures"], rel=1e-9)


@pytest.mark.parametrize(("series_name", "rule_name"), sampled(CASES, 3))
def test_figures_that_both_define_alike_are_those_of_backtesting_py(series_name: str, rule_name: str) -> None:
    simulated = ours(series_name, replace(BY_NAME[rule_name], slippage_bps=0.0))
    figures = figures_of(simulated.simulation, simulated.candles, "1h", simulated.task.assumptions)
    mine = {
        "max_drawdown": figures.max_drawdown_pct / 100,
        "win_rate": unless_none(figures.win_rate_pct) / 100,
        "sqn": figures.sqn,
        "buy_and_hold": unless_none(figures.buy_and_hold_pct) / 100,
    }
    assert mine == pytest.approx(fixture_named(series_name)["rules"][rule_name]["backtesting"]["figures"], rel=1e-9)


def unless_none(figure: float | None) -> float:
    assert figure is not None
    return figure


@pytest.mark.parametrize(("series_name", "rule_name"), sampled(CASES, 3))
def test_a_plain_loop_gives_the_same_trades_and_the_same_equity_at_every_close(
    series_name: str, rule_name: str
) -> None:
    simulated = ours(series_name, BY_NAME[rule_name], 10_000)
    simulation, decisions = simulated.simulation, simulated.decisions
    slots = list(zip(decisions.slot_ms.tolist(), decisions.signal.tolist(), strict=True))
    plain = PlainLoop(simulated.candles, "1h", slots, simulated.task.assumptions).run()
    np.testing.assert_allclose(simulation.equity, plain.equity, rtol=1e-12)
    trades = [(trade.side, trade.entry, trade.entry_price, trade.exit, trade.exit_price) for trade in plain.trades]
    assert list(rows(simulated)) == trades


def test_the_readmes_idea_gives_the_figures_that_backtesting_py_gives_for_it() -> None:
    """It bought whole bitcoins from a million, and held from the first RSI on: so counted, our trades give the same."""
    series, theirs = series_named("coinbase"), fixture_named("coinbase")["readme_idea"]
    trades = ours("coinbase", BY_NAME["rsi_turns"]).simulation.trades
    cash, fee, equity = 1_000_000.0, 0.002, [1_000_000.0]
    for entry, price, exit_, exit_price in zip(
        *(column.tolist() for column in (trades.entry, trades.entry_price, trades.exit, trades.exit_price)), strict=True
    ):
        units = cash // (price * (1 + fee))
        cash -= units * price * (1 + fee)
        equity += (cash + units * series.close[entry:exit_]).tolist()
        cash += units * exit_price * (1 - fee)
        equity.append(cash)
    deepest = -100 * np.max(1 - np.array(equity) / np.maximum.accumulate(equity))
    figures = {
        "# Trades": len(trades),
        "Win Rate [%]": 100 * np.mean(trades.return_ratio > 0),
        "Return [%]": cash / 10_000 - 100,
        "Max. Drawdown [%]": deepest,
        "Buy & Hold Return [%]": 100 * (series.close[-1] / series.close[14] - 1),
    }
    assert figures == pytest.approx(theirs, rel=1e-9)
    assert [round(float(figure), 1) for figure in figures.values()] == [61, 68.9, -59.3, -82.9, 391.7]


def test_the_readmes_idea_is_told_in_words_that_a_beginner_understands() -> None:
    """Parts of a bitcoin can be bought here, and holding begins at the first close: each figure a little lower."""
    task = ours("coinbase", BY_NAME["rsi_turns"]).task
    backtest = run_backtest(task, clock=count().__next__, proof_limit_s=20)
    result, trades, chance, frail, halves, sharpe, rest = backtest.summary()
    assert "it lost 59.6 %, worse than simply holding, which gained 372.3 %" in result
    assert "closed 61 trades and won 69 % of them, but these gained less than the others lost" in trades
    assert "at worst 83.2 % below its peak (holding: 84.2 %)" in trades
    assert "worse than chance" in chance
    assert "Filled one candle later it would have lost 53.5 %; at twice the cost it would have lost 68.3 %" in frail
    assert "it lost 74.4 % (holding gained 61.4 %), and in the last 30 % it gained 57.6 %" in halves
    assert "-0.27" in sharpe
    assert "includes zero, so it may be luck" in sharpe
    assert "No look-ahead was found" in rest
    assert "no decision at 15 of 17,583 moments" in rest
