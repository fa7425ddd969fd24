"""Look-ahead that was planted is found, all of it, and nothing honest is accused."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from mcp_server.domain.backtest.answer import Backtest
from mcp_server.domain.backtest.assumptions import Assumptions
from mcp_server.domain.backtest.futures import Columns
from mcp_server.domain.backtest.look_ahead import Proof, prove
from mcp_server.domain.backtest.run import BacktestTask, run_backtest
from mcp_server.domain.candles import Candles, Floats
from mcp_server.domain.indicators import catalog
from mcp_server.domain.indicators.compute import compute
from mcp_server.domain.indicators.parse import parse_specs
from mcp_server.domain.indicators.spec import Spec
from mcp_server.domain.strategy.parse import parse_strategy
from tests.backtest.leaks import HONEST, LOOKING_AHEAD, Computed, is_signal, shifted
from tests.domain.test_indicator_values import HOUR_MS, made_candles
from tests.rigs.hourly_candles import hourly_candles
from tests.rigs.sampled import sampled, some_or_all

SPECS = (
    *("rsi(14)", "ema(200)", "macd(12,26,9)", "adx(14)", "sar", "kama(10)", "ht_sine", "mama", "obv", "stochrsi"),
    *("supertrend", "fisher", "jma", "hilo", "ssf", "ichimoku", "squeeze", "td_seq", "kvo", "zscore", "vwap"),
    *("sma(9) of rsi(14)", "correl(20) of close, volume", "ema(9) of vwap"),
)


@pytest.fixture(scope="module")
def candles() -> Candles:
    """Some of them with much more volume, which the simulated market never has."""
    series, random = hourly_candles().slice(0, 2_400), np.random.default_rng(1)
    rows = random.choice(np.arange(100, 2_200), 30, replace=False)
    volume = series.volume.copy()
    volume[rows] *= random.uniform(6, 12, len(rows))
    return replace(series, volume=volume)


@pytest.fixture(scope="module")
def proof(candles: Candles) -> Proof:
    def both(candles: Candles) -> Columns:
        return {name: indicator(candles) for name, indicator in (LOOKING_AHEAD | HONEST).items()}

    return prove(Computed(both), candles, np.flatnonzero(is_signal(candles))[:50])


def test_every_planted_leak_is_found_and_nothing_honest_is_accused(proof: Proof) -> None:
    changed = {leak.column for leak in proof.changed}

    assert set(LOOKING_AHEAD) - changed == set()
    assert changed & set(HONEST) == set()
    assert len(LOOKING_AHEAD) >= 20


@pytest.mark.parametrize("names", some_or_all(SPECS, 9))
def test_the_catalogues_own_indicators_of_every_kind_are_not_accused(names: Sequence[str]) -> None:
    specs = parse_specs(names)
    proof = prove(
        Computed(lambda candles: compute(specs, candles)),
        hourly_candles().slice(0, 420),
        [],
        clock=count().__next__,
        limit_s=52,
    )

    assert proof.checked > 50
    assert proof.changed == ()


@pytest.mark.parametrize("names", some_or_all(catalog.names(), 18))
def test_no_indicator_of_the_catalogue_looks_ahead(names: Sequence[str]) -> None:
    specs = parse_specs(names)
    proof = prove(
        Computed(lambda candles: compute(specs, candles)),
        hourly_candles().slice(0, 420),
        [],
        clock=count().__next__,
        limit_s=7,
    )

    assert proof.checked >= 6
    assert proof.changed == ()


@pytest.mark.parametrize("k", sampled([2, 50, 100, 199, 200], 4))
def test_in_a_long_series_a_leak_on_each_kth_candle_alone_is_found_whichever_it_begins_with(k: int) -> None:
    def compute(candles: Candles) -> Columns:
        rows, following = np.arange(len(candles)), shifted(candles.close, -1)
        return {str(first): np.where(rows % k == first, following, candles.close) for first in (0, k // 2, k - 1)}

    proof = prove(Computed(compute), made_candles(45_000), [])

    assert proof.checked < 300
    assert len(proof.changed) == len({0, k // 2, k - 1})


def backtest_of(buy: str) -> Backtest:
    rules = {"indicators": ["rsi(14)"], "buy": buy, "sell": "close > 0"}
    strategy = parse_strategy("idea", {"trading_pair": "BTC/USD", "interval": "1h", "rules": rules}, None)
    candles = made_candles(1_000)
    task = BacktestTask(strategy, "kraken", "BTC/USD", candles, 0, 1_000 * HOUR_MS, Assumptions())
    return run_backtest(task, clock=count().__next__, proof_limit_s=100)


def test_an_indicator_of_a_backtest_that_looks_ahead_is_named_with_all_that_is_made_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def leaking(specs: Sequence[Spec], candles: Candles) -> dict[str, Floats]:
        return {name: shifted(values, -1) for name, values in compute(specs, candles).items()}

    monkeypatch.setattr("mcp_server.domain.rules.compiled.compute", leaking)
    answer = backtest_of("rsi_14 < 41.5").answer()

    assert {column for column, _, _ in answer["look_ahead"]["where"]} == {"rsi_14", "rsi_14 < 41.5", "signal"}
    assert answer["look_ahead"]["changed"] == 3
    assert "looks into the future" in answer["summary"][0]


def test_a_part_of_rules_that_reads_the_next_candle_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_server.domain.rules.sql._lag", lambda text, n, over: f"lead({text}, {n}) {over})")
    changed = {leak.column for leak in backtest_of("prev(close, 1) < 0.9985 * close").proof.changed}

    assert changed == {"prev(close, 1)", "prev(close, 1) < 0.9985 * close", "signal"}
