"""The JSON Schemas beside the examples, made from the models.

python -m tests.structure.schemas      writes them anew
"""

import json
from pathlib import Path

from mcp_server.domain.strategy.schemas import agents_schema, config_schema

FOLDER = Path(__file__).parents[2] / "strategies"
SCHEMAS = {"config.schema.json": config_schema, "agents.schema.json": agents_schema}


def written(name: str) -> str:
    """Give a schema's file as it should be now."""
    return json.dumps(SCHEMAS[name](), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name in SCHEMAS:
        (FOLDER / name).write_text(written(name), "utf-8")
