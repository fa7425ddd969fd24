"""What pandas-ta-classic adds to TA-Lib: the parts of each entry that the library's own metadata doesn't say.

Its functions say their inputs and their category; defaults, ranges, outputs and warm-ups are inside of their code. The
defaults here are the library's, with three exceptions: `cksp` takes those of the averaging it uses, `hvol` a year of
365 days, and `edecay` a length with which it differs from the close.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mcp_server.domain.indicators.indicator import MAX_PERIOD, Parameter

WarmUp = Callable[[Mapping[str, Any]], int]

_LOWEST = 1e-6


@dataclass(frozen=True, slots=True)
class Extra:
    """One indicator of pandas-ta-classic.

    Attributes:
        parameters: in the order in which a spec gives them.
        warm_up: counts the leading rows without a value, from all parameters.
        outputs: name → position among the library's columns; "" is the one that is named like the indicator.
        recursive: it never forgets a candle altogether, so how much history it needs is measured.
        on_price: its values are prices.
        totals: the outputs that add up from the first candle on.
        fixed: further arguments, always the same.
        scale: its inputs are multiplied by this, because the library compares prices with absolute numbers. Its values
            do not depend on the unit of the prices.
        factor: its values are multiplied by this.
        sent: turns the parameters into those that the library takes, where they differ.
        of_close: it takes the close only, as the library fails on some other series.
        wants: how its parameters must fit together: the remedy where the library refuses them.
        zeros: a missing value after the warm-up is zero.
    """

    parameters: tuple[Parameter, ...]
    warm_up: WarmUp
    outputs: Mapping[str, int] = field(default_factory=lambda: {"": 0})
    recursive: bool = False
    on_price: bool = False
    totals: tuple[str, ...] = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)
    scale: float = 1.0
    factor: float = 1.0
    of_close: bool = False
    wants: str = "Stay nearer to its defaults."
    sent: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict
    zeros: bool = False


def _whole(name: str, default: int, low: int = 1, high: int = MAX_PERIOD) -> Parameter:
    return Parameter(name, default, low, high, True)


def _real(name: str, default: float, low: float = _LOWEST, high: float = 1e6) -> Parameter:
    return Parameter(name, default, low, high, False)


def _length(default: int, low: int = 1) -> tuple[Parameter, ...]:
    return (_whole("length", default, low),)


def _before(p: Mapping[str, Any]) -> int:
    return int(p["length"]) - 1


def _period(p: Mapping[str, Any]) -> int:
    return int(p["length"])


def _rows(count: int) -> WarmUp:
    return lambda _: count


def _mirrored(p: Mapping[str, Any]) -> Mapping[str, Any]:
    """Mirror the weights: the library turns them round, so that the oldest candles weigh most."""
    return {**p, "distribution_offset": 1 - p["distribution_offset"]}


_FAST_SLOW_SIGNAL = (_whole("fast", 12), _whole("slow", 26), _whole("signal", 9))
_SQUEEZE = (_whole("bb_length", 20, 2), _real("bb_std", 2.0), _whole("kc_length", 20))
_MOMENTUM = (_whole("mom_length", 12), _whole("mom_smooth", 6))
_HOLT_WINTER = (_real("na", 0.2, 0.1, 0.99), _real("nb", 0.1, 0.01, 0.5), _real("nc", 0.1, 0.01, 0.5))
_EXACT_SCALE = 2.0**40  # a power of two changes no digit


def _squeeze(p: Mapping[str, Any]) -> int:
    return max(int(p["bb_length"]) - 1, int(p["kc_length"]), int(p["mom_length"]) + int(p["mom_smooth"]) - 1)


def _kst(p: Mapping[str, Any]) -> int:
    return max(int(p[f"roc{i}"]) + int(p[f"sma{i}"]) for i in (1, 2, 3, 4)) + int(p["signal"]) - 2


def _crossing(p: Mapping[str, Any]) -> int:
    return max(int(p["fast"]), int(p["slow"])) + int(p["signal"]) - 2


EXTRAS: dict[str, Extra] = {
    # Candles
    "cdl_inside": Extra((), _rows(1)),
    "cdl_z": Extra(_length(30, 2), _before, {"open": 0, "high": 1, "low": 2, "close": 3}),
    # Cycles
    "dsp": Extra(_length(14), _before, recursive=True),
    "msw": Extra((_whole("period", 5, 2),), lambda p: int(p["period"]), {"": 0, "lead": 1}, scale=_EXACT_SCALE),
    # Momentum
    "bias": Extra(_length(26), _before),
    "brar": Extra(_length(26), _period, {"ar": 0, "br": 1}),
    "cg": Extra(_length(10), _before),
    "cti": Extra(_length(12, 3), _before),
    "fisher": Extra(
        (_whole("length", 9, 2), _whole("signal", 1)),
        lambda p: int(p["length"]) - 1 + int(p["signal"]),
        {"": 0, "signal": 1},
        recursive=True,
        scale=_EXACT_SCALE,
    ),
    "kst": Extra(
        (
            *(_whole(f"roc{i}", default) for i, default in enumerate((10, 15, 20, 30), 1)),
            *(_whole(f"sma{i}", default) for i, default in enumerate((10, 10, 10, 15), 1)),
            _whole("signal", 9),
        ),
        _kst,
        {"": 0, "signal": 1},
        factor=0.01,  # the library multiplies percentages by a hundred once more
    ),
    # Its length only asks for so many candles.
    "lrsi": Extra((_real("gamma", 0.5, 0.01, 0.99),), _rows(1), recursive=True, fixed={"length": 1}),
    "po": Extra(_length(14, 2), _before),
    "psl": Extra(_length(12), _period),
    "qqe": Extra(
        (_whole("length", 14, 2), _whole("smooth", 5), _real("factor", 4.236)),
        lambda p: 5 * int(p["length"]) + int(p["smooth"]) - 4,
        {"": 0, "rsi": 1, "trend": 6},
        recursive=True,
    ),
    "rsx": Extra(
        _length(14), lambda p: int(p["length"]) + max(int(p["length"]) - 1, 5), recursive=True, scale=_EXACT_SCALE
    ),
    "rvgi": Extra(
        (_whole("length", 14), _whole("swma_length", 4, 2)),
        lambda p: int(p["length"]) + 2 * int(p["swma_length"]) - 3,
        {"hist": 0, "": 1, "signal": 2},
    ),
    "slope": Extra(_length(1), _period),
    "smc_sweep": Extra((_whole("length", 15), _real("wick_mult", 1.5)), _period),
    "squeeze": Extra((*_SQUEEZE, _real("kc_scalar", 1.5), *_MOMENTUM), _squeeze, {"": 0, "on": 1, "off": 2, "no": 3}),
    "squeeze_pro": Extra(
        (
            *_SQUEEZE,
            _real("kc_scalar_wide", 2.0),
            _real("kc_scalar_normal", 1.5),
            _real("kc_scalar_narrow", 1.0),
            *_MOMENTUM,
        ),
        _squeeze,
        {"": 0, "on_wide": 1, "on_normal": 2, "on_narrow": 3, "off": 4, "no": 5},
        wants="kc_scalar_wide must be above kc_scalar_normal, and that above kc_scalar_narrow.",
    ),
    "td_seq": Extra((), _rows(4), {"up": 0, "down": 1}, zeros=True),
    "trixh": Extra(
        (_whole("length", 18), _whole("signal", 9)),
        lambda p: 3 * int(p["length"]) + int(p["signal"]) - 3,
        {"": 0, "signal": 1, "hist": 2},
        recursive=True,
    ),
    "vwmacd": Extra(_FAST_SLOW_SIGNAL, _crossing, {"": 0, "hist": 1, "signal": 2}),
    # Overlap
    "alma": Extra(
        (_whole("length", 10), _real("sigma", 6.0), _real("distribution_offset", 0.85, _LOWEST, 1 - _LOWEST)),
        _before,
        sent=_mirrored,
    ),
    "fwma": Extra(_length(10), _before),
    "hilo": Extra(
        (_whole("high_length", 13), _whole("low_length", 21)),
        lambda p: max(int(p["high_length"]), int(p["low_length"])),
        recursive=True,
    ),
    "hwma": Extra(_HOLT_WINTER, _rows(0), recursive=True),
    "ichimoku": Extra(
        (_whole("tenkan", 9), _whole("kijun", 26), _whole("senkou", 52)),
        lambda p: max(int(p[name]) for name in ("tenkan", "kijun", "senkou")) - 1 + int(p["kijun"]),
        {"span_a": 0, "span_b": 1, "tenkan": 2, "kijun": 3},
        fixed={"as_dataframe": True, "include_chikou": False},  # that one is the close of the future
    ),
    "jma": Extra((_whole("length", 7, 2), _real("phase", 0.0, -100, 100)), _before, recursive=True),
    "mcgd": Extra((_whole("length", 10), _real("c", 1.0, 0.5, 1)), _before, recursive=True, of_close=True),
    "pwma": Extra(_length(10), _before),
    "rainbow": Extra(
        _length(2), lambda p: 10 * int(p["length"]) - 1, {str(number + 1): number for number in range(10)}
    ),
    "sinwma": Extra(_length(14), _before),
    "ssf": Extra((_whole("length", 10), _whole("poles", 2, 2, 3)), _before, recursive=True),
    # Returns and statistics
    "log_return": Extra(_length(1), _period),
    "entropy": Extra((_whole("length", 10, 2), _real("base", 2.0, 1.01)), _before),
    "kurtosis": Extra(_length(30, 4), _before),
    "quantile": Extra((_whole("length", 30), _real("q", 0.5, _LOWEST, 1 - _LOWEST)), _before, on_price=True),
    "skew": Extra(_length(30, 3), _before),
    "stderr": Extra(_length(14, 2), _before),
    "zscore": Extra(_length(30, 2), _before),
    # Trend
    "amat": Extra(
        (_whole("fast", 8), _whole("slow", 21), _whole("lookback", 2)),
        lambda p: max(int(p["fast"]), int(p["slow"])) - 1 + int(p["lookback"]),
        {"long": 0, "short": 1},
        recursive=True,
    ),
    "chop": Extra(_length(14, 2), _period),
    "cksp": Extra(
        (_whole("p", 10), _real("x", 1.0), _whole("q", 9)),
        lambda p: int(p["p"]) + int(p["q"]) - 1,
        {"long": 0, "short": 1},
        recursive=True,
        on_price=True,
        fixed={"tvmode": True},
    ),
    "cpr": Extra((), _rows(1), {"tc": 0, "pivot": 1, "bc": 2, "r1": 3, "r2": 4, "s1": 5, "s2": 6}, on_price=True),
    "decreasing": Extra(_length(1), _period),
    "edecay": Extra(_length(100), _before, recursive=True, on_price=True),
    "increasing": Extra(_length(1), _period),
    "ttm_trend": Extra(_length(6), _before),
    # Volatility
    "aberration": Extra(
        (_whole("length", 5), _whole("atr_length", 15)),
        lambda p: max(int(p["length"]) - 1, int(p["atr_length"])),
        {"middle": 0, "upper": 1, "lower": 2},
        recursive=True,
        on_price=True,
    ),
    "ce": Extra(
        (_whole("length", 22), _real("multiplier", 3.0)),
        _period,
        {"long": 0, "short": 1},
        recursive=True,
        on_price=True,
    ),
    "hvol": Extra((_whole("length", 20, 2), _real("annualization", 365.0)), _period),
    "hwc": Extra(
        (*_HOLT_WINTER, _real("nd", 0.1, _LOWEST, 1 - _LOWEST), _real("scalar", 1.0)),
        _rows(0),
        {"middle": 0, "upper": 1, "lower": 2},
        recursive=True,
        on_price=True,
    ),
    "pdist": Extra((), _rows(1)),
    "thermo": Extra(
        (_whole("length", 20), _real("long", 2.0), _real("short", 0.5)),
        _period,
        {"": 0, "ma": 1, "long": 2, "short": 3},
        recursive=True,
    ),
    "ui": Extra(_length(14), lambda p: 2 * (int(p["length"]) - 1)),
    # Volume
    "aobv": Extra(
        (_whole("fast", 4), _whole("slow", 12)),
        lambda p: max(int(p["fast"]), int(p["slow"])) + 1,
        {"fast": 3, "slow": 4, "long": 5, "short": 6},
        recursive=True,
        totals=("fast", "slow"),
        wants="fast and slow must differ.",
    ),
    "emv": Extra((), _rows(1)),
    "eom": Extra((_whole("length", 14), _real("divisor", 1e8, _LOWEST, 1e12)), _period),
    "kvo": Extra(
        (_whole("fast", 34), _whole("slow", 55), _whole("signal", 13)), _crossing, {"": 0, "signal": 1}, recursive=True
    ),
    "pvol": Extra((), _rows(0)),
    "pvr": Extra((), _rows(1)),
}

LEFT_OUT: dict[str, str] = {
    # The same under another name
    "cdl_doji": "It is 'cdldoji' here.",
    "dm": "Write 'plus_dm(14)' and 'minus_dm(14)'.",
    "hl2": "It is 'medprice' here.",
    "hlc3": "It is 'typprice' here.",
    "linreg": "It is 'linearreg' here.",
    "linregangle": "It is 'linearreg_angle' here.",
    "linregintercept": "It is 'linearreg_intercept' here.",
    "linregslope": "It is 'linearreg_slope' here.",
    "mad": "It is 'avgdev' here.",
    "md": "It is 'avgdev' here.",
    "median": "Write 'quantile(30, 0.5)'.",
    "mmar": "It is six averages: 'ema(10)', 'ema(15)', 'ema(20)', 'ema(25)', 'ema(30)', 'ema(35)'.",
    "ohlc4": "It is 'avgprice' here.",
    "percent_return": "It is 'rocp' here.",
    "psar": "It is 'sar' here.",
    "stdev": "It is 'stddev' here.",
    "swma": "It is 'trima' here.",
    "true_range": "It is 'trange' here.",
    "uo": "It is 'ultosc' here.",
    "variance": "It is 'var' here.",
    "vosc": "Write 'pvo(14, 28, 0)'.",
    "wcp": "It is 'wclprice' here.",
    "zlma": "It is 'zlema' here.",
    # Not an indicator over candles
    "cdl_pattern": "Name the pattern: 'cdlengulfing', 'cdlhammer' …",
    "drawdown": "It depends on where the history starts; write the distance from 'max(100)'.",
    "long_run": "It compares two series; write the comparison in a rule.",
    "short_run": "It compares two series; write the comparison in a rule.",
    "tos_stdevall": "Its line depends on how many candles are looked at; write 'linearreg(100)' and 'stddev(100)'.",
    "tsignals": "It turns a series into trades; write a rule.",
    "vp": "A volume profile has no value per candle; 'vwap' and 'vwma(20)' weigh prices by volume.",
    "xsignals": "It turns a series into trades; write a rule with crosses_above.",
    # Its code does not do what it is named for
    "avolume": "It is 'hvol(20)' with a year of 252 days fixed.",
    "decay": "It falls by a fixed part of one quote unit, whatever the price; 'edecay(100)' decays by a ratio.",
    "cfo": "The library compares the close with the forecast for the next candle; 'fosc(9)' does it with this one's.",
    "ebsw": "The library's code takes degrees for radians; 'ht_sine' and 'msw(5)' are sine waves too.",
    "inertia": "The library smooths another volatility than Dorsey's; write 'linearreg(20) of rvi(14,10)'.",
    "pgo": "The library averages the true range twice; a rule may divide (close - sma_14) by 'ema(14) of trange'.",
    "pmax": "The library lets the close cross the stops where its author has the average; 'supertrend' is its kin.",
    "stc": "The library's code stands still while MACD is below zero; 'stoch' and 'macd' are its two parts.",
    "vidya": "The library's average has no value any more once prices stood still; 'kama(10)' adapts to movement too.",
    "vfi": "The library cuts off at a fifth of the price, so it is nearly always zero; 'cmf(20)' measures flow.",
}
"""What pandas-ta-classic has and the catalogue leaves out: what to write instead, or why."""
