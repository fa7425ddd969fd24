"""Scales, ticks and numbers: what is written beside a chart is round, readable and inside of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.charts.numbers import price_decimals, price_text, short_text, step_decimals, tick_text
from mcp_server.charts.scale import Scale, price_scale, step_of, ticks, value_scale, volume_scale
from mcp_server.charts.times import time_ticks
from mcp_server.domain.timeframes import TIMEFRAMES, from_ms
from tests.charts.sample import AS_OF_MS

prices = st.floats(min_value=1e-14, max_value=1e14)


@given(low=prices, ratio=st.floats(min_value=1.0, max_value=1e6), most=st.integers(min_value=1, max_value=12))
def test_ticks_are_few_rising_and_inside(low: float, ratio: float, most: int) -> None:
    scale = price_scale(np.array([low]), np.array([low * ratio]), [], padding=0.05)
    assert scale.low < low * ratio
    labels = ticks(scale, most)
    assert len(labels) <= most + 1
    assert labels == sorted(set(labels))
    assert all(scale.holds(value * (1 + 1e-9)) or scale.holds(value * (1 - 1e-9)) for value in labels)
    assert 0 <= scale.share(low) <= scale.share(low * ratio) <= 1


def test_what_is_far_off_does_not_press_the_candles_flat() -> None:
    lows, highs = np.array([100.0, 101.0]), np.array([104.0, 110.0])
    near = price_scale(lows, highs, [np.array([112.0, np.nan])], padding=0.0)
    assert (near.low, near.high) == (100.0, 112.0)
    far = price_scale(lows, highs, [np.array([500.0])], padding=0.0)
    assert (far.low, far.high) == (100.0, 110.0)


def test_a_price_that_grew_manifold_is_drawn_on_a_logarithmic_scale() -> None:
    scale = price_scale(np.array([1.0]), np.array([100.0]), [np.array([-5.0, np.nan])], padding=0.0)
    assert scale.log
    assert scale.share(10.0) == pytest.approx(0.5)
    assert ticks(Scale(1.0, 100.0, True), 8) == [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]
    assert not price_scale(np.array([1.0]), np.array([3.9]), [], padding=0.0).log


@pytest.mark.parametrize("price", [0.0, 5.0, 8.1e-6, 1e-12, 1e13])
def test_a_price_that_never_moved_has_room_on_either_side(price: float) -> None:
    scale = price_scale(np.array([price]), np.array([price]), [], padding=0.05)
    assert scale.low < price < scale.high
    assert scale.share(price) == pytest.approx(0.5)


def test_undefined_values_alone_still_make_a_scale() -> None:
    none = np.array([np.nan, np.nan])
    assert (value_scale([none], [], padding=0.1).low, volume_scale(np.zeros(2), [none]).high) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("price", "text"),
    [(91626.33, "91,626.33"), (8.1e-6, "0.0000081"), (100000.0, "100,000"), (1.37e13, "1.37e13"), (3e-12, "3e-12")],
)
def test_prices_keep_their_digits(price: float, text: str) -> None:
    assert price_text(price, price_decimals(np.array([price]))) == text


def test_decimals_that_only_come_from_arithmetic_are_not_written() -> None:
    assert price_decimals(np.array([0.1 + 0.2, 64000.0])) == 3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (1.0, "1"), (2500.0, "2,500"),
        (56.3149, "56.31"), (-123.44, "-123.4"), (0.0123456, "0.01235"), (1234567.0, "1.235M"),
        (123456.0, "123.5k"), (12345.6, "12,346"), (3.1e-8, "3.1e-8"), (-7.5e12, "-7.5T"), (1e15, "1e15"),
    ],
)  # fmt: skip
def test_values_have_four_significant_digits(value: float, text: str) -> None:
    assert short_text(value) == text


def test_ticks_have_the_digits_of_their_distance() -> None:
    labels = ticks(Scale(7.9e-6, 8.35e-6), 5)
    assert [price_text(v, step_decimals(step_of(labels))) for v in labels] == [
        "0.0000079", "0.0000080", "0.0000081", "0.0000082", "0.0000083",
    ]  # fmt: skip
    assert [tick_text(v, 2.5) for v in (0.0, 2.5, 20_000.0)] == ["0", "2.5", "20k"]
    assert tick_text(5e-8, 5e-8) == "5e-8"


@pytest.mark.parametrize("timeframe", list(TIMEFRAMES))
@pytest.mark.parametrize("count", [20, 120, 500])
def test_times_are_labelled_at_round_moments_far_enough_apart(timeframe: str, count: int) -> None:
    length = TIMEFRAMES[timeframe]
    first = AS_OF_MS - AS_OF_MS % length - count * length
    slots = np.arange(first, first + count * length, length, dtype=np.int64)
    slot_px = 1060 / count
    labels = time_ticks(slots, slot_px, 92.0)
    assert 2 <= len(labels) <= 12
    at = np.array([tick.slot for tick in labels])
    assert (np.diff(at) * slot_px >= 92).all()
    for tick in labels:
        moment = from_ms(int(slots[tick.slot]))
        assert tick.text in (
            f"{moment:%H:%M}",
            f"{moment.day} {moment:%b}",
            f"{moment:%b}",
            f"{moment.year}",
        )


def test_a_new_day_among_hours_and_a_new_year_among_months_stand_out() -> None:
    hours = np.arange(AS_OF_MS - 48 * 3_600_000, AS_OF_MS, 3_600_000, dtype=np.int64)
    assert [tick.text for tick in time_ticks(hours, 20.0, 92.0) if tick.major] == ["19 May", "20 May"]
    days = np.arange(AS_OF_MS - 500 * 86_400_000, AS_OF_MS, 86_400_000, dtype=np.int64)
    assert [tick.text for tick in time_ticks(days, 2.1, 92.0) if tick.major] == ["2026"]
