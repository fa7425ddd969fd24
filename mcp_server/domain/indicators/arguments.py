"""The numbers in an indicator spec: `20, nbdevup=2.5` against the parameters that an indicator has."""

import re

from mcp_server.domain.error_hints import nearest
from mcp_server.domain.indicators.indicator import Indicator, Number, Parameter
from mcp_server.errors import BadInput

_ARGUMENT = re.compile(r"\s*((?P<key>[a-z][a-z0-9_]*)\s*=)?\s*(?P<number>\S+)\s*", re.ASCII | re.IGNORECASE)
_WHOLE = re.compile(r"[+-]?[0-9]{1,15}", re.ASCII)
_REAL = re.compile(r"[+-]?([0-9]{1,15}(\.[0-9]{0,15})?|\.[0-9]{1,15})(e[+-]?[0-9]{1,2})?", re.ASCII | re.IGNORECASE)


def read_arguments(text: str, indicator: Indicator, arguments: str) -> dict[str, Number]:
    """Read what stands between the parentheses.

    Args:
        text: the whole spec, for errors.
        indicator: whose parameters they are.
        arguments: numbers in the order of the parameters, then named ones, parted by commas; may be empty.

    Returns:
        Parameter → number, only those that are given.

    Raises:
        BadInput: too many, unreadable, unknown, twice, or out of range.
    """
    values: dict[str, Number] = {}
    pieces = arguments.split(",") if arguments.strip() else []
    if len(pieces) > len(indicator.parameters):
        most = len(indicator.parameters)
        raise BadInput(f"{text!r} has {len(pieces)} parameters; at most {most} are allowed.", takes(indicator))
    for position, piece in enumerate(pieces):
        match = _ARGUMENT.fullmatch(piece)
        if match is None:
            raise BadInput(f"{text!r} has an empty or unreadable parameter: {piece.strip()!r}.", takes(indicator))
        if match["key"] is None and any("=" in earlier for earlier in pieces[:position]):
            raise BadInput(
                f"{text!r} has a number without a name after a named one.", f"Name it too. {takes(indicator)}"
            )
        parameter = _parameter(text, indicator, match["key"], position)
        if parameter.name in values:
            raise BadInput(f"{text!r} sets {parameter.name!r} twice.", "Keep one.")
        values[parameter.name] = _number(text, parameter, match["number"])
    return values


def takes(indicator: Indicator) -> str:
    """Return a sentence with the parameters that an indicator takes."""
    if not indicator.parameters:
        return f"{indicator.name!r} takes no parameters."
    return f"It takes {indicator.signature}."


def _parameter(text: str, indicator: Indicator, key: str | None, position: int) -> Parameter:
    if key is None:
        return indicator.parameters[position]
    wanted = key.lower()
    for parameter in indicator.parameters:
        if parameter.name == wanted:
            return parameter
    known = [parameter.name for parameter in indicator.parameters]
    raise BadInput(f"{text!r}: {indicator.name!r} has no parameter {key!r}.", nearest(wanted, known))


def _number(text: str, parameter: Parameter, written: str) -> Number:
    pattern, kind = (_WHOLE, "a whole number") if parameter.whole else (_REAL, "a number")
    allowed = f"{kind} from {parameter.low:g} to {parameter.high:g}"
    if pattern.fullmatch(written) is None:
        raise BadInput(f"{text!r}: {parameter.name} is {written!r}.", f"Give {allowed}.")
    value = int(written) if parameter.whole else float(written)
    if not parameter.low <= value <= parameter.high:
        raise BadInput(f"{text!r}: {parameter.name} is {written}, out of range.", f"Give {allowed}.")
    return value
