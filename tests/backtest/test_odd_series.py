"""Whatever the candles and rules are: an answer is JSON, a figure that is undefined is null, and all can be shown."""

import io
import json
import re
from itertools import count
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from mcp_server.domain.backtest.answer import Backtest
from mcp_server.domain.backtest.assumptions import Assumptions
from mcp_server.domain.backtest.run import BacktestTask, run_backtest
from mcp_server.domain.candles import CANDLE_COLUMNS, Candles, Floats
from mcp_server.domain.report.backtest_page import PageAssets, backtest_page
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.domain.timeframes import timeframe_ms
from mcp_server.errors import BadInput
from mcp_server.storage.assets import backtest_page_assets
from runner.backtest.files import trades_csv
from runner.cli.show_backtest import backtest as show_backtest
from tests.backtest.made_backtests import FIRST_MS, candles_of

MOST_CANDLES = 300
ANNUAL = ("cagr_pct", "volatility_pct", "sharpe", "sortino", "calmar")
CONDITIONS = (
    *("close > open", "close < open", "close > prev(close, 1)", "close < prev(close, 3)", "close > 0", "close < 0"),
    *("rsi_5 < 30", "rsi_5 > 70", "close > ema_9 AND volume > 0", "prev(close, 200) > close"),
)
NAMES = ("flat", "walk", "huge", "tiny", "crash", "spike", "dear", "cheap", "saw")


def prices(name: str, length: int, random: np.random.Generator) -> Floats:
    steps: Floats = random.standard_normal(length)
    at = int(random.integers(length))
    walk: Floats = 100 * np.exp(np.cumsum(0.02 * steps))
    if name == "flat":
        return np.full(length, 100.0)
    if name == "huge":
        return np.asarray(100 * np.exp(np.cumsum(5 * steps).clip(-200, 200)))
    if name == "tiny":
        return np.asarray(100 + 1e-13 * steps)
    if name == "crash":
        walk[at:] *= 1e-12
    if name == "spike":
        walk[at] *= 1e6
    if name == "saw":
        return np.asarray(100.0 + np.arange(length) % 2)
    return np.asarray(walk * {"dear": 1e15, "cheap": 1e-15}.get(name, 1.0))


def odd_task(seed: int) -> BacktestTask:
    """Return a task over a short or odd series: of any length, with gaps, costs, sides and stakes of all kinds."""
    random = np.random.default_rng(seed)
    length = int(random.choice([1, 2, 3, 10, 89, 92, MOST_CANDLES]))
    timeframe = str(random.choice(["1m", "1h", "1d"]))
    candles = candles_of(prices(NAMES[seed % len(NAMES)], length, random), timeframe, FIRST_MS)
    if seed % 3 == 0:
        kept = np.flatnonzero(random.random(length) < 0.9)
        candles = Candles(candles.open_time_ms[kept], *(getattr(candles, name)[kept] for name in CANDLE_COLUMNS))
    buy, sell = random.choice(CONDITIONS, 2)
    rules = {"indicators": ["rsi(5)", "ema(9)"], "buy": str(buy), "sell": str(sell)}
    strategy = parse_strategy("odd", {"trading_pair": "BTC/USDT", "interval": timeframe, "rules": rules}, None)
    costs = Assumptions(
        side="both" if random.random() < 0.6 else "long",
        fee_bps=float(random.choice([0, 10, 1000])),
        slippage_bps=float(random.choice([0, 5, 1000])),
        stake_pct=None if random.random() < 0.6 else float(random.choice([0.001, 10, 100])),
    )
    end_ms = FIRST_MS + length * timeframe_ms(timeframe)
    return BacktestTask(strategy, "simulated", "BTC/USDT", candles, FIRST_MS, end_ms, costs)


def shown(done: Backtest, answer: dict[str, Any], assets: PageAssets) -> str:
    """Return what a person reads of it: sentences, the page, the terminal."""
    console = Console(file=io.StringIO(), width=80)
    with console.capture() as terminal:
        show_backtest(console, {**answer, "backtest_id": 1})
    page = backtest_page({**answer, "months": done.months()}, done.simulated, assets)
    return re.sub("[<>]", " ", " ".join(answer["summary"]) + page) + terminal.get()


@pytest.mark.parametrize("seeds", [15, pytest.param(60, marks=pytest.mark.long)])
def test_every_value_is_a_number_or_null_and_all_of_it_can_be_shown_whatever_the_series_is(seeds: int) -> None:
    assets, kinds = backtest_page_assets(), set[str]()
    for seed in range(seeds):
        task = odd_task(seed)
        if len(task.candles) < 2:
            with pytest.raises(BadInput, match="at least two"):
                run_backtest(task)
            continue
        done = run_backtest(task, clock=count().__next__, proof_limit_s=2)
        answer = done.answer()

        json.dumps([answer, done.months(), done.trades()], allow_nan=False)
        annual = {name for name in ANNUAL if answer[name] is not None}
        assert not (annual and done.figures.days < 90), seed
        assert (answer["max_drawdown_pct"] >= 0, answer["return_pct"] >= -100) == (True, True), seed
        assert not {"nan", "inf", "NaN", "Infinity"} & set(shown(done, answer, assets).split()), seed
        assert len(trades_csv(done.trades()).splitlines()) == 1 + len(done.trades()), seed
        happened = {"annual": annual, "ruined": answer["ruined_at"], "open": answer["open_trade"]}
        kinds |= {name for name, value in happened.items() if value}
        kinds |= {"closed"} if answer["trades"] else {"no trade"} if not done.trades() else set()
    assert kinds == {"annual", "ruined", "open", "closed", "no trade"}, "the series are as odd as they are meant to be"
