"""The JSON Schemas beside the examples, made from the models that check strategies: what an editor completes exists.

python -m tests.structure.schemas      writes them anew
"""

import json
from pathlib import Path
from typing import Any

from mcp_server.domain.strategy.format import Agent, Config

FOLDER = Path(__file__).parents[2] / "strategies"

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_AGENT_NAME = "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
_SCHEMA_KEY = {"$schema": {"type": "string", "description": "For editors; none of the strategy"}}


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema of `config.json`; what the schema cannot say, `claude-trader strategies check` does."""
    schema = _plain(Config.model_json_schema())
    schema["properties"] = {**_SCHEMA_KEY, **schema["properties"]}
    schedules = [{"required": ["interval"]}, {"required": ["cron"]}]
    return {"$schema": _DIALECT, "title": "config.json of a strategy", **schema, "oneOf": schedules}


def agents_schema() -> dict[str, Any]:
    """Return the JSON Schema of `agents.json`, in both of its shapes."""
    agent = _plain(Agent.model_json_schema())
    agent["required"] = [*agent["required"], "tools"]
    name = {"type": "string", "minLength": 1, "description": "Its name; default: made from its description"}
    listed = {**agent, "properties": {"name": name, **agent["properties"]}}
    mapping = {
        "type": "object",
        "properties": _SCHEMA_KEY,
        "patternProperties": {_AGENT_NAME: {"$ref": "#/$defs/agent"}},
        "additionalProperties": False,
        "minProperties": 1,
    }
    array = {"type": "array", "items": {"$ref": "#/$defs/listed"}, "minItems": 1}
    return {
        "$schema": _DIALECT,
        "title": "agents.json of a strategy",
        "$defs": {"agent": agent, "listed": listed},
        "anyOf": [mapping, array],
    }


def _plain(schema: Any) -> Any:
    """Leave out the titles that pydantic makes of names, and null where a key is simply left out."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: _plain(value) for key, value in schema.items() if not (key == "title" and isinstance(value, str))}
    choices = [choice for choice in kept.get("anyOf", []) if choice != {"type": "null"}]
    rest = {key: value for key, value in kept.items() if key != "anyOf"}
    if isinstance(rest.get("default", ""), dict | None):
        del rest["default"]  # the model of that key says it
    return {**choices[0], **rest} if len(choices) == 1 else {**({"anyOf": choices} if choices else {}), **rest}


SCHEMAS = {"config.schema.json": config_schema, "agents.schema.json": agents_schema}


def written(name: str) -> str:
    """Return a schema's file as it should be now."""
    return json.dumps(SCHEMAS[name](), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name in SCHEMAS:
        (FOLDER / name).write_text(written(name), "utf-8")
