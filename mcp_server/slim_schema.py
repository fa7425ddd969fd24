"""Shortens the JSON schemas of tools: a model pays for each word of them. And keeps them plain, for any host.

What is left out is checked all the same, when a tool is called. Hosts of other models take a part of JSON Schema only:
no `exclusiveMinimum`, nothing beside `anyOf`, an `items` for each array.
"""

from collections.abc import Mapping
from typing import Any

NULL = {"type": "null"}

ASSUMED = (("additionalProperties", True), ("minimum", 1), ("default", None))
"""What a reader takes for granted: an object may have more keys, a count is at least 1, null is not given."""


IN_INSTRUCTIONS = ("simulated", "note")
"""The fields that may be in any answer; the server's instructions say so once."""


def slim_input(schema: dict[str, Any]) -> dict[str, Any]:
    """Shorten the schema of a tool's arguments: without the lengths and patterns of texts, and without null.

    A null is taken for an argument that was not given.
    """
    return _slim_object(schema, without=("maxLength", "minLength", "pattern"))


def slim_output(schema: dict[str, Any]) -> dict[str, Any]:
    """Shorten the schema of an answer: without the list of required fields, as any field may be left out."""
    slim = _slim_object(schema, without=("required",))
    for name in IN_INSTRUCTIONS:
        slim.get("properties", {}).pop(name, None)
    return slim


def _slim_object(schema: dict[str, Any], without: tuple[str, ...]) -> dict[str, Any]:
    definitions = {f"#/$defs/{name}": part for name, part in schema.get("$defs", {}).items()}
    slim: dict[str, Any] = _slim(schema, ("$defs", *without), definitions)
    return slim


def _slim(schema: Any, without: tuple[str, ...], definitions: Mapping[str, Any]) -> Any:
    """Keep of a schema what says something; a part that is defined elsewhere is put in its place."""
    if isinstance(schema, list):
        return [_slim(item, without, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    slim = {}
    for key, value in {**definitions.get(schema.get("$ref", ""), {}), **schema}.items():
        if key == "properties":
            slim[key] = {name: _slim(part, without, definitions) for name, part in value.items()}
        elif key == "exclusiveMinimum":
            slim["minimum"] = value
        elif key not in (*without, "title", "$ref") and (key, value) not in ASSUMED:
            slim[key] = _slim(value, without, definitions)
    return _short_null(slim, optional=schema.get("default", NULL) is None)


def _short_null(schema: dict[str, Any], *, optional: bool) -> dict[str, Any]:
    """Leave null out beside a type where it is the default; elsewhere make it one of an enum's values.

    Else it is one of two choices, with nothing beside these. It is not written as one of several types in a list: some
    hosts refuse a tool that has such a list.
    """
    choices = schema.get("anyOf", [])
    kept = [choice for choice in choices if choice != NULL]
    if len(kept) == len(choices):
        return schema
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    one = kept[0] if len(kept) == 1 else {"anyOf": kept}
    if optional:
        return {**one, **rest}
    return {"enum": [*one["enum"], None], **rest} if "enum" in one else {"anyOf": [{**one, **rest}, NULL]}
