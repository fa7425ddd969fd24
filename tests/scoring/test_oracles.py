"""The statistics of a score beside scikit-learn, scoringrules and statsmodels (`make parity` asked them)."""

from typing import Any

import numpy as np
import pytest

from mcp_server.domain.scoring.brier import brier_score, brier_skill
from mcp_server.domain.scoring.calibration import calibrated_confidence, logistic_regression, logit, platt_fit
from mcp_server.domain.scoring.hac import mean_spread, weighted_products
from mcp_server.domain.scoring.reliability import reliability
from tests.parity import fixtures
from tests.parity.scoring import BINS, LAGS, RECORDS, SEPARABLE, base_of, overlapping, record_of
from tests.scoring.walks import stated

ORACLES: dict[str, Any] = fixtures.read("scoring")
HOUR_MS = 3_600_000


@pytest.fixture(params=RECORDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_brier_score_is_that_of_scikit_learn_and_of_scoringrules(kind: str) -> None:
    oracle = ORACLES["records"][kind]
    score = brier_score(*record_of(kind))
    assert score == pytest.approx(oracle["brier"], abs=1e-12)
    assert score == pytest.approx(oracle["brier_scoringrules"], abs=1e-12)


def test_the_skill_compares_with_the_brier_score_of_the_base_rates(kind: str) -> None:
    oracle = ORACLES["records"][kind]
    skill = brier_skill(*record_of(kind), base_of(kind))
    assert skill == pytest.approx(1 - oracle["brier"] / oracle["brier_base"], abs=1e-12)


@pytest.mark.parametrize("bins", BINS)
def test_the_reliability_table_is_the_calibration_curve_of_scikit_learn(kind: str, bins: int) -> None:
    table = reliability(stated(*record_of(kind)), bins)
    shares, confidences = ORACLES["records"][kind]["curves"][str(bins)]
    assert table is not None
    assert [row.share_right for row in table.bins] == pytest.approx(shares, abs=1e-12)
    assert [row.mean_confidence for row in table.bins] == pytest.approx(confidences, abs=1e-12)


def test_platts_fit_is_the_logistic_regression_of_scikit_learn(kind: str) -> None:
    oracle, fit = ORACLES["records"][kind]["platt"], platt_fit(*record_of(kind))
    assert fit is not None
    assert (fit.intercept, fit.slope) == pytest.approx((oracle["intercept"], oracle["slope"]), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("plain", [name for name in RECORDS if name not in SEPARABLE])
def test_without_platts_targets_the_optimum_is_that_of_scikit_learn_too(plain: str) -> None:
    confidence, right = record_of(plain)
    oracle = ORACLES["records"][plain]["logistic"]
    fit = logistic_regression(logit(confidence), right.astype(float))
    assert list(fit) == pytest.approx([oracle["intercept"], oracle["slope"]], rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("lags", LAGS)
def test_on_a_regular_grid_the_variance_is_the_hac_of_statsmodels(lags: int) -> None:
    values = overlapping()
    n, time_ms = len(values), np.arange(len(values)) * HOUR_MS
    (total,) = weighted_products((values - values.mean())[None], time_ms, (lags + 1) * HOUR_MS)
    assert total / (n * (n - 1)) == pytest.approx(ORACLES["hac"][str(lags)], rel=1e-12)


@pytest.mark.parametrize("lags", LAGS)
def test_an_interval_is_never_narrower_than_that_variance(lags: int) -> None:
    values = overlapping()
    spread = mean_spread(values, np.arange(len(values)) * HOUR_MS, (lags + 1) * HOUR_MS)
    assert spread is not None
    assert ORACLES["hac"][str(lags)] * (1 - 1e-12) <= spread.variance <= ORACLES["hac"][str(lags)] * 1.5 * (1 + 1e-12)
    assert spread.critical > 1.96


def test_a_calibrated_confidence_mixes_the_fit_with_the_base_rate_by_the_number_of_signals() -> None:
    confidence, right = record_of("few")
    oracle = ORACLES["records"]["few"]["platt"]
    fit = platt_fit(confidence, right)
    assert fit is not None
    platt = 1 / (1 + np.exp(-(oracle["intercept"] + oracle["slope"] * np.log(0.8 / 0.2))))
    assert calibrated_confidence(np.array([0.8]), fit, 0.42)[0] == pytest.approx(30 / 80 * platt + 50 / 80 * 0.42)
