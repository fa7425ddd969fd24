"""Intervals of means and hit rates whose outcomes overlap: what they cover, and where there is none."""

import numpy as np
import pytest

from mcp_server.domain.candles import Floats, Times
from mcp_server.domain.scoring.compare import against_holding
from mcp_server.domain.scoring.hac import bandwidth_ms, critical_value, mean_interval, mean_spread, weighted_products
from mcp_server.domain.scoring.hit_rate import Flags, hit_rate_interval
from mcp_server.domain.scoring.signals import JudgedSignals
from tests.rigs.sampled import sampled
from tests.scoring.coverage import COST, HORIZON, SCENARIOS, Scenario, coverage, returns, signals

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
BEGIN_MS = 1_700_000_000_000


def hours(count: int, step: int = 1) -> Times:
    return BEGIN_MS + np.arange(count) * step * HOUR_MS


@pytest.mark.parametrize("scenario", sampled(SCENARIOS, 8), ids=lambda scenario: scenario.name)
def test_a_95_percent_interval_covers_the_truth_in_93_to_97_percent_of_records(scenario: Scenario) -> None:
    shares, having = coverage(scenario, draws=1000)
    assert having > 0.99
    assert {kind: share for kind, share in shares.items() if not 0.93 <= share <= 0.97} == {}


def test_without_its_two_corrections_the_interval_would_cover_less_than_90_percent_of_short_records() -> None:
    scenario, covered = next(one for one in SCENARIOS if one.name == "five bandwidths"), list[bool]()
    generator = np.random.default_rng(16)
    own, r = signals(scenario, generator, 500), returns(scenario, generator, 500)
    for signal, moves in zip(own, r, strict=True):
        net, time_ms = signal * moves - COST, hours(scenario.hours)
        width = bandwidth_ms(HORIZON * HOUR_MS, signal, time_ms)
        (total,) = weighted_products((net - net.mean())[None], time_ms, width)
        covered.append(abs(net.mean() + COST) <= 1.96 * total**0.5 / len(net))
    assert 0.8 < np.mean(covered) < 0.9


def test_pairs_are_weighted_by_their_distance_in_time_and_not_in_rows() -> None:
    generator = np.random.default_rng(1)
    time_ms = BEGIN_MS + np.sort(generator.integers(0, 300, 120)) * 977_000
    columns, width = generator.standard_normal((2, 120)), 7_777_777.0
    weights = np.maximum(0, 1 - np.abs(time_ms[:, None] - time_ms) / width)
    expected = [row @ weights @ row for row in columns]
    assert weighted_products(columns, time_ms, width) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("share", [0.1, 0.2])
def test_the_critical_value_is_that_of_records_that_do_not_depend(share: float) -> None:
    """The 95 % quantile of |mean| ÷ its standard error, where the bandwidth is this share of 200 outcomes."""
    values = np.random.default_rng(8).standard_normal((10_000, 200))
    mean = values.mean(axis=1)
    variance = weighted_products(values - mean[:, None], hours(200), share * 200 * HOUR_MS) / 200**2
    assert critical_value(share) == pytest.approx(np.quantile(np.abs(mean) / np.sqrt(variance), 0.95), rel=0.02)


def test_outcomes_that_do_not_overlap_get_students_interval() -> None:
    values = np.random.default_rng(2).standard_normal(30) + 0.3
    interval = mean_interval(values, hours(30, step=48), DAY_MS)
    assert interval is not None
    half = 2.045 * values.std(ddof=1) / 30**0.5  # Student's t with 29 degrees of freedom
    assert (interval.low, interval.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.01 * half)


def test_outcomes_that_are_all_said_over_and_over_are_no_surer_than_once() -> None:
    """The same outcome in each of 24 hours adds nothing: the interval is nearly that of one a day."""
    daily = np.random.default_rng(3).standard_normal(100)
    once = mean_interval(daily, hours(100, step=24), DAY_MS)
    repeated = mean_interval(np.repeat(daily, 24), hours(2400), 2 * DAY_MS)
    assert once is not None
    assert repeated is not None
    assert repeated.mean == pytest.approx(once.mean)
    assert (repeated.high - repeated.low) == pytest.approx(once.high - once.low, rel=0.15)


def test_a_record_has_an_interval_from_five_bandwidths_of_time_on() -> None:
    values = np.arange(200.0) % 7
    assert mean_interval(values[:121], hours(121), DAY_MS) is not None
    assert mean_interval(values[:120], hours(120), DAY_MS) is None
    assert hit_rate_interval(values[:121] > 3, hours(121), DAY_MS) is not None
    assert hit_rate_interval(values[:120] > 3, hours(120), DAY_MS) is None


@pytest.mark.parametrize("time_ms", [hours(0), hours(1), hours(4, step=1000), np.repeat(hours(2, step=1000), 50)])
def test_few_outcomes_or_few_clusters_of_them_have_no_interval_however_far_apart(time_ms: Times) -> None:
    values = np.arange(float(len(time_ms))) % 3
    assert mean_interval(values, time_ms, DAY_MS) is None
    assert hit_rate_interval(values > 1, time_ms, DAY_MS) is None


def test_values_that_never_differ_have_an_interval_without_width() -> None:
    interval = mean_interval(np.full(200, -0.003), hours(200), DAY_MS)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((-0.003, -0.003))


@pytest.mark.parametrize(
    ("signal", "run"),
    [
        ([1, 1, -1, -1, 1, 1], 2),  # runs of two hours, each
        ([1, 0, 0, 0, 1, 0], 1),  # a HOLD ends a run and makes none
        ([1, 1, 1, -1, 0, -1], 5 / 3),
        ([1] * 6, 6),
        ([0] * 6, 0),
    ],
)
def test_the_bandwidth_is_the_horizon_and_the_mean_run_of_a_signal(signal: list[int], run: float) -> None:
    codes = np.array(signal, dtype=np.int8)
    assert bandwidth_ms(DAY_MS, codes, hours(6)) == pytest.approx(DAY_MS + run * HOUR_MS)


def test_a_run_is_measured_in_time_and_not_in_rows() -> None:
    codes = np.array([1, 1, -1, -1], dtype=np.int8)
    time_ms = BEGIN_MS + np.array([0, 1, 10, 11]) * HOUR_MS
    assert bandwidth_ms(DAY_MS, codes, time_ms) == pytest.approx(DAY_MS + (10 + 2) / 2 * HOUR_MS)


def test_a_strategy_that_only_sells_and_holds_is_compared_with_holding_by_its_runs_too() -> None:
    signal = np.tile(np.array([-1, 0], dtype=np.int8), 120)
    r, some = np.random.default_rng(7).normal(0, 0.01, 240), np.zeros(240)
    judged = JudgedSignals(np.arange(240), hours(240), hours(240), hours(240) + DAY_MS, signal, r, some, some, some)
    comparison = against_holding(judged, DAY_MS)
    expected = mean_interval(-2 * r[::2], hours(240)[::2], DAY_MS + HOUR_MS)
    assert expected is not None
    assert comparison.interval == expected


@pytest.mark.parametrize("count", [0, 1])
def test_without_two_signals_the_bandwidth_is_the_horizon(count: int) -> None:
    assert bandwidth_ms(DAY_MS, np.ones(count, dtype=np.int8), hours(count)) == DAY_MS


def rates(right: Floats | Flags, step: int = 1) -> tuple[float, float]:
    interval = hit_rate_interval(right.astype(bool), hours(len(right), step), DAY_MS)
    assert interval is not None
    assert 0 <= interval.low <= interval.mean <= interval.high <= 1
    return interval.low, interval.high


def test_all_right_and_all_wrong_leave_doubt_as_of_the_days_that_the_record_has() -> None:
    low, high = rates(np.ones(480))  # 20 days of 24 signals: Wilson's interval for 20 of 20 begins at 0.839
    assert high == pytest.approx(1)
    assert low == pytest.approx(0.82, abs=0.03)
    assert rates(np.zeros(480)) == pytest.approx((1 - high, 1 - low))


def test_a_single_wrong_one_among_many_makes_no_record_surer() -> None:
    right = np.ones(480)
    all_right, right[200] = rates(right), 0
    assert rates(right)[0] < all_right[0]


def test_hits_that_do_not_overlap_have_wilsons_interval() -> None:
    right = np.arange(200) % 5 < 3
    right = np.random.default_rng(4).permutation(right).astype(float)  # 120 of 200: Wilson gives 0.531 to 0.665
    assert rates(right, step=48) == pytest.approx((0.531, 0.665), abs=0.003)


def test_the_same_hits_repeated_are_no_surer() -> None:
    right = np.random.default_rng(5).random(60) < 0.6
    low, high = rates(np.repeat(right, 24))
    once = rates(right.astype(float), step=24)
    assert high - low > 0.8 * (once[1] - once[0])


def test_outcomes_that_make_up_for_those_before_narrow_no_interval() -> None:
    """Bartlett's weights count negative dependence for too little as well: nothing is taken off for that."""
    values = np.where(np.arange(480) // 12 % 2, 1.0, -1.0)
    spread = mean_spread(values, hours(480), DAY_MS)
    (total,) = weighted_products(values[None], hours(480), DAY_MS)
    assert spread is not None
    assert spread.variance == pytest.approx(total / (480 * 479))


def test_moving_a_record_in_time_or_changing_its_unit_changes_nothing_else() -> None:
    values = np.random.default_rng(6).standard_normal(300)
    interval, later = (mean_interval(values, hours(300) + shift, DAY_MS) for shift in (0, 10 * DAY_MS))
    assert interval == later
    hundredfold = mean_interval(100 * values, hours(300), DAY_MS)
    assert interval is not None
    assert hundredfold is not None
    assert (hundredfold.low, hundredfold.high) == pytest.approx((100 * interval.low, 100 * interval.high))
