"""Where the libraries answer a number for 0/0 we answer none, and nothing else is changed."""

from collections.abc import Sequence

import numpy as np
import pandas
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_server.domain.candles import Candles, Floats
from mcp_server.domain.indicators import catalog, pandas_ta_functions
from mcp_server.domain.indicators.compute import compute
from mcp_server.domain.indicators.extras import EXTRAS
from mcp_server.domain.indicators.parse import parse_spec, parse_specs
from mcp_server.domain.rules.compiled import compile_rules
from mcp_server.domain.strategy.format import Rules
from tests.rigs.sampled import sampled, some_or_all

HOUR_MS = 3_600_000
SINCE_START = ("rsi", "cmo", "tsi", "rvi", "dx", "adx", "adxr", "plus_di", "minus_di", "smi", "massi", "cvi")
CYCLES = ("ht_dcperiod", "ht_dcphase", "ht_sine", "ht_trendmode")
WINDOWED = (
    *("cmou", "er", "vhf", "willr", "stoch", "stochf", "kdj", "stochrsi", "mfi", "cmf", "cci", "bop", "imi"),
    *("vortex", "ultosc"),
)
OTHERWISE: dict[str, dict[str, float]] = {
    "alma": {"distribution_offset": 1 - 0.85},
    "cksp": {"x": 1, "q": 9},
    "edecay": {"length": 100},
    "hvol": {"annualization": 365},
}
"""The parameters whose defaults are not the library's."""

CHANGED = ("mavp", "maxindex", "minindex", "minmaxindex")
"""What is not asked of TA-Lib as it answers: periods that are a series of their own, and ages instead of positions."""

UNCHANGED = [name for name in catalog.names() if name not in (*CHANGED, "vwap")]  # that one begins anew each day
FLAT_EXTRAS = (
    *("cti", "kurtosis", "skew", "zscore", "cdl_z", "brar", "fisher", "rvgi", "qqe", "lrsi", "rsx", "msw"),
    "chop",
)
OF_VOLUME = ("mfi", "cmf", "marketfi", "pvo", "rvol", "vwma", "vwap")


def walk(length: int = 300, seed: int = 1) -> Candles:
    random = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.01, length)))
    opened = np.concatenate([close[:1], close[:-1]])
    high = np.maximum(opened, close) * (1 + random.uniform(0, 0.01, length))
    low = np.minimum(opened, close) * (1 - random.uniform(0, 0.01, length))
    return Candles(np.arange(length) * HOUR_MS, opened, high, low, close, random.uniform(1, 100, length))


def flat(length: int = 300, price: float = 100.1) -> Candles:
    return of_closes([price] * length)


def of_closes(closes: Sequence[float], volume: float = 5.0) -> Candles:
    return Candles.from_rows([(i * HOUR_MS, c, c, c, c, volume) for i, c in enumerate(closes)])


def without_volume(candles: Candles, start: int = 0) -> Candles:
    volume = candles.volume.copy()
    volume[start:] = 0
    return Candles(candles.open_time_ms, candles.open, candles.high, candles.low, candles.close, volume)


def joined(first: Candles, second: Candles) -> Candles:
    columns = [
        np.concatenate([getattr(first, name), getattr(second, name)])
        for name in ("open", "high", "low", "close", "volume")
    ]
    return Candles(np.arange(len(columns[0])) * HOUR_MS, *columns)


def moved_then_flat() -> Candles:
    moved = walk()
    return joined(moved, flat(100, float(moved.close[-1])))


def values(text: str, candles: Candles) -> list[Floats]:
    return list(compute([parse_spec(text)], candles).values())


def raw(name: str, candles: Candles) -> list[Floats]:
    spec = parse_spec(name)
    inputs = [getattr(candles, column) for column in spec.inputs if isinstance(column, str)]
    if name in EXTRAS:
        outputs = of_pandas_ta(name, inputs)
    else:
        answer = getattr(talib, name.upper())(*inputs, **spec.parameters)
        outputs = [np.array(o, dtype=np.float64) for o in (answer if isinstance(answer, tuple | list) else (answer,))]
    for output in outputs:
        output[: spec.warm_up] = np.nan
        output[~np.isfinite(output)] = np.nan
    return outputs


def of_pandas_ta(name: str, inputs: list[Floats]) -> list[Floats]:
    """Ask the library itself, with its own defaults where ours are not other ones on purpose."""
    extra, function = EXTRAS[name], getattr(pandas_ta_functions.library(), name)
    columns = zip(pandas_ta_functions.describe(name).inputs, map(pandas.Series, inputs), strict=True)
    with np.errstate(all="ignore"):
        named = {"open_" if column == "open" else column: values for column, values in columns}
        answer = function(**named, **extra.fixed, **OTHERWISE.get(name, {}))
    table = np.asarray(answer, dtype=np.float64).reshape(len(inputs[0]), -1)
    outputs = [table[:, position] * extra.factor for position in extra.outputs.values()]
    return [np.nan_to_num(output, nan=0.0) if extra.zeros else output for output in outputs]


def test_an_rsi_of_flat_closes_is_no_value_and_its_rule_abstains() -> None:
    (rsi,) = values("rsi(14)", flat(60))
    verdict = compile_rules(Rules(buy="rsi_14 < 30", sell=None, indicators=("rsi(14)",)), "1h").evaluate(flat(60))

    assert np.isnan(rsi).all()
    assert (verdict.signal, verdict.buy) == (None, None)


@pytest.mark.parametrize(
    ("indicator", "sell", "candles"),
    [("willr(14)", "willr_14 > -20", flat(60)), ("mfi(14)", "mfi_14 < 20", without_volume(walk(60)))],
)
def test_a_rule_on_another_undefined_indicator_abstains_too(indicator: str, sell: str, candles: Candles) -> None:
    verdict = compile_rules(Rules(buy=None, sell=sell, indicators=(indicator,)), "1h").evaluate(candles)

    assert (verdict.signal, verdict.sell) == (None, None)


@pytest.mark.parametrize("name", [*SINCE_START, *CYCLES, *WINDOWED, *FLAT_EXTRAS, "beta", "correl"])
def test_without_any_movement_since_the_start_there_is_no_value(name: str) -> None:
    for output in values(name, flat()):
        assert np.isnan(output).all()


@pytest.mark.parametrize("name", [*WINDOWED, *CYCLES, "ttm_trend"])
def test_a_window_without_movement_has_no_value_whatever_was_before(name: str) -> None:
    for output in values(name, moved_then_flat()):
        assert np.isfinite(output[250:300]).all()
        assert np.isnan(output[-1])


@pytest.mark.parametrize("name", SINCE_START)
def test_what_is_smoothed_since_the_start_keeps_its_value_when_movement_ends(name: str) -> None:
    for output in values(name, moved_then_flat()):
        assert np.isfinite(output[-100:]).all()


@pytest.mark.parametrize("name", ["rsi", "cmo", "tsi", "rvi", "dx", "adx", "plus_di", "minus_di", "smi"])
def test_what_is_smoothed_since_the_start_has_a_value_from_the_first_movement_on(name: str) -> None:
    for output in values(name, of_closes([100.0] * 100 + [101.0] + [101.0] * 50)):
        assert np.isnan(output[:100]).all()
        assert np.isfinite(output[100:]).all()


@pytest.mark.parametrize("name", OF_VOLUME)
def test_without_volume_there_is_no_value(name: str) -> None:
    (output,) = values(name, without_volume(walk()))

    assert np.isnan(output).all()


@pytest.mark.parametrize("name", ["mfi", "cmf", "marketfi", "rvol", "vwma"])
def test_a_window_without_volume_has_no_value_whatever_was_before(name: str) -> None:
    (output,) = values(name, without_volume(walk(), 200))

    assert np.isfinite(output[100:200]).all()
    assert np.isnan(output[-1])


def test_relative_volume_is_of_the_window_before_the_candle() -> None:
    volume = [1.0, 1.0, 0.0, 0.0, 4.0, 2.0]
    candles = Candles.from_rows([(i * HOUR_MS, 1, 2, 1, 2, v) for i, v in enumerate(volume)])

    np.testing.assert_array_equal(values("rvol(2)", candles)[0], [np.nan, np.nan, 0, 0, np.nan, 1])


def test_candles_without_a_range_have_no_balance_of_power_but_a_stochastic_while_the_close_moves() -> None:
    moving = of_closes(walk().close.tolist())

    for name in ("bop", "imi", "cmf", "massi", "cvi"):
        assert np.isnan(values(name, moving)[0]).all()
    for name in ("willr", "stoch", "stochf", "kdj", "rsi", "adx", "cci", "ultosc", "vortex", "mfi"):
        for output in values(name, moving):
            assert np.isfinite(output[parse_spec(name).warm_up :]).all()


@pytest.mark.parametrize(("name", "value"), [("rsi", 100), ("cmo", 100), ("mfi", 100), ("willr", 0), ("plus_di", 100)])
def test_a_series_that_only_rises_keeps_its_extreme(name: str, value: float) -> None:
    (output,) = values(name, of_closes(range(100, 160)))

    np.testing.assert_array_equal(output[parse_spec(name).warm_up :], value)


def test_an_rsi_that_stays_the_same_has_no_stochastic() -> None:
    rising = values("stochrsi(5, 3, 2)", of_closes([*range(100, 130), 128]))

    assert [np.isnan(output[:-1]).all() for output in rising] == [True, True]
    assert rising[0][-1] == 0
    assert np.isnan(rising[1][-1])


def test_a_fast_k_over_one_candle_has_no_range_when_the_candle_has_none() -> None:
    assert np.isnan(values("stochf(1, 1)", of_closes([1, 2, 3]))[0]).all()
    assert np.isnan(values("stochrsi(2, 1, 1)", of_closes([1, 2, 1, 2, 3]))[0]).all()


def test_an_average_over_an_undefined_k_is_undefined_until_it_has_left_the_average() -> None:
    closes = [1, 2, 1, 2, 2, 2, 1, 2, 1, 2]  # over two candles %K is undefined at the 5th and the 6th
    k, d = values("stoch(2, 1, 0, 3, 0)", of_closes(closes))

    assert np.flatnonzero(np.isnan(k)).tolist() == [0, 1, 2, 4, 5]
    assert np.flatnonzero(np.isnan(d)).tolist() == [0, 1, 2, 4, 5, 6, 7]


def test_a_recursive_average_over_an_undefined_k_is_undefined_until_it_has_faded() -> None:
    candles = joined(flat(20), walk(100, 2))
    k = values("kdj(2, 3, 13, 1, 0)", candles)[0]

    assert np.flatnonzero(np.isfinite(k))[0] == 19 + 21 * 3
    assert k[-1] == pytest.approx(values("kdj(2, 3, 13, 1, 0)", walk(100, 2))[0][-1], rel=1e-8)


def test_directional_movement_that_never_happened_has_no_direction() -> None:
    inside = Candles.from_rows([(i * HOUR_MS, 5, 6, 4, 5 + i % 2 / 2, 1) for i in range(80)])

    assert np.isnan(values("dx", inside)[0]).all()
    np.testing.assert_array_equal(values("plus_di", inside)[0][14:], 0)


def test_the_adx_rating_needs_the_adx_of_a_period_ago() -> None:
    (rating,) = values("adxr(5)", of_closes([100.0] * 40 + [101.0 + i % 3 for i in range(20)]))

    assert np.flatnonzero(np.isfinite(rating))[0] == 44


def test_a_change_from_a_volume_of_zero_has_no_rate() -> None:
    candles = Candles.from_rows([(i * HOUR_MS, 1, 2, 1, 2, v) for i, v in enumerate([0.0, 3.0, 6.0, 0.0])])

    for name, expected in (("roc", [100, -100]), ("rocr", [2, 0])):
        np.testing.assert_array_equal(values(f"{name}(1) of volume", candles)[0], [np.nan, np.nan, *expected])


def test_a_value_that_was_smoothed_into_nothing_is_no_value() -> None:
    (rsi,) = values("rsi(2)", of_closes([1.0, 2.0, 1.5] + [1.5] * 1500))

    assert rsi[500] == pytest.approx(rsi[2])
    assert np.isnan(rsi[-1])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("mom", 0), ("roc", 0), ("rocr", 1), ("atr", 0), ("natr", 0), ("trange", 0), ("stddev", 0), ("var", 0)),
        *(("linearreg_slope", 0), ("macd", 0), ("apo", 0), ("ppo", 0), ("trix", 0), ("aroonosc", 0), ("ad", 0)),
        *(("bbands", 100.1), ("sma", 100.1), ("kama", 100.1), ("cdlengulfing", 0), ("percentrank", 0)),
    ],
)
def test_what_is_defined_on_flat_prices_stays(text: str, value: float) -> None:
    for output in values(text, flat()):
        np.testing.assert_allclose(output[parse_spec(text).warm_up :], value, atol=1e-9)


@pytest.mark.parametrize("name", sampled(UNCHANGED, 6))
def test_on_a_series_that_always_moves_every_value_is_the_librarys_own(name: str) -> None:
    for seed in range(3):
        for ours, theirs in zip(values(name, walk(400, seed)), raw(name, walk(400, seed)), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", sampled(UNCHANGED, 6))
def test_wherever_there_is_a_value_it_is_the_librarys_own(name: str) -> None:
    for candles in (moved_then_flat(), joined(flat(), walk()), without_volume(walk(), 150), flat()):
        for ours, theirs in zip(values(name, candles), raw(name, candles), strict=True):
            known = np.isfinite(ours)
            np.testing.assert_array_equal(ours[known], theirs[known])


@pytest.mark.parametrize("names", some_or_all(catalog.names(), 6))
@settings(max_examples=15, deadline=None)
@given(
    steps=st.lists(st.sampled_from([0, 0, 0, 0, 1, -1]), min_size=2, max_size=150),
    volumes=st.lists(st.sampled_from([0.0, 0.0, 1.0, 3.0]), min_size=150, max_size=150),
    share=st.floats(0, 1),
)
def test_later_candles_never_define_or_undefine_an_earlier_row(
    names: list[str], steps: list[int], volumes: list[float], share: float
) -> None:
    closes = 500.0 + np.cumsum(steps)
    candles = Candles.from_rows(
        [(i * HOUR_MS, c, c + (v == 3), c, c, v) for i, (c, v) in enumerate(zip(closes, volumes, strict=False))]
    )
    end = int(share * len(steps))
    specs = parse_specs(names)
    whole, known = compute(specs, candles), compute(specs, candles.slice(0, end))

    for column, output in known.items():
        np.testing.assert_array_equal(output, whole[column][:end], err_msg=column)
