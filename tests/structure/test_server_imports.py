"""The server imports neither mcp's client and sign-in nor uvicorn's command line; who needs them there has them."""

import subprocess
import sys

import pytest

from tests.structure.test_late_models import BUILT, check_built

IMPORTED = """
import sys
{before}
import mcp_server.app
unused = {{"mcp.client", "httpx2", "click", "uvicorn.main", "filelock", "mcp.server.auth.routes"}}
print(*sorted(unused & sys.modules.keys()))
"""

IN_MEMORY = """
import anyio, mcp, uvicorn
assert issubclass(uvicorn.Server, object) and uvicorn.run.__module__ == "uvicorn.main"
assert not hasattr(mcp, "no_such_name")
from mcp import Client, ClientSession, ClientSessionGroup, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.resources import types

class MyClient(Client):
    pass

async def list_tools():
    async with MyClient(server) as client:
        print(*(tool.name for tool in (await client.list_tools()).tools))

server = MCPServer("one")
server.add_tool(lambda: "done", name="tool", description="It does.")
anyio.run(list_tools)
assert issubclass(types.httpx2.AsyncClient, object)

from mcp.server.lowlevel.server import create_protected_resource_routes
routes = create_protected_resource_routes("https://example.org/mcp", ["https://example.org"], None)
assert [route.path for route in routes] == ["/.well-known/oauth-protected-resource/mcp"]
"""

WITHOUT_CLIENT = """
from mcp_server.domain import late_parts
standing_for = late_parts._standing_for
late_parts._standing_for = lambda name, names, other: standing_for(name, () if "client" in name else names, other)
"""


def lines(before: str = "", then: str = "") -> list[str]:
    """Import the server in a process of its own, as in this one all is imported; return what it prints."""
    code = IMPORTED.format(before=before) + then + IN_MEMORY
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_server_imports_nothing_of_mcps_client_and_builds_hardly_any_type_until_somebody_asks_for_it() -> None:
    imported, types, adapters, listed = lines(then=BUILT.format(module="mcp_server.app"))
    assert (imported, listed) == ("", "tool")
    check_built(types, adapters)


@pytest.mark.long
@pytest.mark.parametrize(
    "before",
    [
        pytest.param(WITHOUT_CLIENT, id="a version that needs more"),
        pytest.param("import runner.tool_server.client", id="after the runner's client"),
        pytest.param("import mcp", id="after mcp"),
    ],
)
def test_what_is_imported_otherwise_works_too(before: str) -> None:
    assert lines(before)[-1] == "tool"
