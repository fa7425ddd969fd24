"""Indicator values: known answers, where they begin, that the future never changes them, how much history they need."""

from threading import Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_server.domain.candles import Candles, Floats
from mcp_server.domain.indicators import catalog
from mcp_server.domain.indicators.compute import compute
from mcp_server.domain.indicators.parse import parse_spec, parse_specs
from tests.rigs.hourly_candles import hourly_candles
from tests.rigs.sampled import sampled, some_or_all

HOUR_MS = 3_600_000


def made_candles(length: int, seed: int = 1) -> Candles:
    random = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.01, length)))
    opened = np.concatenate([close[:1], close[:-1]])
    high = np.maximum(opened, close) * (1 + random.uniform(0, 0.01, length))
    low = np.minimum(opened, close) * (1 - random.uniform(0, 0.01, length))
    return Candles(np.arange(length) * HOUR_MS, opened, high, low, close, random.uniform(1, 100, length))


def of_closes(*closes: float) -> Candles:
    return Candles.from_rows([(i * HOUR_MS, c, c, c, c, 1.0) for i, c in enumerate(closes)])


@pytest.fixture(scope="module")
def real_candles() -> Candles:
    return hourly_candles()


def only(text: str, candles: Candles) -> Floats:
    (values,) = compute([parse_spec(text)], candles).values()
    return values


def test_sma_is_the_mean_of_the_last_closes_from_its_period_on() -> None:
    np.testing.assert_allclose(only("sma(3)", of_closes(1, 2, 3, 4, 8)), [np.nan, np.nan, 2, 3, 5])


def test_ema_starts_at_the_mean_and_moves_by_two_over_period_plus_one() -> None:
    np.testing.assert_allclose(only("ema(3)", of_closes(2, 4, 6, 8, 12)), [np.nan, np.nan, 4, 6, 9])


def test_rsi_of_wilder_starts_at_the_period_and_smooths_by_one_over_it() -> None:
    closes = (10, 11, 10, 12, 13, 11)
    gain, loss = (1 + 0) / 2, (0 + 1) / 2
    expected = [np.nan, np.nan, 100 * gain / (gain + loss)]
    for change in (2, 1, -2):
        gain, loss = (gain + max(change, 0)) / 2, (loss + max(-change, 0)) / 2
        expected.append(100 * gain / (gain + loss))

    np.testing.assert_allclose(only("rsi(2)", of_closes(*closes)), expected)


def test_macd_is_the_difference_of_two_emas_and_its_histogram_what_remains_above_the_signal() -> None:
    candles = made_candles(300)
    values = compute(parse_specs(["macd(12,26,9)", "ema(12)", "ema(26)"]), candles)

    assert np.flatnonzero(np.isfinite(values["macd_12_26_9"]))[0] == 33
    np.testing.assert_allclose(values["macd_12_26_9"][-1], values["ema_12"][-1] - values["ema_26"][-1], rtol=1e-6)
    np.testing.assert_allclose(
        values["macd_12_26_9_hist"], values["macd_12_26_9"] - values["macd_12_26_9_signal"], atol=1e-12
    )


def test_bollinger_bands_take_each_deviation_as_given_with_the_populations_standard_deviation() -> None:
    values = compute([parse_spec("bbands(4, 2.5, 1)")], of_closes(1, 2, 3, 6))
    deviation = np.std([1, 2, 3, 6])

    assert [column[-1] for column in values.values()] == pytest.approx([3 + 2.5 * deviation, 3, 3 - deviation])
    assert np.isnan(values["bbands_4_2p5_1_upper"][:3]).all()


def test_atr_starts_at_the_mean_true_range_and_smooths_it() -> None:
    rows = [(0, 9, 10, 8, 9, 1), (1, 9, 12, 9, 11, 1), (2, 11, 11, 7, 8, 1), (3, 8, 9, 8, 9, 1)]

    np.testing.assert_allclose(only("atr(2)", Candles.from_rows(rows)), [np.nan, np.nan, 3.5, (3.5 + 1) / 2])


def test_a_source_replaces_the_close() -> None:
    candles = made_candles(40)

    np.testing.assert_array_equal(only("sma(1) of volume", candles), candles.volume)


def test_a_candlestick_pattern_has_no_value_in_its_warm_up() -> None:
    spec = parse_spec("cdldoji")
    values = only("cdldoji", of_closes(*[5.0] * 20))

    assert np.isnan(values[: spec.warm_up]).all()
    assert (values[spec.warm_up :] == 100).all()


@pytest.mark.parametrize("name", sampled(catalog.names(), 3))
def test_fewer_candles_than_the_warm_up_give_no_value(name: str) -> None:
    spec = parse_spec(name)

    for length in {0, 1, spec.warm_up}:
        for values in compute([spec], made_candles(spec.warm_up).slice(0, length)).values():
            assert len(values) == min(length, spec.warm_up)
            assert np.isnan(values).all()


@pytest.mark.parametrize("names", some_or_all(catalog.names(), 6))
@settings(max_examples=8, deadline=None)
@given(end=st.integers(1, 399), seed=st.integers(0, 2**32))
def test_adding_future_candles_changes_no_past_value_of_any_indicator(names: list[str], end: int, seed: int) -> None:
    candles = made_candles(400, seed)
    specs = parse_specs(names)

    whole, known = compute(specs, candles), compute(specs, candles.slice(0, end))

    for column, values in known.items():
        np.testing.assert_array_equal(values, whole[column][:end], err_msg=column)


@pytest.mark.parametrize(
    "text",
    [
        *("rsi(14)", "rsi(50)", "ema(20)", "ema(200)", "ema(50) of volume", "macd(12,26,9)", "macd(50,100,20)"),
        *("atr(14)", "atr(100)", "adx(14)", "adx(30)", "bbands(20,2)", "stoch", "kama(10)", "tema(30)", "supertrend"),
    ],
)
def test_the_history_wanted_gives_the_same_last_value_as_the_whole_past(text: str, real_candles: Candles) -> None:
    spec = parse_spec(text)
    whole = compute([spec], real_candles)

    for end in range(len(real_candles), len(real_candles) - 5_000, -487):
        last = compute([spec], real_candles.slice(end - spec.history, end))
        for column, values in last.items():
            assert values[-1] == pytest.approx(whole[column][end - 1], rel=1e-9, abs=0)


def test_threads_that_compute_at_once_do_not_disturb_each_other() -> None:
    candles = made_candles(400)
    texts = [f"{name}({period})" for name in ("rsi", "ema", "atr", "adx") for period in range(5, 30, 5)]
    alone = {text: only(text, candles) for text in texts}
    wrong: list[str] = []

    def work(mine: list[str]) -> None:
        for _ in range(20):
            wrong.extend(text for text in mine if not np.array_equal(only(text, candles), alone[text], equal_nan=True))

    threads = [Thread(target=work, args=(texts[i:] + texts[:i],)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []
