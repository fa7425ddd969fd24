"""Look-ahead that was planted is found, all of it, and nothing honest is accused."""

from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from mcp_server.domain.backtest.look_ahead import Columns, Proof, prove
from mcp_server.domain.candles import Candles
from mcp_server.domain.indicators import catalog
from mcp_server.domain.indicators.compute import compute
from mcp_server.domain.indicators.parse import parse_specs
from tests.backtest.leaks import HONEST, LOOKING_AHEAD, is_signal, shifted
from tests.domain.test_indicator_values import made_candles
from tests.rigs.hourly_candles import hourly_candles

SPECS = (
    *("rsi(14)", "ema(200)", "macd(12,26,9)", "adx(14)", "sar", "kama(10)", "ht_sine", "mama", "obv", "stochrsi"),
    *("supertrend", "fisher", "jma", "hilo", "ssf", "ichimoku", "squeeze", "td_seq", "kvo", "zscore", "vwap"),
    *("sma(9) of rsi(14)", "correl(20) of close, volume", "ema(9) of vwap"),
)


@pytest.fixture(scope="module")
def candles() -> Candles:
    """Some of them with much more volume, which the simulated market never has."""
    series, random = hourly_candles().slice(0, 5_000), np.random.default_rng(1)
    rows = random.choice(np.arange(100, 4_700), 30, replace=False)
    volume = series.volume.copy()
    volume[rows] *= random.uniform(6, 12, len(rows))
    return replace(series, volume=volume)


@pytest.fixture(scope="module")
def proof(candles: Candles) -> Proof:
    def both(candles: Candles) -> Columns:
        return {name: indicator(candles) for name, indicator in (LOOKING_AHEAD | HONEST).items()}

    return prove(both, candles, np.flatnonzero(is_signal(candles))[:50])


def test_every_planted_leak_is_found_and_nothing_honest_is_accused(proof: Proof) -> None:
    changed = {leak.column for leak in proof.changed}

    assert set(LOOKING_AHEAD) - changed == set()
    assert changed & set(HONEST) == set()
    assert len(LOOKING_AHEAD) >= 20


def test_the_catalogues_own_indicators_of_every_kind_are_not_accused() -> None:
    specs = parse_specs(SPECS)
    proof = prove(
        lambda candles: compute(specs, candles), hourly_candles().slice(0, 700), [], clock=count().__next__, limit_s=60
    )

    assert proof.checked > 50
    assert proof.changed == ()


def test_no_indicator_of_the_catalogue_looks_ahead() -> None:
    specs = parse_specs(catalog.names())
    proof = prove(
        lambda candles: compute(specs, candles), hourly_candles().slice(0, 420), [], clock=count().__next__, limit_s=8
    )

    assert proof.checked >= 6
    assert proof.changed == ()


@pytest.mark.parametrize("k", [2, 50, 100, 199, 200])
def test_in_a_long_series_a_leak_on_each_kth_candle_alone_is_found_whichever_it_begins_with(k: int) -> None:
    def compute(candles: Candles) -> Columns:
        rows, following = np.arange(len(candles)), shifted(candles.close, -1)
        return {str(first): np.where(rows % k == first, following, candles.close) for first in (0, k // 2, k - 1)}

    proof = prove(compute, made_candles(45_000), [])

    assert proof.checked < 300
    assert len(proof.changed) == len({0, k // 2, k - 1})
