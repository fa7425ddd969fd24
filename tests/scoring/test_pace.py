"""How long until five points above the base rate would show: against strategies that are simulated one by one."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest

from mcp_server.domain.rules.series import BUY, SELL
from mcp_server.domain.scoring.base_rate import base_rate, known_shares, upper_limit
from mcp_server.domain.scoring.e_value import SkillEvidence, e_values, lifts, log_wealth, skill_evidence
from mcp_server.domain.scoring.keys import PROOF
from mcp_server.domain.scoring.pace import TimeToShow, outcomes_per_day, time_to_show
from tests.rigs.sampled import sampled
from tests.scoring.walks import HOUR_MS, outcomes, record, walk

DAY_MS = 24 * HOUR_MS


def standing(share: float, independent: float, right: int = 0, wrong: int = 0) -> SkillEvidence:
    """The evidence of a record of a day's horizon, after so many right and wrong outcomes."""
    limit = upper_limit(np.array([share]), np.array([independent]))[0]
    hits = np.arange(right + wrong) < right
    wealth = np.vstack([lifts()[1], log_wealth(hits, np.full(len(hits), limit))])[-1]
    value, none = float(e_values(wealth[None])[0]), np.zeros(0)
    return SkillEvidence(
        value=value,
        factors=right + wrong,
        left_out=0,
        path=none,
        known_ms=none.astype(np.int64),
        log_wealth=wealth,
        share=share,
        independent=independent,
        horizon_ms=DAY_MS,
    )


def median_simulated(evidence: SkillEvidence, hit_rate: float, growth: float, most: int) -> float:
    """After how many more outcomes half of 800 strategies with that hit rate have shown it; infinite beyond `most`."""
    rng = np.random.default_rng(18)
    assert evidence.independent is not None
    independent = evidence.independent + growth * np.arange(1.0, most + 1)
    null = upper_limit(np.full(most, evidence.share, dtype=np.float64), independent)[:, None]
    lift, _ = lifts()
    right, wrong = np.log((null + lift * (1 - null)) / null), np.log(1 - lift)
    first: list[float] = []
    for _ in range(800):
        wealth = np.cumsum(np.where(rng.random(most)[:, None] < hit_rate, right, wrong), axis=0)
        path = np.exp(evidence.log_wealth + wealth).sum(axis=1) >= PROOF
        first.append(float(path.argmax()) + 1 if path.any() else inf)
    return float(np.median(first))


@pytest.mark.parametrize(
    ("evidence", "base", "per_day"),
    sampled(
        [
            (standing(0.476, 1e9), 0.476, 1.0),
            (standing(0.28, 1e9), 0.30, 0.5),
            (standing(0.476, 4_000.0), 0.476, 0.5),
            (standing(0.10, 2_000.0), 0.10, 1.0),
            (standing(0.414, 1e9, right=150, wrong=200), 0.414, 1.0),
            (standing(0.414, 1e9, right=66, wrong=64), 0.414, 1.0),
            (standing(0.05, 1e9, right=2, wrong=130), 0.05, 1.0),
        ],
        3,
    ),
)
def test_it_is_within_15_per_cent_of_the_median_of_simulated_strategies(
    evidence: SkillEvidence, base: float, per_day: float
) -> None:
    time = time_to_show(evidence, base, per_day)
    assert time.outcomes is not None
    assert time.days == pytest.approx(time.outcomes / per_day, abs=1 / per_day)
    simulated = median_simulated(evidence, base + 0.05, 1 / per_day, round(1.2 * time.outcomes))
    assert time.outcomes == pytest.approx(simulated, rel=0.15)


def test_what_shows_already_takes_no_time() -> None:
    proven = standing(0.5, 1e9, right=90, wrong=10)
    assert time_to_show(proven, 0.5, 1.0) == TimeToShow(0, 0.0)


def test_it_is_not_known_without_a_base_rate_or_what_was_known_and_days_not_without_a_pace() -> None:
    unknown = TimeToShow(None, None)
    assert time_to_show(standing(0.5, 1e9), None, 1.0) == unknown
    assert time_to_show(replace(standing(0.5, 1e9), share=None, independent=None), 0.5, 1.0) == unknown
    assert time_to_show(standing(0.97, 1e9), 0.97, 1.0) == unknown
    time = time_to_show(standing(0.5, 1e9), 0.5, None)
    assert time.outcomes is not None
    assert time.days is None


def test_what_would_not_show_in_any_foreseeable_time_has_no_date() -> None:
    assert time_to_show(standing(0.60, 1e9), 0.50, 1.0) == TimeToShow(None, None)


def test_any_record_has_a_time_or_none_however_far_it_is_behind() -> None:
    rng = np.random.default_rng(19)
    for _ in range(150):
        share, count = float(rng.uniform(0, 0.99)), int(10 ** rng.uniform(0, 4))
        right = int(rng.binomial(count, np.clip(share + rng.normal(0, 0.1), 0, 1)))
        evidence = standing(share, float(10 ** rng.uniform(0.5, 6)), right, count - right)
        time = time_to_show(evidence, share, float(10 ** rng.uniform(-3, 0)))
        assert time.outcomes is None or 0 <= time.outcomes <= 100_001


def test_a_strategy_that_signals_seldom_needs_fewer_outcomes_as_more_of_the_market_is_known_by_then() -> None:
    often, seldom = (time_to_show(standing(0.476, 500.0), 0.476, per_day).outcomes for per_day in (1.0, 0.2))
    assert often is not None
    assert seldom is not None
    assert seldom < often


def test_the_pace_counts_outcomes_that_do_not_overlap_up_to_now() -> None:
    candles = walk(np.random.default_rng(1), 400)
    judged = record(candles, np.arange(0, 96, 6), [BUY] * 16, 24)
    assert outcomes_per_day(judged, 4 * DAY_MS) == pytest.approx(1.0)
    assert outcomes_per_day(judged, 8 * DAY_MS) == pytest.approx(0.5)
    assert outcomes_per_day(judged.pick(np.arange(16) < 4), 8 * DAY_MS) is None
    assert outcomes_per_day(outcomes(np.zeros(0)), 8 * DAY_MS) is None


def test_a_record_on_a_market_has_a_time_to_show() -> None:
    rng = np.random.default_rng(2)
    candles = walk(rng, 12_000)
    at = np.arange(10_000, 11_900, 7)
    judged = record(candles, at, rng.choice([BUY, SELL], len(at)), 4)
    evidence = skill_evidence(judged, known_shares(candles, "1h", judged))
    rate = base_rate(candles, "1h", judged).weighted
    time = time_to_show(evidence, rate, outcomes_per_day(judged, int(judged.exit_ms[-1])))
    assert time.outcomes is not None
    assert time.days == pytest.approx(time.outcomes * 7 / 24, rel=0.02)
    assert 500 < time.outcomes < 20_000
