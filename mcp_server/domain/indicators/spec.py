"""Indicator specs: the text `rsi(14)` or `ema(50) of volume`, and what it stands for."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from mcp_server.domain.indicators.catalog import MAX_PERIOD, Indicator, Number, Parameter, find, lookback
from mcp_server.domain.indicators.history import MOST_HISTORY, wanted_history
from mcp_server.domain.teaching import nearest
from mcp_server.errors import BadInput

CANDLE_COLUMNS = ("open", "high", "low", "close", "volume")

_SPEC = re.compile(
    r"\s*(?P<name>[a-z][a-z0-9_]*)\s*(\((?P<arguments>[^()]*)\))?(\s*\bof\s+(?P<source>[a-z0-9_]+))?\s*",
    re.ASCII | re.IGNORECASE,
)
_ARGUMENT = re.compile(r"\s*((?P<key>[a-z][a-z0-9_]*)\s*=)?\s*(?P<number>\S+)\s*", re.ASCII | re.IGNORECASE)
_WHOLE = re.compile(r"[+-]?[0-9]{1,15}", re.ASCII)
_REAL = re.compile(r"[+-]?([0-9]{1,15}(\.[0-9]{0,15})?|\.[0-9]{1,15})(e[+-]?[0-9]{1,2})?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Spec:
    """One indicator as it is to be computed.

    `parameters` are TA-Lib's, all of them. `inputs` are candle columns in calling order, `source` the one named with
    `of`, if any. `columns` are the names of its outputs. `warm_up` counts the leading rows without a value. `history`
    counts the candles wanted for a last value that is stable to 1e-9 relative (at most 10,000).
    """

    text: str = field(compare=False)
    function: str
    parameters: Mapping[str, Number]
    inputs: tuple[str, ...]
    source: str | None
    columns: tuple[str, ...]
    warm_up: int
    history: int


def parse_specs(texts: Sequence[str]) -> tuple[Spec, ...]:
    """Read a list of indicator specs, in their order; the same one twice is one.

    Raises:
        BadInput: as `parse_spec` does, and when two different ones name the same column.
    """
    return distinct([parse_spec(text) for text in texts])


def distinct(specs: Sequence[Spec]) -> tuple[Spec, ...]:
    """Drop repetitions.

    Raises:
        BadInput: two that differ share a column.
    """
    kept: list[Spec] = []
    owners: dict[str, Spec] = {}
    for spec in specs:
        if spec in kept:
            continue
        for column in spec.columns:
            if column in owners:
                raise BadInput(f"{owners[column].text!r} and {spec.text!r} both name {column!r}. Keep one of them.")
            owners[column] = spec
        kept.append(spec)
    return tuple(kept)


def parse_spec(text: str) -> Spec:
    """Read one indicator spec: `name`, `name(14)`, `name(20, nbdevup=2.5)` or `name(50) of volume`, in any case.

    Raises:
        BadInput: bad syntax, an unknown indicator, parameter or column, or a number out of its range.
    """
    match = _SPEC.fullmatch(text) if len(text) <= 200 else None
    if match is None:
        raise BadInput(
            f"{text[:60]!r} is not an indicator spec. Write 'rsi(14)', 'bbands(20, 2.5)' or 'ema(50) of volume'."
        )
    indicator = find(match["name"].lower())
    given = _arguments(text, indicator, match["arguments"] or "")
    parameters = {parameter.name: given.get(parameter.name, parameter.default) for parameter in indicator.parameters}
    source = match["source"].lower() if match["source"] else None
    inputs = _with_source(text, indicator, source)
    warm_up = _warm_up(text, indicator, parameters)
    longest = max((int(parameters[p.name]) for p in indicator.parameters if p.is_period), default=1)
    history = wanted_history(indicator.name, inputs, tuple(parameters.items()), longest, warm_up)
    columns = _columns(indicator, parameters, given, source)
    return Spec(text.strip(), indicator.name, parameters, inputs, source, columns, warm_up, history)


def _arguments(text: str, indicator: Indicator, arguments: str) -> dict[str, Number]:
    given: dict[str, Number] = {}
    pieces = arguments.split(",") if arguments.strip() else []
    if len(pieces) > len(indicator.parameters):
        raise BadInput(f"{text!r} has {len(pieces)} parameters. {_signature(indicator)}.")
    for position, piece in enumerate(pieces):
        match = _ARGUMENT.fullmatch(piece)
        if match is None:
            raise BadInput(f"{text!r} has an empty or unreadable parameter {piece.strip()!r}. {_signature(indicator)}.")
        if match["key"] is None and any("=" in earlier for earlier in pieces[:position]):
            raise BadInput(f"{text!r} has a bare number after a named one. Name it too. {_signature(indicator)}.")
        parameter = _parameter(text, indicator, match["key"], position)
        if parameter.name in given:
            raise BadInput(f"{text!r} sets {parameter.name!r} twice. Keep one.")
        given[parameter.name] = _number(text, parameter, match["number"])
    return given


def _parameter(text: str, indicator: Indicator, key: str | None, position: int) -> Parameter:
    if key is None:
        return indicator.parameters[position]
    for parameter in indicator.parameters:
        if parameter.name == key.lower():
            return parameter
    known = [parameter.name for parameter in indicator.parameters]
    raise BadInput(f"{text!r}: {indicator.name!r} has no parameter {key!r}.{nearest(key.lower(), known)}")


def _number(text: str, parameter: Parameter, written: str) -> Number:
    pattern, kind = (_WHOLE, "a whole number") if parameter.whole else (_REAL, "a number")
    allowed = f"{kind} from {parameter.low:g} to {parameter.high:g}"
    if pattern.fullmatch(written) is None:
        raise BadInput(f"{text!r}: {parameter.name} is {written!r}. Give {allowed}.")
    value = int(written) if parameter.whole else float(written)
    if not parameter.low <= value <= parameter.high:
        raise BadInput(f"{text!r}: {parameter.name} is {written}, out of range. Give {allowed}.")
    return value


def _with_source(text: str, indicator: Indicator, source: str | None) -> tuple[str, ...]:
    if source is None:
        return indicator.inputs
    if source not in CANDLE_COLUMNS:
        raise BadInput(
            f"{text!r}: no candle column {source!r} to compute it of.{nearest(source, list(CANDLE_COLUMNS))}"
        )
    if not indicator.takes_source:
        fixed = ", ".join(indicator.inputs)
        raise BadInput(f"{text!r}: {indicator.name!r} is always computed from {fixed}. Leave out 'of {source}'.")
    return (source, *indicator.inputs[1:])


def _warm_up(text: str, indicator: Indicator, parameters: Mapping[str, Number]) -> int:
    warm_up = lookback(indicator.name, parameters)
    if warm_up < 0:
        raise BadInput(f"{text!r}: TA-Lib refuses these parameters together. {_signature(indicator)}.")
    if warm_up >= MOST_HISTORY:
        raise BadInput(
            f"{text!r} has no value in its first {warm_up} candles, and at most {MOST_HISTORY} are read. "
            f"Give shorter periods (each at most {MAX_PERIOD})."
        )
    return warm_up


def _columns(
    indicator: Indicator, parameters: Mapping[str, Number], given: Mapping[str, Number], source: str | None
) -> tuple[str, ...]:
    """Name the outputs. What stands between the first and the last parameter given is named with its default."""
    order = [parameter.name for parameter in indicator.parameters]
    last = max((order.index(name) for name in given), default=-1)
    parts = [indicator.name, *(_label(parameters[name]) for name in order[: last + 1])]
    parts += ["of", source] if source else []
    base = "_".join(parts)
    return tuple(f"{base}_{output}" if output else base for output in indicator.outputs)


def _label(value: Number) -> str:
    written = format(Decimal(repr(value)), "f")
    whole = written.rstrip("0").rstrip(".") if "." in written else written
    return whole.replace("-", "m").replace(".", "p")


def _signature(indicator: Indicator) -> str:
    if not indicator.parameters:
        return f"{indicator.name!r} takes none"
    defaults = ", ".join(f"{parameter.name}={_plain(parameter.default)}" for parameter in indicator.parameters)
    return f"It takes {indicator.name}({defaults})"


def _plain(value: Number) -> str:
    return format(value, "g")
