"""The e-value for skill: what it is, that it proves no skill where there is none, and how soon it proves true skill."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from math import comb, log

import numpy as np
import pytest

from mcp_server.domain.candles import Candles, Floats, Mask
from mcp_server.domain.rules.series import BUY, HOLD, SELL
from mcp_server.domain.scoring.base_rate import KnownShares, known_shares
from mcp_server.domain.scoring.e_value import SkillEvidence, e_values, lifts, log_wealth, skill_evidence
from mcp_server.domain.scoring.keys import PROOF
from mcp_server.domain.scoring.non_overlapping import non_overlapping
from mcp_server.domain.scoring.signals import JudgedSignals
from tests.rigs.sampled import sampled
from tests.scoring.walks import HOUR_MS, outcomes, record, walk


def exactly(right: int, wrong: int, null: Fraction) -> float:
    """The mixture with u ~ Beta(1, 4), in closed form: an incomplete beta function, which is a binomial tail."""
    trials = right + wrong + 4
    tail = sum(comb(trials, hits) * null**hits * (1 - null) ** (trials - hits) for hits in range(right + 1))
    integral = tail / ((right + wrong + 4) * comb(trials - 1, right))
    return float(4 * integral / (null**right * (1 - null) ** (wrong + 4)))


@pytest.mark.parametrize("null", [Fraction(1, 2), Fraction(3, 10), Fraction(61, 100)])
@pytest.mark.parametrize(("right", "wrong"), [(0, 7), (30, 25), (110, 90), (240, 260)])
def test_the_mixture_is_its_closed_form(right: int, wrong: int, null: Fraction) -> None:
    hits = np.random.default_rng(1).permutation(np.arange(right + wrong) < right)
    value = e_values(log_wealth(hits, np.full(len(hits), float(null))))[-1]
    assert value == pytest.approx(exactly(right, wrong, null), rel=1e-3)
    always = e_values(log_wealth(np.ones(9, dtype=np.bool_), np.full(9, float(null))))[-1]
    assert 0.9 <= always / exactly(9, 0, null) <= 1


def test_each_factor_is_at_most_one_in_the_mean_at_any_hit_rate_up_to_its_null() -> None:
    null = np.array([0.02, 0.3, 0.476, 0.9, 1.0])
    for p in (0.0, 0.5, 1.0):
        hit_rate = p * null
        right = [np.exp(log_wealth(np.array([True]), null[i : i + 1])) for i in range(len(null))]
        wrong = [np.exp(log_wealth(np.array([False]), null[i : i + 1])) for i in range(len(null))]
        mean = [q * e.sum() + (1 - q) * f.sum() for q, e, f in zip(hit_rate, right, wrong, strict=True)]
        assert max(mean) <= 1 + 1e-12
        assert p < 1 or min(mean) >= 1 - 1e-12


def market(judged: JudgedSignals, limit: Floats | float, share: float) -> KnownShares:
    """A market of a great many moments, of which `share` were right at any time, and whose known limit is `limit`."""
    count = len(judged)
    moments = 10**9 * np.arange(count + 1)
    right = np.rint(share * moments).astype(np.int64)
    limits, kind = np.where(judged.directed, limit, np.nan), np.where(judged.directed, judged.signal, -1)
    many = np.full(count, 1e9)
    return KnownShares(limits - 0.03, limits, many, kind, right[:-1], moments[:-1], right[1:], moments[1:])


def evidence(right: Mask, null: float) -> SkillEvidence:
    judged = outcomes(np.where(right, 0.01, -0.01))
    return skill_evidence(judged, market(judged, null, null))


def test_against_a_market_that_stays_as_it_was_the_value_is_that_of_its_share() -> None:
    right = np.random.default_rng(2).random(300) < 0.55
    known = evidence(right, 0.5)
    assert known.value == known.path[-1]
    assert known.path == pytest.approx(e_values(log_wealth(right, np.full(300, 0.5))), rel=1e-5)
    assert (known.factors, known.left_out) == (300, 0)


def test_before_the_first_outcome_the_value_is_one() -> None:
    nothing = evidence(np.zeros(0, dtype=np.bool_), 0.5)
    assert (nothing.value, nothing.factors, nothing.share, nothing.independent) == (1.0, 0, None, None)


def test_the_value_is_a_number_however_long_a_strategy_is_right_or_wrong() -> None:
    assert 1e300 < evidence(np.ones(5_000, dtype=np.bool_), 0.4).value < np.inf
    assert 0 <= evidence(np.zeros(5_000, dtype=np.bool_), 0.4).value < 1e-4


def test_signals_are_factors_only_where_enough_was_known_and_no_other_outcome_overlaps() -> None:
    candles = walk(np.random.default_rng(3), 1_400)
    at = np.arange(990, 1_300, 2)
    signal = np.tile([BUY, HOLD, SELL], 52)[: len(at)]
    judged = record(candles, at, signal, 5)
    shares = known_shares(candles, "1h", judged)
    known = skill_evidence(judged, shares)
    assert known.left_out == np.count_nonzero(judged.directed & (at < 1_004))
    factors, free_from = [], 1_004
    for place, code in zip(at.tolist(), signal.tolist(), strict=True):
        if code != HOLD and place >= free_from:
            factors.append(place + 5)
            free_from = place + 5
    assert (known.known_ms // HOUR_MS).tolist() == factors
    assert known.factors == len(factors) == len(known.path)


def test_outcomes_of_one_moment_or_that_overlap_a_longer_one_count_once() -> None:
    judged = outcomes(np.full(6, 0.01))
    longer = JudgedSignals(
        judged.execution_id,
        judged.decided_ms,
        HOUR_MS * np.array([0, 0, 3, 2, 5, 9]),
        HOUR_MS * np.array([2, 9, 6, 4, 8, 10]),
        *(getattr(judged, name) for name in ("signal", "r", "cost", "funding", "confidence")),
    )
    assert non_overlapping(longer, longer.directed).tolist() == [0, 3, 4, 5]
    assert non_overlapping(longer, np.array([False, True, True, True, True, True])).tolist() == [1, 5]


def test_the_second_value_is_against_the_market_from_the_first_entry_of_a_direction_to_its_latest_exit() -> None:
    rng = np.random.default_rng(8)
    candles = walk(rng, 1_300, drift=0.004)
    at = np.arange(1_100, 1_280, 2)
    signal = np.append(np.full(20, BUY), rng.choice([BUY, SELL, HOLD], len(at) - 20))
    judged = record(candles, at, signal, 3)
    shares = known_shares(candles, "1h", judged)
    path = skill_evidence(judged, replace(shares, limit=np.where(judged.directed, 1e-6, np.nan))).path
    lift, log_weight = lifts()
    first: dict[int, int] = {}
    for factor, row in enumerate(non_overlapping(judged, judged.directed)):
        first.setdefault(int(judged.signal[row]), int(at[row]))
        so_far = non_overlapping(judged, judged.directed)[: factor + 1]
        parts = log_weight.copy()
        for side, begin in first.items():
            mine = [place for place in so_far if judged.signal[place] == side]
            every = record(candles, np.arange(begin, at[mine[-1]] + 1), [side] * (at[mine[-1]] + 1 - begin), 3).right
            share = (every.sum() + 1) / (len(every) + 1)
            right = judged.right[mine].sum()
            parts += right * np.log((share + lift * (1 - share)) / share) + (len(mine) - right) * np.log(1 - lift)
        assert path[factor] == pytest.approx(np.exp(parts).sum(), rel=1e-9)


def test_what_comes_later_changes_no_value_of_the_past() -> None:
    candles = walk(np.random.default_rng(4), 2_000, drift=0.001)
    at = np.arange(1_100, 1_900)
    signal = np.random.default_rng(5).choice([BUY, SELL, HOLD], 800)
    judged = record(candles, at, signal, 6)
    whole = skill_evidence(judged, known_shares(candles, "1h", judged))
    for until in (1_300, 1_611):
        early = judged.pick(judged.exit_ms <= until * HOUR_MS)
        cut = candles.slice(0, until)
        part = skill_evidence(early, known_shares(cut, "1h", early))
        assert part.path.tolist() == pytest.approx(whole.path[: part.factors].tolist(), rel=1e-12)
        assert part.factors == np.count_nonzero(whole.known_ms <= until * HOUR_MS)


def without_skill(
    rng: np.random.Generator, candles: Candles, at: np.ndarray, hours: int
) -> Iterator[tuple[str, np.ndarray]]:
    """Signals that know nothing of what comes."""
    count = len(at)
    past = candles.close[at - 1] > candles.open[at - hours]
    yield "always BUY", np.full(count, BUY)
    yield "always SELL", np.full(count, SELL)
    yield "at random", rng.choice([BUY, SELL], count)
    yield "persistent", np.where(np.cumsum(rng.random(count) < 1 / 12) % 2, BUY, SELL)
    yield "momentum", np.where(past, BUY, SELL)
    yield "BUY now and then", np.where(rng.random(count) < 0.2, BUY, HOLD)


def ever_proven(drifts: Floats | list[float], walks: int, hours: int, known: int, signals: int) -> dict[str, float]:
    """How many of the strategies of each kind are ever proven, on as many walks whose drift may change in time."""
    rng = np.random.default_rng(16)
    proven: dict[str, list[bool]] = {}
    for _ in range(walks):
        candles = walk(rng, known + signals + 2 * hours, np.resize(drifts, known + signals + 2 * hours))
        at = np.arange(known + hours, known + hours + signals)
        for kind, signal in without_skill(rng, candles, at, hours):
            judged = record(candles, at, signal, hours)
            path = skill_evidence(judged, known_shares(candles, "1h", judged)).path
            proven.setdefault(kind, []).append(bool(path.max(initial=0) >= PROOF))
    return {kind: float(np.mean(each)) for kind, each in proven.items()}


@pytest.mark.parametrize("drift", sampled([0.0, 0.002, -0.002], 3))
def test_at_most_one_in_twenty_strategies_without_skill_is_ever_proven(drift: float) -> None:
    proven = ever_proven([drift], 60, 1, 1_000, 500)
    assert len(proven) == 6  # kinds, of 60 strategies on each of three walks: 1,080
    assert max(proven.values()) <= 0.05


@pytest.mark.parametrize("strategies", [20, pytest.param(60, marks=pytest.mark.long)])
def test_a_drift_that_begins_after_what_was_known_proves_nothing(strategies: int) -> None:
    """Against what was known alone, half of the strategies that always buy would be proven here."""
    turn = np.where(np.arange(3_000) < 1_001, 0.0, 0.0025)
    proven = ever_proven(turn, strategies, 1, 1_000, 1_500)
    assert max(proven.values()) <= 0.05


@pytest.mark.parametrize(
    ("hit_rate", "null", "facts"), sampled([(0.60, 0.5, 174), (0.55, 0.5, 830), (0.526, 0.476, None)], 3)
)
def test_true_skill_is_proven_after_as_many_signals_as_theory_says(
    hit_rate: float, null: float, facts: int | None
) -> None:
    rng = np.random.default_rng(6)
    information = hit_rate * log(hit_rate / null) + (1 - hit_rate) * log((1 - hit_rate) / (1 - null))
    fewest = log(PROOF) / information  # what the best bet on a known hit rate takes
    paths = [evidence(rng.random(round(3 * fewest)) < hit_rate, null).path >= PROOF for _ in range(200)]
    median = np.median([path.argmax() + 1 if path.any() else np.inf for path in paths])
    assert 0.85 * fewest <= median <= 1.2 * fewest
    assert facts is None or median <= facts  # that of a beta prior which is uniform


def test_skill_is_proven_against_a_real_market_as_soon_as_against_its_limit_alone() -> None:
    rng = np.random.default_rng(7)
    found: list[float] = []
    for _ in range(40):
        candles = walk(rng, 8_000 + 4 * 450 + 8)
        at = np.arange(8_004, 8_004 + 4 * 450, 4)
        rises = record(candles, at, np.full(len(at), BUY), 4, 0.0).right
        shares = known_shares(candles, "1h", record(candles, at, np.full(len(at), BUY), 4, 0.0))
        is_right = rng.random(len(at)) < shares.limit + 0.10
        judged = record(candles, at, np.where(rises == is_right, BUY, SELL), 4, 0.0)
        path = skill_evidence(judged, known_shares(candles, "1h", judged)).path >= PROOF
        found.append(float(path.argmax()) + 1 if path.any() else np.inf)
    assert 110 <= np.median(found) <= 200
