"""Reads what a sweep is to try: `rsi(14)=rsi(7),rsi(21)` or `30=25,35`."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import prod

from mcp_server.domain.indicators.parse import parse_spec
from mcp_server.domain.indicators.spec import Spec
from mcp_server.domain.rules.tree import FUNCTIONS
from mcp_server.errors import BadInput, TraderError

MOST_VARIANTS = 2_000
UNSIGNED = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?"

_EXAMPLE = "'rsi(14)=rsi(7),rsi(21)' or '30=25,35'"
_FORM = f"Write {_EXAMPLE}: what is in the rules, then what to try in its place."
_RULE = re.compile(rf"[<>=]|\b(?:{'|'.join([*FUNCTIONS, 'and', 'or', 'not'])})\b|^\w+_[0-9]+$", re.IGNORECASE)
"""What a condition has, or a column, and no indicator."""

_NUMBER = re.compile(rf"[+-]?{UNSIGNED}", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class Variation:
    """What is in the rules, and the values to try in its place: indicator specs, or numbers of the conditions."""

    own: str
    values: tuple[str, ...]
    is_number: bool


def read_variations(texts: Sequence[str]) -> list[Variation]:
    """Read all variations of a sweep. What parts a variation is the first `=` outside of parentheses.

    Its own value may be among the values: it is tried once, as always.

    Raises:
        BadInput: one cannot be read, has a value twice, or varies what another one does; or the grid is too large.
    """
    split = [_split(text) for text in texts]
    if (count := prod(1 + len(values) for _, values in split)) > MOST_VARIANTS:
        problem = f"These variations make {count:,} variants; at most {MOST_VARIANTS:,} are allowed."
        raise BadInput(problem, "Vary fewer things, or give fewer values.")
    read = [_numbers(own, values) if _NUMBER.fullmatch(own) else _specs(own, values) for own, values in split]
    for text, variation in zip(texts, read, strict=True):
        if not variation.values:
            raise BadInput(f"{text!r} tries nothing but what is there.", f"Give another value, like in {_EXAMPLE}.")
    owns = [Decimal(variation.own) if variation.is_number else parse_spec(variation.own) for variation in read]
    for position, own in enumerate(owns):
        if own in owns[:position]:
            raise BadInput(f"{read[position].own!r} is varied twice.", "Put all its values into one variation.")
    return read


def _split(text: str) -> tuple[str, list[str]]:
    depth_0 = list(_outside(text))
    parting = next((at for at in depth_0 if text[at] == "="), None)
    if parting is None or not text[:parting].strip():
        raise BadInput(f"{text!r} does not say what to vary.", _FORM)
    commas = [at for at in depth_0 if at > parting and text[at] == ","]
    bounds = zip([parting, *commas], [*commas, len(text)], strict=True)
    values = [text[start + 1 : stop].strip() for start, stop in bounds]
    if not all(values):
        raise BadInput(f"{text!r} has an empty value.", _FORM)
    return text[:parting].strip(), values


def _outside(text: str) -> Iterator[int]:
    """Return the positions outside of parentheses."""
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            yield position


def _numbers(own: str, values: Sequence[str]) -> Variation:
    for value in values:
        if not _NUMBER.fullmatch(value):
            raise BadInput(f"{value!r} is no number to try in place of {own!r}.", "Give numbers, like '30=25,35'.")
    if own[0] in "+-":
        problem = f"{own!r} has a sign, which is no part of a number in a condition."
        raise BadInput(problem, f"Write '{own[1:]}=' and the values without their sign.")
    _check_once(own, [Decimal(value) for value in values], values)
    return Variation(own, tuple(value for value in values if Decimal(value) != Decimal(own)), is_number=True)


def _specs(own: str, values: Sequence[str]) -> Variation:
    own_spec = _spec(own)
    read = _parsed(values)
    _check_once(own, [spec for _, spec in read], [text for text, _ in read])
    return Variation(own, tuple(text for text, spec in read if spec != own_spec), is_number=False)


def _parsed(values: Sequence[str]) -> list[tuple[str, Spec]]:
    """Read indicators. One that compares two series holds a comma: `correl(20) of close, volume`."""
    read, rest = list[tuple[str, Spec]](), list(values)
    while rest:
        text = rest.pop(0)
        try:
            read.append((text, _spec(text)))
        except BadInput:
            if not rest or " of " not in text.lower():
                raise
            text = f"{text}, {rest.pop(0)}"
            read.append((text, _spec(text)))
    return read


def _spec(text: str) -> Spec:
    try:
        return parse_spec(text)
    except TraderError:
        if not _RULE.search(text):
            raise
        problem = f"{text!r} is neither an indicator nor a number, and only these can be varied."
        raise BadInput(problem, f"Write {_EXAMPLE}.") from None


def _check_once(own: str, values: Sequence[Decimal | Spec], texts: Sequence[str]) -> None:
    for position, value in enumerate(values):
        if value in values[:position]:
            raise BadInput(f"{texts[position]!r} is twice among the values of {own!r}.", "Leave one out.")
