"""`make surface`: writes everything that repeats what the tools say of themselves, so that nobody types it twice.

That is the snapshot of the tool list, the tools of the bundle's manifest, the tables of the page of tools, for a tool
whose folder has a page in docs/reference/ a section there with its example, and the page of the command line.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import anyio
from mcp import Client

from mcp_server.app import build_server, tool_files
from mcp_server.settings import ServerSettings
from tests.structure.answers import TOOL_PAGES, tools_shown, with_answers
from tests.structure.commands import PAGE as COMMANDS_PAGE
from tests.structure.commands import commands_page
from tests.structure.python_page import PAGE as PYTHON_PAGE
from tests.structure.python_page import python_page

ROOT = Path(__file__).parents[2]
SNAPSHOT = Path(__file__).with_name("surface.json")
MANIFEST = ROOT / "hosts" / "bundle" / "manifest.json"
TOOLS_PAGE = ROOT / "docs" / "reference" / "tools.md"

BEGIN, END = "<!-- tools: written by `make surface` -->\n\n", "\n<!-- /tools -->\n"


async def listed() -> list[dict[str, Any]]:
    """Return the list of tools as a host gets it."""
    with tempfile.TemporaryDirectory() as home:
        async with Client(build_server(ServerSettings(home=Path(home)))) as client:
            tools = (await client.list_tools()).tools
    return [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]


def snapshot(tools: list[dict[str, Any]]) -> str:
    """Return the file with the list of tools, one argument or one field a line, as changes are read in it."""
    return _laid_out({tool.pop("name"): tool for tool in map(dict, tools)}, 4) + "\n"


def manifest() -> str:
    """Return the bundle's manifest with the tools that there are."""
    content = json.loads(MANIFEST.read_text("utf-8"))
    content["tools"] = [{"name": name, "description": file.summary} for name, file in tool_files().items()]
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def tools_page() -> str:
    """Return the page of tools with a row for each, by the folder that it is in."""
    before, _, rest = TOOLS_PAGE.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    families: dict[str, list[str]] = {}
    for name, file in sorted(tool_files().items()):
        folder = file.function.__module__.split(".")[-2]
        families.setdefault(folder, []).append(f"| `{name}` | {file.summary.rstrip('.')} |\n")
    tables = (
        f"## {folder.capitalize()}\n\n| tool | what it does |\n| --- | --- |\n{''.join(rows)}\n"
        for folder, rows in sorted(families.items())
    )
    return f"{before}{BEGIN}{''.join(tables)}{END.lstrip()}{after}"


def pages() -> dict[Path, str]:
    """Return the pages of tools, with a section for each tool that has none yet."""
    texts = {page: page.read_text("utf-8") for page in TOOL_PAGES}
    for name, file in tool_files().items():
        folder = file.function.__module__.split(".")[-2]
        for page in [page for page in TOOL_PAGES if page.stem == folder and name not in tools_shown(texts[page])]:
            example = f"`{name}` `{json.dumps(dict(file.example))}`\n\n```json\n\n```\n"
            texts[page] = _with_section(texts[page], f"### {name}\n\n{file.description}\n\n{example}")
    return texts


def _with_section(page: str, section: str) -> str:
    """Put a section after those of the other tools, each of which has the tool's name as its heading."""
    last = max(page.rindex(f"\n### {name}\n") for name in tool_files() if f"\n### {name}\n" in page)
    end = page.find("\n## ", last)
    before, after = (page, "") if end < 0 else (page[:end], page[end:])
    return f"{before.rstrip()}\n\n{section}{after}"


def _laid_out(value: Any, depth: int, indent: str = "") -> str:
    """Write JSON whose objects down to a depth have a line for each key."""
    if depth == 0 or not value or not isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    lines = [f"{indent} {json.dumps(key)}: {_laid_out(part, depth - 1, indent + ' ')}" for key, part in value.items()]
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def main() -> None:
    """Write each file anew."""
    SNAPSHOT.write_text(snapshot(anyio.run(listed)), "utf-8")
    MANIFEST.write_text(manifest(), "utf-8")
    TOOLS_PAGE.write_text(tools_page(), "utf-8")
    COMMANDS_PAGE.write_text(commands_page(), "utf-8")
    PYTHON_PAGE.write_text(python_page(), "utf-8")
    for page, text in pages().items():
        if text != page.read_text("utf-8"):
            page.write_text(anyio.run(with_answers, page, text), "utf-8")


if __name__ == "__main__":
    main()
