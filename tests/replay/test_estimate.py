"""What a replay will cost: told by five of its moments, with an interval that holds as often as it says."""

import math
import random
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import NormalDist, fmean

import pytest

from runner.replay.estimate import (
    CONFIDENCE,
    MomentCost,
    RestPrice,
    above_cap,
    price_line,
    price_of_rest,
    student_t,
)
from runner.replay.moments import pilots

SEEDS = range(40)
Price = Callable[[random.Random, int], float]


def ran(*costs: float | None, seconds: float = 30.0) -> list[MomentCost]:
    return [MomentCost(None if cost is None else Decimal(str(cost)), seconds) for cost in costs]


def sure(amount: str, minutes: float) -> RestPrice:
    return RestPrice(Decimal(amount), Decimal(amount), Decimal(amount), minutes)


def priced(*costs: float | None, rest: int = 115, at_once: int = 2) -> RestPrice:
    price = price_of_rest(ran(*costs), rest, at_once)
    assert price is not None
    return price


@pytest.mark.parametrize(
    ("degrees", "quantile"),
    [(1, 6.314), (2, 2.920), (3, 2.353), (4, 2.132), (5, 2.015), (6, 1.943), (10, 1.812), (30, 1.697), (120, 1.658)],
)
def test_the_quantiles_are_those_of_the_tables(degrees: int, quantile: float) -> None:
    assert student_t(degrees) == pytest.approx(quantile, abs=0.001)


def by_resampling(costs: list[float], population: int, rest: int, draws: int = 20_000) -> tuple[float, float]:
    """Return what the rest costs, by drawing its sum given the pilots (a flat prior on the mean and log deviation)."""
    dice, count, mean = random.Random(7), len(costs), fmean(costs)  # noqa: S311 (a simulation)
    squares = sum((cost - mean) ** 2 for cost in costs)
    sums = []
    for _ in range(draws):
        deviation = math.sqrt(squares / sum(dice.gauss(0, 1) ** 2 for _ in range(count - 1)))
        middle = dice.gauss(mean, deviation / math.sqrt(count))
        sums.append(rest * middle + deviation * math.sqrt(rest) * dice.gauss(0, 1))
    sums.sort()
    assert population == count + rest
    return sums[int(draws * (1 - CONFIDENCE) / 2)], sums[int(draws * (1 + CONFIDENCE) / 2)]


@pytest.mark.parametrize("rest", [5, *(pytest.param(rest, marks=pytest.mark.long) for rest in (1, 115, 2_000))])
def test_the_interval_is_that_of_the_sum_of_the_rest_drawn_at_random(rest: int) -> None:
    costs = [0.05, 0.043, 0.061, 0.039, 0.057]
    low, high = by_resampling(costs, 5 + rest, rest)
    price = priced(*costs, rest=rest)
    assert float(price.low_usd) == pytest.approx(low, rel=0.02)
    assert float(price.high_usd) == pytest.approx(high, rel=0.02)


@pytest.mark.parametrize(
    ("draw", "least"),
    [
        (lambda dice: dice.gauss(0.05, 0.01), 0.88),
        (lambda dice: dice.uniform(0.02, 0.08), 0.87),
        (lambda dice: dice.lognormvariate(-3, 0.4), 0.84),
    ],
)
@pytest.mark.parametrize("rest", [3, pytest.param(115, marks=pytest.mark.long)])
def test_the_interval_holds_nine_times_of_ten(draw: Callable[[random.Random], float], least: float, rest: int) -> None:
    dice, tries, within = random.Random(11), 2_000, 0  # noqa: S311 (a simulation)
    for _ in range(tries):
        costs = [draw(dice) for _ in range(5 + rest)]  # of independent draws any five are a random sample
        price = priced(*costs[:5], rest=rest)
        within += price.low_usd <= Decimal(sum(costs[5:])) <= price.high_usd
    assert least <= within / tries <= 0.93


@pytest.mark.parametrize(
    "price",
    [
        lambda dice, _: dice.gauss(0.05, 0.006),
        lambda dice, hour: 0.03 + 0.02 * hour / 360,  # it rises with time
        lambda dice, hour: 0.05 + 0.012 * math.sin(2 * math.pi * hour / 24),  # it follows the hour of the day
        lambda dice, hour: 0.05 if hour % 168 < 120 else 0.04,  # weekends are quiet
        lambda dice, hour: dice.uniform(0.04, 0.06),
    ],
)
def test_five_pilots_tell_the_price_within_a_fifth(price: Price) -> None:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    for seed in SEEDS:
        dice = random.Random(seed)  # noqa: S311 (a simulation)
        every = dice.choice((1, 4))
        all_moments = [start + timedelta(hours=every * index) for index in range(dice.randrange(60, 361))]
        costs = {moment: price(dice, every * index) for index, moment in enumerate(all_moments)}
        first = pilots(all_moments)
        rest = sum(cost for moment, cost in costs.items() if moment not in first)
        known = ran(*(costs[moment] for moment in first))
        estimated = price_of_rest(known, len(costs) - len(first), 2)
        assert estimated is not None
        assert float(estimated.expected_usd) == pytest.approx(rest, rel=0.2), seed


@pytest.mark.parametrize(
    ("draw", "percent"),
    [
        (lambda dice: dice.gauss(5, 1), 95),
        pytest.param(lambda dice: dice.lognormvariate(1, 0.385), 70, marks=pytest.mark.long),
    ],
)
def test_the_page_says_how_often_the_expected_price_is_within_a_fifth(
    draw: Callable[[random.Random], float], percent: int
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "guides" / "replay.md").read_text()
    promise = re.search(r"within 20 % in (\d+) of 100 replays; where they differ by 40 %, in (\d+)", page)
    assert promise is not None
    assert str(percent) in promise.groups()
    dice, tries, within = random.Random(3), 2_000, 0  # noqa: S311 (a simulation)
    for _ in range(tries):
        costs = [draw(dice) for _ in range(120)]
        within += abs(float(priced(*costs[:5]).expected_usd) / sum(costs[5:]) - 1) <= 0.2
    assert percent <= 100 * within / tries <= percent + 5


def test_the_page_says_how_seldom_the_interval_holds_where_few_runs_cost_much_more() -> None:
    page = (Path(__file__).parents[2] / "docs" / "guides" / "replay.md").read_text()
    assert "if one in ten costs three times as much, the price lies in the interval in only 40 of 100 replays" in page
    dice, tries, within = random.Random(3), 2_000, 0  # noqa: S311 (a simulation)
    for _ in range(tries):
        costs = [0.15 if dice.random() < 0.1 else 0.05 for _ in range(120)]
        price = priced(*costs[:5])
        within += price.low_usd <= Decimal(sum(costs[5:])) <= price.high_usd
    assert within / tries == pytest.approx(0.4, abs=0.05)


def test_equal_costs_leave_no_doubt_and_more_known_ones_leave_less() -> None:
    assert priced(0.04, 0.04, 0.04, rest=10) == RestPrice(Decimal("0.4"), Decimal("0.4"), Decimal("0.4"), 2.5)
    few, many = priced(0.04, 0.06, rest=100), priced(*[0.04, 0.06] * 10, rest=100)
    assert few.expected_usd == many.expected_usd
    assert many.high_usd - many.low_usd < (few.high_usd - few.low_usd) / 4


def test_what_is_unknown_is_not_free() -> None:
    assert priced(0.04, None, 0.06, None, rest=10).expected_usd == Decimal("0.5")
    assert price_of_rest(ran(0.04, None, None), 10, 2) is None
    assert price_of_rest([], 10, 2) is None


def test_nothing_costs_less_than_nothing_and_no_rest_costs_nothing() -> None:
    assert priced(0.01, 0.5, 0.02, rest=10).low_usd == 0
    assert price_of_rest([], 0, 2) == RestPrice(Decimal(0), Decimal(0), Decimal(0), 0.0)


def test_the_time_follows_from_how_long_moments_took_and_how_many_run_at_once() -> None:
    assert priced(0.04, 0.05, rest=100, at_once=1).minutes == pytest.approx(50)
    assert priced(0.04, 0.05, rest=100, at_once=4).minutes == pytest.approx(12.5)


def test_the_line_names_the_whole_price_and_the_time() -> None:
    price = RestPrice(Decimal("4.9"), Decimal("3.8994"), Decimal("6.1"), 25.4)
    line = price_line(120, 14, price, Decimal("0.2"))
    assert line == "120 moments, 14 on cassette: 4.10 to 6.30 USD (0.20 of it spent), about 25 minutes"
    assert price_line(1, 0, sure("0.0412", 0.2), Decimal(0)).startswith("1 moment, 0 on cassette")
    assert ": 0.041 USD, about a minute" in price_line(2, 0, sure("0.0412", 0.2), Decimal(0))
    assert price_line(2, 0, sure("0.0412", 1.4), Decimal(0)).endswith("about a minute"), "never about 1 minutes"
    assert price_line(2, 0, sure("3", 180), Decimal(0)).endswith("about 3.0 hours")
    assert "unknown" in price_line(120, 14, None, Decimal("0.2"))


@pytest.mark.parametrize(
    ("cap", "dearest", "goes_on"),
    [
        ("6.00", "0.05", True),
        ("5.21", "0.05", True),
        ("5.19", "0.05", False),
        ("5.21", "0.09", False),  # the last run would not begin with less left than the dearest has cost
        ("5.25", "0.09", True),
    ],
)
def test_a_replay_that_would_reach_its_cap_before_its_end_is_refused(cap: str, dearest: str, *, goes_on: bool) -> None:
    price = RestPrice(Decimal(5), Decimal(4), Decimal(6), 20)
    refusal = above_cap(price, 100, Decimal("0.2"), Decimal(dearest), Decimal(cap))
    assert (refusal is None) == goes_on
    if refusal is not None:
        assert "4.20 to 6.20 USD" in refusal
        assert f"--max-usd {6.2 + float(dearest) - 0.05:.2f}" in refusal


def test_nothing_is_refused_where_nothing_is_left_to_ask() -> None:
    assert above_cap(sure("0", 0), 0, Decimal(5), Decimal(1), Decimal("0.5")) is None


def test_the_confidence_is_the_quantile_s_own() -> None:
    assert NormalDist().inv_cdf((1 + CONFIDENCE) / 2) == pytest.approx(student_t(100_000), abs=1e-4)
