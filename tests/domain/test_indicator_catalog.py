"""The catalogue, by enumeration: every entry is described, begins where it says, and never looks ahead."""

import re
from pathlib import Path

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_server.domain.candles import Candles
from mcp_server.domain.indicators import catalog, pandas_ta_functions, talib_functions
from mcp_server.domain.indicators.compute import compute
from mcp_server.domain.indicators.extras import EXTRAS, LEFT_OUT
from mcp_server.domain.indicators.indicator import Parameter
from mcp_server.domain.indicators.meanings import KEYWORDS, MEANINGS
from mcp_server.domain.indicators.parse import parse_spec, parse_specs
from mcp_server.domain.indicators.spec import Spec
from mcp_server.domain.timeframes import DAY_MS
from mcp_server.errors import BadInput, NotFound
from tests.domain.test_indicator_values import made_candles
from tests.rigs.hourly_candles import ROWS, hourly_candles
from tests.rigs.sampled import sampled

GROUPS = {
    *("Cycle Indicators", "Math Operators", "Math Transform", "Momentum Indicators", "Overlap Studies"),
    *("Pattern Recognition", "Price Transform", "Statistic Functions", "Volatility Indicators", "Volume Indicators"),
}
BOUNDED = {
    **{name: f"{name} of correl(10)" for name in ("acos", "asin")},
    **{name: f"{name} of rsi(14)" for name in ("cosh", "exp", "sinh")},
}
"""Functions that have no value at the height of prices, computed of something lower."""

BREAKOUT = ("hilo",)
"""It has no value before the close first leaves a range, which takes as long as it takes."""


def spec_of(name: str) -> Spec:
    return parse_spec(BOUNDED.get(name, name))


@pytest.fixture(scope="module")
def real_candles() -> Candles:
    return hourly_candles().slice(ROWS - 2_000, ROWS)


def test_it_holds_all_of_ta_lib_and_all_that_the_other_library_has_beyond_it() -> None:
    ta_lib = {name.lower() for name in talib.get_functions()}  # type: ignore[no-untyped-call]
    other = {name for names in pandas_ta_functions.library().Category.values() for name in names}

    assert len(ta_lib) == 201
    assert set(catalog.names()) == ta_lib | set(EXTRAS)
    assert other - ta_lib == set(EXTRAS) | set(LEFT_OUT)
    assert not set(EXTRAS) & (ta_lib | set(LEFT_OUT))
    assert len(catalog.names()) == 263


@pytest.mark.parametrize("name", sorted(LEFT_OUT))
def test_what_is_left_out_says_why_or_what_to_write_instead(name: str) -> None:
    with pytest.raises(NotFound) as refused:
        catalog.find(name)

    for written in re.findall(r"'([a-z0-9_]+(?:\([0-9., ]*\))?)'", LEFT_OUT[name]):
        assert parse_spec(written).columns
    assert "is not in the catalogue" in str(refused.value)


@pytest.mark.parametrize("name", catalog.names())
def test_every_entry_is_described(name: str) -> None:
    entry = catalog.find(name)

    assert entry.name == name
    assert entry.title
    assert entry.group in GROUPS
    assert entry.library == ("TA-Lib" if name in talib_functions.names() else "pandas-ta-classic")
    assert 0 < len(entry.meaning) <= 110
    assert not entry.meaning.endswith(".")
    assert set(entry.inputs) <= {"open_time_ms", "open", "high", "low", "close", "volume", "periods"}
    assert entry.sources <= len(entry.inputs)
    assert len(set(entry.outputs)) == len(entry.outputs)
    assert all(p.low <= p.default <= p.high for p in entry.parameters)


@pytest.mark.parametrize("name", sampled(catalog.names(), 6))
def test_a_name_alone_means_what_its_signature_says(name: str) -> None:
    assert parse_spec(catalog.find(name).signature).parameters == parse_spec(name).parameters


def test_no_meaning_is_of_nothing_and_none_is_told_twice() -> None:
    assert set(MEANINGS) == set(catalog.names())
    assert set(KEYWORDS) <= set(catalog.all_names())
    assert len(set(MEANINGS.values())) == len(MEANINGS)


@pytest.mark.parametrize("name", sampled(catalog.names(), 6))
def test_on_500_real_candles_the_first_value_stands_right_after_the_warm_up(name: str, real_candles: Candles) -> None:
    spec = spec_of(name)
    midnight = int(np.argmax(real_candles.open_time_ms % DAY_MS == 0))

    for values in compute([spec], real_candles.slice(midnight, midnight + 500)).values():
        assert np.isnan(values[: spec.warm_up]).all()
        assert np.isfinite(values[spec.warm_up]) or name in BREAKOUT
        assert np.isfinite(values[-1])


@pytest.mark.parametrize("name", sampled(catalog.names(), 6))
def test_future_candles_change_no_past_value(name: str, real_candles: Candles) -> None:
    spec = spec_of(name)
    whole = compute([spec], real_candles.slice(0, 500))
    same = all(
        np.array_equal(values, whole[column][:end], equal_nan=True)
        for end in (1, spec.warm_up, spec.warm_up + 1, 250, 333, 499)
        for column, values in compute([spec], real_candles.slice(0, end)).items()
    )

    assert same


def some(parameter: Parameter, share: float) -> float:
    """Return a value between the least and 50 candles, or half and twice the default."""
    if parameter.whole:
        return int(parameter.low) + int(share * (min(parameter.high, 50) - parameter.low))
    low, high = max(parameter.low, parameter.default / 2), min(parameter.high, parameter.default * 2)
    return low + share * (high - low)


@pytest.mark.parametrize("name", sampled(sorted(EXTRAS), 11))
@settings(max_examples=15, deadline=None, database=None)
@given(shares=st.lists(st.floats(0, 1), min_size=9, max_size=9), seed=st.integers(0, 100))
def test_a_warm_up_that_is_ours_to_say_holds_for_any_parameters(name: str, shares: list[float], seed: int) -> None:
    entry, candles = catalog.find(name), made_candles(450, seed)
    parameters = {p.name: some(p, share) for p, share in zip(entry.parameters, shares, strict=False)}
    try:
        outputs = catalog.call(entry, [getattr(candles, column) for column in entry.inputs], parameters)
    except BadInput:
        assert name in ("aobv", "squeeze_pro")  # they want their parameters in an order
        return
    warm_up = catalog.lookback(entry, parameters)

    for values in outputs:
        assert np.isnan(values[:warm_up]).all()
        assert np.isfinite(values[warm_up:]).all() or name in (*BREAKOUT, "cdl_z", "zscore")


@pytest.mark.parametrize("name", sampled(sorted(EXTRAS), 16))
def test_its_ranges_are_accepted_and_its_parameters_are_the_librarys(name: str) -> None:
    entry = catalog.find(name)
    for parameter in entry.parameters:
        for edge in (parameter.low, min(parameter.high, 300)):
            written = f"{name}({parameter.name}={int(edge) if parameter.whole else f'{edge:.6f}'})"
            if name != "squeeze_pro":  # its three scalars want an order
                assert parse_spec(written).columns


@pytest.mark.parametrize("name", sampled(sorted(EXTRAS), 4))
def test_the_history_wanted_gives_the_last_value_of_the_whole_past(name: str, real_candles: Candles) -> None:
    spec = spec_of(name)
    whole = compute([spec], real_candles)
    if spec.history > 1_500 or spec.running:
        pytest.skip("no history within these candles settles it")
    for end in range(2_000, 1_600, -97):
        for column, values in compute([spec], real_candles.slice(end - spec.history, end)).items():
            assert values[-1] == pytest.approx(whole[column][end - 1], rel=1e-9, abs=1e-9)


def test_a_source_that_is_undefined_for_a_while_does_not_poison_what_is_computed_of_it() -> None:
    moving = made_candles(300)
    flat = np.full(100, 50.0)
    parts = (moving.open, moving.high, moving.low, moving.close, np.full(300, 50.0))
    columns = [np.concatenate([part, flat, part]) for part in parts]
    candles = Candles(np.arange(700) * 3_600_000, *columns)
    inner, outer = compute(parse_specs(["cmou(14)", "sma(5) of cmou(14)"]), candles).values()

    assert np.isnan(inner[320:400]).all()
    assert np.isfinite(outer[406:]).all()
    np.testing.assert_allclose(outer[-1], inner[-5:].mean(), rtol=1e-12)


def test_an_indicator_of_an_indicator_is_computed_of_its_values() -> None:
    candles = made_candles(200)
    values = compute(
        parse_specs(["rsi(14)", "sma(9) of rsi(14)", "macd.hist", "sma(3) of macd.signal", "macd(12)"]), candles
    )

    np.testing.assert_allclose(values["sma_9_of_rsi_14"][-1], values["rsi_14"][-9:].mean(), rtol=1e-12)
    np.testing.assert_allclose(values["macd_hist"], values["macd_12_hist"])
    np.testing.assert_allclose(values["sma_3_of_macd_signal"][-1], values["macd_12_signal"][-3:].mean(), rtol=1e-12)


def test_two_series_are_correlated_in_the_order_given() -> None:
    candles = made_candles(60)
    (values,) = compute([parse_spec("correl(20) of close, volume")], candles).values()
    (beta,) = compute([parse_spec("beta(30) of close, volume")], candles).values()
    returns = [np.diff(column[-31:]) / column[-31:-1] for column in (candles.close, candles.volume)]

    assert values[-1] == pytest.approx(np.corrcoef(candles.close[-20:], candles.volume[-20:])[0, 1], rel=1e-9)
    assert beta[-1] == pytest.approx(np.cov(returns[0], returns[1])[0, 1] / np.var(returns[0], ddof=1), rel=1e-9)


def test_the_age_of_the_highest_value_is_counted_in_candles() -> None:
    candles = Candles.from_rows([(i * 3_600_000, c, c, c, c, 1.0) for i, c in enumerate((1, 5, 2, 3, 0.5))])
    values = compute(parse_specs(["maxindex(4)", "minindex(4)", "minmaxindex(4)"]), candles)

    assert [float(column[-1]) for column in values.values()] == [3, 0, 0, 3]


def test_an_average_of_variable_periods_is_that_of_each_period() -> None:
    candles = made_candles(120)
    values = compute(parse_specs(["mavp(5,10) of close, sma(1) of volume", "sma(5)", "sma(10)"]), candles)
    periods = np.clip(candles.volume.astype(int), 5, 10)
    averages = {5: values["sma_5"], 10: values["sma_10"]}
    of = values["mavp_5_10_of_close_sma_1_of_volume"]

    for row in range(20, 120):
        if int(periods[row]) in averages:
            assert of[row] == pytest.approx(averages[int(periods[row])][row], rel=1e-9)


def test_numbers_that_a_library_compares_with_a_fixed_one_do_not_depend_on_the_unit() -> None:
    """A coin of 0.00001 has the same oscillators as one of 10,000."""
    c = made_candles(300)
    dear, cheap = (
        Candles(c.open_time_ms, c.open * unit, c.high * unit, c.low * unit, c.close * unit, c.volume)
        for unit in (2.0**7, 2.0**-23)
    )
    specs = parse_specs(["fisher", "rsx", "msw", "rsi", "cti", "qqe", "lrsi", "chop", "zscore"])

    for (column, ours), theirs in zip(compute(specs, dear).items(), compute(specs, cheap).values(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, err_msg=column)


def test_every_entry_has_its_page_in_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "indicators.md").read_text()

    for name in catalog.names():
        assert f"`{name}" in page, name
    assert pandas_ta_functions.library_names() - talib_functions.names() - set(EXTRAS) <= set(LEFT_OUT)


@pytest.mark.parametrize("name", sampled([n for n in catalog.names() if n not in BOUNDED], 6))
def test_a_flat_stretch_is_forgotten(name: str) -> None:
    """Prices that stand still for a while leave nothing undefined behind for good."""
    moving, flat = made_candles(400), np.full(20, 50.0)
    parts = (moving.open, moving.high, moving.low, moving.close, np.full(400, 50.0))
    columns = [np.concatenate([part, flat, part, part]) for part in parts]

    for values in compute([parse_spec(name)], Candles(np.arange(1_220) * 3_600_000, *columns)).values():
        assert np.isfinite(values[-20:]).all()


@pytest.mark.parametrize("text", ["adx(1000)", "rsi(1000)", "sma(5) of adx(1000)"])
def test_what_no_history_settles_is_marked(text: str) -> None:
    spec = parse_spec(text)

    assert (spec.settled, spec.history, spec.running) == (False, 10_000, False)


@pytest.mark.parametrize("text", ["obv", "sma(3) of obv", "rsi(14) of nvi", "aobv", "sma(2) of sma(2) of ad"])
def test_what_is_computed_of_a_running_total_is_one(text: str) -> None:
    assert parse_spec(text).running


def test_nearly_every_entry_is_settled_with_its_defaults() -> None:
    unsettled = [name for name in catalog.names() if not parse_spec(name).settled]

    assert unsettled == []


def test_a_zero_that_rounding_blurs_unsettles_nothing() -> None:
    """A value of 1e-15 where others are 50 changes with every candle of the past, and says the same."""
    unsettled = [period for period in range(7, 60) if not parse_spec(f"stochrsi({period})").settled]

    assert unsettled == []


def test_no_matrix_product_of_the_library_is_left() -> None:
    """On some processors its last bit depends on how many rows follow; on others no value would show it."""
    functions = {name: getattr(pandas_ta_functions.library(), name) for name in EXTRAS}
    product = pandas_ta_functions._MATRIX_PRODUCT
    users = {name: function for name, function in functions.items() if product in function.__code__.co_names}
    assert users.keys() == {"alma", "cg", "fwma", "pwma", "sinwma"}
    assert {function.__globals__[product] for function in users.values()} == {pandas_ta_functions._weighted_sums}
