"""Which values are 0/0: TA-Lib answers 0, 1, 50 or rounding noise where a denominator is zero, and we answer nothing.

A row's answer depends on its own inputs and earlier ones. What is zero by definition stays: momentum, ROC, ATR and
slopes of flat prices, bands without width, patterns, and running totals to which a candle adds nothing (AD, OBV).
"""

from collections.abc import Callable, Mapping, Sequence
from math import ceil, isqrt, log1p

import numpy as np
import numpy.typing as npt

from mcp_server.domain.candles import Floats

Mask = npt.NDArray[np.bool_]
_Parameters = Mapping[str, int | float]
_Rule = Callable[[Sequence[Floats], _Parameters], Mask | tuple[Mask, ...]]

_WINDOWS: dict[float, Callable[[int], int]] = {
    **dict.fromkeys((0, 2, 5), lambda period: period),
    9: lambda period: period + isqrt(period),
    10: lambda _: 1,
}
"""Rows that a moving average sees, by TA-Lib's number: SMA, WMA, TRIMA; Hull; none. The others only fade them out."""

_FADED_PERIODS = 21
"""Periods until a recursive average weighs an old value below 1e-9 (Wilder's, the slowest: exp(-21))."""

_FOREVER = 1 << 62


def undefined(name: str, inputs: Sequence[Floats], parameters: _Parameters) -> Mask:
    """Tell which rows of an indicator have no value, beyond its warm-up.

    Args:
        name: TA-Lib's function, in lower case.
        inputs: its columns in calling order, of one length.
        parameters: all of its parameters.

    Returns:
        True where it is undefined: one row for all outputs, or one row per output.
    """
    rule = _RULES.get(name)
    masks = rule(inputs, parameters) if rule and len(inputs[0]) else np.zeros(len(inputs[0]), dtype=np.bool_)
    return np.atleast_2d(masks)


def _quiet(active: Mask, rows: int = _FOREVER) -> Mask:
    """Whether nothing was active in the last `rows` rows, nor since the start if that is nearer."""
    return _since(active) >= np.minimum(rows, np.arange(1, len(active) + 1))


def _any(mask: Mask, rows: int) -> Mask:
    """Whether one of the last `rows` rows is set."""
    return ~_quiet(mask, rows)


def _since(active: Mask) -> npt.NDArray[np.int64]:
    """Count the rows since the last active one, which has 0; before the first, since just before the start."""
    row = np.arange(len(active), dtype=np.int64)
    return row - np.maximum.accumulate(np.where(active, row, -1))


def _changes(values: Floats) -> Mask:
    changed = np.zeros(len(values), dtype=np.bool_)
    changed[1:] = values[1:] != values[:-1]
    return changed


def _earlier(mask: Mask, rows: int) -> Mask:
    shifted = np.zeros_like(mask)
    shifted[rows:] = mask[: max(len(mask) - rows, 0)]
    return shifted


def _after(warm_up: int, mask: Mask) -> Mask:
    """Clear what lies in the warm-up: no later value is built on it."""
    mask[:warm_up] = False
    return mask


def _memory(weight: float) -> int:
    """Rows after which a recursive average that gives the newest value this weight has underflowed to nothing."""
    return 1 if weight >= 1 else ceil(-650 / log1p(-weight))


def _wilder(period: float) -> int:
    return _memory(1 / period)


def _ema(period: float) -> int:
    return _memory(2 / (period + 1))


def _smoothed(mask: Mask, period: float, average: float) -> Mask:
    """An average over an undefined value is undefined, until it has left the average."""
    if period <= 1:
        return mask
    window = _WINDOWS.get(average)
    return _any(mask, window(int(period)) if window else int(period) * _FADED_PERIODS)


def _typical(high: Floats, low: Floats, close: Floats) -> Floats:
    return (high + low + close) / 3.0


def _true_ranges(inputs: Sequence[Floats]) -> Mask:
    """Whether the true range is above zero; the first row has none."""
    high, low, close = inputs
    ranges = np.zeros(len(high), dtype=np.bool_)
    ranges[1:] = np.maximum(high[1:], close[:-1]) > np.minimum(low[1:], close[:-1])
    return ranges


def _flat_range(high: Floats, low: Floats, period: float) -> Mask:
    """Whether the highest high is the lowest low over the period; not before one is complete."""
    rows = int(period)
    return _after(rows - 1, _quiet(high != low, rows) & _quiet(_changes(high), rows - 1))


def _change_since_start(inputs: Sequence[Floats], p: _Parameters) -> Mask:
    """RSI, CMO: average gain and loss, smoothed by Wilder, are both zero: no change since the start."""
    return _quiet(_changes(inputs[0]), _wilder(p["timeperiod"]))


def _change_in_window(inputs: Sequence[Floats], p: _Parameters) -> Mask:
    """CMOU, ER, VHF: the sum of absolute changes over the period is zero."""
    return _quiet(_changes(inputs[0]), int(p["timeperiod"]))


def _tsi(inputs: Sequence[Floats], p: _Parameters) -> Mask:
    """TSI: the doubly smoothed absolute change is zero: no change since the start."""
    return _quiet(_changes(inputs[0]), max(_ema(p["firstperiod"]), _ema(p["secondperiod"])))


def _rvi(inputs: Sequence[Floats], p: _Parameters) -> Mask:
    """RVI: no change since the first standard deviation, so neither side has any volatility."""
    changes = _changes(inputs[0])
    changes[: int(p["stddevperiod"]) - 1] = False
    return _quiet(changes, _wilder(p["timeperiod"]))


def _cycle(inputs: Sequence[Floats], _: _Parameters) -> Mask:
    """HT_DCPERIOD, HT_DCPHASE, HT_SINE, HT_TRENDMODE: a line that never changed has no cycle, hence no phase."""
    return _quiet(_changes(inputs[0]))


def _stochrsi(inputs: Sequence[Floats], p: _Parameters) -> tuple[Mask, Mask]:
    """STOCHRSI: the RSI is undefined in the window, or the same throughout.

    It is the same while the close doesn't change, and (100 or 0) as long as the close only ever rose or only ever fell.
    """
    source, rows = inputs[0], int(p["fastk_period"])
    step = np.diff(source, prepend=source[:1])
    both = np.logical_or.accumulate(step > 0) & np.logical_or.accumulate(step < 0)
    constant = _quiet((step != 0) & both, rows - 1)
    first = int(p["timeperiod"])
    missing = _any(_after(first, _change_since_start(inputs, p)), rows)
    fast = _after(first + rows - 1, constant | missing)
    return fast, _smoothed(fast, p["fastd_period"], p["fastd_matype"])


def _stochf(inputs: Sequence[Floats], p: _Parameters) -> tuple[Mask, Mask]:
    """STOCHF: %K when the highest high is the lowest low; %D while it averages such a %K."""
    fast = _flat_range(inputs[0], inputs[1], p["fastk_period"])
    return fast, _smoothed(fast, p["fastd_period"], p["fastd_matype"])


def _stoch(inputs: Sequence[Floats], p: _Parameters) -> tuple[Mask, Mask]:
    """STOCH: as STOCHF, with %K averaged once more."""
    fast = _flat_range(inputs[0], inputs[1], p["fastk_period"])
    slow = _smoothed(fast, p["slowk_period"], p["slowk_matype"])
    return slow, _smoothed(slow, p["slowd_period"], p["slowd_matype"])


def _kdj(inputs: Sequence[Floats], p: _Parameters) -> tuple[Mask, Mask, Mask]:
    """KDJ: as STOCH; J = 3K - 2D needs both."""
    k, d = _stoch(inputs, p)
    return k, d, k | d


def _smi(inputs: Sequence[Floats], p: _Parameters) -> Mask:
    """SMI: the doubly smoothed range is zero: no range since the start."""
    moved = (inputs[0] != inputs[1]) | _changes(inputs[0])
    return _quiet(moved, max(_ema(p["fastperiod"]), _ema(p["slowperiod"])))


def _di(inputs: Sequence[Floats], p: _Parameters) -> Mask:
    """PLUS_DI, MINUS_DI: the smoothed true range is zero: none since the start."""
    return _quiet(_true_ranges(inputs), _wilder(p["timeperiod"]))


def _dx(inputs: Sequence[Floats], p: _Parameters) -> Mask:
    """DX, ADX: +DI and -DI are both zero, or undefined: no directional movement since the start."""
    up, down = np.diff(inputs[0], prepend=inputs[0][:1]), -np.diff(inputs[1], prepend=inputs[1][:1])
    return _quiet((up != down) & (np.maximum(up, down) > 0), _wilder(p["timeperiod"]))


def _adxr(inputs: Sequence[Floats], p: _Parameters) -> Mask:
    """ADXR: the ADX of now or of a period ago is undefined."""
    adx = _dx(inputs, p)
    return adx | _earlier(adx, int(p["timeperiod"]) - 1)


def _mfi(inputs: Sequence[Floats], p: _Parameters) -> Mask:
    """MFI: no candle of the window has volume and another typical price than the one before (to 1e-14 relative)."""
    typical = _typical(*inputs[:3])
    before = np.concatenate([typical[:1], typical[:-1]])
    moved = np.abs(typical - before) > 1e-14 * (np.abs(typical) + np.abs(before))
    return _quiet(moved & (inputs[3] > 0), int(p["timeperiod"]))


def _cmf(inputs: Sequence[Floats], p: _Parameters) -> Mask:
    """CMF: no candle of the window has volume and a range; one that only has volume adds no money flow."""
    return _quiet((inputs[3] > 0) & (inputs[0] != inputs[1]), int(p["timeperiod"]))


def _cci(inputs: Sequence[Floats], p: _Parameters) -> Mask:
    """CCI: the mean deviation is zero: all typical prices of the window are the same."""
    return _quiet(_changes(_typical(*inputs)), int(p["timeperiod"]) - 1)


def _massi(inputs: Sequence[Floats], p: _Parameters) -> Mask:
    """MASSI: one of the ratios it sums up is of smoothed ranges that are zero: no range since the start."""
    rangeless = _quiet(inputs[0] != inputs[1], _ema(p["fastperiod"]))
    return _any(_after(2 * int(p["fastperiod"]) - 2, rangeless), int(p["slowperiod"]))


def _cvi(inputs: Sequence[Floats], p: _Parameters) -> Mask:
    """CVI: the smoothed range it compares with is zero: no range from the start until then."""
    return _earlier(_quiet(inputs[0] != inputs[1], _ema(p["timeperiod"])), int(p["rocperiod"]))


def _roc(inputs: Sequence[Floats], p: _Parameters) -> Mask:
    """ROC and its kin: the value it compares with is zero, as only a volume can be."""
    return _earlier(inputs[0] == 0, int(p["timeperiod"]))


def _coppock(inputs: Sequence[Floats], p: _Parameters) -> Mask:
    """COPPOCK: one of the ROCs it averages is undefined."""
    zero = inputs[0] == 0
    either = _earlier(zero, int(p["roc1period"])) | _earlier(zero, int(p["roc2period"]))
    return _any(either, int(p["wmaperiod"]))


def _oscillator(inputs: Sequence[Floats], p: _Parameters) -> Mask:
    """PPO, PVO: the slow average (the longer period's) is zero: all it averages is."""
    period = int(max(p["fastperiod"], p["slowperiod"]))
    return _quiet(inputs[0] != 0, _WINDOWS.get(p["matype"], _ema)(period))


_RULES: dict[str, _Rule] = {
    **dict.fromkeys(("rsi", "cmo"), _change_since_start),
    **dict.fromkeys(("cmou", "er", "vhf"), _change_in_window),
    **dict.fromkeys(("ht_dcperiod", "ht_dcphase", "ht_sine", "ht_trendmode"), _cycle),
    **dict.fromkeys(("plus_di", "minus_di"), _di),
    **dict.fromkeys(("dx", "adx"), _dx),
    **dict.fromkeys(("roc", "rocp", "rocr", "rocr100"), _roc),
    **dict.fromkeys(("ppo", "pvo"), _oscillator),
    "tsi": _tsi,
    "rvi": _rvi,
    "stochrsi": _stochrsi,
    "stochf": _stochf,
    "stoch": _stoch,
    "kdj": _kdj,
    "smi": _smi,
    "adxr": _adxr,
    "mfi": _mfi,
    "cmf": _cmf,
    "cci": _cci,
    "massi": _massi,
    "cvi": _cvi,
    "coppock": _coppock,
    # Williams %R: the highest high of the window is its lowest low.
    "willr": lambda inputs, p: _flat_range(inputs[0], inputs[1], p["timeperiod"]),
    # Balance of power: the candle has no range.
    "bop": lambda inputs, _: inputs[1] == inputs[2],
    # Intraday momentum: no candle of the window has a body.
    "imi": lambda inputs, p: _quiet(inputs[0] != inputs[1], int(p["timeperiod"])),
    # Vortex: no true range in the window.
    "vortex": lambda inputs, p: _quiet(_true_ranges(inputs), int(p["timeperiod"])),
    # Ultimate oscillator: no true range in the shortest of its three windows.
    "ultosc": lambda inputs, p: _quiet(_true_ranges(inputs), int(min(p[f"timeperiod{i}"] for i in (1, 2, 3)))),
    # TRIX: the average it compares with is zero: nothing but zeros until the row before.
    "trix": lambda inputs, p: _earlier(_quiet(inputs[0] != 0, _ema(p["timeperiod"])), 1),
    # Forecast oscillator: it is a percentage of the value itself.
    "fosc": lambda inputs, _: inputs[0] == 0,
    # Volume in the denominator: this candle's, the window's, the window's before this candle, all since the start.
    "marketfi": lambda inputs, _: inputs[2] == 0,
    "vwma": lambda inputs, p: _quiet(inputs[1] != 0, int(p["timeperiod"])),
    "rvol": lambda inputs, p: _earlier(_quiet(inputs[0] != 0, int(p["timeperiod"])), 1),
    "vwap": lambda inputs, _: _quiet(inputs[3] != 0),
}
