"""What a Sharpe ratio is worth, beside arch, skfolio, holdout-backtest and scikit-learn (`make parity` asked them)."""

from typing import Any

import numpy as np
import pytest

from mcp_server.domain.backtest.bootstrap import block_length
from mcp_server.domain.backtest.returns import candles_per_year
from mcp_server.domain.backtest.worth import Trial, Worth, moments_of, worth
from tests.parity import fixtures
from tests.parity.statistics import KINDS, TRIALS, returns_of

ORACLES: dict[str, Any] = fixtures.read("statistics")


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def ours(kind: str) -> Worth:
    return worth(returns_of(kind), "1h", [Trial(sharpe, "1h") for sharpe in TRIALS])


def test_moments_are_those_of_skfolio(kind: str) -> None:
    moments, oracle = moments_of(returns_of(kind), "1h"), ORACLES["returns"][kind]
    assert moments is not None
    assert moments.sharpe == pytest.approx(oracle["sharpe"], rel=1e-9)
    assert moments.skew == pytest.approx(oracle["skew"], rel=1e-6)
    assert moments.kurtosis == pytest.approx(oracle["kurtosis"], rel=1e-9)


def test_the_probabilistic_and_the_deflated_sharpe_ratio_are_those_of_skfolio(kind: str, ours: Worth) -> None:
    oracle = ORACLES["returns"][kind]
    assert ours.trials == len(TRIALS) + 1
    assert ours.sharpe_probabilistic == pytest.approx(oracle["probabilistic"], rel=1e-9)
    assert ours.sharpe_deflated == pytest.approx(oracle["deflated"], rel=1e-9)


def test_the_record_that_it_would_take_is_that_of_holdout_backtest(kind: str, ours: Worth) -> None:
    assert ours.min_track_record_days == pytest.approx(ORACLES["returns"][kind]["min_track_record"] / 24, rel=1e-9)


def test_blocks_are_as_long_as_those_of_arch(kind: str) -> None:
    """arch's window begins at the first lag that is not significant, that of the paper at the last one that is.

    It makes a difference where returns depend on those before.
    """
    close = 5e-3 if kind == "depend" else 1e-9
    assert block_length(returns_of(kind)) == pytest.approx(ORACLES["returns"][kind]["block_length"], rel=close)


def test_the_interval_is_that_of_archs_stationary_bootstrap(kind: str, ours: Worth) -> None:
    """Both draw at random: 2,000 resamples of ours against 20,000; their ends differ by a twentieth of the width."""
    low, high = np.array(ORACLES["returns"][kind]["interval"]) * candles_per_year("1h") ** 0.5
    assert ours.sharpe_ci95 == pytest.approx((low, high), abs=0.05 * (high - low))
