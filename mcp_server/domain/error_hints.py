"""Errors that teach: what was wrong, what was expected, and the nearest thing that exists."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from mcp_server.domain.text import escaped


def nearest(word: str, known: Iterable[str]) -> str:
    """Give ` Did you mean 'x'?`, or the list of what is known where nothing is near."""
    names = sorted(known)
    close = get_close_matches(word, names, n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else f" Known: {', '.join(names)}."


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that a validation error says: the key, what is wrong with it, and what to do."""

    where: str
    problem: str
    remedy: str


def validation_parts(error: ValidationError, model: type[BaseModel]) -> list[Part]:
    """Take a validation error apart, with the nearest known key for each that is not known."""
    parts = []
    for item in error.errors(include_url=False, include_input=True):
        where = ".".join(names := _path(item["loc"]))
        said = f"{item['msg'].removeprefix('Value error, ')}."
        if item["type"] == "extra_forbidden":
            hint = nearest(names[-1], _keys_at(model, item["loc"][:-1])).strip()
            parts.append(Part(where, "not a known key.", hint))
        elif item["type"] == "missing":
            parts.append(Part(where, "missing.", "This key is required."))
        elif isinstance(item["input"], dict):
            parts.append(Part(where, "these keys do not go together.", f"{said[:1].upper()}{said[1:]}"))
        else:
            parts.append(Part(where, f"{_short(item['input'])} does not fit.", f"{said[:1].upper()}{said[1:]}"))
    return parts


def validation_lines(
    error: ValidationError, model: type[BaseModel], noun: str = "key", *, secret: bool = False
) -> list[str]:
    """Turn a validation error into lines of `key: what is wrong and what was expected`, with the nearest known key.

    `noun` is what a key is called where the caller wrote it; with `secret` no value is told back.
    """
    lines = []
    for item in error.errors(include_url=False, include_input=True):
        *_, last = names = _path(item["loc"])
        where = ".".join(names)
        if item["type"] == "extra_forbidden":
            known = _keys_at(model, item["loc"][:-1])
            lines.append(f"{where}: not a known {noun}.{nearest(last, known)}")
        elif item["type"] == "missing":
            lines.append(f"{where}: missing; this {noun} is required.")
        else:
            given = "" if secret or isinstance(item["input"], dict) else f" (given: {_short(item['input'])})"
            said = item["msg"].removeprefix("Value error, ")
            lines.append(f"{where}: {said}{given}." if where else f"{said}.")
    return lines


def _path(places: tuple[int | str, ...]) -> list[str]:
    return [escaped(str(part)) for part in places] or [""]


def _short(value: Any) -> str:
    try:
        return escaped(repr(value))
    except ValueError:  # an integer of so many digits that Python refuses to write them
        return "a huge number"


def _keys_at(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    current: type[BaseModel] = model
    for part in path:
        field = current.model_fields.get(str(part))
        inner = (
            [t for t in _types_in(field.annotation) if isinstance(t, type) and issubclass(t, BaseModel)]
            if field
            else []
        )
        if not inner:
            break
        current = inner[0]
    return list(current.model_fields)


def _types_in(annotation: Any) -> list[Any]:
    return [annotation, *getattr(annotation, "__args__", ())]
