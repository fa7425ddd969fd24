"""Stated confidences against what happened: the Brier score, the reliability table, and the calibrated confidence."""

from dataclasses import replace
from itertools import product
from math import comb
from statistics import NormalDist

import numpy as np
import pytest

from mcp_server.domain.candles import Floats
from mcp_server.domain.scoring.brier import brier_score, brier_skill
from mcp_server.domain.scoring.calibration import PlattFit, calibrated_confidence, platt_fit
from mcp_server.domain.scoring.hit_rate import Flags
from mcp_server.domain.scoring.reliability import count_probabilities, reliability
from mcp_server.domain.scoring.signals import JudgedSignals
from tests.rigs.sampled import sampled
from tests.scoring.walks import HOUR_MS, stated

NONE = np.zeros(0)


def forecasts(count: int, seed: int) -> tuple[Floats, Flags]:
    """Confidences in whole per cents of a perfect forecaster, and whether each signal was right."""
    generator = np.random.default_rng(seed)
    confidence = np.round(generator.random(count), 2)
    return confidence, generator.random(count) < confidence


def test_a_signal_without_a_confidence_counts_on_neither_side() -> None:
    confidence, right = forecasts(40, 1)
    mixed, hits = np.append(confidence, [np.nan] * 20), np.append(right, [True] * 20)
    base = np.linspace(0.3, 0.5, 60)
    assert brier_score(mixed, hits) == brier_score(confidence, right)
    assert brier_skill(mixed, hits, base) == brier_skill(confidence, right, base[:40])
    assert reliability(stated(mixed, hits)) == reliability(stated(confidence, right))
    assert platt_fit(mixed, hits) == platt_fit(confidence, right)


def test_a_signal_without_a_base_rate_counts_for_no_skill() -> None:
    confidence, right = forecasts(40, 2)
    base = np.where(np.arange(40) < 10, np.nan, 0.4)
    assert brier_skill(confidence, right, base) == brier_skill(confidence[10:], right[10:], 0.4)


def test_no_confidence_no_score() -> None:
    unknown, right = np.full(40, np.nan), np.ones(40, dtype=bool)
    assert brier_score(unknown, right) is None
    assert brier_score(NONE, NONE.astype(bool)) is None
    assert brier_skill(unknown, right, 0.4) is None
    assert brier_skill(np.full(40, 0.9), right, 1.0) is None, "a base rate that made no error cannot be divided by"
    assert reliability(stated(unknown, right)) is None
    assert platt_fit(unknown, right) is None


def test_stating_the_base_rate_has_no_skill_and_knowing_everything_has_all_of_it() -> None:
    right = np.arange(50) % 5 < 2
    assert brier_skill(np.full(50, 0.4), right, 0.4) == 0
    assert brier_skill(right.astype(float), right, 0.4) == 1
    overconfident = brier_skill(np.full(50, 0.9), right, 0.4)
    assert overconfident is not None
    assert overconfident < 0


def test_below_30_signals_there_is_neither_a_table_nor_a_fit() -> None:
    confidence, right = forecasts(30, 3)
    assert reliability(stated(confidence, right)) is not None
    assert platt_fit(confidence, right) is not None
    assert reliability(stated(confidence[1:], right[1:])) is None
    assert platt_fit(confidence[1:], right[1:]) is None


def test_a_confidence_on_an_edge_belongs_to_the_bin_below_it() -> None:
    confidence = np.repeat([0.0, 0.1, 0.3, 0.6, 0.61, 0.7, 1.0], 5)
    table = reliability(stated(confidence, np.ones(35, dtype=bool)))
    assert table is not None
    rows = [(round(row.low, 9), round(row.high, 9), row.signals) for row in table.bins]
    assert rows == [(0.0, 0.1, 10), (0.2, 0.3, 5), (0.5, 0.6, 5), (0.6, 0.7, 10), (0.9, 1.0, 5)]
    assert table.signals == 35


def test_the_number_of_events_has_the_distribution_of_an_enumeration() -> None:
    chances = np.array([0.1, 0.5, 0.5, 0.93, 0.0, 1.0, 0.77])
    expected = np.zeros(8)
    for happened in product([0, 1], repeat=7):
        expected[sum(happened)] += np.prod(np.where(happened, chances, 1 - chances))
    assert count_probabilities(chances) == pytest.approx(expected, abs=1e-14)
    binomial = [comb(90, k) * 0.3**k * 0.7 ** (90 - k) for k in range(91)]
    assert count_probabilities(np.full(90, 0.3)) == pytest.approx(binomial, abs=1e-14)


def test_the_band_of_chance_of_a_bin_is_the_exact_binomial_one() -> None:
    """Of 30 events with a chance of 0.85 at most 20 happen in 1.0 % of cases, at most 21 in 2.8 %, all in 0.8 %."""
    table = reliability(stated(np.full(30, 0.85), np.arange(30) < 12))
    assert table is not None
    (row,) = table.bins
    assert (row.band_low, row.band_high) == pytest.approx((21 / 30, 29 / 30))
    assert row.share_right == pytest.approx(0.4)
    assert table.error == pytest.approx(0.45)


@pytest.mark.long
def test_bands_cover_what_perfect_forecasters_show_in_at_least_95_percent_of_cases() -> None:
    """In short: each bin's band is the exact binomial one."""
    inside, rows, above = 0, 0, 0
    for seed in range(200):
        table = reliability(stated(*forecasts(60, seed)))
        assert table is not None
        rows += len(table.bins)
        inside += sum(row.band_low - 1e-9 <= row.share_right <= row.band_high + 1e-9 for row in table.bins)
        above += table.error > table.error_by_chance + 1e-12
    assert inside / rows >= 0.95
    assert 0.02 <= above / 200 <= 0.08


@pytest.mark.parametrize(("count", "error"), sampled([(100, 0.0696), (30, 0.126), (1000, 0.0221)], 3))
def test_even_a_perfect_forecaster_has_an_error_and_chance_allows_for_more_than_it(count: int, error: float) -> None:
    """Confidences from 0.5 to 1; the errors are the means of 2,000 simulations without our code."""
    generator, errors, chances = np.random.default_rng(5), list[float](), list[float]()
    for _ in range(60):
        confidence = generator.uniform(0.5, 1, count)
        table = reliability(stated(confidence, generator.random(count) < confidence))
        assert table is not None
        errors.append(table.error)
        chances.append(table.error_by_chance)
    assert np.mean(errors) == pytest.approx(error, rel=0.1)
    assert min(chances) > 1.2 * error


def drifting(generator: np.random.Generator, hours: int, horizon: int = 24) -> JudgedSignals:
    """A perfect forecaster's BUYs, one an hour for 24 hours each, on a walk whose drift it knows: P(right) is 0.597."""
    price = np.cumsum(np.append(0, generator.standard_normal(hours + horizon) * 0.01 + 0.0005))
    entry_ms, free = HOUR_MS * np.arange(hours), np.zeros(hours)
    confidence = np.full(hours, NormalDist().cdf(0.0005 * horizon / (0.01 * horizon**0.5)))
    buy, r = np.ones(hours, dtype=np.int8), price[horizon : hours + horizon] - price[:hours]
    exit_ms = entry_ms + HOUR_MS * horizon
    return JudgedSignals(np.arange(hours), entry_ms, entry_ms, exit_ms, buy, r, free, free, confidence)


def test_the_bands_allow_for_outcomes_that_overlap() -> None:
    """As many independent outcomes would put a perfect forecaster outside in most cases."""
    generator, outside, outside_if_independent, above = np.random.default_rng(9), 0, 0, 0
    for _ in range(200):
        judged = drifting(generator, 400)
        table, independent = reliability(judged), reliability(stated(judged.confidence, judged.right))
        assert table is not None
        assert independent is not None
        (row,), (naive,) = table.bins, independent.bins
        assert row.share_right == naive.share_right
        outside += not row.band_low <= row.share_right <= row.band_high
        outside_if_independent += not naive.band_low <= naive.share_right <= naive.band_high
        above += table.error > table.error_by_chance
    assert outside <= 10
    assert above <= 10
    assert outside_if_independent > 100


def test_overlapping_signals_in_opposite_directions_are_worth_no_more_than_their_number() -> None:
    confidence, right = np.full(60, 0.6), np.random.default_rng(4).random(60) < 0.6
    apart, turning = stated(confidence, right), stated(confidence, right, horizon_h=24)
    signal = np.where(np.arange(60) % 2, -1, 1).astype(np.int8)
    turning = replace(turning, signal=signal, r=turning.r * signal)
    assert reliability(turning) == reliability(apart)


def test_a_hold_is_in_no_table() -> None:
    judged = stated(*forecasts(60, 6))
    signal = np.where(np.arange(60) < 20, 0, 1).astype(np.int8)
    assert reliability(replace(judged, signal=signal)) == reliability(judged.pick(signal == 1))


def test_an_overconfident_source_is_outside_of_its_bands() -> None:
    confidence = np.repeat([0.8, 0.9], 100)
    table = reliability(stated(confidence, np.arange(200) % 2 == 0))
    assert table is not None
    assert all(row.share_right < row.band_low for row in table.bins)
    assert table.error > 2 * table.error_by_chance


def test_the_same_record_has_the_same_table() -> None:
    assert reliability(stated(*forecasts(200, 7))) == reliability(stated(*forecasts(200, 7)))


SEPARATED = np.repeat([0.3, 0.8], 20)


@pytest.mark.parametrize(
    ("confidence", "right"),
    [
        (SEPARATED, SEPARATED > 0.5),
        (SEPARATED, SEPARATED < 0.5),
        (SEPARATED, np.ones(40, dtype=bool)),
        (SEPARATED, np.zeros(40, dtype=bool)),
        (np.repeat([0.0, 1.0], 20), np.arange(40) > 20),
        (np.repeat([0.5, 0.51], [39, 1]), np.arange(40) > 20),
        (np.repeat([0.0, 0.5, 1.0], [1, 38, 1]), np.arange(40) == 0),
    ],
)
def test_there_is_a_fit_of_any_record_and_it_is_the_optimum(confidence: Floats, right: Flags) -> None:
    fit = platt_fit(confidence, right)
    assert fit is not None
    kept = np.clip(confidence, 0.005, 0.995)
    x = np.log(kept / (1 - kept))
    of_right = int(right.sum())
    target = np.where(right, (of_right + 1) / (of_right + 2), 1 / (42 - of_right))
    off = target - 1 / (1 + np.exp(-(fit.intercept + fit.slope * x)))
    assert [float(off.sum()), float(off @ x)] == pytest.approx([0, 0], abs=1e-10)


@pytest.mark.parametrize("always", [0.7, 1.0])
def test_a_confidence_that_never_changes_is_worth_the_share_right(always: float) -> None:
    fit = platt_fit(np.full(48, always), np.arange(48) < 36)
    assert fit is not None
    assert fit.slope == 0
    share = (36 * 37 / 38 + 12 * 1 / 14) / 48  # the mean of Platt's targets
    assert calibrated_confidence(np.array([0.2, always]), fit, share) == pytest.approx([share, share])


def test_a_confidence_of_0_or_100_percent_is_calibrated_to_something_between() -> None:
    fit = PlattFit(0.0, 1.0, 10_000)
    low, high = calibrated_confidence(np.array([0.0, 1.0]), fit, 0.5)
    assert 0.004 < low < 0.01
    assert high == pytest.approx(1 - low)


def isotonic(confidence: Floats, right: Flags, asked: Floats) -> Floats:
    """Pool adjacent violators, as a step function of the confidence."""
    order = np.argsort(confidence, kind="stable")
    blocks = list[list[float]]()
    for value in right[order].astype(float).tolist():
        blocks.append([value, 1])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            last, before = blocks.pop(), blocks.pop()
            size = last[1] + before[1]
            blocks.append([(last[0] * last[1] + before[0] * before[1]) / size, size])
    fitted = np.repeat([block[0] for block in blocks], [int(block[1]) for block in blocks])
    result: Floats = np.interp(asked, confidence[order], fitted)
    return result


def test_from_30_signals_of_an_overconfident_source_only_the_shrunk_fit_is_better_than_the_raw_confidence() -> None:
    """The source states three times the true logit. Excess: how far its Brier score is above the least there is."""
    generator, excess = np.random.default_rng(30), np.zeros(4)
    logit = generator.normal(0, 0.4, (600, 30))
    true, claimed = 1 / (1 + np.exp(-logit)), 1 / (1 + np.exp(-3 * logit))
    asked = generator.normal(0, 0.4, 200)
    asked_true, asked_stated = 1 / (1 + np.exp(-asked)), 1 / (1 + np.exp(-3 * asked))
    for chance, confidence in zip(true, claimed, strict=True):
        right = generator.random(30) < chance
        fit = platt_fit(confidence, right)
        assert fit is not None
        shrunk = calibrated_confidence(asked_stated, fit, 0.5)
        unshrunk = (shrunk - 50 / 80 * 0.5) * 80 / 30
        answers = (asked_stated, isotonic(confidence, right, asked_stated), unshrunk, shrunk)
        excess += [1000 * np.mean((answer - asked_true) ** 2) / 600 for answer in answers]
    raw, pooled, platt, shrunk_platt = excess
    assert pooled > raw
    assert shrunk_platt < platt < raw
    assert shrunk_platt < raw / 3
