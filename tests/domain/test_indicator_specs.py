"""Indicator specs: what each text stands for, how its columns are called, and what is refused."""

import re
from pathlib import Path

import pytest

from mcp_server.domain.candles import Candles
from mcp_server.domain.indicators import catalog
from mcp_server.domain.indicators.compute import compute
from mcp_server.domain.indicators.indicator import MOST_HISTORY
from mcp_server.domain.indicators.parse import parse_spec, parse_specs
from mcp_server.domain.indicators.spec import Spec, distinct
from mcp_server.errors import BadInput, NotFound


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("rsi", ["rsi"]),
        ("rsi()", ["rsi"]),
        ("rsi(14)", ["rsi_14"]),
        (" RSI ( 14 ) ", ["rsi_14"]),
        ("rsi(timeperiod=14)", ["rsi_14"]),
        ("ema(50) of volume", ["ema_50_of_volume"]),
        ("EMA(50) OF Volume", ["ema_50_of_volume"]),
        ("ema of high", ["ema_of_high"]),
        ("macd(12,26,9)", ["macd_12_26_9", "macd_12_26_9_signal", "macd_12_26_9_hist"]),
        ("macd", ["macd", "macd_signal", "macd_hist"]),
        ("macdext", ["macdext", "macdext_signal", "macdext_hist"]),
        ("bbands(20,2.5)", ["bbands_20_2p5_upper", "bbands_20_2p5_middle", "bbands_20_2p5_lower"]),
        ("bbands(20, nbdevup=2.5)", ["bbands_20_2p5_upper", "bbands_20_2p5_middle", "bbands_20_2p5_lower"]),
        ("bbands(20, nbdevdn=2.5)", ["bbands_20_2_2p5_upper", "bbands_20_2_2p5_middle", "bbands_20_2_2p5_lower"]),
        ("bbands(20, 2.0)", ["bbands_20_2_upper", "bbands_20_2_middle", "bbands_20_2_lower"]),
        ("stoch(14,3,0,3,0)", ["stoch_14_3_0_3_0_slowk", "stoch_14_3_0_3_0_slowd"]),
        ("aroon(25)", ["aroon_25_down", "aroon_25_up"]),
        ("supertrend(10,3)", ["supertrend_10_3", "supertrend_10_3_trend"]),
        ("ha", ["ha_open", "ha_high", "ha_low", "ha_close"]),
        ("sarext(-1.5)", ["sarext_m1p5"]),
        ("sar(1e-2)", ["sar_0p01"]),
        ("cdlmorningstar(0.5)", ["cdlmorningstar_0p5"]),
        ("obv", ["obv"]),
        ("sma(9) of rsi(14)", ["sma_9_of_rsi_14"]),
        ("macd(12,26,9).hist", ["macd_12_26_9_hist"]),
        ("MACD . Macd", ["macd"]),
        ("sma(9) of macd(12,26,9).signal", ["sma_9_of_macd_12_26_9_signal"]),
        ("sma(3) of sma(2) of stoch.slowd", ["sma_3_of_sma_2_of_stoch_slowd"]),
        ("correl(20) of close, volume", ["correl_20_of_close_volume"]),
        ("correl(20) of sma(5) of high, rsi", ["correl_20_of_sma_5_of_high_rsi"]),
        ("mavp(5,30)", ["mavp_5_30"]),
        ("mavp of high, ht_dcperiod", ["mavp_of_high_ht_dcperiod"]),
        ("ichimoku", ["ichimoku_span_a", "ichimoku_span_b", "ichimoku_tenkan", "ichimoku_kijun"]),
        ("kst", ["kst", "kst_signal"]),
    ],
)
def test_a_spec_names_its_columns(text: str, columns: list[str]) -> None:
    assert list(parse_spec(text).columns) == columns


def test_a_spec_knows_its_function_parameters_source_and_warm_up() -> None:
    spec = parse_spec("ema(50) of volume")

    assert (spec.text, spec.function, spec.source, spec.inputs) == ("ema(50) of volume", "ema", "volume", ("volume",))
    assert dict(spec.parameters) == {"timeperiod": 50}
    assert spec.warm_up == 49


def test_parameters_that_are_not_given_are_ta_libs_own() -> None:
    assert dict(parse_spec("bbands(30)").parameters) == {"timeperiod": 30, "nbdevup": 2.0, "nbdevdn": 2.0, "matype": 0}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rsj(14)", "Unknown indicator 'rsj'. Did you mean 'rsi'"),
        ("zzzzzzzz", "find_indicators"),
        ("rsi(14, 3)", "It takes rsi(timeperiod=14)"),
        ("obv(3)", "'obv' takes no parameters"),
        ("rsi(period=14)", "no parameter 'period'. Did you mean 'timeperiod'?"),
        ("rsi(1)", "from 2 to 1000"),
        ("ema(1000000)", "from 1 to 1000"),
        ("ema(-5)", "from 1 to 1000"),
        ("rsi(14.5)", "a whole number from 2 to 1000"),
        ("ma(10, 99)", "from 0 to 13"),
        ("t3(5, 1.5)", "a number from 0 to 1"),
        ("mama(0.5, 0.001)", "from 0.01 to 0.99"),
        ("percentile(30, 101)", "from 0 to 100"),
        ("bbands(20, nan)", "a number from"),
        ("bbands(20, inf)", "a number from"),
        ("bbands(20, 1e99)", "out of range"),
        ("rsi(x)", "timeperiod is 'x'"),
        ("bbands(20,,2)", "empty or unreadable"),
        ("bbands(timeperiod=20, 2)", "without a name after a named one"),
        ("bbands(20, timeperiod=30)", "'timeperiod' twice"),
        ("rsi(14", "not an indicator spec"),
        ("rsi 14", "not an indicator spec"),
        ("rsi((14))", "not an indicator spec"),
        ("", "not an indicator spec"),
        ("rsi(14); drop table x", "not an indicator spec"),
        ("rsi(١٤)", "timeperiod is"),
        ("rsi(" + "1" * 500 + ")", "longer than 200 characters"),
        ("ema(50) of", "not an indicator spec"),
        ("ema(50) of vol", "no candle column 'vol'"),
        ("ema(50) of rsi_14", "no candle column 'rsi_14'"),
        ("atr(14) of volume", "'atr' is always computed from high, low, close"),
        ("correl(30) of close", "compares two series"),
        ("rsi(14) of close, high", "not an indicator spec"),
        ("rsi(14), ema(3)", "not an indicator spec"),
        ("macd.histo", "no output 'histo'. Did you mean 'hist'?"),
        ("rsi(14).", "not an indicator spec"),
        ("ema of ema of ema of ema", "more than 3 indicators in one another"),
        ("sma(5) of bbands(1)", "'sma(5) of bbands(1)': timeperiod is 1, out of range"),
        ("linreg(14)", "It is 'linearreg' here."),
        ("stc", "stands still"),
        ("bollinger(20)", "Did you mean 'bbands'"),
        ("close", "'close' is a candle's own column"),
        ("vwap(14)", "has 1 parameters; at most 0"),
        ("squeeze_pro(20,2,20,1,1.5,2)", "kc_scalar_wide must be above"),
        ("aobv(5,5)", "fast and slow must differ"),
        ("mcgd(10) of volume", "'mcgd' is always computed from close"),
        ("vidya(14)", "'kama(10)' adapts"),
        ("sma(900) of stoch(1000,1000,8,900,8)", "at most 10000"),
        ("stoch(1000,1000,8,1000,8)", "at most 10000"),
    ],
)
def test_a_bad_spec_is_refused_with_what_to_write_instead(text: str, says: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_spec(text)

    assert says in str(refused.value)


def test_an_unknown_indicator_is_not_found() -> None:
    with pytest.raises(NotFound):
        parse_spec("nosuch(14)")


def test_the_same_spec_twice_is_one() -> None:
    assert [spec.text for spec in parse_specs(["rsi(14)", "macd", "RSI( 14 )"])] == ["rsi(14)", "macd"]


def test_two_specs_that_differ_may_not_share_a_column() -> None:
    one = parse_spec("rsi(14)")
    other = Spec("other", "ema", {"timeperiod": 14}, ("close",), None, ("rsi_14",), 13, 250)

    with pytest.raises(BadInput, match="'rsi\\(14\\)' and 'other' both name 'rsi_14'"):
        distinct([one, other])


def test_every_function_of_the_catalogue_can_be_used_and_names_its_columns_safely() -> None:
    seen: dict[str, str] = {}
    for name in catalog.names():
        spec = parse_spec(name)
        values = compute([spec], Candles.empty())
        assert list(values) == list(spec.columns)
        for column in spec.columns:
            assert column.isidentifier()
            assert column == column.lower()
            assert seen.setdefault(column, name) == name


@pytest.mark.parametrize("name", ["rsi", "bbands", "sar", "t3", "cdlmorningstar", "ma", "kdj"])
def test_the_ranges_stated_are_the_ranges_accepted(name: str) -> None:
    for parameter in catalog.find(name).parameters:
        assert parameter.low <= parameter.default <= parameter.high
        for edge in (parameter.low, parameter.high):
            value = edge if parameter.whole else float(edge)
            assert catalog.lookback(catalog.find(name), {parameter.name: value}) >= 0


@pytest.mark.parametrize("text", ["rsi(1000)", "ema(1000)", "linearreg(1000)", "trix(1000)", "obv", "sma(3)"])
def test_the_history_wanted_is_bounded(text: str) -> None:
    spec = parse_spec(text)

    assert 250 <= spec.history <= MOST_HISTORY
    assert spec.history > spec.warm_up


@pytest.mark.parametrize(
    ("text", "least"), [("sma(100)", 1000), ("rsi(14)", 300), ("adx(14)", 360), ("ema(200)", 2000)]
)
def test_a_slower_indicator_wants_more_history(text: str, least: int) -> None:
    assert parse_spec(text).history >= least


def test_a_running_total_wants_only_the_least_as_no_history_settles_it() -> None:
    assert parse_spec("obv").history == 250


def test_one_file_each_calls_the_two_libraries() -> None:
    folder = Path(catalog.__file__).parent.parent

    users = {
        library: [
            path.name
            for path in folder.rglob("*.py")
            if re.search(rf"(import |import_module\(\"){library}\b", path.read_text())
        ]
        for library in ("talib", "pandas_ta_classic", "pandas")
    }

    assert users == {
        "talib": ["talib_functions.py"],
        "pandas_ta_classic": ["pandas_ta_functions.py"],
        "pandas": ["pandas_ta_functions.py"],
    }
