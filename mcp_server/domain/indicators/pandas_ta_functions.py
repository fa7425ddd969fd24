"""What pandas-ta-classic has beyond TA-Lib. The only file that calls it, and that uses pandas."""

import inspect
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from mcp_server.domain.candles import Floats
from mcp_server.domain.indicators.extras import EXTRAS
from mcp_server.domain.indicators.indicator import IMPORTING, Indicator, Number
from mcp_server.domain.indicators.meanings import MEANINGS
from mcp_server.domain.indicators.undefined_extras import undefined
from mcp_server.errors import BadInput

_COLUMNS = {"open_": "open", "high": "high", "low": "low", "close": "close", "volume": "volume"}
"""Their names for candle columns, and ours."""

_MATRIX_PRODUCT = "_sliding_weighted_ma"
"""Their function that multiplies matrices, by its name in each module that uses it."""

_GROUPS = {
    "candles": "Pattern Recognition",
    "cycles": "Cycle Indicators",
    "momentum": "Momentum Indicators",
    "overlap": "Overlap Studies",
    "performance": "Statistic Functions",
    "statistics": "Statistic Functions",
    "trend": "Momentum Indicators",
    "volatility": "Volatility Indicators",
    "volume": "Volume Indicators",
}
"""Their categories, in TA-Lib's words."""


def library_names() -> frozenset[str]:
    """List all that the library has, also what it shares with TA-Lib and what the catalogue leaves out."""
    return frozenset(name for names in library().Category.values() for name in names)


def describe(name: str) -> Indicator:
    """Describe the entry of that name: inputs, group and title are the library's."""
    extra = EXTRAS[name]
    category = next(category for category, names in library().Category.items() if name in names)
    inputs = _inputs(name)
    return Indicator(
        name=name,
        title=_title(name),
        group=_GROUPS[category],
        library="pandas-ta-classic",
        inputs=tuple(_COLUMNS[argument] for argument in inputs),
        sources=1 if inputs[0] == "close" and not extra.of_close else 0,
        parameters=extra.parameters,
        outputs=tuple(extra.outputs),
        on_price=extra.on_price or category == "overlap",
        meaning=MEANINGS[name],
        totals=dict.fromkeys(extra.totals, "sum"),
    )


def lookback(name: str, parameters: Mapping[str, Number]) -> int:
    """Count the leading rows without a value; `parameters` are all of them."""
    return EXTRAS[name].warm_up(parameters)


def call(name: str, inputs: Sequence[Floats], parameters: Mapping[str, Number]) -> tuple[Floats, ...]:
    """Run one function over finite arrays of one length.

    Args, returns and raises as `talib_functions.call`.
    """
    function = _function(name)
    import pandas as pd

    extra, rows = EXTRAS[name], len(inputs[0])
    warm_up = lookback(name, parameters)
    if rows <= warm_up:
        return tuple(np.full(rows, np.nan) for _ in extra.outputs)
    columns = {
        argument: pd.Series(np.array(column, dtype=np.float64) * (1.0 if argument == "volume" else extra.scale))
        for argument, column in zip(_inputs(name), inputs, strict=True)
    }
    native = {"talib": False} if "talib" in inspect.signature(function).parameters else {}
    try:
        with np.errstate(all="ignore"):
            answer = function(**columns, **extra.sent(parameters), **native, **extra.fixed)
            table = np.asarray(answer, dtype=np.float64).reshape(rows, -1)
            outputs = [table[:, position] * extra.factor for position in extra.outputs.values()]
    except Exception:  # what it refuses it answers with None, fewer columns, or whatever its arithmetic raises
        raise BadInput(f"{name!r} can't be computed with {dict(parameters)}.", extra.wants) from None
    masks = np.broadcast_to(undefined(name, inputs, parameters), (len(outputs), rows))
    return tuple(
        _defined(values, warm_up, mask, zeros=extra.zeros) for values, mask in zip(outputs, masks, strict=True)
    )


def _defined(values: Floats, warm_up: int, mask: Any, *, zeros: bool) -> Floats:
    if zeros:
        values = np.nan_to_num(values, nan=0.0)
    values[:warm_up] = np.nan
    values[mask | ~np.isfinite(values)] = np.nan
    return values


@cache
def library() -> Any:
    """Import it when it is first used: it brings pandas along."""
    with IMPORTING, warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # pandas 4 warns of it
        import pandas_ta_classic
        from pandas_ta_classic.momentum import cg
        from pandas_ta_classic.overlap import alma, fwma, pwma, sinwma

    for function in (alma, cg, fwma, pwma, sinwma):
        setattr(sys.modules[function.__module__], _MATRIX_PRODUCT, _weighted_sums)
    return pandas_ta_classic


def _weighted_sums(close: Any, length: int, weights: Any) -> Any:
    """Return the weighted sums of each `length` values, added up from the oldest on, as a series like `close`.

    It takes the place of the library's product of matrices. There the last bit of a sum depends on the processor and
    on how many rows follow, so a past value would change when a candle arrives.
    """
    values = close.to_numpy(dtype=np.float64)
    sums = np.full(len(values), np.nan)
    if len(values) >= length:
        sums[length - 1 :] = 0.0
        for first, weight in enumerate(weights):
            sums[length - 1 :] += weight * values[first : len(values) - length + 1 + first]
    return type(close)(sums, index=close.index)


def _function(name: str) -> Callable[..., Any]:
    function: Callable[..., Any] = getattr(library(), name)
    return function


@cache
def _inputs(name: str) -> tuple[str, ...]:
    """List the candle columns that the function takes and always uses, by its own names."""
    arguments = inspect.signature(_function(name)).parameters
    return tuple(
        argument
        for argument, parameter in arguments.items()
        if argument in _COLUMNS and (parameter.default is inspect.Parameter.empty or argument == "close")
    )


def _title(name: str) -> str:
    first = (_function(name).__doc__ or name).strip().splitlines()[0]
    return first.removeprefix("Indicator:").split(" (")[0].strip()
