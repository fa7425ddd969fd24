"""The runner imports mcp's client without mcp's server, and whoever needs that in the same process still has it."""

import subprocess
import sys

import pytest

IMPORTED = """
import sys
from runner.tool_server import mcp_client
{before}
from runner.tool_server.client import Client
print("mcp.server.lowlevel" in sys.modules, any(name in sys.modules for name in mcp_client.OF_THE_SERVER))
"""

IN_MEMORY = """
import anyio, mcp
assert not isinstance(sys, mcp.ServerSession)
assert hasattr(mcp.stdio_server(), "__aenter__")
from mcp.client._memory import InMemoryTransport
from mcp.server.mcpserver import MCPServer

server = MCPServer("one")
server.add_tool(lambda: "done", name="tool", description="It does.")

async def list_tools():
    for connected in (server, server._lowlevel_server, InMemoryTransport(server)):
        async with Client(connected) as client:
            print(*(tool.name for tool in (await client.list_tools()).tools))

anyio.run(list_tools)
"""


def lines(before: str = "", after: str = "") -> list[str]:
    """Import the runner's client in a process of its own, as in this one all is imported; return what it prints."""
    code = IMPORTED.format(before=before) + after
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.long
def test_the_runner_imports_nothing_of_mcps_server_until_it_has_one_in_its_own_process() -> None:
    """In `make test`, `test_early_server.py` has a run by Claude, which imports even more."""
    assert lines(after=IN_MEMORY) == ["False False", *["tool"] * 3]


def test_a_version_whose_client_needs_more_of_the_server_is_given_it() -> None:
    needs_more = 'mcp_client.OF_THE_SERVER["mcp.server.runner"] = ()'
    assert lines(needs_more, IN_MEMORY) == ["True True", *["tool"] * 3]


@pytest.mark.long
def test_what_is_imported_already_stays() -> None:
    assert lines("import mcp.server.lowlevel", IN_MEMORY) == ["True True", *["tool"] * 3]


@pytest.mark.long
def test_a_run_by_claude_imports_nothing_of_mcps_server_either() -> None:
    """The agent SDK asks for it, to have tools in its own process: it gets it when it is given one.

    In `make test`, `test_early_server.py` has that it is not imported, and a design of `test_build.py` such tools.
    """
    ready = "from runner.cli import ready_run; ready_run._import_the_rest('claude')"
    tool_of_its_own = "import claude_agent_sdk; print(*claude_agent_sdk.create_sdk_mcp_server('one', tools=[]))"
    assert lines(ready, tool_of_its_own + IN_MEMORY) == ["False False", "type name instance", *["tool"] * 3]
