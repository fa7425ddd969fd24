"""TA-Lib's functions, described by its own metadata. The only file that calls TA-Lib."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from importlib import import_module
from itertools import pairwise
from typing import Any

import numpy as np

from mcp_server.domain.candles import Floats
from mcp_server.domain.hidden_module import without
from mcp_server.domain.indicators.flat_windows import Mask
from mcp_server.domain.indicators.indicator import IMPORTING, MAX_PERIOD, Indicator, Number, Parameter
from mcp_server.domain.indicators.meanings import MEANINGS
from mcp_server.domain.indicators.undefined import undefined
from mcp_server.domain.timeframes import DAY_MS
from mcp_server.errors import BadInput

_REAL_LIMIT = 1e9
_OUTPUT_NAMES = {
    ("bbands", "accbands", "donchian", "kc"): {"upperband": "upper", "middleband": "middle", "lowerband": "lower"},
    ("macdext", "macdfix"): {"macd": "", "macdsignal": "signal", "macdhist": "hist"},
    ("maxindex", "minindex"): {"integer": ""},
    ("minmaxindex",): {"minidx": "min", "maxidx": "max"},
}
"""The names that don't follow from TA-Lib's own by dropping the indicator's name in front."""

_POSITIONS = ("maxindex", "minindex", "minmaxindex")
"""These answer with a row's number, which depends on where the history starts; we answer how many candles ago."""

_NOT_PRICES = ("avgdev",)
"""These have the scale of prices, but are distances."""

_FORGETTING = ("adosc", "sar", "sarext", "supertrend")
"""These are marked as depending on their path, but come to the same values wherever they start."""

_PRODUCTS = ("nvi", "pvi")
"""Running totals that multiply; the others add."""

_BY_SESSION = ("vwap",)
"""These are computed for each day (UTC) by itself; their first input is the candles' open times."""


@cache
def names() -> frozenset[str]:
    """List the functions' names in lower case."""
    return frozenset(name.lower() for name in _talib().get_functions())


def describe(name: str) -> Indicator:
    """Describe the function of that name, in lower case."""
    info = _info(name)
    flags = info["function_flags"] or []
    inputs = info["input_names"]
    return Indicator(
        name=name,
        title=info["display_name"],
        group=info["group"],
        library="TA-Lib",
        inputs=_inputs(info),
        sources=sum(isinstance(column, str) for column in inputs.values()),
        parameters=tuple(_parameter(name, key, default) for key, default in info["parameters"].items()),
        outputs=tuple(_output(name, output) for output in info["output_names"]),
        on_price="Output scale same as input" in flags and name not in _NOT_PRICES,
        meaning=MEANINGS[name],
        totals={"": "product" if name in _PRODUCTS else "sum"} if _is_total(name, flags) else {},
        by_session=name in _BY_SESSION,
    )


def _is_total(name: str, flags: Sequence[str]) -> bool:
    return "Output is path-dependent" in flags and name not in (*_FORGETTING, *_BY_SESSION)


def lookback(name: str, parameters: Mapping[str, Number]) -> int:
    """Count the leading rows without a value; -1 when TA-Lib refuses these parameters."""
    return _lookback(name, tuple(parameters.items()))


@lru_cache(maxsize=4_096)
def _lookback(name: str, parameters: tuple[tuple[str, Number], ...]) -> int:
    function = _function(name)
    function.parameters = dict(parameters)
    return int(function.lookback)


def call(name: str, inputs: Sequence[Floats], parameters: Mapping[str, Number]) -> tuple[Floats, ...]:
    """Run one function over finite arrays of one length.

    Args:
        name: the function's, in lower case.
        inputs: its columns in calling order.
        parameters: all of its parameters.

    Returns:
        One array per output, as long as the inputs; NaN in the warm-up, wherever the value is not finite, and where it
        would be 0/0.

    Raises:
        BadInput: when TA-Lib refuses these parameters together.
    """
    if name in _BY_SESSION:
        return _call_by_session(name, inputs, parameters)
    return _call(name, inputs, parameters)


def _call_by_session(name: str, inputs: Sequence[Floats], parameters: Mapping[str, Number]) -> tuple[Floats, ...]:
    """Run a function over each day's candles; a first day of which the beginning is missing has no value."""
    days = inputs[0] // DAY_MS
    starts = [0, *(np.flatnonzero(np.diff(days)) + 1), len(days)] if len(days) else []
    outputs = np.full((len(_info(name)["output_names"]), len(days)), np.nan)
    for start, end in pairwise(starts):
        if start or inputs[0][0] % DAY_MS == 0:
            outputs[:, start:end] = _call(name, [column[start:end] for column in inputs[1:]], parameters)
    return tuple(outputs)


def _call(name: str, inputs: Sequence[Floats], parameters: Mapping[str, Number]) -> tuple[Floats, ...]:
    function: Callable[..., Any] = getattr(_talib(), name.upper())
    warm_up = lookback(name, parameters)
    try:
        answer = function(*(np.ascontiguousarray(column, dtype=np.float64) for column in inputs), **parameters)
    except Exception as error:  # TA-Lib raises the bare class for every return code
        problem = f"TA-Lib can't compute {name!r} with {dict(parameters)}: {error}"
        raise BadInput(problem, "Stay nearer to its defaults.") from None
    outputs = answer if isinstance(answer, tuple | list) else (answer,)
    masks = np.broadcast_to(undefined(name, inputs, parameters), (len(outputs), len(inputs[0])))
    rows = np.arange(len(inputs[0])) if name in _POSITIONS else None
    return tuple(_defined(output, warm_up, mask, rows) for output, mask in zip(outputs, masks, strict=True))


def _defined(output: Any, warm_up: int, mask: Mask, rows: Any) -> Floats:
    values: Floats = np.array(output, dtype=np.float64)
    if rows is not None:
        values = rows - values
    values[:warm_up] = np.nan
    values[mask | ~np.isfinite(values)] = np.nan
    return values


@cache
def _talib() -> Any:
    """Import TA-Lib when it is first used, and without pandas.

    It would bring pandas along to be given its frames, which costs half a second and 75 MB; we give it arrays.
    """
    with IMPORTING:
        without("pandas", lambda: import_module("talib.abstract"))
    return import_module("talib")


def _function(name: str) -> Any:
    """Make TA-Lib's description of a function: a new one each time, as it holds state."""
    return _talib().abstract.Function(name.upper())


def _info(name: str) -> dict[str, Any]:
    return dict(_function(name).info)


def _inputs(info: Mapping[str, Any]) -> tuple[str, ...]:
    groups = ([value] if isinstance(value, str) else value for value in info["input_names"].values())
    times = ("open_time_ms",) if info["name"].lower() in _BY_SESSION else ()
    return (*times, *(column for group in groups for column in group))


def _output(name: str, output: str) -> str:
    fixed = next((fixes for group, fixes in _OUTPUT_NAMES.items() if name in group), {})
    if output in fixed:
        return fixed[output]
    if output in ("real", "integer"):
        return ""
    return output.removeprefix(name)


def _parameter(name: str, key: str, default: Number) -> Parameter:
    def allowed(value: Number) -> bool:
        return lookback(name, {key: value}) >= 0

    if isinstance(default, int):
        most = 64 if key.endswith("matype") else MAX_PERIOD
        return Parameter(key, default, _whole_edge(allowed, default, 0), _whole_edge(allowed, default, most), True)
    low, high = (_real_edge(allowed, default, limit) for limit in (-_REAL_LIMIT, _REAL_LIMIT))
    return Parameter(key, default, low, high, False)


def _whole_edge(allowed: Callable[[int], bool], good: int, limit: int) -> int:
    """Bisect for the allowed value that is nearest to `limit`; `good` is allowed."""
    if allowed(limit):
        return limit
    while abs(limit - good) > 1:
        middle = (good + limit) // 2
        good, limit = (middle, limit) if allowed(middle) else (good, middle)
    return good


def _real_edge(allowed: Callable[[float], bool], good: float, limit: float) -> float:
    if allowed(limit):
        return limit
    for _ in range(60):
        middle = (good + limit) / 2
        good, limit = (middle, limit) if allowed(middle) else (good, middle)
    edge = round(good, 6)
    return edge if allowed(edge) else good
