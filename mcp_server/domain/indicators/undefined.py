"""Which of TA-Lib's values are 0/0: it answers 0, 1, 50 or rounding noise where a denominator is zero; we answer NaN.

A row's answer depends on its own inputs and earlier ones. What is zero by definition stays zero: momentum, ROC, ATR and
slopes of flat prices, bands without width, patterns, and running totals to which a candle adds nothing (AD, OBV).
"""

from collections.abc import Sequence

import numpy as np

from mcp_server.domain.candles import Floats
from mcp_server.domain.indicators.flat_windows import (
    WINDOWS,
    Mask,
    Parameters,
    Rule,
    after,
    any_of,
    changes,
    earlier,
    ema,
    flat,
    flat_range,
    masks,
    smoothed,
    true_ranges,
    typical,
    wilder,
)


def undefined(name: str, inputs: Sequence[Floats], parameters: Parameters) -> Mask:
    """Return which rows of one of TA-Lib's functions have no value, beyond its warm-up.

    Args:
        name: the function's, in lower case.
        inputs: its columns in calling order, of one length.
        parameters: all of its parameters.

    Returns:
        True where it is undefined: one row for all outputs, or one row per output.
    """
    return masks(_RULES.get(name), inputs, parameters)


def _change_since_start(inputs: Sequence[Floats], p: Parameters) -> Mask:
    """RSI, CMO: average gain and loss, smoothed by Wilder, are both zero: no change since the start."""
    return flat(changes(inputs[0]), wilder(p["timeperiod"]))


def _change_in_window(inputs: Sequence[Floats], p: Parameters) -> Mask:
    """CMOU, ER, VHF: the sum of absolute changes over the period is zero."""
    return flat(changes(inputs[0]), int(p["timeperiod"]))


def _tsi(inputs: Sequence[Floats], p: Parameters) -> Mask:
    """TSI: the doubly smoothed absolute change is zero: no change since the start."""
    return flat(changes(inputs[0]), max(ema(p["firstperiod"]), ema(p["secondperiod"])))


def _rvi(inputs: Sequence[Floats], p: Parameters) -> Mask:
    """RVI: no change since the first standard deviation, so neither side has any volatility."""
    changed = changes(inputs[0])
    changed[: int(p["stddevperiod"]) - 1] = False
    return flat(changed, wilder(p["timeperiod"]))


def _cycle(inputs: Sequence[Floats], _: Parameters) -> Mask:
    """HT_DCPERIOD, HT_DCPHASE, HT_SINE, HT_TRENDMODE: a line that doesn't change has no cycle, hence no phase.

    After thirty such candles nothing but rounding is left of the movement before.
    """
    return flat(changes(inputs[0]), 30)


def _stochrsi(inputs: Sequence[Floats], p: Parameters) -> tuple[Mask, Mask]:
    """STOCHRSI: the RSI is undefined in the window, or the same throughout.

    It is the same while the close doesn't change, and (100 or 0) as long as the close only ever rose or only ever fell.
    """
    source, rows = inputs[0], int(p["fastk_period"])
    step = np.diff(source, prepend=source[:1])
    both = np.logical_or.accumulate(step > 0) & np.logical_or.accumulate(step < 0)
    constant = flat((step != 0) & both, rows - 1)
    first = int(p["timeperiod"])
    missing = any_of(after(first, _change_since_start(inputs, p)), rows)
    fast = after(first + rows - 1, constant | missing)
    return fast, smoothed(fast, p["fastd_period"], p["fastd_matype"])


def _stochf(inputs: Sequence[Floats], p: Parameters) -> tuple[Mask, Mask]:
    """STOCHF: %K when the highest high is the lowest low; %D while it averages such a %K."""
    fast = flat_range(inputs[0], inputs[1], p["fastk_period"])
    return fast, smoothed(fast, p["fastd_period"], p["fastd_matype"])


def _stoch(inputs: Sequence[Floats], p: Parameters) -> tuple[Mask, Mask]:
    """STOCH: as STOCHF, with %K averaged once more."""
    fast = flat_range(inputs[0], inputs[1], p["fastk_period"])
    slow = smoothed(fast, p["slowk_period"], p["slowk_matype"])
    return slow, smoothed(slow, p["slowd_period"], p["slowd_matype"])


def _kdj(inputs: Sequence[Floats], p: Parameters) -> tuple[Mask, Mask, Mask]:
    """KDJ: as STOCH; J = 3K - 2D needs both."""
    k, d = _stoch(inputs, p)
    return k, d, k | d


def _smi(inputs: Sequence[Floats], p: Parameters) -> Mask:
    """SMI: the doubly smoothed range is zero: no range since the start."""
    moved = (inputs[0] != inputs[1]) | changes(inputs[0])
    return flat(moved, max(ema(p["fastperiod"]), ema(p["slowperiod"])))


def _di(inputs: Sequence[Floats], p: Parameters) -> Mask:
    """PLUS_DI, MINUS_DI: the smoothed true range is zero: none since the start."""
    return flat(true_ranges(inputs), wilder(p["timeperiod"]))


def _dx(inputs: Sequence[Floats], p: Parameters) -> Mask:
    """DX, ADX: +DI and -DI are both zero, or undefined: no directional movement since the start."""
    up, down = np.diff(inputs[0], prepend=inputs[0][:1]), -np.diff(inputs[1], prepend=inputs[1][:1])
    return flat((up != down) & (np.maximum(up, down) > 0), wilder(p["timeperiod"]))


def _adxr(inputs: Sequence[Floats], p: Parameters) -> Mask:
    """ADXR: the ADX of now or of a period ago is undefined."""
    adx = _dx(inputs, p)
    return adx | earlier(adx, int(p["timeperiod"]) - 1)


def _mfi(inputs: Sequence[Floats], p: Parameters) -> Mask:
    """MFI: no candle of the window has volume and another typical price than the one before (to 1e-14 relative)."""
    price = typical(*inputs[:3])
    before = np.concatenate([price[:1], price[:-1]])
    moved = np.abs(price - before) > 1e-14 * (np.abs(price) + np.abs(before))
    return flat(moved & (inputs[3] > 0), int(p["timeperiod"]))


def _cmf(inputs: Sequence[Floats], p: Parameters) -> Mask:
    """CMF: no candle of the window has volume and a range; one that only has volume adds no money flow."""
    return flat((inputs[3] > 0) & (inputs[0] != inputs[1]), int(p["timeperiod"]))


def _cci(inputs: Sequence[Floats], p: Parameters) -> Mask:
    """CCI: the mean deviation is zero: all typical prices of the window are the same."""
    return flat(changes(typical(*inputs)), int(p["timeperiod"]) - 1)


def _massi(inputs: Sequence[Floats], p: Parameters) -> Mask:
    """MASSI: one of the ratios it sums up is of smoothed ranges that are zero: no range since the start."""
    rangeless = flat(inputs[0] != inputs[1], ema(p["fastperiod"]))
    return any_of(after(2 * int(p["fastperiod"]) - 2, rangeless), int(p["slowperiod"]))


def _cvi(inputs: Sequence[Floats], p: Parameters) -> Mask:
    """CVI: the smoothed range it compares with is zero: no range from the start until then."""
    return earlier(flat(inputs[0] != inputs[1], ema(p["timeperiod"])), int(p["rocperiod"]))


def _roc(inputs: Sequence[Floats], p: Parameters) -> Mask:
    """ROC and its kin: the value it compares with is zero, as only a volume can be."""
    return earlier(inputs[0] == 0, int(p["timeperiod"]))


def _coppock(inputs: Sequence[Floats], p: Parameters) -> Mask:
    """COPPOCK: one of the ROCs it averages is undefined."""
    zero = inputs[0] == 0
    either = earlier(zero, int(p["roc1period"])) | earlier(zero, int(p["roc2period"]))
    return any_of(either, int(p["wmaperiod"]))


def _correl(inputs: Sequence[Floats], p: Parameters) -> Mask:
    """CORREL: one of the two series doesn't change within the window."""
    rows = int(p["timeperiod"]) - 1
    return flat(changes(inputs[0]), rows) | flat(changes(inputs[1]), rows)


def _beta(inputs: Sequence[Floats], p: Parameters) -> Mask:
    """BETA: the first series doesn't change within the window, so its returns have no variance."""
    return flat(changes(inputs[0]), int(p["timeperiod"]))


def _oscillator(inputs: Sequence[Floats], p: Parameters) -> Mask:
    """PPO, PVO: the slow average (the longer period's) is zero: all it averages is."""
    period = int(max(p["fastperiod"], p["slowperiod"]))
    return flat(inputs[0] != 0, WINDOWS.get(p["matype"], ema)(period))


_RULES: dict[str, Rule] = {
    **dict.fromkeys(("rsi", "cmo"), _change_since_start),
    **dict.fromkeys(("cmou", "er", "vhf"), _change_in_window),
    **dict.fromkeys(("ht_dcperiod", "ht_dcphase", "ht_sine", "ht_trendmode"), _cycle),
    **dict.fromkeys(("plus_di", "minus_di"), _di),
    **dict.fromkeys(("dx", "adx"), _dx),
    **dict.fromkeys(("roc", "rocp", "rocr", "rocr100"), _roc),
    **dict.fromkeys(("ppo", "pvo"), _oscillator),
    "correl": _correl,
    "beta": _beta,
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
    "willr": lambda inputs, p: flat_range(inputs[0], inputs[1], p["timeperiod"]),
    # Balance of power: the candle has no range.
    "bop": lambda inputs, _: inputs[1] == inputs[2],
    # Intraday momentum: no candle of the window has a body.
    "imi": lambda inputs, p: flat(inputs[0] != inputs[1], int(p["timeperiod"])),
    # Vortex: no true range in the window.
    "vortex": lambda inputs, p: flat(true_ranges(inputs), int(p["timeperiod"])),
    # Ultimate oscillator: no true range in the shortest of its three windows.
    "ultosc": lambda inputs, p: flat(true_ranges(inputs), int(min(p[f"timeperiod{i}"] for i in (1, 2, 3)))),
    # TRIX: the average it compares with is zero: nothing but zeros until the row before.
    "trix": lambda inputs, p: earlier(flat(inputs[0] != 0, ema(p["timeperiod"])), 1),
    # Forecast oscillator: it is a percentage of the value itself.
    "fosc": lambda inputs, _: inputs[0] == 0,
    # Volume in the denominator: this candle's, the window's, the window's before this candle, all since the start.
    "marketfi": lambda inputs, _: inputs[2] == 0,
    "vwma": lambda inputs, p: flat(inputs[1] != 0, int(p["timeperiod"])),
    "rvol": lambda inputs, p: earlier(flat(inputs[0] != 0, int(p["timeperiod"])), 1),
    "vwap": lambda inputs, _: flat(inputs[3] != 0),
}
