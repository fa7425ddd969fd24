"""What a Sharpe ratio is worth: the published examples, noise that fools the plain figure, and how often it covers."""

import math
from dataclasses import asdict

import numpy as np
import pytest

from mcp_server.domain.backtest.bootstrap import block_length, resampled_sharpes
from mcp_server.domain.backtest.returns import grid_returns, sharpe_of
from mcp_server.domain.backtest.worth import (
    Trial,
    deflated_sharpe,
    luckiest_sharpe,
    min_track_record,
    moments_of,
    probabilistic_sharpe,
    worth,
)
from mcp_server.domain.candles import Floats
from tests.backtest.made_backtests import FIRST_MS


def noise(count: int, mean: float = 0.0, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).standard_normal(count) * 0.01 + mean


def depending(count: int, on_the_one_before: float, generator: np.random.Generator) -> Floats:
    """An AR(1) series with a mean of 0 and a standard deviation of 1."""
    values = generator.standard_normal(count)
    values[1:] *= math.sqrt(1 - on_the_one_before**2)
    for i in range(1, count):
        values[i] += on_the_one_before * values[i - 1]
    return values


@pytest.mark.parametrize(
    ("trials", "skew", "kurtosis", "published"), [(100, -3, 10, 0.9004), (46, -3, 10, 0.9505), (88, 0, 3, 0.9505)]
)
def test_the_deflated_sharpe_ratio_is_that_of_the_papers_example(
    trials: int, skew: float, kurtosis: float, published: float
) -> None:
    """Bailey and López de Prado (2014): 2.5 a year over 1,250 days, trials with a variance of 1/2 a year."""
    luck = luckiest_sharpe(0.5 / 250, trials)
    assert luck * (trials == 100) == pytest.approx(0.1132 * (trials == 100), abs=5e-5)
    found = probabilistic_sharpe(2.5 / math.sqrt(250), 1250, skew, kurtosis, luck)
    assert found == pytest.approx(published, abs=5e-5)


def test_the_probabilistic_sharpe_ratio_is_that_of_the_papers_example() -> None:
    """Bailey and López de Prado (2012): 24 months at 0.458 a month, first as if normal, then as they were."""
    assert probabilistic_sharpe(0.458, 24, 0, 3) == pytest.approx(0.982, abs=5e-4)
    assert probabilistic_sharpe(0.458, 24, -2.448, 10.164) == pytest.approx(0.913, abs=5e-4)


@pytest.mark.parametrize(
    ("periods", "skew", "kurtosis", "years"),
    [(252, 0, 3, 2.73), (52, 0, 3, 2.83), (12, 0, 3, 3.24), (12, -0.72, 5.78, 4.99)],
)
def test_the_record_that_it_would_take_is_that_of_the_papers_examples(
    periods: int, skew: float, kurtosis: float, years: float
) -> None:
    """Bailey and López de Prado (2012): an annual Sharpe ratio of 2, to be shown above 1."""
    needed = min_track_record(2 / math.sqrt(periods), skew, kurtosis, 1 / math.sqrt(periods))
    assert needed is not None
    assert needed / periods == pytest.approx(years, abs=5e-3)


def test_at_the_record_that_it_would_take_the_probability_is_95_per_cent() -> None:
    needed = min_track_record(0.05, -1.0, 8.0)
    assert needed is not None
    assert probabilistic_sharpe(0.05, round(needed), -1.0, 8.0) == pytest.approx(0.95, abs=1e-3)
    assert min_track_record(0.0, 0, 3) is min_track_record(-0.1, 0, 3) is None


@pytest.mark.parametrize("draws", [25, pytest.param(100, marks=pytest.mark.long)])
def test_of_fifty_strategies_of_noise_the_best_fools_the_plain_figure_and_not_the_deflated_one(draws: int) -> None:
    """Many draws of random prices, on which fifty strategies are long and short at random, three days each."""
    generator, plain, deflated = np.random.default_rng(2026), [], []
    times = FIRST_MS + np.arange(900) * 86_400_000
    for _ in range(draws):
        market = generator.standard_normal(900) * 0.02
        sides = np.repeat(generator.choice([-1, 1], (50, 300)), 3, axis=1)
        equities = np.cumprod(1 + sides * market, axis=1)
        tries = [moments_of(grid_returns(times, equity, "1d"), "1d") for equity in equities]
        *others, best = sorted((one for one in tries if one), key=lambda moments: moments.sharpe)
        plain.append(deflated_sharpe(best, "1d", []) or 0)
        deflated.append(deflated_sharpe(best, "1d", [Trial(other.sharpe, "1d") for other in others]) or 0)

    assert sum(value < 0.95 for value in deflated) >= 0.95 * draws
    assert sum(value > 0.95 for value in plain) >= 0.9 * draws, (
        "one look in twenty is fooled; the best of fifty nearly always"
    )


def test_skill_is_not_deflated_away() -> None:
    others = [Trial(sharpe_of(noise(2000, seed=seed)), "1d") for seed in range(49)]
    result = worth(noise(2000, mean=0.0012, seed=77), "1d", others)
    assert result.sharpe_deflated is not None
    assert result.sharpe_deflated > 0.95


@pytest.mark.parametrize(("dependence", "at_least"), [pytest.param(0.0, 0.90, marks=pytest.mark.long), (0.4, 0.88)])
def test_the_interval_covers_the_true_sharpe_ratio_about_as_often_as_it_says(
    dependence: float, at_least: float
) -> None:
    """100 series of 300 returns whose Sharpe ratio is 0.1. The usual interval takes them as independent ones."""
    generator, covered, naively = np.random.default_rng(8), 0, 0
    for _ in range(100):
        returns = depending(300, dependence, generator) + 0.1
        low, high = np.quantile(resampled_sharpes(returns), [0.025, 0.975])
        covered += low <= 0.1 <= high
        naively += abs((sharpe_of(returns) or 0) - 0.1) <= 1.96 / math.sqrt(300)
    assert at_least <= covered / 100 <= 0.99
    if dependence > 0:
        assert naively / 100 < 0.85


def test_the_interval_is_annual_and_around_the_sharpe_ratio_and_the_same_again() -> None:
    returns = noise(3000, mean=0.0005)
    result, again = worth(returns, "1h", []), worth(returns.copy(), "1h", [])
    assert result == again
    assert result.sharpe_ci95 is not None
    low, high = result.sharpe_ci95
    sharpe = (sharpe_of(returns) or 0) * math.sqrt(8760)
    assert low < sharpe < high
    assert high - low == pytest.approx(2 * 1.96 * math.sqrt(8760 / 3000), rel=0.1)


def test_the_blocks_are_as_long_as_the_theory_says_for_a_series_that_depends_on_the_one_before() -> None:
    """Politis and White (2004): (2 x phi / (1 - phi^2))^(2/3) x n^(1/3)."""
    for phi in (0.3, 0.6):
        returns = depending(50_000, phi, np.random.default_rng(4))
        expected = (2 * phi / (1 - phi**2)) ** (2 / 3) * 50_000 ** (1 / 3)
        assert block_length(returns) == pytest.approx(expected, rel=0.15)


def test_a_resample_in_which_nothing_moves_has_a_sharpe_ratio_of_nought() -> None:
    returns = np.zeros(2000)
    returns[700] = 0.05
    sharpes = resampled_sharpes(returns)
    assert (sharpes == 0).mean() == pytest.approx(math.exp(-1), abs=0.05)
    assert np.isfinite(sharpes).all()


def test_with_one_trial_the_deflated_figure_is_the_probabilistic_one() -> None:
    alone = worth(noise(500, mean=0.001), "1d", [])
    assert alone.trials == 1
    assert alone.sharpe_deflated == alone.sharpe_probabilistic
    assert alone.sharpe_probabilistic is not None


def test_each_further_trial_lowers_the_deflated_figure_and_leaves_the_others() -> None:
    returns = noise(500, mean=0.001)
    results = [
        worth(returns, "1d", [Trial(sharpe, "1d") for sharpe in [0.05, -0.05] * count]) for count in (0, 1, 3, 10)
    ]
    deflated = [result.sharpe_deflated or 0 for result in results]
    assert deflated == sorted(deflated, reverse=True)
    assert len(set(deflated)) == 4
    assert [result.trials for result in results] == [1, 3, 7, 21]
    assert len({result.sharpe_probabilistic for result in results}) == 1


def test_trials_of_another_timeframe_are_scaled_to_candles_of_this_one() -> None:
    returns = noise(500, mean=0.001)
    daily = [Trial(0.08, "1d"), Trial(-0.02, "1d")]
    hourly = [Trial(0.08 / math.sqrt(24), "1h"), Trial(-0.02 / math.sqrt(24), "1h")]
    assert worth(returns, "1d", hourly).sharpe_deflated == pytest.approx(worth(returns, "1d", daily).sharpe_deflated)


def test_a_trial_without_a_sharpe_ratio_counts_and_adds_no_variance() -> None:
    returns = noise(500, mean=0.001)
    with_it = worth(returns, "1d", [Trial(0.08, "1d"), Trial(None, "1d")])
    same_variance = worth(returns, "1d", [Trial(0.08, "1d")])
    assert (with_it.trials, same_variance.trials) == (3, 2)
    assert (with_it.sharpe_deflated or 1) < (same_variance.sharpe_deflated or 0)
    assert worth(returns, "1d", [Trial(None, "1d")]).sharpe_deflated == same_variance.sharpe_probabilistic


@pytest.mark.parametrize(("returns", "timeframe"), [(noise(89), "1d"), (noise(2159), "1h"), (np.zeros(500), "1d")])
def test_under_90_days_and_without_a_movement_nothing_is_defined_but_the_number_of_trials(
    returns: Floats, timeframe: str
) -> None:
    assert [name for name, value in asdict(worth(returns, timeframe, [Trial(0.1, "1d")])).items() if value] == [
        "trials"
    ]
    assert worth(noise(2160), "1h", []).sharpe_ci95 is not None


def test_a_record_that_lost_can_never_be_long_enough() -> None:
    result = worth(noise(500, mean=-0.002), "1d", [])
    assert result.min_track_record_days is None
    assert result.sharpe_probabilistic is not None
    assert result.sharpe_probabilistic < 0.05


def test_the_record_that_it_would_take_is_told_in_days() -> None:
    returns = noise(3000, mean=0.0005)
    hourly, four_hourly = (worth(returns, timeframe, []).min_track_record_days for timeframe in ("1h", "4h"))
    assert hourly is not None
    assert four_hourly == pytest.approx(hourly * 4)
