"""Remedies for what was mistyped: the nearest name that exists, and what each wrong key should have been."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, get_args

from mcp_server.domain.text import escaped

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic.fields import FieldInfo


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the remedy for an unknown word: `Did you mean 'x'?`, or all that is known where nothing is near."""
    if not (names := sorted(known)):
        return "Leave it out."
    close = get_close_matches(word, names, n=1, cutoff=0.6)
    return f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(names)}."


@dataclass(frozen=True, slots=True)
class InvalidKey:
    """One key that failed validation: its path, what is wrong with it, and what to do."""

    path: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        if self.path:
            return f"{self.path}: {self.problem} {self.remedy}"
        return f"{self.problem[:1].upper()}{self.problem[1:]} {self.remedy}"


def invalid_keys(
    error: ValidationError, model: type[BaseModel], *, noun: str = "key", secret: bool = False
) -> list[InvalidKey]:
    """List the keys that failed validation, with the nearest known key for each that is not known.

    Args:
        error: what pydantic raised.
        model: the model that raised it.
        noun: what a key is called where the caller wrote it.
        secret: whether to leave out the values.
    """
    invalid = []
    for item in error.errors(include_url=False, include_input=True):
        path = _path(item["loc"])
        message = item["msg"].removeprefix("Value error, ").rstrip(".")
        problem, remedy = f"{_shown(item['input'], secret)} does not fit.", f"{message[:1].upper()}{message[1:]}."
        if item["type"] == "extra_forbidden":
            problem, remedy = f"not a known {noun}.", nearest(path[-1], _keys_at(model, item["loc"][:-1]))
        elif item["type"] == "missing":
            problem, remedy = "missing.", f"This {noun} is required."
        elif item["type"] in ("model_type", "dict_type"):  # pydantic speaks of a dictionary, and names our class
            remedy = "Write a JSON object: {…}."
        invalid.append(InvalidKey(".".join(path), problem, remedy))
    return invalid


def _path(places: tuple[int | str, ...]) -> list[str]:
    return [escaped(str(part)) for part in places] or [""]


def _shown(value: Any, secret: bool) -> str:
    if secret or isinstance(value, dict):
        return "this object" if isinstance(value, dict) else "the value"
    try:
        return escaped(repr(value))
    except ValueError:  # an integer of so many digits that Python refuses to write them
        return "a huge number"


def _keys_at(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    for part in path:
        field = model.model_fields.get(str(part))
        if field is None or (nested := nested_model(field)) is None:
            break
        model = nested
    return list(model.model_fields)


def nested_model(field: FieldInfo) -> type[BaseModel] | None:
    """Return the model that a key holds, by itself, as an alternative to null or in a mapping; None for other keys."""
    from pydantic import BaseModel

    types = (field.annotation, *get_args(field.annotation))
    return next((kind for kind in types if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
