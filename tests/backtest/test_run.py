"""One backtest as a whole: its range and warm-up, its answer, and what it says of results that are hardly any."""

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from mcp_server.domain.backtest import look_ahead
from mcp_server.domain.backtest.answer import Backtest
from mcp_server.domain.backtest.assumptions import Assumptions
from mcp_server.domain.backtest.run import BacktestTask, run_backtest, run_simulation
from mcp_server.domain.backtest.worth import Trial
from mcp_server.domain.candles import Candles
from mcp_server.domain.exchange import Funding
from mcp_server.domain.rules.compiled import compile_rules
from mcp_server.domain.rules.series import SIGNALS
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.domain.timeframes import iso
from mcp_server.errors import BadInput
from tests.backtest.made_backtests import FIRST_MS, candles_of
from tests.rigs.hourly_candles import RECORDED, hourly_candles

DAY_MS = 86_400_000
FREE = Assumptions(fee_bps=0, slippage_bps=0)


def task(
    candles: Candles,
    rules: Mapping[str, Any],
    start: int = 0,
    end: int = 10**6,
    *,
    symbol: str = "BTC/USDT",
    assumptions: Assumptions = FREE,
    fundings: Sequence[Funding] = (),
    trials: Sequence[Trial] = (),
) -> BacktestTask:
    """Return a task over daily candles, from one position to another."""
    strategy = parse_strategy("x", {"trading_pair": symbol, "interval": "1d", "rules": rules}, None)
    bounds = FIRST_MS + start * DAY_MS, FIRST_MS + end * DAY_MS
    return BacktestTask(strategy, "simulated", symbol, candles, *bounds, assumptions, fundings, trials)


def quick(given: BacktestTask) -> Backtest:
    """Return a backtest with a proof of a few cuts."""
    return run_backtest(given, clock=itertools.count().__next__, proof_limit_s=5)


def wave(count: int) -> Candles:
    """Return daily candles that go up and down, and up in the end."""
    return candles_of(100 + 10 * np.sin(np.arange(count) / 7) + np.arange(count) / 50)


def answer_of(given: BacktestTask) -> dict[str, Any]:
    """Return the answer as a program reads it; JSON knows no NaN."""
    answer: dict[str, Any] = json.loads(json.dumps(quick(given).answer(), allow_nan=False))
    return answer


def test_indicators_are_warm_at_the_start_where_candles_are_before_it_else_the_first_are_undecided() -> None:
    rules = {"indicators": ["ema(20)"], "buy": "close > ema_20", "sell": "close < ema_20"}
    candles = wave(400)
    warm = run_simulation(task(candles, rules, 200))
    cold = run_simulation(task(candles.slice(200), rules, 200))
    assert (warm.simulation.signals["undecided"], cold.simulation.signals["undecided"]) == (0, 19)
    assert len(warm.candles) == len(cold.candles) == 200
    assert (
        warm.simulation.signals == {"buy": 95, "sell": 105, "hold": 0, "undecided": 0}
        or sum(warm.simulation.signals.values()) == 200
    )
    whole = run_simulation(task(candles, rules))
    assert (whole.simulation.signals["undecided"], whole.start_ms) == (19, FIRST_MS)


def test_the_range_is_the_part_of_what_was_asked_for_that_has_candles() -> None:
    run = run_simulation(task(wave(100), {"buy": "close > 0"}, start=-50, end=500))
    assert (run.start_ms, run.end_ms) == (FIRST_MS, FIRST_MS + 100 * DAY_MS)
    part = run_simulation(task(wave(100), {"buy": "close > 0"}, start=10, end=30))
    assert (len(part.candles), part.start_ms, part.end_ms) == (20, FIRST_MS + 10 * DAY_MS, FIRST_MS + 30 * DAY_MS)
    assert len(part.decisions) == 20
    assert part.simulation.trades.entry.tolist() == [1], "decided at the first close, filled at the next open"


@pytest.mark.parametrize(("start", "end", "has"), [(200, 300, "no closed"), (99, 300, "1 closed")])
def test_a_range_with_fewer_than_two_candles_is_refused(start: int, end: int, has: str) -> None:
    with pytest.raises(BadInput, match=f"simulated has {has} 1d candle of BTC/USDT between .* at least two"):
        run_simulation(task(wave(100), {"buy": "close > 0"}, start=start, end=end))


def test_a_strategy_without_rules_is_refused() -> None:
    agents = {"a": {"description": "d", "prompt": "p", "tools": ["get_price"]}}
    strategy = parse_strategy("x", {"trading_pair": "BTC/USDT", "interval": "1d"}, agents)
    bare = BacktestTask(strategy, "simulated", "BTC/USDT", wave(100), 0, 10**15, FREE)
    with pytest.raises(BadInput, match="'x' has no rules"):
        run_simulation(bare)


@pytest.mark.parametrize(
    ("rules", "count", "trades", "opened"),
    [
        ({"buy": "close < 0"}, 200, 0, False),
        ({"buy": "close > 0"}, 200, 0, True),
        ({"buy": "close < 0"}, 2, 0, False),
        ({"buy": "close > 0"}, 30, 0, True),
        ({"buy": "prev(close, 1) IS NULL", "sell": "close > 0 AND prev(close, 1) IS NOT NULL"}, 200, 1, False),
    ],
    ids=["no trade", "never closed", "two candles", "a month", "one trade"],
)
def test_an_answer_of_hardly_any_result_is_json_without_nan_and_says_so(
    rules: dict[str, str], count: int, trades: int, opened: bool
) -> None:
    answer = answer_of(task(wave(count), rules))
    assert (answer["trades"], answer["open_trade"] is not None) == (trades, opened)
    if not trades:
        assert (answer["win_rate_pct"], answer["profit_factor"], answer["sqn"]) == (None, None, None)
    if count < 90:
        annual = ("cagr_pct", "sharpe", "sortino", "volatility_pct", "calmar", "sharpe_ci95", "sharpe_deflated")
        assert [answer[name] for name in annual] == [None] * len(annual)
    assert answer["summary"]
    assert answer["look_ahead"]["changed"] == 0


def test_one_that_ruins_says_when() -> None:
    rising = candles_of([100.0, 100, 100, 150, 250, 300, *[300.0] * 100])
    answer = answer_of(task(rising, {"sell": "close > 0"}, assumptions=Assumptions("both", 0, 0)))
    assert answer["return_pct"] == -100
    assert answer["ruined_at"] is not None
    assert "ruined" in answer["summary"][0]


def test_the_folds_of_one_rule_are_its_own_growth_and_that_of_holding_up_to_the_last_candle() -> None:
    rules = {"buy": "close > prev(close, 3)", "sell": "close < prev(close, 3)"}
    done = quick(task(wave(600), rules, assumptions=Assumptions()))
    folds = done.folds()

    assert [fold["start"] for fold in folds] == [iso(FIRST_MS + at * DAY_MS) for at in range(100, 600, 100)]
    assert [fold["end"] for fold in folds] == [iso(FIRST_MS + at * DAY_MS) for at in range(200, 601, 100)]
    for curve, key in ((done.simulated.simulation.equity, "return_pct"), (wave(600).close, "buy_and_hold_pct")):
        growth = curve[199::100] / curve[99:-1:100]
        assert [fold[key] for fold in folds] == pytest.approx((100 * (growth - 1)).tolist(), rel=1e-5), key
    assert len({fold["return_pct"] for fold in folds}) == 5
    assert "folds" not in done.answer(), "the tool's answer stays short"


def test_after_ruin_a_fold_has_no_return_and_with_few_candles_there_are_no_folds() -> None:
    falls_never = candles_of(np.concatenate([np.full(100, 100.0), np.linspace(100, 900, 100)]))
    ruined = quick(task(falls_never, {"sell": "close > 0"}, assumptions=Assumptions("both", 0, 0)))
    returns = [fold["return_pct"] for fold in ruined.folds()]
    assert -100 in returns
    assert returns[-1] is None
    assert quick(task(wave(119), {"buy": "close > 0"})).folds() == []
    assert len(quick(task(wave(120), {"buy": "close > 0"})).folds()) == 5


def test_trades_are_listed_with_times_of_the_clock() -> None:
    run = quick(task(wave(100), {"buy": "close > prev(close, 1)", "sell": "close < prev(close, 1)"}))
    first, *_, last = run.trades()
    assert first["decided_at"] == first["entry_time"]
    assert (first["side"], first["open"]) == ("long", False)
    assert last["open"] == (run.answer()["open_trade"] is not None)
    prices = [(trade["entry_price"], trade["exit_price"]) for trade in run.trades()]
    simulated = run.simulated.simulation.trades
    np.testing.assert_allclose(prices, np.column_stack([simulated.entry_price, simulated.exit_price]), rtol=1e-11)
    assert max(len(f"{price!r}") for pair in prices for price in pair) <= 13, "no digits that slippage brings"
    held = quick(task(wave(100), {"buy": "close > 0"})).trades()
    assert [held[-1]["open"], held[-1]["exit_time"]] == [True, iso(FIRST_MS + 100 * DAY_MS)], "valued at the last close"
    assert len(run.trades()) == run.answer()["trades"] + last["open"]


def test_a_swap_tells_which_fundings_are_missing_and_a_spot_market_has_none() -> None:
    swap = task(wave(100), {"buy": "close > 0"}, symbol="BTC/USDT:USDT")
    assert answer_of(swap)["missing_fundings"] == 301
    paid = [Funding(FIRST_MS + n * DAY_MS // 3, 0.0001) for n in range(301)]
    known = answer_of(task(wave(100), {"buy": "close > 0"}, symbol="BTC/USDT:USDT", fundings=paid))
    assert known["missing_fundings"] == 0
    spot = answer_of(task(wave(100), {"buy": "close > 0"}))
    assert spot["missing_fundings"] is None
    assert known["return_pct"] < spot["return_pct"]


def test_later_trials_deflate_what_was_computed_before_as_if_they_had_been_known() -> None:
    others = [Trial(0.01, "1d"), Trial(-0.02, "1d"), Trial(None, "1d")]
    rules = {"buy": "close < prev(close, 5)", "sell": "close > prev(close, 9)"}
    noise = candles_of(100 * np.exp(np.cumsum(np.random.default_rng(1).normal(0.001, 0.02, 300))))
    alone, known = quick(task(noise, rules)), quick(task(noise, rules, trials=others))
    assert alone.with_trials(others).answer() == known.answer()
    assert known.answer()["trials"] == 4
    assert known.answer()["sharpe_deflated"] < known.answer()["sharpe_probabilistic"]
    assert known.answer()["sharpe_probabilistic"] == alone.answer()["sharpe_deflated"]


def test_every_candle_is_proved_when_all_are_asked_for_and_a_clock_ends_the_default() -> None:
    given = task(wave(150), {"buy": "close > prev(close, 1)", "sell": "close < prev(close, 1)"})
    assert run_backtest(given, prove="all", clock=itertools.count().__next__, proof_limit_s=5).proof.checked == 149
    ticks = itertools.count(0.0, 1.0)
    short = run_backtest(given, clock=lambda: next(ticks), proof_limit_s=5.0).proof
    assert 0 < short.checked < 10


def test_the_parts_of_the_work_are_told_in_order() -> None:
    told: list[tuple[str, float]] = []
    run_backtest(task(wave(30), {"buy": "close > 0"}), progress=lambda doing, part: told.append((doing, part)))
    assert told[0] == ("Simulating", 0.0)
    assert told[-1] == ("Done", 1.0)
    shares = [part for doing, part in told if doing == "Looking for look-ahead"]
    assert shares == sorted(shares)


def test_the_candles_on_which_entries_and_exits_were_decided_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look_ahead, "CUTS", 20)  # of others
    given = task(
        wave(1_000), {"buy": "crosses_above(close, prev(close, 3))", "sell": "crosses_below(close, prev(close, 3))"}
    )
    proof = run_backtest(given).proof
    trades = run_simulation(given).simulation.trades
    assert len(trades) > 20
    assert proof.decisions == proof.decisions_wanted == len({*trades.entry.tolist(), *trades.exit.tolist()} - {999})


@pytest.mark.skipif(not RECORDED.is_file(), reason="the recorded candles are not beside this checkout")
def test_the_signals_of_a_backtest_are_those_of_single_evaluations() -> None:
    candles = hourly_candles()
    config = {"indicators": ["rsi(14)"], "buy": "rsi_14 < 30", "sell": "rsi_14 > 70"}
    strategy = parse_strategy("x", {"trading_pair": "BTC/USD", "interval": "1h", "rules": config}, None)
    start, end = int(candles.open_time_ms[5_000]), int(candles.open_time_ms[6_000])
    run = run_simulation(BacktestTask(strategy, "coinbase", "BTC/USD", candles, start, end, FREE))
    assert strategy.config.rules is not None
    rules = compile_rules(strategy.config.rules, "1h")
    for at in range(0, 1_000, 97):
        verdict = rules.evaluate(candles.slice(5_001 + at - rules.history, 5_001 + at))
        assert SIGNALS[int(run.decisions.signal[at])] == verdict.signal
