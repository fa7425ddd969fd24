"""The direction of imports, as contracts that import-linter checks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_server.app import tool_files

ROOT = Path(__file__).parents[2]

HEAVY = ("PIL", "ccxt", "duckdb", "matplotlib", "numpy", "pandas", "pandas_ta_classic", "stamina", "talib", "typer")
NEWS = ("mcp_server.adapters.news", "mcp_server.storage.news", "mcp_server.news.collector")


def test_imports_point_one_way() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout


STAGES = f"""
import sys
import anyio
from mcp import Client
from mcp_server.app import build_server
from mcp_server.settings import ServerSettings

opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)

def imported():
    tools = [name for name in sys.modules if name.startswith("mcp_server.tools.") and name.count(".") > 2]
    print(len(tools), *sorted(set({HEAVY!r}) & set(sys.modules)))

async def main():
    async with Client(build_server(ServerSettings.load())) as client:
        print(*(name for name in sys.modules if name.startswith("mcp_server.http")))
        imported()
        await client.call_tool("get_price", {{}})
        imported()
        await client.list_tools()
        imported()

anyio.run(main)
from mcp_server.http.gate import Gate
from mcp_server.http.pages.pages import Pages
Pages()
print("numpy" in sys.modules, any("assets/" in name for name in opened))

from mcp_server.__main__ import _composed, _parser
_composed(_parser().parse_args(["--http", "--port", "0", "--collect-news"]))
print(*sorted(set({NEWS!r}) & set(sys.modules)), "mcp_server.news.collecting" in sys.modules)

from mcp_server.domain.indicators.parse import parse_spec
parse_spec("rsi(14)")
print("talib" in sys.modules, "pandas" in sys.modules)
"""


@pytest.fixture(scope="module")
def stages() -> list[str]:
    """What a server has imported by and by: each line is a stage."""
    environment = {**os.environ, "TRADER_NEWS": "on"}
    command = [sys.executable, "-c", STAGES]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment)
    return done.stdout.splitlines()


def test_what_is_slow_to_import_waits_until_it_is_used(stages: list[str]) -> None:
    """A host that starts the server waits for its first answer, then for the list of tools.

    No tool is imported before `initialize` is answered, one for a call of it, all of them for the list.
    """
    assert stages[1:4] == ["0", "1", str(len(tool_files()))]


def test_the_page_costs_nothing_until_it_is_asked_for(stages: list[str]) -> None:
    """A server over stdio has none, and one over HTTP, which each run may start for itself, is seldom asked."""
    assert (stages[0], stages[4]) == ("", "False False")


def test_what_collecting_needs_is_imported_when_it_begins(stages: list[str]) -> None:
    assert stages[5] == "True"


def test_ta_lib_brings_no_pandas_along(stages: list[str]) -> None:
    """It costs half a second and 75 MB, in every process that computes an RSI."""
    assert stages[6:] == ["True False"]
