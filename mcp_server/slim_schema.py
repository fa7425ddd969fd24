"""Makes the JSON schemas of tools short: a model pays for each word of them."""

from typing import Any


def slim_schema(schema: Any) -> Any:
    """Take out of a JSON schema what costs a reader and says nothing: generated titles, and null beside a type."""
    if isinstance(schema, list):
        return [slim_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    slim = {}
    for key, value in schema.items():
        if key == "title" and isinstance(value, str):
            continue
        named = key in ("properties", "$defs") and isinstance(value, dict)
        slim[key] = {name: slim_schema(part) for name, part in value.items()} if named else slim_schema(value)
    return _without_null(slim)


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    choices = schema.get("anyOf", [])
    kept = [choice for choice in choices if choice != {"type": "null"}]
    if len(kept) != 1 or len(kept) == len(choices) or "default" not in schema or schema["default"] is not None:
        return schema
    rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    return {**kept[0], **rest}
