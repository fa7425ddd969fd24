"""An argument that is a whole JSON object, such as a strategy's file."""

import json
from typing import Any

from pydantic import BeforeValidator, WithJsonSchema


def _read_json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError as error:
        raise ValueError(f"Write JSON: {error.msg} in line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise ValueError("Write JSON that is less deep") from None


READ_JSON, TEXT = BeforeValidator(_read_json), WithJsonSchema({"type": "string"})
"""A file is taken as JSON in a text, or as the object itself. Some hosts refuse an object whose keys are not described,
others drop the keys."""
