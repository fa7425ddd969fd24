"""What TA-Lib offers: its functions with their inputs, parameters and ranges. The only file that calls TA-Lib."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any

import numpy as np

from mcp_server.domain.candles import Floats
from mcp_server.domain.indicators.undefined import Mask, undefined
from mcp_server.errors import BadInput, NotFound

Number = int | float

MAX_PERIOD = 1000
"""The longest period in candles: it bounds the work, and ten times it is the longest history asked for."""

_REAL_LIMIT = 1e9
_REFUSED_GROUPS = ("Math Operators", "Math Transform")
_OUTPUT_NAMES = {
    ("bbands", "accbands", "donchian", "kc"): {"upperband": "upper", "middleband": "middle", "lowerband": "lower"},
    ("macdext", "macdfix"): {"macd": "", "macdsignal": "signal", "macdhist": "hist"},
}
"""The names that don't follow from TA-Lib's own by dropping the indicator's name in front."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: `whole` for a number of candles or a choice, and the least and greatest value allowed."""

    name: str
    default: Number
    low: Number
    high: Number
    whole: bool

    @property
    def is_period(self) -> bool:
        """Whether it counts candles (and doesn't choose a kind of moving average)."""
        return self.whole and not self.name.endswith("matype")


@dataclass(frozen=True, slots=True)
class Indicator:
    """One TA-Lib function.

    `inputs` are candle columns in calling order. `takes_source` says whether `of` may replace the first of them.
    `outputs` are what each output adds to the column's name, "" for the one that is named like the indicator.
    """

    name: str
    title: str
    group: str
    inputs: tuple[str, ...]
    takes_source: bool
    parameters: tuple[Parameter, ...]
    outputs: tuple[str, ...]


@cache
def names() -> tuple[str, ...]:
    """List the usable functions' names in lower case, sorted."""
    return tuple(sorted(name.lower() for name in _talib().get_functions() if _usable(name)))


@cache
def find(name: str) -> Indicator:
    """Describe the function of that name, in lower case.

    Raises:
        NotFound: no such function; the message has the nearest.
        BadInput: TA-Lib has it, but it can't be computed from candles alone.
    """
    if name not in names():
        if name.upper() in _talib().get_functions():
            raise BadInput(_why_refused(name))
        near = get_close_matches(name, names(), n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(map(repr, near))}?" if near else "find_indicators lists them."
        raise NotFound(f"Unknown indicator {name!r}. {hint}")
    info = _info(name)
    return Indicator(
        name=name,
        title=info["display_name"],
        group=info["group"],
        inputs=_inputs(info),
        takes_source="price" in info["input_names"],
        parameters=tuple(_parameter(name, key, default) for key, default in info["parameters"].items()),
        outputs=tuple(_output(name, output) for output in info["output_names"]),
    )


def lookback(name: str, parameters: Mapping[str, Number]) -> int:
    """Count the leading rows without a value; -1 when TA-Lib refuses these parameters."""
    function = _function(name)
    function.parameters = dict(parameters)
    return int(function.lookback)


def call(name: str, inputs: Sequence[Floats], parameters: Mapping[str, Number]) -> tuple[Floats, ...]:
    """Run one function over arrays of one length.

    Returns:
        One array per output, as long as the inputs; NaN in the warm-up, wherever the value is not finite, and where it
        would be 0/0.

    Raises:
        BadInput: when TA-Lib refuses these parameters together.
    """
    function: Callable[..., Any] = getattr(_talib(), name.upper())
    warm_up = lookback(name, parameters)
    try:
        answer = function(*(np.ascontiguousarray(column, dtype=np.float64) for column in inputs), **parameters)
    except Exception as error:  # TA-Lib raises the bare class for every return code
        raise BadInput(f"TA-Lib can't compute {name!r} with {dict(parameters)}: {error}") from None
    outputs = answer if isinstance(answer, tuple | list) else (answer,)
    complete = {parameter.name: parameter.default for parameter in find(name).parameters} | dict(parameters)
    masks = np.broadcast_to(undefined(name, inputs, complete), (len(outputs), len(inputs[0])))
    return tuple(_defined(output, warm_up, mask) for output, mask in zip(outputs, masks, strict=True))


def _defined(output: Any, warm_up: int, mask: Mask) -> Floats:
    values: Floats = np.array(output, dtype=np.float64)
    values[:warm_up] = np.nan
    values[mask | ~np.isfinite(values)] = np.nan
    return values


def _talib() -> Any:
    """Import TA-Lib when it is first used: it brings pandas along."""
    import talib.abstract

    return talib


def _function(name: str) -> Any:
    """Make TA-Lib's description of a function: a new one each time, as it holds state."""
    return _talib().abstract.Function(name.upper())


def _info(name: str) -> dict[str, Any]:
    return dict(_function(name).info)


def _usable(name: str) -> bool:
    info = _info(name)
    return info["group"] not in _REFUSED_GROUPS and not {"price1", "periods"} & set(info["input_names"])


def _why_refused(name: str) -> str:
    if _info(name)["group"] in _REFUSED_GROUPS:
        return (
            f"{name!r} is plain arithmetic, not an indicator. Write it in the rule: + - * / % abs ln sqrt floor ceil, "
            f"or highest(x, n) and lowest(x, n)."
        )
    return f"{name!r} needs a second series, and candles have only one. Choose another; find_indicators lists them."


def _inputs(info: Mapping[str, Any]) -> tuple[str, ...]:
    groups = ([value] if isinstance(value, str) else value for value in info["input_names"].values())
    return tuple(column for group in groups for column in group)


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
