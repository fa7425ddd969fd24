"""Divergences: the four kinds by hand, what is none, that nothing repaints, and what confidence is made of."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_server.domain.candles import Candles, Floats
from mcp_server.domain.divergence.find import Divergence, find_divergences
from mcp_server.domain.divergence.judge import SAMPLE_CANDLES, Judged, judge
from mcp_server.domain.divergence.pivots import swing_lows
from mcp_server.domain.divergence.search import candles_wanted, search
from mcp_server.domain.indicators.compute import compute
from mcp_server.domain.indicators.parse import parse_spec
from mcp_server.errors import BadInput
from tests.rigs.hourly_candles import hourly_candles

HOUR_MS = 3_600_000
NAN = float("nan")

Points = Mapping[int, float]

LOWS: Points = {0: 110, 10: 100, 15: 108, 22: 98, 30: 106}
"""A swing low of 100 at 10, a lower one of 98 at 22."""

RISING: Points = {0: 60, 10: 25, 15: 50, 22: 35, 30: 60}
"""An oscillator that is 25 at the first of them and 35 at the second."""


def line(points: Points) -> Floats:
    """Draw straight lines from point to point (position → value)."""
    return np.interp(np.arange(max(points) + 1), list(points), list(points.values())).astype(np.float64)


def of_closes(closes: Floats, high: Floats | None = None, low: Floats | None = None) -> Candles:
    high, low = closes if high is None else high, closes if low is None else low
    return Candles(np.arange(len(closes)) * HOUR_MS, closes, high, low, closes, np.ones(len(closes)))


def divergences_of(
    price: Points, oscillator: Points | Floats, pivot_candles: int = 3, span: int = 100
) -> list[Divergence]:
    values = line(oscillator) if isinstance(oscillator, Mapping) else oscillator
    return find_divergences(of_closes(line(price)), values, pivot_candles, span)


def random_walk(length: int, seed: int) -> Candles:
    random = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.01, length)))
    opened = np.concatenate([close[:1], close[:-1]])
    high = np.maximum(opened, close) * (1 + random.uniform(0, 0.004, length))
    low = np.minimum(opened, close) * (1 - random.uniform(0, 0.004, length))
    return Candles(np.arange(length) * HOUR_MS, opened, high, low, close, random.uniform(1, 9, length))


@pytest.fixture(scope="module")
def real_candles() -> Candles:
    return hourly_candles()


@pytest.mark.parametrize(("second_price", "second_value", "kind"), [(98.0, 35.0, "regular"), (103.0, 15.0, "hidden")])
@pytest.mark.parametrize("direction", ["bullish", "bearish"])
def test_price_and_oscillator_that_part_at_two_swings_diverge(
    direction: str, second_price: float, second_value: float, kind: str
) -> None:
    price, oscillator = {**LOWS, 22: second_price}, {**RISING, 22: second_value}
    if direction == "bearish":
        price = {at: 200 - value for at, value in price.items()}
        oscillator = {at: 100 - value for at, value in oscillator.items()}

    (divergence,) = divergences_of(price, oscillator)

    assert (divergence.direction, divergence.kind) == (direction, kind)
    assert (divergence.first, divergence.second, divergence.confirmed) == (10, 22, 25)


def test_strength_is_the_mean_of_how_far_each_went_apart_within_what_it_covered() -> None:
    (divergence,) = divergences_of(LOWS, RISING)

    price, oscillator = (100 - 98) / (108 - 98), (35 - 25) / (50 - 25)
    assert divergence.strength == pytest.approx(100 * math.sqrt(price * oscillator))


def test_strength_grows_with_either_disagreement_and_knows_no_units() -> None:
    (some,) = divergences_of(LOWS, RISING)
    (more_price,) = divergences_of({**LOWS, 22: 96}, RISING)
    (more_oscillator,) = divergences_of(LOWS, {**RISING, 22: 40})
    scaled = find_divergences(of_closes(line(LOWS) * 1e-6), line(RISING) * 1e4 - 7, 3, 100)

    assert some.strength < min(more_price.strength, more_oscillator.strength) <= 100
    assert [divergence.strength for divergence in scaled] == [pytest.approx(some.strength)]


@pytest.mark.parametrize(
    ("price", "oscillator"),
    [
        (LOWS, {**RISING, 22: 20}),
        ({**LOWS, 22: 103}, RISING),
        ({**LOWS, 22: 100}, RISING),
        (LOWS, {**RISING, 22: 25}),
        (LOWS, {**RISING, 22: 25 * (1 + 1e-12)}),
    ],
    ids=["both lower", "both higher", "equal prices", "equal oscillator", "equal but for rounding"],
)
def test_what_does_not_part_is_no_divergence(price: Points, oscillator: Points) -> None:
    assert divergences_of(price, oscillator) == []


def test_a_close_beyond_the_line_of_price_breaks_it_and_a_wick_does_not() -> None:
    cut, touched, wick = line(LOWS), line(LOWS), line(LOWS)
    cut[16], touched[16], wick[16] = 98.9, 99, 98.5

    def pairs(candles: Candles) -> set[tuple[int, int]]:
        return {(one.first, one.second) for one in find_divergences(candles, line(RISING), 3, 100)}

    assert (10, 22) not in pairs(of_closes(cut))
    assert (10, 22) in pairs(of_closes(touched))
    assert (10, 22) in pairs(of_closes(line(LOWS), low=wick))


def test_an_oscillator_beyond_its_line_or_undefined_between_breaks_it() -> None:
    beyond, undefined, touching = line(RISING), line(RISING), line(RISING)
    beyond[16], undefined[16], touching[16] = 29.9, NAN, 30

    assert divergences_of(LOWS, beyond) == []
    assert divergences_of(LOWS, undefined) == []
    assert len(divergences_of(LOWS, touching)) == 1


@pytest.mark.parametrize("value", [NAN, math.inf, -math.inf])
@pytest.mark.parametrize("pivot", [10, 22])
def test_a_pivot_whose_oscillator_is_undefined_is_no_evidence(pivot: int, value: float) -> None:
    oscillator = line(RISING)
    oscillator[pivot] = value

    assert divergences_of(LOWS, oscillator) == []


def test_a_pivot_is_unknown_until_the_candles_after_it_have_closed() -> None:
    price, oscillator = of_closes(line(LOWS)), line(RISING)

    for pivot_candles in (1, 3, 8):
        confirmed = 22 + pivot_candles
        assert find_divergences(price.slice(0, confirmed), oscillator[:confirmed], pivot_candles, 100) == []
        assert (
            len(find_divergences(price.slice(0, confirmed + 1), oscillator[: confirmed + 1], pivot_candles, 100)) == 1
        )
    assert divergences_of(LOWS, RISING, pivot_candles=9) == [], "22 + 9 is beyond the last candle, 30"


def test_both_pivots_lie_within_the_span() -> None:
    assert len(divergences_of(LOWS, RISING, span=13)) == 1
    assert divergences_of(LOWS, RISING, span=12) == []


def test_of_several_earlier_pivots_the_nearest_that_qualifies_counts() -> None:
    price = {0: 110, 8: 101, 12: 108, 20: 100, 24: 107, 32: 98, 40: 106}
    oscillator = {0: 60, 8: 20, 12: 50, 20: 25, 24: 50, 32: 35, 40: 60}

    assert [(one.first, one.second) for one in divergences_of(price, oscillator)] == [(8, 20), (20, 32)]
    oscillator[20] = 40
    assert [(one.first, one.second) for one in divergences_of(price, oscillator)] == [(8, 20), (8, 32)]


def test_of_equal_lows_in_a_row_only_the_first_is_a_swing() -> None:
    assert swing_lows(np.array([5.0, 4, 3, 3, 3, 4, 5]), 2).tolist() == [2]
    assert swing_lows(np.array([5.0, 4, 3, 4, 3, 4, 5]), 2).tolist() == [2]
    assert swing_lows(np.array([5.0, 4, 3, 4, 5, 3, 4, 5]), 2).tolist() == [2, 5]
    assert swing_lows(np.array([5.0, 3, 3, 3, 3, 2, 1]), 2).tolist() == []
    assert swing_lows(np.array([5.0, 4, 3, 3, 3, 2, 1]), 2).tolist() == [2]


@pytest.mark.parametrize("length", [0, 1, 6, 7, 8, 200])
def test_flat_or_few_candles_have_no_swing(length: int) -> None:
    flat = np.full(length, 100.0)

    assert swing_lows(flat, 3).tolist() == []
    assert find_divergences(of_closes(flat), np.full(length, 50.0), 3, 100) == []
    assert not search(of_closes(flat), parse_spec("rsi(14)"), 100, 3).divergences


def _is_swing_low(low: list[float], at: int, width: int) -> bool:
    if at < width or at + width >= len(low):
        return False
    return all(low[at] < other for other in low[at - width : at]) and all(
        low[at] <= other for other in low[at + 1 : at + width + 1]
    )


def _by_the_book(
    low: list[float], close: list[float], values: list[float], width: int, span: int
) -> set[tuple[str, int, int]]:
    """The definition, word by word, at swing lows; numbers small enough to be exact."""
    pivots = [at for at in range(len(low)) if _is_swing_low(low, at, width) and not math.isnan(values[at])]
    expected = set()
    for second in pivots:
        for kind in ("regular", "hidden"):
            for first in reversed([at for at in pivots if second - span < at < second]):
                price, value = low[second] - low[first], values[second] - values[first]
                parts = price < 0 < value if kind == "regular" else value < 0 < price
                ahead = range(first + 1, second)
                above = all(
                    (close[at] - low[first]) * (second - first) >= price * (at - first)
                    and (values[at] - values[first]) * (second - first) >= value * (at - first)
                    for at in ahead
                )
                if parts and above:
                    expected.add((kind, first, second))
                    break
    return expected


small = st.integers(-6, 6).map(float)
steps = st.lists(st.tuples(small, st.integers(0, 3), st.integers(0, 3), small | st.just(NAN)), max_size=60)


@settings(max_examples=150, deadline=None)
@given(steps=steps, width=st.integers(1, 4), span=st.integers(2, 40))
def test_all_that_is_found_is_what_the_definition_says(
    steps: list[tuple[float, int, int, float]], width: int, span: int
) -> None:
    close = 100 + np.cumsum([step[0] for step in steps]) if steps else np.empty(0)
    high, low = (close + np.array([s[1] for s in steps]), close - np.array([s[2] for s in steps]))
    values = np.array([step[3] for step in steps], dtype=np.float64)

    divergences = find_divergences(of_closes(close, high, low), values, width, span)

    for direction, sign, lows in (("bullish", 1, low), ("bearish", -1, high)):
        mine = {(one.kind, one.first, one.second) for one in divergences if one.direction == direction}
        book = _by_the_book((sign * lows).tolist(), (sign * close).tolist(), (sign * values).tolist(), width, span)
        assert mine == book


def known_by(judged: list[Judged], end: int) -> list[Judged]:
    """What the first `end` candles say, by the whole: what was confirmed then, and what came of it by then."""
    return [
        replace(
            one,
            invalidated=one.invalidated if (one.invalidated or end) < end else None,
            outcome=one.outcome if one.outcome and one.outcome.decided < end else None,
        )
        for one in judged
        if one.divergence.confirmed < end
    ]


def judged_all(candles: Candles, oscillator: str, width: int = 3, span: int = 100) -> list[Judged]:
    values, atr = compute([parse_spec(oscillator), parse_spec("atr(14)")], candles).values()
    return judge(candles, atr, find_divergences(candles, values, width, span), 0)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), end=st.integers(0, 400), width=st.integers(1, 6), span=st.integers(5, 200))
def test_adding_future_candles_changes_no_past_divergence(seed: int, end: int, width: int, span: int) -> None:
    candles = random_walk(400, seed)

    whole, past = (judged_all(part, "rsi(14)", width, span) for part in (candles, candles.slice(0, end)))

    assert past == known_by(whole, end)


@pytest.mark.parametrize("step", [331, pytest.param(67, marks=pytest.mark.long)])
def test_on_real_candles_every_prefix_says_what_the_whole_says_of_it(real_candles: Candles, step: int) -> None:
    candles = real_candles.slice(0, 3_000)
    whole = judged_all(candles, "macd(12,26,9).hist")

    assert len(whole) > 100
    for end in range(0, 3_000, step):
        assert judged_all(candles.slice(0, end), "macd(12,26,9).hist") == known_by(whole, end)


def test_a_close_beyond_the_second_swing_invalidates_and_a_touch_does_not() -> None:
    price = line({**LOWS, 40: 99})
    (pair,) = find_divergences(of_closes(price), line({**RISING, 30: 45, 40: 60}), 3, 100)
    (holds,) = judge(of_closes(price), np.ones(41), [pair], 0)
    price[38:] = [98, 98, 97.9]
    (broken,) = judge(of_closes(price), np.ones(41), [pair], 0)

    assert (holds.invalidated, broken.invalidated) == (None, 40)


def made(confirmed: int, *, kind: str = "regular", direction: str = "bullish") -> Divergence:
    return Divergence(direction, kind, confirmed - 9, confirmed - 3, confirmed, 50.0)  # type: ignore[arg-type]


def test_confidence_counts_the_earlier_ones_that_came_true_before_they_failed() -> None:
    close = np.full(100, 10.0)
    high, low = close + 0.5, close - 0.5
    high[25], low[35] = 11, 9  # one ATR up after 20, down after 30
    high[45], low[45] = 11, 9  # both in one candle after 40: against it
    candles, atr = of_closes(close, high, low), np.full(100, 1.0)
    earlier = [made(20), made(30), made(40), made(50), made(21, kind="hidden"), made(22, direction="bearish")]

    judged = {one.divergence: one for one in judge(candles, atr, [*earlier, made(90)], 0)}

    assert (judged[made(90)].sample, judged[made(90)].came_true) == (3, 1), "50 is still undecided"
    assert judged[made(90)].confidence == pytest.approx(100 * (1 + 10) / (3 + 20))
    assert (judged[made(30)].sample, judged[made(30)].came_true) == (1, 1)
    assert (judged[made(20)].sample, judged[made(20)].confidence) == (0, None)
    assert judged[made(22, direction="bearish")].sample == 0


def test_only_what_was_decided_at_the_confirmation_counts() -> None:
    close = np.full(60, 10.0)
    high = close + 0.1
    high[41] = 12
    candles = of_closes(close, high, close - 0.1)

    early, late = judge(candles, np.full(60, 1.0), [made(20), made(39), made(41)], 30)

    assert (early.sample, late.sample) == (0, 2)


def test_the_sample_reaches_back_a_fixed_number_of_candles() -> None:
    close = np.full(SAMPLE_CANDLES + 100, 10.0)
    candles = of_closes(close, close + 5, close)
    atr = np.full(len(close), 1.0)
    old = [made(20), made(21)]

    (at_reach,) = judge(candles, atr, [*old, made(20 + SAMPLE_CANDLES)], 30)
    (beyond,) = judge(candles, atr, [*old, made(21 + SAMPLE_CANDLES)], 30)

    assert (at_reach.sample, beyond.sample) == (2, 1)


@pytest.mark.parametrize("value", [0.0, NAN])
def test_without_a_range_to_measure_by_nothing_comes_true(value: float) -> None:
    candles = of_closes(np.full(60, 10.0), np.full(60, 20.0))

    (judged,) = judge(candles, np.full(60, value), [made(20), made(40)], 30)

    assert (judged.sample, judged.confidence) == (0, None)


def test_on_random_walks_confidence_says_that_it_is_a_coin_toss() -> None:
    samples = came_true = 0
    for seed in range(12):
        candles = random_walk(3_000, seed)
        for one in search(candles, parse_spec("rsi(14)"), 400, 3).divergences:
            samples, came_true = samples + one.sample, came_true + one.came_true

    assert samples > 1_000
    assert came_true / samples == pytest.approx(0.5, abs=0.05)


def test_on_real_candles_there_are_some_divergences_of_each_kind_and_none_is_common(real_candles: Candles) -> None:
    whole = search(real_candles, parse_spec("rsi(14)"), len(real_candles), 3)
    kinds = [(one.divergence.direction, one.divergence.kind) for one in whole.divergences]

    for direction in ("bullish", "bearish"):
        for kind in ("regular", "hidden"):
            per_thousand = 1_000 * kinds.count((direction, kind)) / len(real_candles)
            assert 2 < per_thousand < 30, (direction, kind)
    newest = [one for one in whole.divergences if one.divergence.confirmed > SAMPLE_CANDLES]
    assert all(one.sample > 0 for one in newest)
    assert all(0 < one.divergence.strength <= 100 for one in whole.divergences)
    assert 20 < np.mean([one.confidence for one in newest]) < 80


@pytest.mark.parametrize("step", [4_999, pytest.param(1_777, marks=pytest.mark.long)])
def test_the_candles_wanted_give_what_the_whole_past_gives(real_candles: Candles, step: int) -> None:
    for text in ("rsi(14)", "macd(12,26,9)"):
        spec = parse_spec(text)
        wanted = candles_wanted(spec, "1h", 100, 3)
        for end in range(9_000, len(real_candles), step):
            start = end - wanted
            part, whole = real_candles.slice(start, end), real_candles.slice(0, end)
            few, many = search(part, spec, 100, 3), search(whole, spec, 100, 3)
            assert [_moved(one, start) for one in few.divergences] == [_moved(one, 0) for one in many.divergences]


def _moved(judged: Judged, by: int) -> tuple[object, ...]:
    one = judged.divergence
    places = (one.first + by, one.second + by, one.confirmed + by, judged.invalidated and judged.invalidated + by)
    return one.direction, one.kind, *places, round(one.strength, 6), judged.sample, judged.came_true


def test_too_few_candles_decide_nothing() -> None:
    spec = parse_spec("rsi(14)")
    for length in (0, 5, 14, 18):
        assert not search(random_walk(length, 1), spec, 100, 3).decided
    assert search(random_walk(40, 1), spec, 100, 3).decided
    assert not search(random_walk(40, 1), spec, 20, 10).decided


def test_an_oscillator_of_sessions_needs_candles_below_a_day() -> None:
    with pytest.raises(BadInput, match="too long for it"):
        candles_wanted(parse_spec("rsi(14) of vwap"), "1d", 100, 3)
