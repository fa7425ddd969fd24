"""The evidence that `stop` pauses a strategy on: it spares those with the edge asked for, and finds those without."""

from collections.abc import Callable

import numpy as np
import pytest

from mcp_server.domain.candles import Floats
from mcp_server.domain.rules.series import BUY, HOLD, SELL
from mcp_server.domain.scoring.no_skill import CLIP, FEWEST, edge_evidence
from tests.rigs.sampled import sampled
from tests.scoring.walks import outcomes, record, walk

Draw = Callable[[np.random.Generator, int], Floats]

RETURNS: dict[str, Draw] = {
    "normal": lambda rng, count: rng.standard_normal(count),
    "fat tails": lambda rng, count: rng.standard_t(3, count),
    "skewed to the right": lambda rng, count: rng.exponential(1, count) - 1,
    "skewed to the left": lambda rng, count: 1 - rng.exponential(1, count),
    "many small losses, some gains": lambda rng, count: np.where(rng.random(count) < 0.2, 4.0, -1.0),
    "volatility that changes": lambda rng, count: (
        rng.standard_normal(count) * np.repeat(rng.choice([0.3, 3.0], count // 50 + 1), 50)[:count]
    ),
}
"""Returns whose mean is 0, and hardly another one once they are clipped at five deviations."""


def plainly(net: Floats, minimum: float) -> list[float]:
    """The e-value after each outcome: the mean, over a million bets, of what each has made of 1."""
    bets = (np.arange(20_000) + 0.5) / 20_000
    wealth, path = np.ones(20_000), []
    for place in range(FEWEST, len(net)):
        before = net[:place] - minimum
        deviation = np.sqrt(np.mean(before**2))
        ratio = min(max((net[place] - minimum) / deviation, -5.0), 5.0)
        wealth *= 1 - bets * ratio / 5
        path.append(float(wealth.mean()))
    return path


def test_the_path_is_that_of_a_plain_loop_and_sees_only_what_came_before() -> None:
    net = 0.02 * np.random.default_rng(1).standard_t(2, 120) - 0.004
    for minimum in (0.0, 0.25, -0.5):
        evidence = edge_evidence(outcomes(net), minimum)
        assert evidence.path.tolist() == pytest.approx(plainly(net, minimum / 100), rel=1e-6)
        assert (evidence.value, evidence.highest) == (evidence.path[-1], max(1.0, evidence.path.max()))
        early = edge_evidence(outcomes(net[:70]), minimum)
        assert early.path.tolist() == evidence.path[: early.judged].tolist()


def test_a_single_return_counts_for_no_more_than_five_deviations_of_those_before() -> None:
    net = np.append(np.tile([0.01, -0.01], 15), [-0.05, 0.0])
    crash = np.append(np.tile([0.01, -0.01], 15), [-0.90, 0.0])
    at_the_clip, beyond = edge_evidence(outcomes(net), 0), edge_evidence(outcomes(crash), 0)
    assert beyond.path[-2] == pytest.approx(at_the_clip.path[-2])
    assert beyond.path[-2] <= 2 * beyond.path[-3]
    assert CLIP == 5


def test_it_tells_what_it_saw() -> None:
    evidence = edge_evidence(outcomes(np.append(np.full(FEWEST, 0.5), [0.01, -0.03])), 0)
    assert evidence.judged == 2
    assert evidence.mean_net_pct == pytest.approx(-1.0)
    first = edge_evidence(outcomes(np.full(FEWEST, 0.5)), 0)
    assert (first.value, first.highest, first.judged, first.mean_net_pct) == (1.0, 1.0, 0, None)
    assert edge_evidence(outcomes(np.zeros(0)), 0).value == 1.0


def test_it_is_of_buy_and_sell_that_do_not_overlap() -> None:
    rng = np.random.default_rng(2)
    candles = walk(rng, 400)
    at = np.arange(0, 360, 2)
    signal = np.tile([HOLD, BUY, SELL], 60)
    judged = record(candles, at, signal, 5)
    alone = [1]
    for place in range(2, len(at)):
        if signal[place] != HOLD and at[place] >= at[alone[-1]] + 5:
            alone.append(place)
    evidence = edge_evidence(judged, 0.1)
    assert evidence.path.tolist() == edge_evidence(outcomes(judged.net[alone]), 0.1).path.tolist()


def test_what_is_told_of_it_ends_with_the_outcome_that_reached_the_limit() -> None:
    net = np.append(np.full(60, -0.003), np.full(60, 0.02))
    path = edge_evidence(outcomes(net), 0).path
    first = int(np.flatnonzero(path >= 20)[0])
    decided = edge_evidence(outcomes(net), 0, 20)
    assert decided.judged == first + 1
    assert decided.mean_net_pct == pytest.approx(-0.3)
    assert (decided.value, decided.highest, len(decided.path)) == (path[-1], path.max(), 100)
    assert edge_evidence(outcomes(net), 0).judged == 100


def test_outcomes_that_are_all_exactly_the_minimum_are_no_evidence_and_an_endless_loser_is_one() -> None:
    assert edge_evidence(outcomes(np.zeros(50)), 0).path.tolist() == [1.0] * 30
    loser = edge_evidence(outcomes(np.full(60, -0.003)), 0)
    assert loser.highest >= 20
    assert np.isfinite(edge_evidence(outcomes(np.full(9_000, -0.003)), 0).value)


def ever_paused(draw: Draw, mean: float, minimum: float, strategies: int, count: int) -> Floats:
    """After how many outcomes each strategy is paused at e >= 20; infinite where it never is."""
    rng = np.random.default_rng(17)
    first = []
    for _ in range(strategies):
        path = edge_evidence(outcomes(0.01 * draw(rng, count) + mean), 100 * minimum).path >= 20
        first.append(path.argmax() + FEWEST + 1 if path.any() else np.inf)
    return np.array(first)


@pytest.mark.parametrize("kind", sampled([*RETURNS], 3))
def test_of_strategies_with_exactly_the_minimum_edge_at_most_no_skill_are_ever_paused(kind: str) -> None:
    first = ever_paused(RETURNS[kind], 0.002, 0.002, 200, 600)
    assert np.isfinite(first).mean() <= 0.05


@pytest.mark.parametrize(("deviations", "outcomes_needed"), [(0.1, 560), (0.2, 190), (0.5, 80)])
def test_a_strategy_that_loses_is_paused_the_sooner_the_more_it_loses(deviations: float, outcomes_needed: int) -> None:
    """0.1: a mean net return that lies a tenth of its standard deviation below the minimum."""
    first = ever_paused(RETURNS["normal"], -0.01 * deviations, 0.0, 60, 1_500)
    assert np.median(first) == pytest.approx(outcomes_needed, rel=0.35)
