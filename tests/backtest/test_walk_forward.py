"""Walk-forward and the probability of overfitting: nothing is chosen by what comes later, and noise is called noise."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from mcp_server.domain.backtest.pbo import probability_of_overfitting
from mcp_server.domain.backtest.track import FOLDS, Track, fold_bounds, sharpes, track_of
from mcp_server.domain.backtest.walk_forward import walk_forward
from mcp_server.domain.candles import Floats
from tests.backtest.made_backtests import FIRST_MS
from tests.domain.test_backtest_oracles import ORACLES
from tests.parity import statistics

HOUR_MS = 3_600_000
N = 600
LENGTH, EMBARGO = 100, 6


def track(returns: Floats, timeframe: str = "1h", hours: int = 1) -> Track:
    equity = np.cumprod(1 + returns, dtype=np.float64)
    return track_of(FIRST_MS + np.arange(len(returns)) * hours * HOUR_MS, equity, timeframe)


def noise(seed: int, count: int = N) -> Floats:
    return np.random.default_rng(seed).standard_normal(count) * 0.01


HOLDING = track(noise(0))


def test_folds_and_their_embargo_are_those_of_scikit_learn() -> None:
    bounds = fold_bounds(statistics.FOLD_ROWS, statistics.EMBARGO)
    assert [[train - 1, start, end - 1] for train, start, end in bounds.tolist()] == ORACLES["folds"]


@pytest.mark.parametrize("candles", [120, 121, 599, 100_003])
def test_folds_follow_one_another_to_the_end_and_an_embargo_of_one_per_cent_is_kept(candles: int) -> None:
    bounds = fold_bounds(candles)
    train, start, end = bounds.T
    assert end[-1] == candles
    assert (start[1:] == end[:-1]).all()
    assert (start - train == math.ceil(candles / 100)).all()
    assert train[0] >= candles / 10


def test_each_fold_is_left_to_the_variant_that_was_best_before_it() -> None:
    early, late = noise(1), noise(2)
    early[: 3 * LENGTH] += 0.02
    early[3 * LENGTH :] -= 0.02
    late[3 * LENGTH :] += 0.03
    result = walk_forward([track(early), track(late)], HOLDING)

    assert result is not None
    chosen = [fold.chosen for fold in result.folds]
    assert chosen[:3] == [0, 0, 0]
    assert chosen[4] == 1
    expected = [
        (early, late)[fold.chosen or 0][(k + 1) * LENGTH : (k + 2) * LENGTH] for k, fold in enumerate(result.folds)
    ]
    grown = [float(np.prod(1 + returns)) for returns in expected]
    assert [fold.return_pct for fold in result.folds] == pytest.approx([(value - 1) * 100 for value in grown])
    assert result.return_pct == pytest.approx((math.prod(grown) - 1) * 100)
    assert result.folds[0].start_ms == FIRST_MS + LENGTH * HOUR_MS
    assert [fold.end_ms for fold in result.folds[:-1]] == [fold.start_ms for fold in result.folds[1:]]
    assert result.folds[-1].end_ms == FIRST_MS + N * HOUR_MS


def test_what_happens_in_the_embargo_and_later_changes_no_choice() -> None:
    variants = [noise(seed) for seed in range(8)]
    before = walk_forward([track(returns) for returns in variants], HOLDING)
    assert before is not None
    for fold in range(FOLDS):
        cut = (fold + 1) * LENGTH - EMBARGO
        changed = [np.concatenate([returns[:cut], noise(90 + k, N - cut)]) for k, returns in enumerate(variants)]
        after = walk_forward([track(returns) for returns in changed], HOLDING)
        assert after is not None
        assert after.folds[fold].chosen == before.folds[fold].chosen


def test_the_last_candle_before_the_embargo_can_still_change_a_choice() -> None:
    first, second = noise(1), noise(1)
    second[LENGTH - EMBARGO - 1] = first[LENGTH - EMBARGO - 1] + 0.001
    assert _choices(first, second)[0] == 1
    second = noise(1)
    second[LENGTH - EMBARGO] += 0.001
    assert _choices(first, second)[0] == 0


def _choices(*variants: Floats) -> list[int | None]:
    result = walk_forward([track(returns) for returns in variants], HOLDING)
    assert result is not None
    return [fold.chosen for fold in result.folds]


def test_of_a_single_rule_its_own_returns_are_given_beside_holding() -> None:
    rule = np.zeros(N)
    rule[250] = 0.1
    result = walk_forward([track(rule)], HOLDING)

    assert result is not None
    assert [fold.return_pct for fold in result.folds] == pytest.approx([0, 10, 0, 0, 0])
    assert result.return_pct == pytest.approx(10)
    held = [float(np.prod(1 + noise(0)[k * LENGTH : (k + 1) * LENGTH])) for k in range(1, 6)]
    assert [fold.buy_and_hold_pct for fold in result.folds] == pytest.approx([(value - 1) * 100 for value in held])
    assert result.buy_and_hold_pct == pytest.approx((math.prod(held) - 1) * 100)


def test_where_no_variant_has_moved_before_a_fold_none_is_chosen_and_nothing_gained() -> None:
    late = np.zeros(N)
    late[250:] = noise(3, N - 250)
    result = walk_forward([track(late), track(np.zeros(N))], HOLDING)

    assert result is not None
    assert [fold.chosen for fold in result.folds] == [None, None, 0, 0, 0]
    assert [fold.return_pct for fold in result.folds[:2]] == [0, 0]


def test_ruin_takes_all_and_a_fold_after_it_has_no_return() -> None:
    ruined = noise(4)
    ruined[350] = -1.0
    result = walk_forward([track(ruined)], HOLDING)
    assert result is not None
    assert [fold.return_pct for fold in result.folds][2:] == [-100, None, None]
    assert result.return_pct == -100


def test_variants_of_other_timeframes_are_compared_by_the_year() -> None:
    hourly = noise(5) + 0.002
    four_hourly = np.prod(1 + hourly.reshape(-1, 4), axis=1) - 1 - 0.002
    result = walk_forward([track(hourly), track(four_hourly, "4h", 4)], HOLDING)
    assert result is not None
    assert [fold.chosen for fold in result.folds] == [0] * FOLDS, "per candle, the longer one looks twice as good"


def test_too_few_candles_or_no_variant_give_no_walk_forward() -> None:
    assert walk_forward([], HOLDING) is None
    assert walk_forward([track(noise(1, 119))], track(noise(0, 119))) is None
    assert walk_forward([track(noise(1, 120))], track(noise(0, 120))) is not None


def test_a_gap_counts_as_time_so_that_parts_stay_of_equal_length() -> None:
    there = np.r_[0:200, 400:600]
    whole = noise(6)
    whole[200:400] = 0
    equity = np.cumprod(1 + whole, dtype=np.float64)
    gappy = track_of(FIRST_MS + there * HOUR_MS, equity[there], "1h")
    for name in ("blocks", "training", "growth", "test_ms"):
        np.testing.assert_allclose(getattr(gappy, name), getattr(track(whole), name), atol=1e-12)


def test_sharpe_ratios_from_sums_are_those_of_the_returns() -> None:
    part = noise(7)[:50]
    sums = np.array([[50, part.sum(), (part**2).sum()], [50, 0, 0], [1, 0.1, 0.01], [0, 0, 0]])
    assert sharpes(sums)[0] == pytest.approx(part.mean() / part.std(ddof=1))
    assert np.isnan(sharpes(sums)[1:]).all()


def overfitting(variants: Sequence[Floats]) -> float | None:
    return probability_of_overfitting([track(returns) for returns in variants])


def test_the_probability_of_overfitting_is_that_of_holdout_backtest() -> None:
    assert overfitting(list(statistics.variants().T)) == pytest.approx(ORACLES["pbo"]["pbo"], abs=1e-12)


def test_choosing_among_noise_is_overfitting_half_of_the_time_and_choosing_a_real_edge_is_not() -> None:
    of_noise = [overfitting([noise(100 * draw + k, 320) for k in range(12)]) or 0 for draw in range(8)]
    assert np.mean(of_noise) == pytest.approx(0.5, abs=0.15)

    variants = [noise(k) for k in range(12)]
    variants[5] += 0.005
    assert overfitting(variants) == 0


def test_a_choice_that_always_fails_elsewhere_is_certain_to_be_overfitted() -> None:
    """Each variant shines in one block of time and loses in all others, more than those that do nothing."""
    variants = [np.where(np.arange(640) // 40 == k, 0.05, -0.004) + noise(k, 640) * 0.01 for k in range(16)]
    assert (overfitting(variants) or 0) > 0.99


def test_equal_variants_share_their_rank_and_are_no_better_than_the_middle() -> None:
    assert overfitting([noise(1)] * 10) == 1
    assert overfitting([np.zeros(N)] * 10) == 1


def test_fewer_than_ten_variants_or_too_short_blocks_give_no_probability() -> None:
    assert overfitting([noise(k) for k in range(9)]) is None
    assert overfitting([noise(k) for k in range(10)]) is not None
    assert overfitting([noise(k, 31) for k in range(10)]) is None
