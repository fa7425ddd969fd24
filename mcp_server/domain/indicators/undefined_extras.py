"""Which values of pandas-ta-classic are 0/0: it puts a tiny number for a zero, so 0/0 becomes 1, 50, 100 or -7.6."""

from collections.abc import Sequence
from math import ceil

import numpy as np

from mcp_server.domain.candles import Floats
from mcp_server.domain.indicators.flat_windows import (
    Mask,
    Parameters,
    Rule,
    after,
    any_of,
    changes,
    earlier,
    flat,
    masks,
    memory,
)


def undefined(name: str, inputs: Sequence[Floats], parameters: Parameters) -> Mask:
    """Return which rows have no value, beyond the warm-up; as `undefined.undefined` does for TA-Lib."""
    return masks(_RULES.get(name), inputs, parameters)


def _unchanged(inputs: Sequence[Floats], p: Parameters) -> Mask:
    """CTI, KURTOSIS, SKEW, ZSCORE: the values of the window are all the same, so they have no deviation."""
    return flat(changes(inputs[0]), int(p["length"]) - 1)


def _cdl_z(inputs: Sequence[Floats], p: Parameters) -> tuple[Mask, ...]:
    """CDL_Z: as ZSCORE, of each price by itself."""
    return tuple(_unchanged([column], p) for column in inputs)


def _brar(inputs: Sequence[Floats], p: Parameters) -> tuple[Mask, Mask]:
    """BRAR: in the window no candle went below its open (AR), or below the close before it (BR)."""
    opened, _, low, close = inputs
    rows = int(p["length"])
    before = np.concatenate([low[:1], close[:-1]])
    return flat(opened > low, rows), flat(before > low, rows)


def _fisher(inputs: Sequence[Floats], p: Parameters) -> tuple[Mask, Mask]:
    """FISHER: the middle price was the same throughout the window, or so lately that it still counts (0.67^52)."""
    rows = int(p["length"])
    middle = inputs[0] + inputs[1]
    line = any_of(after(rows - 1, flat(changes(middle), rows - 1)), 52)
    return line, earlier(line, int(p["signal"]))


def _rvgi(inputs: Sequence[Floats], p: Parameters) -> tuple[Mask, Mask, Mask]:
    """RVGI: no candle of the window has a range; its signal and histogram: while they average such a value."""
    rows, weights = int(p["length"]), int(p["swma_length"])
    line = after(rows + weights - 2, flat(inputs[1] != inputs[2], rows + weights - 1))
    averaged = any_of(line, weights)
    return averaged, line, averaged


def _qqe(inputs: Sequence[Floats], _: Parameters) -> Mask:
    """QQE: the RSI it follows is undefined: no change since the start."""
    return flat(changes(inputs[0]))


def _squeeze(inputs: Sequence[Floats], p: Parameters) -> tuple[Mask, ...]:
    """SQUEEZE: the flags compare bands and channels without a width; the momentum of flat prices is 0."""
    high, low, close = inputs
    moved = changes(close) | (high != low)
    unmoved = flat(moved, int(max(p["bb_length"], p["kc_length"])))
    flags = 5 if "kc_scalar_wide" in p else 3
    return np.zeros(len(close), dtype=np.bool_), *([unmoved] * flags)


def _ttm_trend(inputs: Sequence[Floats], p: Parameters) -> Mask:
    """TTM_TREND: prices stood still, so the close lies neither above nor below their average."""
    high, low, close = inputs
    return flat(changes(close) | (high != low), int(p["length"]))


_RULES: dict[str, Rule] = {
    **dict.fromkeys(("cti", "kurtosis", "skew", "zscore"), _unchanged),
    "cdl_z": _cdl_z,
    "brar": _brar,
    "fisher": _fisher,
    "rvgi": _rvgi,
    "qqe": _qqe,
    "squeeze": _squeeze,
    "squeeze_pro": _squeeze,
    "ttm_trend": _ttm_trend,
    # Laguerre RSI: the four filters are the same: no change since the start.
    "lrsi": lambda inputs, p: flat(changes(inputs[0]), memory(1 - float(p["gamma"]))),
    # Jurik's RSX: the smoothed absolute change is zero, or has faded to the library's own zero.
    "rsx": lambda inputs, p: flat(changes(inputs[0]), ceil(20 * (float(p["length"]) + 2))),
    # Sine wave: a line that doesn't change has no phase.
    "msw": lambda inputs, p: flat(changes(inputs[0]), int(p["period"]) - 1),
}
