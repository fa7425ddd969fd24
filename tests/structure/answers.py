"""The answers in the documentation: what the tools really say, on the invented market, at a moment that stands still.

python -m tests.structure.answers      writes them anew
"""

import json
import re
import tempfile
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
from mcp import Client
from mcp_types import TextContent

from mcp_server.app import build_server
from mcp_server.settings import Settings
from tests.structure.catalogue import MARK, with_catalogue

DOCS = Path(__file__).parents[2] / "docs"
PAGES = tuple(DOCS / name for name in ("market.md", "indicators.md", "divergence.md"))
NOW = datetime(2026, 5, 20, 12, 17, 33, tzinfo=UTC)

_EXAMPLE = re.compile(
    r"(`(?P<tool>\w+)` `(?P<arguments>\{.*?\})`\n\n```(?:json|text)\n)(?P<answer>.*?)(\n```)", re.DOTALL
)

Ask = Callable[[str, dict[str, Any]], Awaitable[str]]


async def written(page: str) -> str:
    """Give the page with each answer as it is now."""
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home), exchange="simulated")
        async with Client(build_server(settings, clock=lambda: NOW)) as client:
            answers = [
                await _answer(client, found["tool"], json.loads(found["arguments"]))
                for found in _EXAMPLE.finditer(page)
            ]
    given = iter(answers)
    page = _EXAMPLE.sub(lambda found: f"{found[1]}{next(given)}{found[5]}", page)
    return with_catalogue(page) if MARK in page else page


def tools_shown(page: str) -> list[str]:
    """List the tool of each example."""
    return [found["tool"] for found in _EXAMPLE.finditer(page)]


async def _answer(client: Client, tool: str, arguments: dict[str, Any]) -> str:
    result = await client.call_tool(tool, arguments)
    if result.is_error:
        return "\n".join(block.text for block in result.content if isinstance(block, TextContent))
    assert result.structured_content is not None
    return _laid_out(result.structured_content)


def _laid_out(values: dict[str, Any]) -> str:
    """Write JSON with one fact a line, and one row of a table a line."""
    lines = []
    for name, value in values.items():
        if name == "rows":
            rows = ",\n".join(f"    {json.dumps(row)}" for row in value)
            lines.append(f'  "rows": [\n{rows}\n  ]')
        else:
            lines.append(f"  {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}")
    return "{\n" + ",\n".join(lines) + "\n}"


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(anyio.run(written, page.read_text("utf-8")), "utf-8")
